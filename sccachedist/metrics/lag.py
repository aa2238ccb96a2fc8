"""Looks once a second how late the reactor is: what else it has to do then waits for as long."""

from collections.abc import Callable

from twisted.application.service import Service
from twisted.internet.interfaces import IDelayedCall, IReactorTime

#: Seconds from one look to the next.
LOOK_SECS = 1.0


class LoopLag(Service):
    """Measures while it runs.

    :param observe: called with the seconds by which a call came late.
    """

    def __init__(self, observe: Callable[[float], None], clock: IReactorTime) -> None:
        self._observe, self._clock = observe, clock
        self._next: IDelayedCall | None = None

    def startService(self) -> None:
        """Begin to look."""
        super().startService()
        self._wait()

    def stopService(self) -> None:
        """Look no more."""
        super().stopService()
        if self._next is not None:
            self._next.cancel()
            self._next = None

    def _wait(self) -> None:
        self._next = self._clock.callLater(LOOK_SECS, self._look, self._clock.seconds() + LOOK_SECS)

    def _look(self, due: float) -> None:
        self._observe(max(0.0, self._clock.seconds() - due))
        self._wait()
