"""A listening port that survives a lack of file descriptors, with TLS or without.

:mod:`sccachedist.web.connection_limits` decides how many connections there may be. What is spoken on them is not known
here.
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

from sccachedist.auth.bearer import crowd_of
from sccachedist.daemon.logs import Logger, QuietLog
from sccachedist.web.bulk import BulkTLS
from sccachedist.web.turns import Turns, unhurried
from sccachedist.wire.addresses import ServerId

log = Logger()

#: Connections that may wait to be accepted: a parallel build opens many at once.
BACKLOG = 1024
#: Connections that are accepted in one turn of the reactor: open ones have their turn in between.
ACCEPTED = 16
#: Seconds without accepting after descriptors ran out: time that goes to refusals is missing for open connections.
REST_SECS = 0.25
#: TCP keepalive, which notices after some 2 minutes that a peer has vanished: seconds of silence until the first probe,
#: seconds between probes, and how many of them remain unanswered.
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
        """Listen, before the process drops its privileges."""
        super().privilegedStartService()
        self._port = self._listen(self._address, self._factory)

    def startService(self) -> None:
        """Listen, unless :meth:`privilegedStartService` has begun to."""
        super().startService()
        if self._port is None:
            self._port = self._listen(self._address, self._factory)

    def stopService(self) -> Deferred[Any]:
        """Accept no more connections."""
        super().stopService()
        port, self._port = self._port, None
        return maybeDeferred(port.stopListening if port is not None else lambda: None)


def listening_with(reactor: Any) -> Listen:
    """Opens ports of :class:`AcceptingPort`."""

    def listen(address: ServerId, factory: IProtocolFactory) -> IListeningPort:
        port = AcceptingPort(address.port, factory, BACKLOG, str(address.host), reactor)
        port.startListening()
        _tell_of_the_vanished(port.socket)
        return port

    return listen


class AcceptingPort(Port):
    """A listening port that, when file descriptors run out, closes pending connections and rests for ``REST_SECS``.

    Twisted's own port logs each of these connections. If it has no descriptor in reserve, it tries again at once, for
    ever.
    """

    reactor: Any
    _reserve: int | None = None
    _quiet_log: QuietLog | None = None

    def doRead(self) -> None:
        """Accept the pending connections, or refuse them."""
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
        """Accept and close, with the reserved descriptor: a client then need not wait in vain. Return how many."""
        if self._reserve is None:
            return 0
        os.close(self._reserve)
        self._reserve = None
        refused = 0
        with contextlib.suppress(OSError):  # no more are pending, or there is no descriptor for that either
            while refused < BACKLOG:
                self.socket.accept()[0].close()
                refused += 1
        with contextlib.suppress(OSError):  # the process has used it for something else
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
    """The same factory, over TLS.

    :param identity: begins TLS on each connection.
    :param turns: shares the reactor's time; without it, no connection waits for a turn.
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
        """A connection; None if the factory refuses it.

        Twisted's own gathers small writes, which takes memory and time if a response is only two of them.
        """
        if (inner := self.wrappedFactory.buildProtocol(address)) is None:
            return None
        host = getattr(address, "host", None)
        return BulkTLS(self, inner, self._turns, "" if host is None else crowd_of(host))


def _tell_of_the_vanished(listening: socket.socket) -> None:
    """Turn on TCP keepalive: connections inherit it from the socket that accepts them."""
    listening.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    for name, value in zip(("TCP_KEEPIDLE", "TCP_KEEPINTVL", "TCP_KEEPCNT"), _KEEPALIVE, strict=True):
        if hasattr(socket, name):
            listening.setsockopt(socket.IPPROTO_TCP, getattr(socket, name), value)
