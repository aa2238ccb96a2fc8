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


#: What is done at each signal now, in this order. The process has one set of signals.
_actions: dict[str, list[Callable[[], object]]] = {}


#: The signals that have come and are not acted on yet. One that comes again meanwhile asks for nothing more: without
#: this, signals that come faster than they are acted on would keep a daemon busy long after the last of them.
_due: set[str] = set()


def survive(tell: Callable[[str], object]) -> None:
    """Let no signal of :data:`SURVIVED` end this process from now on.

    :param tell: called with the name of each signal that comes, between any two steps of the program.
    """
    for name in SURVIVED:
        _handle(name, partial(_call, tell, name))


def survive_and_tell(reactor: Any) -> None:
    """The same, with a log line for each signal once ``reactor`` runs, until the process ends."""
    survive(partial(_note, reactor))
    reactor.addSystemEventTrigger("after", "startup", _take_any_number)
    reactor.addSystemEventTrigger("after", "shutdown", _ignore)


class OnSignal(Service):
    """Calls ``work`` at each signal of one kind, while its role runs, beside what others do at it.

    :param name: the signal's, such as SIGUSR1; if the system has no such signal, it never comes.
    """

    def __init__(self, name: str, work: Callable[[], object], reactor: IReactorFromThreads) -> None:
        self._name, self._work, self._reactor = name, work, reactor

    def startService(self) -> None:
        """Handle the signal from now on."""
        super().startService()
        _actions.setdefault(self._name, []).append(self._work)
        _handle(self._name, lambda *_: _note(self._reactor, self._name))

    def stopService(self) -> None:
        """Handle the signal no more; if nothing else does, that is what the log says of it."""
        super().stopService()
        _actions[self._name].remove(self._work)


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


def _call(tell: Callable[[str], object], name: str, *_: object) -> None:
    tell(name)


def _note(reactor: IReactorFromThreads, name: str) -> None:
    """Have a signal acted on soon."""
    if name not in _due:
        _due.add(name)
        reactor.callFromThread(_act, name)


def _act(name: str) -> None:
    """Do all that is to be done at a signal; if that is nothing, log it."""
    _due.discard(name)
    if not (actions := tuple(_actions.get(name, ()))):
        log.info("{signal}: nothing is done at this signal now", signal=name)
    for work in actions:
        with log.failuresHandled("at {signal}", signal=name):
            work()
