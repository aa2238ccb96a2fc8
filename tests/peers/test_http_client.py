"""Calls to peers that answer, lie, are slow or go away, all in memory."""

import traceback
from collections.abc import Coroutine
from typing import Any

import attrs
import pytest
from twisted.internet.address import IPv4Address
from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.error import ConnectionAborted, ConnectionDone, TCPTimedOutError
from twisted.internet.error import ConnectionRefusedError as Refused
from twisted.internet.interfaces import IProtocol
from twisted.internet.testing import MemoryReactorClock, StringTransport
from twisted.python.failure import Failure

from farmkit.memory_reactor import Reactor
from sccachedist.errors import PeerError
from sccachedist.peers.connection_pool import ANSWER_BYTES
from sccachedist.peers.http_client import CONNECT_SECS, Calls, trusting_calls

URL = "http://127.0.0.1:10600/farm/api/v1/scheduler/job_state/7"
TOKEN = "hunter2-the-token"
OK = b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\npong"
CHUNKED = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"


class Peer(StringTransport):
    """A connection to us, as its peer sees it. As a real one, it tells its loss a little later."""

    def __init__(self, client: IProtocol, reactor: MemoryReactorClock) -> None:
        super().__init__()
        self._client, self._reactor = client, reactor
        self._hung_up = False
        client.makeConnection(self)

    def abortConnection(self) -> None:
        self._hung_up = True
        self._reactor.callLater(0, self._lost, ConnectionAborted())

    def close(self) -> None:
        self._lost(ConnectionDone())

    def say(self, octets: bytes) -> None:
        """Send this much, at most 64 KiB at a time, until we hang up."""
        for start in range(0, len(octets), 65536):
            if not self._hung_up:
                self._client.dataReceived(octets[start : start + 65536])

    def _lost(self, reason: Exception) -> None:
        if self.connected:
            self.connected = False
            self._client.connectionLost(Failure(reason))


@attrs.define
class Farm:
    """Peers without a network: each connection that is opened waits for the test to speak for the peer."""

    reactor: MemoryReactorClock = attrs.field(factory=Reactor)
    calls: Calls = attrs.field(init=False)
    looked: list[str] = attrs.field(factory=list)
    wrong: str | None = None

    def __attrs_post_init__(self) -> None:
        self.calls = trusting_calls(self.reactor, look=self.look)

    def look(self, url: str) -> str | None:
        self.looked.append(url)
        return self.wrong

    def post(self, timeout: float = 10, limit: int = 100) -> Deferred[Any]:
        return self.run(self.calls.post(URL, b"ping", token=TOKEN, timeout=timeout, limit=limit))

    def run(self, call: Coroutine[Any, Any, Any]) -> Deferred[Any]:
        return Deferred.fromCoroutine(call)

    def accept(self, number: int, address: str = "127.0.0.1") -> Peer:
        """The connection that was opened as ``number``, the last one so far, to this address, is made."""
        assert len(self.reactor.tcpClients) == number
        host, port, factory, *_ = self.reactor.tcpClients[-1]
        assert (host, port) == (address, 10600)
        client = factory.buildProtocol(IPv4Address("TCP", host, port))
        assert client is not None
        return Peer(client, self.reactor)


@pytest.fixture
def farm() -> Farm:
    return Farm()


def result(call: Deferred[Any]) -> Any:
    """What the call came to; an error is returned, not raised."""
    results: list[Any] = []
    call.addErrback(lambda failure: failure.value).addCallback(results.append)
    assert results, "the call has not ended"
    return results[0]


def failure(call: Deferred[Any]) -> PeerError:
    error = result(call)
    assert isinstance(error, PeerError)
    assert str(error).startswith(f"POST {URL}: ")
    assert TOKEN not in "".join(traceback.format_exception(error))
    return error


@pytest.mark.parametrize(
    ("host", "address"),
    [
        ("127.1.2.3", "127.1.2.3"),
        ("[::1]", "::1"),
        ("[2001:db8::1]", "2001:db8::1"),
        ("farm.example", "127.0.0.1"),
        ("münchen.example", "127.0.0.1"),
    ],
)
def test_hosts_of_every_kind(farm: Farm, host: str, address: str) -> None:
    """A peer's URL may have an address, or a name in any script, which is looked up; the request names it so too."""
    call = farm.run(farm.calls.get(f"http://{host}:10600/path", timeout=10, limit=100))
    peer = farm.accept(1, address)
    assert f"Host: {host.encode('idna').decode()}:10600".encode() in peer.value().split(b"\r\n")
    peer.say(OK)
    assert result(call) == b"pong"


def test_asks_and_gets_an_answer(farm: Farm) -> None:
    """A call is a POST with the token and the octets, to the whole path; its answer comes back as it is."""
    call = farm.post()
    peer = farm.accept(1)
    head, body = peer.value().split(b"\r\n\r\n")
    request, *headers = head.split(b"\r\n")
    assert request == b"POST /farm/api/v1/scheduler/job_state/7 HTTP/1.1"
    assert sorted(headers) == [
        b"Authorization: Bearer " + TOKEN.encode(),
        b"Content-Length: 4",
        b"Content-Type: application/octet-stream",
        b"Host: 127.0.0.1:10600",
    ]
    assert body == b"ping"
    peer.say(OK)
    assert result(call) == b"pong"


