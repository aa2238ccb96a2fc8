"""Whether a worker wants jobs, and why not. Pure, but for telling that it has changed."""

from collections.abc import Callable

import attrs


@attrs.define
class Openness:
    """What decides it.

    :param changed: called when something has changed.
    :ivar unfit: what is wrong with its host; empty if nothing is.
    """

    _changed: Callable[[], None]
    is_ready: bool = False
    is_drained: bool = False
    is_leaving: bool = False
    unfit: str = ""

    def change(self, **changes: bool | str) -> None:
        """Change some of it."""
        for name, value in changes.items():
            setattr(self, name, value)
        self._changed()

    @property
    def state(self) -> str:
        """How it stands in a word: leaving, starting, unfit, drained or open."""
        if self.is_leaving:
            return "leaving"
        if not self.is_ready:
            return "starting"
        return "unfit" if self.unfit else "drained" if self.is_drained else "open"

    @property
    def closed(self) -> str:
        """Why no jobs are wanted; empty if they are."""
        match self.state:
            case "leaving":
                return "it is shutting down"
            case "starting":
                return "it is starting"
            case "unfit":
                return f"it is unfit for jobs: {self.unfit}"
            case "drained":
                return "it is drained"
        return ""
