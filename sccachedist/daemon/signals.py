"""What a role does at a signal that Twisted itself makes nothing of.

SIGHUP, SIGUSR1 and SIGUSR2 end a process that says nothing about them. A daemon is never ended by one: from its first
step to its last it answers each with something that it does, or with a line that there is nothing to do.
"""

import signal
from collections.abc import Callable
from functools import partial
from typing import Any

from twisted.application.service import Service
from twisted.internet.interfaces import IReactorFromThreads

from sccachedist.daemon.logs import Logger

log = Logger()

#: The signals that a daemon survives in any case.
SURVIVED = ("SIGHUP", "SIGUSR1", "SIGUSR2")


class _Handler:
    """Handles a signal until somebody else wants to.

    It counts as false, so that ``twistd --logfile`` takes it for none and has SIGUSR1 rotate the log, as it does where
    a role has no use for that signal.
    """

    def __init__(self, work: Callable[[], object]) -> None:
        self._work = work

    def __call__(self, *_: object) -> None:
        """The signal has come."""
        self._work()

    def __bool__(self) -> bool:
        return False


def survive(tell: Callable[[str], object]) -> None:
    """Let no signal of :data:`SURVIVED` end this process from now on.

    :param tell: called with the name of each that comes, between any two steps of the program.
    """
    for name in SURVIVED:
        _handle(name, _Handler(partial(tell, name)))


def survive_and_tell(reactor: Any) -> None:
    """The same, with a line in the log for each, as soon as ``reactor`` runs, and up to the end of the process."""
    survive(lambda name: reactor.callFromThread(_tell_nothing_to_do, name))
    reactor.addSystemEventTrigger("after", "startup", _take_any_number)
    reactor.addSystemEventTrigger("after", "shutdown", _ignore)


class OnSignal(Service):
    """Does something at each signal of one kind, while its role runs.

    :param name: that of the signal, such as SIGUSR1; where the system has no such signal, it never comes.
    """

    def __init__(self, name: str, work: Callable[[], object], reactor: IReactorFromThreads) -> None:
        self._name, self._work, self._reactor = name, work, reactor

    def startService(self) -> None:
        """Listen to the signal from now on."""
        super().startService()
        _handle(self._name, lambda *_: self._reactor.callFromThread(self._work))

    def stopService(self) -> None:
        """Do nothing at the signal from now on but say so."""
        super().stopService()
        _handle(self._name, lambda *_: self._reactor.callFromThread(_tell_nothing_to_do, self._name))


def end_at_once_when_told_again() -> None:
    """The role has begun to stop: a second SIGTERM or SIGINT does not wait for what still runs."""
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, signal.SIG_DFL)


def _handle(name: str, handler: Callable[..., object]) -> None:
    if hasattr(signal, name):
        signal.signal(getattr(signal, name), handler)


def _take_any_number() -> None:
    """Let signals come faster than the reactor reads of them: Python would warn of that, and may hang as it does."""
    signal.set_wakeup_fd(signal.set_wakeup_fd(-1), warn_on_full_buffer=False)


def _ignore() -> None:
    """What Python does not handle any more, as it ends, comes to nothing."""
    for name in SURVIVED:
        if hasattr(signal, name):
            signal.signal(getattr(signal, name), signal.SIG_IGN)


def _tell_nothing_to_do(name: str) -> None:
    log.info("{signal}: nothing is done at this signal now", signal=name)
