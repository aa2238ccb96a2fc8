"""Whether a daemon with sandboxes takes jobs, and why not. Pure: that others hear of a change is its owner's to do."""

import attrs


@attrs.define(eq=False)
class Openness:
    """What decides it.

    :ivar is_ready: the sandboxes have shown that they work.
    :ivar is_busy: it offers no slot for now (:mod:`sccachedist.server.spare`); it is open all the same.
    :ivar unfit: why no jobs come for now, as :mod:`sccachedist.server.fitness` says; empty if the host is fit.
    """

    is_ready: bool = False
    is_drained: bool = False
    is_leaving: bool = False
    is_busy: bool = False
    unfit: str = ""

    @property
    def state(self) -> str:
        """Whether jobs are taken, in a word: leaving, starting, unfit, drained, busy or open."""
        return self._judged[0]

    @property
    def closed(self) -> str:
        """Why no job is taken, as one says of the daemon: "is drained"; empty if jobs are."""
        return self._judged[1]

    @property
    def unready(self) -> str:
        """The same as a sentence."""
        return f"it {self.closed}" if self.closed else ""

    @property
    def _judged(self) -> tuple[str, str]:
        if self.is_leaving:
            return "leaving", "is shutting down"
        if not self.is_ready:
            return "starting", "is starting"
        if self.unfit:
            return "unfit", f"is unfit for jobs: {self.unfit}"
        if self.is_drained:
            return "drained", "is drained"
        return ("busy" if self.is_busy else "open"), ""
