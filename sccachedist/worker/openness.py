"""Whether a worker wants jobs, for those that have to hear of each change."""

from collections.abc import Callable

import attrs

from sccachedist.server.openness import Openness


@attrs.define(eq=False)
class WorkerOpenness(Openness):
    """Whether it does.

    :param changed: called when something has changed.
    """

    changed: Callable[[], None] = attrs.field(kw_only=True)

    def change(self, **changes: bool | str) -> None:
        """Change some of what decides it."""
        for name, value in changes.items():
            setattr(self, name, value)
        self.changed()