@pytest.mark.parametrize(
    "answer",
    [
        OK,
        CHUNKED + b"1\r\np\r\n3\r\nong\r\n0\r\n\r\n",
        b"HTTP/1.1 100 Continue\r\n\r\n" + OK,
    ],
)
@pytest.mark.parametrize("step", [1, 1000])
def test_whole_answers(farm: Farm, answer: bytes, step: int) -> None:
    """However an answer is framed and cut up, it is whole, and the connection is kept for the next."""
    call = farm.post(limit=4)
    peer = farm.accept(1)
    for start in range(0, len(answer), step):
        peer.say(answer[start : start + step])
    assert result(call) == b"pong"
    again = farm.post()
    assert peer.value().count(b"POST ") == 2
    peer.say(OK)
    assert result(again) == b"pong"


def test_kept_for_long(farm: Farm) -> None:
    """What a connection may carry is counted again for each answer."""
    body = b"x" * (ANSWER_BYTES - 1000)
    first = farm.post(limit=len(body))
    peer = farm.accept(1)
    answer = b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(body) + body
    peer.say(answer)
    assert result(first) == body
    second = farm.post(limit=len(body))
    peer.say(answer)
    assert result(second) == body


def test_answer_that_ends_with_the_connection(farm: Farm) -> None:
    """An answer without a length ends where the connection does."""
    call = farm.post()
    peer = farm.accept(1)
    peer.say(b"HTTP/1.1 200 OK\r\n\r\npong")
    peer.close()
    assert result(call) == b"pong"


@pytest.mark.parametrize("rest", [b"Content-Length: 0\r\n\r\n", b"Content-Length: 9000\r\n\r\n" + b"n" * 101])
@pytest.mark.parametrize("status", [401, 404, 500, 503])
def test_status(farm: Farm, status: int, rest: bytes) -> None:
    """Any status but one of success is an error that says which, whatever comes behind it."""
    call = farm.post()
    farm.accept(1).say(b"HTTP/1.1 %d Whatever\r\n" % status + rest)
    assert failure(call).status == status


def test_asks_without_a_body(farm: Farm) -> None:
    """A GET has no body and, where there is none to show, no token; a 204 is a success without octets."""
    call = Deferred.fromCoroutine(farm.calls.get(URL, timeout=5.0, limit=100))
    peer = farm.accept(1)
    assert peer.value() == b"GET /farm/api/v1/scheduler/job_state/7 HTTP/1.1\r\nHost: 127.0.0.1:10600\r\n\r\n"
    peer.say(b"HTTP/1.1 204 No Content\r\n\r\n")
    assert result(call) == b""


def test_redirect(farm: Farm) -> None:
    """A redirect is not followed: the token goes to nobody else."""
    call = farm.post()
    answer = b"HTTP/1.1 307 Elsewhere\r\nLocation: http://192.0.2.66/\r\nContent-Length: 0\r\n\r\n"
    farm.accept(1).say(answer)
    assert failure(call).status == 307
    assert len(farm.reactor.tcpClients) == 1


