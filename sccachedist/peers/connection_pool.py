"""Connections to peers: kept for the next call, bounded in what they receive, and closed at once.

Twisted's client collects the head of an answer at any size, and closes TLS only when the peer agrees.
Here a connection is cut when a peer sends too much between two requests, and closing never waits for the peer. This
module does not know what is asked.
"""

import re
from collections.abc import Callable, Hashable, Iterable
from ipaddress import IPv4Address, IPv6Address
from typing import Any, cast

import attrs
from twisted.internet.abstract import isIPAddress, isIPv6Address
from twisted.internet.defer import Deferred
from twisted.internet.endpoints import HostnameEndpoint, TCP4ClientEndpoint, TCP6ClientEndpoint
from twisted.internet.interfaces import (
    IProtocol,
    IProtocolFactory,
    IReactorTime,
    IStreamClientEndpoint,
    ITCPTransport,
)
from twisted.internet.protocol import connectionDone
from twisted.protocols.policies import ProtocolWrapper, WrappingFactory
from twisted.python.failure import Failure
from twisted.web.client import URI, HTTPConnectionPool
from twisted.web.iweb import IAgentEndpointFactory, IPolicyForHTTPS
from zope.interface import implementer

from sccachedist.peers.client_tls import TLSEndpoint
from sccachedist.peers.pins import Pins
from sccachedist.peers.source_address import binding

#: The most bytes of one answer, head and body. The protocol's longest answer has a few hundred.
ANSWER_BYTES = 2**20
#: The most idle connections that are kept for one peer: a parallel build asks in bursts.
KEPT_PER_PEER = 8
#: The most interim answers (1xx) before an answer: Twisted logs each.
MOST_INTERIM = 8
#: Twisted reads lines that end with a line feed alone, too.
_END_OF_HEAD = re.compile(rb"\n\r?\n")


@implementer(IAgentEndpointFactory)
@attrs.frozen
class Endpoints:
    """Where an agent connects to. An IP address is used directly; Twisted's own endpoint would look it up in a thread.

    :param timeout: seconds for a connection to be accepted.
    :param source: which address of this host to send from; None if the kernel is to choose it.
    """

    _reactor: Any
    _policy: IPolicyForHTTPS
    _timeout: float
    _source: Callable[[], IPv4Address | IPv6Address | None]

    def endpointForURI(self, uri: URI) -> IStreamClientEndpoint:  # noqa: N802
        """The endpoint of a URL, with TLS for ``https``."""
        endpoint = _Endpoint(self._reactor, uri.host.decode("ascii"), uri.port, self._timeout, self._source)
        if uri.scheme == b"http":
            return endpoint
        return TLSEndpoint(self._reactor, endpoint, self._policy.creatorForNetloc(uri.host, uri.port))


@implementer(IStreamClientEndpoint)
@attrs.frozen
class _Endpoint:
    """A host and a port, reached from the right address. That is looked up when a connection is made: it may change."""

    _reactor: Any
    _host: str
    _port: int
    _timeout: float
    _source: Callable[[], IPv4Address | IPv6Address | None]

    def connect(self, factory: IProtocolFactory) -> Deferred[Any]:
        """Connect; a source address of the other kind of IP than the host's has no effect."""
        if isIPAddress(self._host):
            kind: Any = TCP4ClientEndpoint
        else:
            kind = TCP6ClientEndpoint if isIPv6Address(self._host) else HostnameEndpoint
        bind = binding(self._source(), self._host)
        endpoint = kind(self._reactor, self._host, self._port, timeout=self._timeout, bindAddress=bind)
        connecting: Deferred[Any] = endpoint.connect(factory)
        return connecting.addCallback(_without_delay)


def _without_delay(connected: Any) -> Any:
    """Have the end of what is written sent at once: else it waits until the peer has acknowledged the rest."""
    if ITCPTransport.providedBy(connected.transport):
        connected.transport.setTcpNoDelay(True)
    return connected


def _unnoticed() -> None:
    """Do nothing when a connection is lost."""


