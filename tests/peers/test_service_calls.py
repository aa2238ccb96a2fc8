"""Calls to services through proxies and along redirects, in memory."""

from typing import Any

import attrs
import pytest
from twisted.internet.address import IPv4Address
from twisted.internet.defer import Deferred
from twisted.internet.testing import MemoryReactorClock

from sccachedist.errors import PeerError
from sccachedist.peers.http_client import Calls
from sccachedist.peers.proxies import Proxies
from sccachedist.peers.proxy_agent import HEAD_BYTES
from sccachedist.peers.service_calls import service_calls
from tests.peers.test_http_client import OK, Peer, result

PROXY = ("10.0.0.1", 3128)
VARIABLES = {"ALL_PROXY": "http://u:p@10.0.0.1:3128", "NO_PROXY": "192.0.2.1"}
TOKEN = "hunter2-the-token"


class TcpPeer(Peer):
    """One whose connection has an option of TCP, which Twisted's client sets beneath TLS."""

    def setTcpNoDelay(self, enabled: bool) -> None:  # noqa: N802
        assert enabled


@attrs.define
class Site:
    """Everything beyond a scheduler: the test speaks for it."""

    reactor: MemoryReactorClock = attrs.field(factory=MemoryReactorClock)
    calls: Calls = attrs.field(init=False)

    def __attrs_post_init__(self) -> None:
        self.calls = service_calls(self.reactor, Proxies.of_environment(VARIABLES))

    def get(self, url: str) -> Deferred[Any]:
        return Deferred.fromCoroutine(self.calls.get(url, token=TOKEN, timeout=10, limit=100))

    def accept(self, *addresses: tuple[str, int]) -> Peer:
        """The last connection, which is to the last of these addresses."""
        assert [(host, port) for host, port, *_ in self.reactor.tcpClients] == list(addresses)
        client = self.reactor.tcpClients[-1][2].buildProtocol(IPv4Address("TCP", *addresses[-1]))
        assert client is not None
        return TcpPeer(client, self.reactor)


@pytest.fixture
def site() -> Site:
    return Site()


def lines(peer: Peer) -> list[bytes]:
    """The head of what a peer was asked last."""
    head: list[bytes] = peer.value().split(b"\r\n")
    peer.clear()
    return head


@pytest.mark.parametrize(("url", "shown"), [("http://k.invalid/a?b#c", b"/a?b"), ("http://k.invalid?b", b"/?b")])
def test_a_proxy_is_told_the_whole_url(site: Site, url: str, shown: bytes) -> None:
    """And gets its credentials, as often as it is asked, over one connection."""
    peer: Peer | None = None
    for _ in range(2):
        call = site.get(url)
        peer = peer or site.accept(PROXY)
        request = lines(peer)
        assert request[0] == b"GET http://k.invalid%b HTTP/1.1" % shown
        assert {b"Host: k.invalid", b"Proxy-Authorization: Basic dTpw"} <= set(request)
        peer.say(OK)
        assert result(call) == b"pong"


def test_no_cookies(site: Site) -> None:
    """What a service wants to have said again is not kept."""
    peer: Peer | None = None
    for _ in range(2):
        call = site.get("http://192.0.2.1/a")
        peer = peer or site.accept(("192.0.2.1", 80))
        assert [line for line in lines(peer) if line.lower().startswith(b"cookie")] == []
        peer.say(OK.replace(b"\r\n\r\n", b"\r\nSet-Cookie: a=b; Path=/\r\n\r\n", 1))
        assert result(call) == b"pong"


def test_a_tunnel(site: Site) -> None:
    """The proxy is asked for it, and hears of nothing else; what is said in it afterwards is TLS."""
    call = site.get("https://k.invalid/x")
    proxy = site.accept(PROXY)
    assert lines(proxy)[:-2] == [
        b"CONNECT k.invalid:443 HTTP/1.1",
        b"Host: k.invalid:443",
        b"Proxy-Authorization: Basic dTpw",
    ]
    for octet in b"HTTP/1.0 200 Connection established\r\nX: y\r\n\r\n":
        assert proxy.value() == b""
        proxy.say(bytes([octet]))
    assert proxy.value().startswith(b"\x16\x03")
    proxy.say(b"no TLS")
    assert proxy.disconnecting
    proxy.close()
    assert "through the proxy http://10.0.0.1:3128" in str(result(call))


@pytest.mark.parametrize(
    ("answer", "why"),
    [
        (b"HTTP/1.1 407 No\r\n\r\n", "status 407: it wants other credentials"),
        (b"HTTP/1.1 502 No\r\n\r\n", "status 502"),
        (b"HTTP/1.1 100\r\n\r\n", "status 100"),
        (b"SSH-2.0\r\n\r\n", "is not HTTP"),
        (b"HTTP/1.1 200 OK\r\nX: " + bytes(HEAD_BYTES), "is not HTTP"),
    ],
)
def test_a_tunnel_that_is_refused(site: Site, answer: bytes, why: str) -> None:
    """The reason is the proxy's, and its connection is closed; so it is when there is none."""
    call = site.get("https://k.invalid/x")
    proxy = site.accept(PROXY)
    proxy.say(answer)
    error = result(call)
    assert isinstance(error, PeerError)
    assert error.status is None
    assert str(error).startswith("GET https://k.invalid/x through the proxy http://10.0.0.1:3128: ")
    assert why in str(error)
    site.reactor.advance(0)
    assert not proxy.connected


def test_a_proxy_that_closes_or_is_silent(site: Site) -> None:
    """Neither is waited for longer than any answer."""
    call = site.get("https://k.invalid/x")
    site.accept(PROXY).close()
    assert "closes the connection before" in str(result(call))
    call = site.get("https://k.invalid/x")
    proxy = site.accept(PROXY, PROXY)
    site.reactor.advance(10)
    assert "no answer within 10 s" in str(result(call))
    site.reactor.advance(0)
    assert not proxy.connected


def test_a_redirect_from_a_proxy_to_who_needs_none(site: Site) -> None:
    """The other server is shown neither token nor the proxy's credentials, and an error names it."""
    call = site.get("http://k.invalid/x")
    site.accept(PROXY).say(b"HTTP/1.1 302 F\r\nLocation: http://192.0.2.1/y\r\nContent-Length: 0\r\n\r\n")
    other = site.accept(PROXY, ("192.0.2.1", 80))
    assert sorted(lines(other)[:-2]) == [b"GET /y HTTP/1.1", b"Host: 192.0.2.1"]
    other.say(b"HTTP/1.1 404 N\r\nContent-Length: 0\r\n\r\n")
    error = result(call)
    assert isinstance(error, PeerError)
    assert error.status == 404
    assert str(error).endswith("redirected to http://192.0.2.1/y: status 404")


def test_a_redirect_to_what_is_not_called(site: Site) -> None:
    """It is no answer."""
    call = site.get("http://192.0.2.1/x")
    site.accept(("192.0.2.1", 80)).say(b"HTTP/1.1 302 F\r\nLocation: file:///etc/passwd\r\nContent-Length: 0\r\n\r\n")
    assert "it sends to file, not to http or https" in str(result(call))


def test_a_proxy_of_another_kind() -> None:
    """No call goes around it."""
    reactor = MemoryReactorClock()
    calls = service_calls(reactor, Proxies.of_environment({"ALL_PROXY": "socks5://u:p@10.0.0.1"}))
    for scheme in ("http", "https"):
        call = Deferred.fromCoroutine(calls.get(f"{scheme}://k.invalid/", timeout=1, limit=1))
        assert "proxies of socks5 are not known here" in str(result(call))
    assert reactor.tcpClients == []
