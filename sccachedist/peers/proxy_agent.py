"""Requests through a proxy: ``http`` by naming the whole URL to it, ``https`` through a tunnel that it opens (CONNECT).

Which proxy, if any, :mod:`sccachedist.peers.proxies` decides.
"""

import re
from typing import Any, cast

import attrs
from twisted.internet.defer import Deferred, fail
from twisted.internet.endpoints import wrapClientTLS
from twisted.internet.interfaces import IProtocol, IProtocolFactory, IStreamClientEndpoint, ITransport
from twisted.internet.protocol import Protocol, connectionDone
from twisted.protocols.policies import ProtocolWrapper, WrappingFactory
from twisted.python.failure import Failure
from twisted.web.client import URI, Agent, HTTPConnectionPool, ProxyAgent
from twisted.web.http_headers import Headers
from twisted.web.iweb import IAgent, IAgentEndpointFactory, IBodyProducer, IPolicyForHTTPS, IResponse
from zope.interface import directlyProvides, implementer, providedBy

from sccachedist.errors import PeerError
from sccachedist.peers.proxies import Proxies, Proxy

#: The most bytes of a proxy's answer to CONNECT.
HEAD_BYTES = 1 << 14
_STATUS = re.compile(rb"HTTP/1\.[01] (\d{3})(?: [^\r\n]*)?\r\n")
_WANTS_CREDENTIALS = 407


@implementer(IAgent)
class ProxyingAgent:
    """Asks each URL through the proxy that is there for it, or directly.

    :param endpoints: where a URL is found directly, and a proxy by its own.
    """

    def __init__(
        self,
        reactor: Any,
        pool: HTTPConnectionPool,
        proxies: Proxies,
        endpoints: IAgentEndpointFactory,
        policy: IPolicyForHTTPS,
    ) -> None:
        self._proxies = proxies
        self._direct: IAgent = Agent.usingEndpointFactory(reactor, _Tunnels(proxies, endpoints, policy), pool)
        self._named: IAgent | None = None
        if proxies.http is not None:
            self._named = ProxyAgent(_place_of(proxies.http, endpoints), reactor, pool)

    def request(
        self, method: bytes, uri: bytes, headers: Headers | None = None, bodyProducer: IBodyProducer | None = None
    ) -> Deferred[IResponse]:
        """Send the request."""
        proxy = self._proxies.of(uri.decode("ascii"))
        if proxy is not None and not proxy.usable:
            return fail(PeerError(f"proxies of {proxy.scheme} are not known here, expected one of http or https"))
        if proxy is None or self._named is None or not uri.startswith(b"http:"):
            return self._direct.request(method, uri, headers, bodyProducer)
        headers = Headers() if headers is None else headers.copy()
        if proxy.authorization is not None:
            headers.setRawHeaders(b"Proxy-Authorization", [proxy.authorization])
        whole = URI.fromBytes(uri)
        whole.path, whole.fragment = whole.path or b"/", b""
        return self._named.request(method, whole.toBytes(), headers, bodyProducer)


def _place_of(proxy: Proxy, endpoints: IAgentEndpointFactory) -> IStreamClientEndpoint:
    place: IStreamClientEndpoint = endpoints.endpointForURI(URI.fromBytes(str(proxy).encode()))
    return place


@implementer(IAgentEndpointFactory)
@attrs.frozen
class _Tunnels:
    """Where an agent connects to: for ``https``, through a tunnel if there is a proxy for the URL."""

    _proxies: Proxies
    _endpoints: IAgentEndpointFactory
    _policy: IPolicyForHTTPS

    def endpointForURI(self, uri: URI) -> IStreamClientEndpoint:  # noqa: N802
        """The endpoint of a URL."""
        proxy = self._proxies.of(uri.toBytes().decode("ascii")) if uri.scheme == b"https" else None
        if proxy is None:
            direct: IStreamClientEndpoint = self._endpoints.endpointForURI(uri)
            return direct
        host = b"[%b]" % uri.host if b":" in uri.host else uri.host
        tunnel = _Tunnel(_place_of(proxy, self._endpoints), b"%b:%d" % (host, uri.port), proxy.authorization)
        return wrapClientTLS(self._policy.creatorForNetloc(uri.host, uri.port), tunnel)


@implementer(IStreamClientEndpoint)
@attrs.frozen
class _Tunnel:
    """Connects to a host and a port through a proxy."""

    _proxy: IStreamClientEndpoint
    _target: bytes
    _authorization: bytes | None

    def connect(self, factory: IProtocolFactory) -> Deferred[Any]:
        """Connect; the result is the protocol of ``factory``, when the proxy has opened the tunnel."""
        lines = [b"CONNECT %b HTTP/1.1" % self._target, b"Host: " + self._target]
        if self._authorization is not None:
            lines.append(b"Proxy-Authorization: " + self._authorization)
        head = b"\r\n".join((*lines, b"", b""))
        connecting: Deferred[Any] = self._proxy.connect(_Tunneling(factory, head))
        return connecting.addCallback(lambda tunneled: tunneled.opened)


class _Tunneled(ProtocolWrapper):
    """A connection to a proxy that becomes a connection to a peer."""

    def __init__(self, factory: "_Tunneling", wrapped: IProtocol) -> None:
        super().__init__(factory, wrapped)
        self.opened: Deferred[IProtocol] = Deferred(lambda _: self.abortConnection())
        self._head = bytearray()
        self._is_open = False

    def makeConnection(self, transport: ITransport) -> None:  # noqa: N802
        """Ask the proxy; the peer's protocol has a connection only afterwards."""
        directlyProvides(self, providedBy(transport))
        Protocol.makeConnection(self, transport)
        self.factory.registerProtocol(self)
        self.write(cast(_Tunneling, self.factory).head)

    def dataReceived(self, data: bytes) -> None:
        """Pass the peer's data on, or read the proxy's answer."""
        if self._is_open:
            super().dataReceived(data)
            return
        self._head += data
        head, end, rest = bytes(self._head).partition(b"\r\n\r\n")
        if not end and len(head) <= HEAD_BYTES:
            return
        match = _STATUS.match(head + b"\r\n")
        if not end or match is None:
            self._give_up("the proxy's answer to CONNECT is not HTTP")
        elif not match[1].startswith(b"2"):
            status = int(match[1])
            wish = ": it wants other credentials" if status == _WANTS_CREDENTIALS else ""
            self._give_up(f"the proxy answers CONNECT with status {status}{wish}")
        else:
            self._open(rest)

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        """Tell the connection's user."""
        if self._is_open:
            super().connectionLost(reason)
            return
        self.factory.unregisterProtocol(self)
        self._fail(PeerError("the proxy closes the connection before it answers CONNECT"))

    def _open(self, rest: bytes) -> None:
        self._is_open = True
        wrapped: Any = self.wrappedProtocol
        wrapped.makeConnection(self)
        if rest:
            wrapped.dataReceived(rest)
        if not self.opened.called:
            self.opened.callback(wrapped)

    def _give_up(self, why: str) -> None:
        self._fail(PeerError(why))
        self.abortConnection()

    def _fail(self, error: PeerError) -> None:
        if not self.opened.called:
            self.opened.errback(error)


class _Tunneling(WrappingFactory[_Tunneled]):
    """Makes connections to a proxy, and keeps Twisted from logging them.

    :param head: the request that opens a tunnel.
    """

    protocol = _Tunneled

    def __init__(self, factory: IProtocolFactory, head: bytes) -> None:
        super().__init__(factory)
        self.head = head

    def doStart(self) -> None:
        """Skip the log line of the base class."""

    doStop = doStart
