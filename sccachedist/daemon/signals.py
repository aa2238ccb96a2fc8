"""What a role does at the signals that Twisted itself does not handle.

SIGHUP, SIGUSR1 and SIGUSR2 end a process that does not handle them. They never end a daemon: from its first step to its
last it answers each with an action, or with a log line that there is nothing to do. Which actions is not known here.
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
    """Handles a signal until another handler replaces it.

    It counts as false, so that ``twistd --logfile`` sees no handler and lets SIGUSR1 rotate the log, as it does when
    a role has no use for that signal.
    """

    def __init__(self, work: Callable[[], object]) -> None:
        self._work = work

    def __call__(self, *_: object) -> None:
        """Handle the signal."""
        self._work()

    def __bool__(self) -> bool:
        return False


def survive(tell: Callable[[str], object]) -> None:
    """Let no signal of :data:`SURVIVED` end this process from now on.

    :param tell: called with the name of each signal that comes, between any two steps of the program.
    """
    for name in SURVIVED:
        _handle(name, _Handler(partial(tell, name)))


def survive_and_tell(reactor: Any) -> None:
    """The same, with a log line for each signal once ``reactor`` runs, until the process ends."""
    survive(lambda name: reactor.callFromThread(_tell_nothing_to_do, name))
    reactor.addSystemEventTrigger("after", "startup", _take_any_number)
    reactor.addSystemEventTrigger("after", "shutdown", _ignore)


class OnSignal(Service):
    """Calls ``work`` at each signal of one kind, while its role runs.

    :param name: the signal's, such as SIGUSR1; if the system has no such signal, it never comes.
    """

    def __init__(self, name: str, work: Callable[[], object], reactor: IReactorFromThreads) -> None:
        self._name, self._work, self._reactor = name, work, reactor

    def startService(self) -> None:
        """Handle the signal from now on."""
        super().startService()
        _handle(self._name, lambda *_: self._reactor.callFromThread(self._work))

    def stopService(self) -> None:
        """From now on, only log that nothing is done at the signal."""
        super().stopService()
        _handle(self._name, lambda *_: self._reactor.callFromThread(_tell_nothing_to_do, self._name))


def end_at_once_when_told_again() -> None:
    """Let a second SIGTERM or SIGINT end the process at once, while the role stops and waits for what still runs."""
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, signal.SIG_DFL)


def _handle(name: str, handler: Callable[..., object]) -> None:
    if hasattr(signal, name):
        signal.signal(getattr(signal, name), handler)


def _take_any_number() -> None:
    """Let signals come faster than the reactor reads them: Python would warn of that, and may hang while it does."""
    signal.set_wakeup_fd(signal.set_wakeup_fd(-1), warn_on_full_buffer=False)


def _ignore() -> None:
    """Ignore the signals that Python no longer handles while it ends."""
    for name in SURVIVED:
        if hasattr(signal, name):
            signal.signal(getattr(signal, name), signal.SIG_IGN)


def _tell_nothing_to_do(name: str) -> None:
    log.info("{signal}: nothing is done at this signal now", signal=name)
