"""A function that is called at regular intervals, also after it has failed. It does not know what the function does.

Twisted's ``TimerService`` stops for good at the first exception and still says that it runs.
"""

from collections.abc import Callable

from twisted.application.service import Service
from twisted.internet.interfaces import IReactorTime
from twisted.internet.task import LoopingCall

from sccachedist.daemon.logs import Logger

log = Logger()


class PeriodicService(Service):
    """Calls a function every ``seconds`` seconds while it runs."""

    def __init__(self, seconds: float, function: Callable[[], object], clock: IReactorTime) -> None:
        self._seconds, self._function = seconds, function
        self._loop = LoopingCall(self._call)
        self._loop.clock = clock

    def startService(self) -> None:
        """Start; the first call comes after the first period."""
        super().startService()
        self._loop.start(self._seconds, now=False)

    def stopService(self) -> None:
        """Stop the calls."""
        super().stopService()
        self._loop.stop()

    def _call(self) -> None:
        with log.failuresHandled("periodic call failed"):
            self._function()
