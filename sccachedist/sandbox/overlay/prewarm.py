"""The place for the next job, made before that comes: for the toolchain that the last one had."""

from collections.abc import Callable
from contextlib import AbstractContextManager, ExitStack, suppress

from sccachedist.errors import SccachedistError
from sccachedist.sandbox.overlay.job import Opened, Place


class Prewarm:
    """At most one place: that of a job, or one that waits for the next.

    :param make: makes one, and removes it when its context ends.
    """

    def __init__(self, make: Callable[[Place], AbstractContextManager[Opened]]) -> None:
        self._make = make
        self._held = ExitStack()
        self._ready: Opened | None = None
        self._last: Place | None = None

    def acquire(self, place: Place) -> Opened:
        """Give what was made ahead, if it is as a job needs it, else what is made now.

        :raises SccachedistError: it cannot be made.
        """
        ready, self._ready = self._ready, None
        if ready is None or not ready.fits(place):
            ready = self._open(place)
        self._last = place
        return ready

    def refill(self) -> None:
        """Remove what a job has used, and make the same again; where that fails, the next job finds out."""
        if self._ready is None and self._last is not None:
            with suppress(SccachedistError, OSError):
                self._ready = self._open(self._last)

    def _open(self, place: Place) -> Opened:
        self._held.close()
        return self._held.enter_context(self._make(place))