@pytest.mark.parametrize(
    ("answer", "why"),
    [
        (b"HTTP/1.1 200 OK\r\nContent-Length: 900000\r\n\r\n" + b"x" * 101, "longer than 100 bytes"),
        (b"HTTP/1.1 200 OK\r\n\r\n" + b"x" * 101, "longer than 100 bytes"),
        (CHUNKED + b"65\r\n%s\r\n" % (b"x" * 101) * 2, "longer than 100 bytes"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\nContent-Length: 5\r\n\r\n", "Content-Length"),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip\r\n\r\n", "gzip"),
        (CHUNKED + b"xyz\r\n", "Chunk"),
        (b"HTTP/1.1 200 OK\r\n" + b"X: y\r\n" * (ANSWER_BYTES // 6), ""),
        (b"HTTP/1.1 200 OK\r\n" + b"x" * 100_000, ""),
        (b"SSH-2.0-OpenSSH_9.2\r\n", "SSH-2.0"),
        (b"\x15\x03\x03\x00\x02\x02\x46\r\n", ""),
    ],
)
def test_nonsense(farm: Farm, answer: bytes, why: str) -> None:
    """An endless, contradictory or foreign answer is an error, costs the connection, is not asked for again."""
    call = farm.post()
    peer = farm.accept(1)
    peer.say(answer)
    farm.reactor.advance(0)
    error = failure(call)
    assert why in str(error)
    assert len(str(error)) < 500
    assert error.status is None
    assert not peer.connected
    assert len(farm.reactor.tcpClients) == 1
    assert farm.reactor.getDelayedCalls() == []


def test_compressed_answer(farm: Farm) -> None:
    """An answer is never inflated: a small one cannot become a large one."""
    call = farm.post()
    answer = b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: 4\r\n\r\npong"
    farm.accept(1).say(answer)
    assert result(call) == b"pong"


@pytest.mark.parametrize(
    "said", [None, b"", b"HTTP/1.1 200 OK\r\nX", b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\npo"]
)
def test_slow(farm: Farm, said: bytes | None) -> None:
    """A peer that does not even accept, says nothing or never ends is left alone when the time is over."""
    call = farm.post(timeout=10)
    peer = None
    if said is not None:
        peer = farm.accept(1)
        peer.say(said)
    farm.reactor.pump([1] * 9)
    assert not call.called
    farm.reactor.pump([0.5] * 2)
    assert "no answer within 10 s" in str(failure(call))
    assert peer is None or not peer.connected
    assert len(farm.reactor.tcpClients) == 1
    assert farm.reactor.getDelayedCalls() == []


def test_refused(farm: Farm) -> None:
    """A peer that is not there is an error at once."""
    call = farm.post()
    farm.reactor.tcpClients[-1][2].clientConnectionFailed(farm.reactor.connectors[-1], Failure(Refused()))
    farm.reactor.advance(1)
    assert "refused" in str(failure(call))


def test_not_there(farm: Farm) -> None:
    """A peer that does not accept a connection is not waited for as long as an answer is."""
    call = farm.post(timeout=20)
    *_, factory, connect_secs, _ = farm.reactor.tcpClients[-1]
    assert connect_secs == CONNECT_SECS
    factory.clientConnectionFailed(farm.reactor.connectors[-1], Failure(TCPTimedOutError()))
    farm.reactor.advance(1)
    assert "timed out" in str(failure(call))


def test_stale_connection(farm: Farm) -> None:
    """A kept connection that its peer closes just when it is used again does not fail the call."""
    first = farm.post()
    peer = farm.accept(1)
    peer.say(OK)
    assert result(first) == b"pong"
    second = farm.post()
    peer.close()
    farm.accept(2).say(OK)
    assert result(second) == b"pong"


def test_cut_connection(farm: Farm) -> None:
    """Nor does one that we have just given up ourselves."""
    first = farm.post()
    peer = farm.accept(1)
    peer.say(b"HTTP/1.1 200 OK\r\nContent-Length: 101\r\n\r\n" + b"x" * 101)
    assert "longer than 100 bytes" in str(failure(first))
    second = farm.post()
    farm.reactor.advance(0)
    farm.accept(2).say(OK)
    assert result(second) == b"pong"


def test_gone_for_good(farm: Farm) -> None:
    """A peer that closes the fresh connection, too, has failed the call: there is no third attempt."""
    call = farm.post()
    farm.accept(1).close()
    farm.accept(2).close()
    assert "closed cleanly" in str(failure(call))
    assert len(farm.reactor.tcpClients) == 2
    assert farm.reactor.getDelayedCalls() == []


def test_both_attempts_within_the_time(farm: Farm) -> None:
    """The time limit is one for both attempts."""
    call = farm.post(timeout=10)
    farm.reactor.advance(6)
    farm.accept(1).close()
    peer = farm.accept(2)
    farm.reactor.advance(4)
    assert "no answer within 10 s" in str(failure(call))
    farm.reactor.advance(0)
    assert not peer.connected


def test_broken_off_answer(farm: Farm) -> None:
    """A peer that goes away within its answer is not asked again."""
    call = farm.post()
    peer = farm.accept(1)
    peer.say(OK[:-2])
    peer.close()
    assert failure(call).status is None
    assert len(farm.reactor.tcpClients) == 1


@pytest.mark.parametrize("said", [None, b"", b"HTTP/1.1 200", OK[:-2]])
def test_cancelled(farm: Farm, said: bytes | None) -> None:
    """Who does not want the answer any more gets no error to act upon, and the connection is closed."""
    call = farm.post()
    peer = None
    if said is not None:
        peer = farm.accept(1)
        peer.say(said)
    call.cancel()
    farm.reactor.advance(0)
    assert isinstance(result(call), CancelledError)
    assert peer is None or not peer.connected
    assert len(farm.reactor.tcpClients) == 1
    assert farm.reactor.getDelayedCalls() == []


def test_close(farm: Farm) -> None:
    """Closing ends the connections that are kept, and leaves nothing to wait for."""
    call = farm.post()
    peer = farm.accept(1)
    peer.say(OK)
    assert result(call) == b"pong"
    closing = farm.run(farm.calls.close())
    farm.reactor.advance(0)
    assert result(closing) is None
    assert not peer.connected
    assert farm.reactor.getDelayedCalls() == []


def test_unasked(farm: Farm) -> None:
    """What a peer says without being asked costs it the connection, and answers no later call."""
    first = farm.post()
    peer = farm.accept(1)
    peer.say(OK)
    assert result(first) == b"pong"
    peer.say(OK.replace(b"pong", b"evil"))
    farm.reactor.advance(0)
    assert not peer.connected
    second = farm.post()
    farm.accept(2).say(OK)
    assert result(second) == b"pong"
