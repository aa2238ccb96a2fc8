"""Something that is done every now and then, also after it went wrong.

Twisted's ``TimerService`` ends for good at the first exception and still says that it runs.
"""

from collections.abc import Callable

from twisted.application.service import Service
from twisted.internet.interfaces import IReactorTime
from twisted.internet.task import LoopingCall

from sccachedist.daemon.logs import Logger

log = Logger()


class PeriodicService(Service):
    """Calls a function every so many seconds while it runs."""

    def __init__(self, seconds: float, function: Callable[[], object], clock: IReactorTime) -> None:
        self._seconds, self._function = seconds, function
        self._loop = LoopingCall(self._call)
        self._loop.clock = clock

    def startService(self) -> None:
        """Call it for the first time when the first period is over."""
        super().startService()
        self._loop.start(self._seconds, now=False)

    def stopService(self) -> None:
        """Call it no more."""
        super().stopService()
        self._loop.stop()

    def _call(self) -> None:
        with log.failuresHandled("periodic call failed"):
            self._function()
