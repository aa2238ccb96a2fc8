"""Answers that never end, or come bit by bit, from peers that are bare sockets: each is cut short."""

from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import Any, TypeVar

import attrs
import pytest
import pytest_twisted
from twisted.internet import reactor as global_reactor  # noqa: TID251
from twisted.internet.defer import Deferred
from twisted.internet.protocol import Factory, Protocol, connectionDone
from twisted.logger import capturedLogs
from twisted.python.failure import Failure

from sccachedist.errors import PeerError
from sccachedist.objects.store import ObjectStore
from sccachedist.peers.connection_pool import ANSWER_BYTES, MOST_INTERIM
from sccachedist.peers.streams import Streams, streams
from sccachedist.peers.trust import CertificatePolicy

T = TypeVar("T")

reactor: Any = global_reactor
coroutine: Callable[[T], T] = pytest_twisted.ensureDeferred
fixture: Callable[[T], T] = pytest_twisted.async_yield_fixture
OK = b"HTTP/1.1 200 OK\r\n"
FIELDS = (b"X-More: " + b"x" * 1000 + b"\r\n") * 60
IDLE_SECS = 0.5


@attrs.define(eq=False)
class Rude(Protocol):
    """Says what a test wants once it is asked: pieces that follow each other as fast as they are taken, or slowly.

    :param secs: between two pieces.
    """

    pieces: Iterator[bytes]
    secs: float = 0.0
    sent: int = 0
    is_asked: bool = False
    is_deaf: bool = False
    gone: Deferred[None] = attrs.field(factory=Deferred)

    def dataReceived(self, data: bytes) -> None:
        if self.is_deaf:
            self.transport.pauseProducing()  # type: ignore[union-attr]
        elif not self.is_asked:
            self.is_asked = True
            self.resumeProducing()

    def resumeProducing(self) -> None:
        """Say the next piece."""
        piece = next(self.pieces, None)
        if self.gone.called or piece is None:
            return
        self.transport.write(piece)  # type: ignore[union-attr]
        self.sent += len(piece)
        reactor.callLater(self.secs, self.resumeProducing)

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        self.gone.callback(None)


class Once(Factory):
    """Takes one connection, and closes others."""

    def __init__(self, rude: Rude) -> None:
        self._left = [rude]

    def buildProtocol(self, addr: Any) -> Rude | None:
        return self._left.pop() if self._left else None


@attrs.define
class There:
    """A rude peer on loopback, and calls to it."""

    calls: Streams
    ports: list[Any] = attrs.field(factory=list)
    peers: list[Rude] = attrs.field(factory=list)

    def listens(self, *first: bytes, forever: bytes = b"", secs: float = 0.0) -> tuple[Rude, str]:
        """A peer that says some pieces, and then another one again and again; and its URL."""

        def pieces() -> Iterator[bytes]:
            yield from first
            while forever:
                yield forever

        rude = Rude(pieces(), secs)
        self.peers.append(rude)
        self.ports.append(reactor.listenTCP(0, Once(rude), interface="127.0.0.1"))
        return rude, f"http://127.0.0.1:{self.ports[-1].getHost().port}/"


@fixture
async def there() -> AsyncIterator[There]:
    made = There(streams(reactor, CertificatePolicy(None), float("inf"), 2))
    yield made
    await made.calls.close()
    for port, rude in zip(made.ports, made.peers, strict=True):
        await port.stopListening()
        if not rude.gone.called:
            rude.transport.abortConnection()  # type: ignore[union-attr]
            await rude.gone


@pytest.mark.parametrize(
    "first",
    [(OK,), (b"HTTP/1.1 100 Continue\r\n\r\n", OK), (b"HTTP/1.1 103 Early Hints\nLink: x\n\n" + OK,)],
    ids=["no interim answer", "one", "one with line feeds alone"],
)
@coroutine
async def test_a_head_without_an_end(there: There, first: tuple[bytes, ...]) -> None:
    """However much a body may have, the head of an answer has a bound; what stands before it is a part of it."""
    rude, url = there.listens(*first, forever=FIELDS)
    with pytest.raises(PeerError):
        await there.calls.download(url, lambda _: None, token="token", idle=20, limit=float("inf"))
    await rude.gone
    assert rude.sent < 16 * ANSWER_BYTES  # what lies in the buffers of the kernel was sent, too


@coroutine
async def test_a_head_without_an_end_while_a_file_is_sent(there: There, tmp_path: Path) -> None:
    """The bound is that of the answer, not of what comes between two pieces of the request."""
    file = tmp_path / "file"
    with file.open("wb") as sparse:
        sparse.truncate(1 << 32)
    rude, url = there.listens(OK, forever=FIELDS)
    with pytest.raises(PeerError):
        await there.calls.upload(url, b"", file, token="token", idle=20, limit=100)
    await rude.gone
    assert rude.sent < 16 * ANSWER_BYTES


@pytest.mark.parametrize(("count", "is_taken"), [(MOST_INTERIM, True), (MOST_INTERIM + 1, False)])
@coroutine
async def test_interim_answers(there: There, count: int, is_taken: bool) -> None:
    """A few may come before an answer. Each is a line in the log, so there is an end to that."""
    _, url = there.listens(b"HTTP/1.1 102 Processing\r\n\r\n" * count + OK + b"Content-Length: 2\r\n\r\nhi")
    taken: list[bytes] = []
    with capturedLogs() as events:
        try:
            await there.calls.download(url, taken.append, token="token", idle=20, limit=100)
        except PeerError:
            assert not is_taken
    assert b"".join(taken) == (b"hi" if is_taken else b"")
    assert len(events) <= MOST_INTERIM


@coroutine
async def test_a_peer_that_takes_no_more_of_a_file(there: There, tmp_path: Path) -> None:
    """It is given up as any other in which nothing moves: its caller has cancelled nothing."""
    file = tmp_path / "file"
    with file.open("wb") as sparse:
        sparse.truncate(1 << 32)
    rude, url = there.listens()
    rude.is_deaf = True
    with pytest.raises(PeerError, match="nothing has moved"):
        await there.calls.upload(url, b"", file, token="token", idle=IDLE_SECS, limit=100)


async def sign(_method: str, _url: str, headers: Any, _file: Path | None) -> dict[str, str]:
    return dict(headers)


@coroutine
async def test_a_store_that_drips(there: There, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where only a status is wanted, or a single byte, a store is not waited for as long as it says something."""
    for name in ("IDLE_SECS", "PUT_IDLE_SECS"):
        monkeypatch.setattr(f"sccachedist.objects.store.{name}", IDLE_SECS)
    (tmp_path / "file").write_bytes(b"content")
    head = OK + b"Content-Length: 1000\r\n\r\n"
    rude, url = there.listens(head, forever=b"x", secs=IDLE_SECS / 5)
    assert await ObjectStore(url, sign, there.calls).look("one")
    await rude.gone
    rude, url = there.listens(head, forever=b"x", secs=IDLE_SECS / 5)
    with pytest.raises(PeerError, match="nothing has moved"):
        await ObjectStore(url, sign, there.calls).put("one", tmp_path / "file")
    await rude.gone
    assert rude.sent < len(head) + 1000
