"""What a role does at a signal that Twisted itself makes nothing of."""

import signal
from collections.abc import Callable

from twisted.application.service import Service
from twisted.internet.interfaces import IReactorFromThreads

from sccachedist.logs import Logger

log = Logger()


class OnSignal(Service):
    """Does something at each signal of one kind, while its role runs.

    :param name: that of the signal, such as SIGUSR1; where the system has no such signal, it never comes.
    """

    def __init__(self, name: str, work: Callable[[], object], reactor: IReactorFromThreads) -> None:
        self._number = getattr(signal, name, None)
        self._work, self._reactor = work, reactor

    def startService(self) -> None:
        """Listen to the signal from now on."""
        super().startService()
        if self._number is not None:
            signal.signal(self._number, lambda *_: self._reactor.callFromThread(self._work))

    def stopService(self) -> None:
        """Ignore the signal from now on."""
        super().stopService()
        if self._number is not None:
            signal.signal(self._number, signal.SIG_IGN)


def end_at_once_when_told_again() -> None:
    """The role has begun to stop: a second SIGTERM or SIGINT does not wait for what still runs."""
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, signal.SIG_DFL)
