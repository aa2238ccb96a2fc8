"""Makes the place for the next job ahead of time, with the toolchain of the last one.

What a place consists of is in :mod:`sccachedist.sandbox.overlay.job`.
"""

from collections.abc import Callable
from contextlib import AbstractContextManager, ExitStack, suppress

from sccachedist.errors import SccachedistError
from sccachedist.sandbox.overlay.job import Opened, Place


class Prewarm:
    """Holds at most one place: that of a running job, or one that waits for the next job.

    :param make: makes a place, and removes it when its context ends.
    """

    def __init__(self, make: Callable[[Place], AbstractContextManager[Opened]]) -> None:
        self._make = make
        self._held = ExitStack()
        self._ready: Opened | None = None
        self._last: Place | None = None

    def acquire(self, place: Place) -> tuple[Opened, bool]:
        """Return the place that was made ahead, if it fits, else make one now; and whether it was made ahead.

        :raises SccachedistError: it cannot be made.
        """
        made, self._ready = self._ready, None
        ready = made if made is not None and made.fits(place) else None
        here = ready or self._open(place)
        self._last = place
        return here, ready is not None

    def refill(self) -> None:
        """Remove the place of the last job and make another like it; if that fails, the next job gets the error."""
        if self._ready is None and self._last is not None:
            with suppress(SccachedistError, OSError):
                ready = self._open(self._last)
                ready.finish()
                self._ready = ready

    def _open(self, place: Place) -> Opened:
        self._held.close()
        return self._held.enter_context(self._make(place))
