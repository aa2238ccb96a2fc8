"""Tells a service manager how this process is doing, by the protocol of systemd's ``sd_notify``.

The manager listens at a socket for datagrams that it names in ``NOTIFY_SOCKET``; without one, nothing is told. What a
role does is not known here.
"""

import os
import socket
import time
from collections import deque
from collections.abc import Callable, Iterator, MutableMapping
from contextlib import contextmanager

from twisted.application.service import Service
from twisted.internet.interfaces import IReactorTime

from sccachedist.daemon.logs import Logger
from sccachedist.daemon.periodic import PeriodicService

log = Logger()

#: Seconds between two looks at the status, unless the watchdog wants more.
STATUS_SECS = 5.0
#: The most messages that are kept for a manager that does not take them.
MOST_UNTOLD = 16


class ServiceNotifier(Service):
    """Tells the manager that the process is ready when it starts, and then its status and that its reactor turns.

    A message that the manager does not take is sent again with the next one, in order.

    :param environment: that of the process. What it says of the manager is taken out of it: the programs that this
        process starts must not speak in its name.
    :param status: a line that says how the process is doing.
    """

    def __init__(self, environment: MutableMapping[str, str], status: Callable[[], str], clock: IReactorTime) -> None:
        self._address = _address(environment.pop("NOTIFY_SOCKET", ""))
        watched = environment.pop("WATCHDOG_USEC", ""), environment.pop("WATCHDOG_PID", "")
        #: Seconds after which the manager ends a process that says nothing; None if it waits for ever.
        self.watchdog_secs = _watchdog_secs(*watched)
        self._status, self._told = status, ""
        self._untold: deque[str] = deque(maxlen=MOST_UNTOLD)
        self._is_heard = True
        secs = STATUS_SECS if self.watchdog_secs is None else min(STATUS_SECS, self.watchdog_secs / 2)
        self._pulse = PeriodicService(secs, self._tell_how, clock)
        self._socket: socket.socket | None = None

    def startService(self) -> None:
        """Say that the process is ready, and begin to say how it is doing."""
        super().startService()
        if self._address:
            self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
            self._socket.setblocking(False)
            self._tell("READY=1")
            self._tell_how()
            self._pulse.startService()

    def stopping(self) -> None:
        """Say that the process begins to stop; how it is doing is told until it has."""
        self._tell("STOPPING=1")

    def stopService(self) -> None:
        """Say no more."""
        super().stopService()
        if self._socket is not None:
            self._pulse.stopService()
            self._socket.close()
            self._socket = None

    @contextmanager
    def reloading(self) -> Iterator[None]:
        """Say that the configuration is read again, and that this is over."""
        self._tell(f"RELOADING=1\nMONOTONIC_USEC={time.clock_gettime_ns(time.CLOCK_MONOTONIC) // 1000}")
        try:
            yield
        finally:
            self._tell("READY=1")
            self._tell_how()

    def _tell_how(self) -> None:
        self._send()
        if self._untold:
            return  # a manager that takes nothing is not told the same again and again
        if self.watchdog_secs is not None:
            self._tell("WATCHDOG=1")
        with log.failuresHandled("no status for the service manager"):
            status = " ".join(self._status().split())
            if status != self._told:
                self._told = status
                self._tell(f"STATUS={status}")

    def _tell(self, message: str) -> None:
        """Send a message, after those that the manager has not taken yet."""
        if self._socket is not None:
            self._untold.append(message)
            self._send()

    def _send(self) -> None:
        try:
            while self._untold and self._socket is not None:
                self._socket.sendto(self._untold[0].encode(), self._address)
                self._untold.popleft()
        except OSError as error:
            if self._is_heard:
                log.warn("the service manager is not told: {error}", error=error.strerror)
        self._is_heard = not self._untold


def _address(named: str) -> str:
    """The address of the socket that a variable names, of a kind that Linux has: a path, or ``@`` and a name."""
    if named.startswith("@"):
        return f"\0{named[1:]}"
    return named if named.startswith("/") else ""


def _watchdog_secs(microseconds: str, process: str) -> float | None:
    """After how long this process has to be silent, if it is the one that is meant."""
    is_meant = not process or process == str(os.getpid())
    return int(microseconds) / 1e6 if is_meant and microseconds.isdecimal() and int(microseconds) else None
