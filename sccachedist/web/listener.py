"""Listening: a port that survives the end of descriptors, with TLS or without.

What is spoken on the connections is not known here.
"""

import contextlib
import errno
import os
import socket
from collections.abc import Callable
from typing import Any, TypeAlias

from twisted.application.service import Service
from twisted.internet.defer import Deferred, maybeDeferred
from twisted.internet.interfaces import (
    IAddress,
    IListeningPort,
    IOpenSSLServerConnectionCreator,
    IProtocolFactory,
    IReactorTime,
)
from twisted.internet.tcp import Port
from twisted.logger import LogLevel
from twisted.protocols.tls import TLSMemoryBIOFactory, TLSMemoryBIOProtocol

from sccachedist.daemon.logs import Logger, QuietLog
from sccachedist.web.bulk import BulkTLS
from sccachedist.web.turns import Turns, unhurried
from sccachedist.wire.addresses import ServerId

log = Logger()

#: Connections that may wait to be accepted: a parallel build opens many at once.
BACKLOG = 1024
#: Connections that are accepted in one turn of the reactor: what comes on others has its turn between them.
ACCEPTED = 16
#: Seconds for which nobody is accepted after descriptors ran out; what is spent on refusals is spent on nobody else.
REST_SECS = 0.25
#: A peer that vanished without a word is noticed after some 2 minutes: the first question after so many seconds of
#: silence, the interval of the others, and how many remain unanswered.
_KEEPALIVE = (60, 15, 4)

Listen: TypeAlias = Callable[[ServerId, IProtocolFactory], IListeningPort]


class Listener(Service):
    """Listens while its role runs.

    :param listen: opens the port.
    """

    def __init__(self, address: ServerId, factory: IProtocolFactory, listen: Listen) -> None:
        self._address, self._factory, self._listen = address, factory, listen
        self._port: IListeningPort | None = None

    def privilegedStartService(self) -> None:
        """Listen, before the process gives up what it may do."""
        super().privilegedStartService()
        self._port = self._listen(self._address, self._factory)

    def startService(self) -> None:
        """Listen, if nobody has begun yet."""
        super().startService()
        if self._port is None:
            self._port = self._listen(self._address, self._factory)

    def stopService(self) -> Deferred[Any]:
        """Accept nobody any more."""
        super().stopService()
        port, self._port = self._port, None
        return maybeDeferred(port.stopListening if port is not None else lambda: None)


def listening_with(reactor: Any) -> Listen:
    """Opens ports of this module's kind."""

    def listen(address: ServerId, factory: IProtocolFactory) -> IListeningPort:
        port = AcceptingPort(address.port, factory, BACKLOG, str(address.host), reactor)
        port.startListening()
        _tell_of_the_vanished(port.socket)
        return port

    return listen


class AcceptingPort(Port):
    """A port that refuses who cannot be accepted for want of descriptors, and rests then.

    Twisted's own says so once for every connection, and without a descriptor in reserve it comes back at once, for
    ever.
    """

    reactor: Any
    _reserve: int | None = None
    _quiet_log: QuietLog | None = None

    def doRead(self) -> None:
        """Accept who waits, or refuse."""
        try:
            os.close(os.dup(self.fileno()))
        except OSError as error:
            self._refuse(error)
        else:
            if self._reserve is None:
                self._reserve = os.open(os.devnull, os.O_RDONLY | os.O_CLOEXEC)
            self.numberAccepts = ACCEPTED  # Twisted accepts more and more
            super().doRead()

    def connectionLost(self, reason: Any) -> None:
        """The port is closed."""
        if self._reserve is not None:
            os.close(self._reserve)
            self._reserve = None
        super().connectionLost(reason)

    def _refuse(self, error: OSError) -> None:
        refused = self._close_those_that_wait()
        self.stopReading()
        self.reactor.callLater(REST_SECS, self._rest_is_over)
        if self._quiet_log is None:
            self._quiet_log = QuietLog(self.reactor.seconds)
        self._quiet_log.tell(
            log,
            LogLevel.error,
            "descriptors",
            "connections refused, {refused} just now: {error} (see ulimit -n and limits.connections)",
            refused=refused,
            error=os.strerror(error.errno or errno.EMFILE),
        )

    def _close_those_that_wait(self) -> int:
        """Use the descriptor that was kept for this: accepted and closed is better than not noticed at all."""
        if self._reserve is None:
            return 0
        os.close(self._reserve)
        self._reserve = None
        refused = 0
        with contextlib.suppress(OSError):  # nobody waits any more, or there is no descriptor for that either
            while refused < BACKLOG:
                self.socket.accept()[0].close()
                refused += 1
        with contextlib.suppress(OSError):  # somebody else was quicker
            self._reserve = os.open(os.devnull, os.O_RDONLY | os.O_CLOEXEC)
        return refused

    def _rest_is_over(self) -> None:
        if self.connected and not self.disconnecting:
            self.startReading()


def over_tls(
    identity: IOpenSSLServerConnectionCreator,
    factory: IProtocolFactory,
    clock: IReactorTime,
    turns: Turns | None = None,
) -> IProtocolFactory:
    """The same over TLS.

    :param identity: begins TLS with each connection.
    :param turns: what the reactor's time is shared with; where none is given, nobody waits.
    """
    return _OverTLS(identity, factory, clock, turns or unhurried(clock))


class _OverTLS(TLSMemoryBIOFactory):
    """TLS around the connections of a factory, which may refuse some."""

    def __init__(
        self, identity: IOpenSSLServerConnectionCreator, factory: IProtocolFactory, clock: IReactorTime, turns: Turns
    ) -> None:
        super().__init__(identity, False, factory, clock)
        self.identity, self._turns = identity, turns

    def buildProtocol(self, address: IAddress | None) -> TLSMemoryBIOProtocol | None:  # type: ignore[override]
        """A connection, or None.

        Twisted's own gathers small writes, which takes memory and time where an answer is two of them.
        """
        inner = self.wrappedFactory.buildProtocol(address)
        return None if inner is None else BulkTLS(self, inner, self._turns, getattr(address, "host", ""))


def _tell_of_the_vanished(listening: socket.socket) -> None:
    """Connections inherit this from the socket that accepts them."""
    listening.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    for name, value in zip(("TCP_KEEPIDLE", "TCP_KEEPINTVL", "TCP_KEEPCNT"), _KEEPALIVE, strict=True):
        if hasattr(socket, name):
            listening.setsockopt(socket.IPPROTO_TCP, getattr(socket, name), value)