class _Bounded(ProtocolWrapper):
    """A connection that is cut when a peer sends more than an answer may have, and that closes at once."""

    _received = _interim = 0
    _given_up = False
    _in_head = True

    def __init__(self, factory: "_Bounding", wrappedProtocol: IProtocol) -> None:  # noqa: N803
        super().__init__(factory, wrappedProtocol)
        self._head = bytearray()

    def write(self, data: bytes) -> None:
        """Send part of a request. If the answer to the one before has come, what comes now is counted from zero."""
        if not self._in_head:
            self._received, self._interim, self._in_head = 0, 0, True
        super().write(data)

    def writeSequence(self, data: Iterable[bytes]) -> None:
        """As :meth:`write`."""
        self.write(b"".join(data))

    def dataReceived(self, data: bytes) -> None:
        """Pass the data on, or cut the connection."""
        self._received += len(data)
        if self._in_head:
            self._look_at_head(data)
        bounds = cast(_Bounding, self.factory)
        if self._received > (ANSWER_BYTES if self._in_head else bounds.most) or self._interim > MOST_INTERIM:
            self.loseConnection()
        else:
            super().dataReceived(data)

    def _look_at_head(self, data: bytes) -> None:
        """Find the end of an answer's head. Those of interim answers (1xx) before it count as parts of it."""
        searched = max(0, len(self._head) - 2)
        self._head += data
        while self._in_head and (end := _END_OF_HEAD.search(self._head, searched)) is not None:
            self._in_head = _is_interim(self._head)
            self._interim += self._in_head
            del self._head[: end.end()]
            searched = 0
        if not self._in_head:
            self._head.clear()

    def loseConnection(self) -> None:
        """Close now: when the client gives a connection up, it has nothing left to send.

        A pool also closes connections that the peer closed long before; TLS would fail on those.
        """
        self._given_up = True
        if self.wrappedProtocol is not None:
            self.abortConnection()

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        """Call ``lost`` if the peer closed the connection."""
        super().connectionLost(reason)
        if not self._given_up:
            cast(_Bounding, self.factory).lost()


def _is_interim(head: bytearray) -> bool:
    """Whether a head is of an answer after which another one comes; the status is read as Twisted reads it."""
    _, _, after = bytes(head[: head.find(b"\n")]).partition(b" ")
    try:
        return 100 <= int(after.partition(b" ")[0]) < 200
    except ValueError:
        return False


class _Bounding(WrappingFactory[_Bounded]):
    """Bounds the connections of a factory, and keeps Twisted from logging them."""

    protocol = _Bounded

    def __init__(self, factory: IProtocolFactory, lost: Callable[[], None], most: float) -> None:
        super().__init__(factory)
        self.lost, self.most = lost, most

    def doStart(self) -> None:
        """Skip the log line of the base class."""

    doStop = doStart


@implementer(IStreamClientEndpoint)
@attrs.frozen
class _BoundedEndpoint:
    """Connects as ``endpoint`` does, and puts the bounds in between."""

    _endpoint: IStreamClientEndpoint
    _lost: Callable[[], None]
    _most: float

    def connect(self, factory: IProtocolFactory) -> Deferred[Any]:
        """Connect; the result is the protocol of ``factory``."""
        bounding = _Bounding(factory, self._lost, self._most)
        connecting: Deferred[Any] = self._endpoint.connect(bounding)
        return connecting.addCallback(lambda bounded: bounded.wrappedProtocol)


class BoundedPool(HTTPConnectionPool):
    """A pool of bounded connections.

    :param lost: called when a peer closes a connection.
    :param most: bytes of one answer; of its head, they are :data:`ANSWER_BYTES`.
    """

    maxPersistentPerHost = KEPT_PER_PEER

    def __init__(
        self,
        reactor: IReactorTime,
        persistent: bool = True,
        lost: Callable[[], None] = _unnoticed,
        most: float = ANSWER_BYTES,
    ) -> None:
        super().__init__(reactor, persistent)
        self._lost, self._most = lost, most

    def getConnection(self, key: Hashable, endpoint: IStreamClientEndpoint) -> Deferred[Any]:
        """A kept or a new connection."""
        return super().getConnection(key, _BoundedEndpoint(endpoint, self._lost, self._most))


class PinnedPool(BoundedPool):
    """A pool that knows a connection to a build server by the pin under which it was made.

    A connection that is older than a change of the pin is never used again; it closes when it has been idle for long.
    """

    def __init__(self, reactor: IReactorTime, pins: Pins, most: float = ANSWER_BYTES) -> None:
        super().__init__(reactor, most=most)
        self._pins = pins

    def getConnection(self, key: Hashable, endpoint: IStreamClientEndpoint) -> Deferred[Any]:
        """A kept or a new connection to an agent's scheme, host and port.

        :raises PeerError: there is no pin for them.
        """
        _, host, port = cast(tuple[bytes, bytes, int], key)
        return super().getConnection((key, self._pins.digest(host, port)), endpoint)
