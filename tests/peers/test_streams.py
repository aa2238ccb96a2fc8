"""Streams over real TLS on loopback: how they end, what they hold, whom they trust."""

from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any, TypeVar

import pytest
import pytest_twisted
from cryptography.x509 import load_pem_x509_certificate
from twisted.internet import reactor as global_reactor  # noqa: TID251
from twisted.internet.defer import CancelledError, Deferred
from twisted.web.resource import Resource
from twisted.web.server import NOT_DONE_YET, Request

from sccachedist.errors import DiskError, LimitExceeded, PeerError
from sccachedist.peers.pins import Pins
from sccachedist.peers.streams import Streams, pinned_streams, streams
from sccachedist.peers.trust import CertificatePolicy
from sccachedist.server.identity import Identity
from sccachedist.wire.addresses import ServerId
from tests.peers.test_pinned_calls import Counting, Echo, Farm

T = TypeVar("T")

reactor: Any = global_reactor
coroutine: Callable[[T], T] = pytest_twisted.ensureDeferred
fixture: Callable[[T], T] = pytest_twisted.async_yield_fixture
MANY = 3 << 20


class Silent(Resource):
    """Begins an answer, and never ends it."""

    isLeaf = True  # noqa: N815

    def __init__(self) -> None:
        super().__init__()
        self.asked: Deferred[None] = Deferred()
        self.gone: Deferred[None] = Deferred()

    def render(self, request: Request) -> int:
        request.notifyFinish().addErrback(lambda _: self.gone.callback(None))
        request.setHeader("Content-Length", "1000")
        request.write(b"some")
        self.asked.callback(None)
        return NOT_DONE_YET


class Refusing(Resource):
    """Answers that it knows no such token."""

    isLeaf = True  # noqa: N815

    def render(self, request: Request) -> bytes:
        request.setResponseCode(401)
        return b'{"description": "no such token"}'


@fixture
async def farm(tmp_path: Path) -> AsyncIterator[Farm]:
    farm = Farm(tmp_path)
    yield farm
    await farm.close()


@fixture
async def made() -> AsyncIterator[list[Streams]]:
    made: list[Streams] = []
    yield made
    for each in made:
        await each.close()


def known(made: list[Streams], *identities: Identity, most: float = 1e9) -> Streams:
    """Calls to those that have these certificates."""
    certificates = [load_pem_x509_certificate(identity.certificate_pem) for identity in identities]
    made.append(streams(reactor, CertificatePolicy(certificates), most, 4))
    return made[-1]


async def download(calls: Streams, there: ServerId, sink: Callable[[bytes], None], **options: Any) -> None:
    chosen: dict[str, Any] = {"token": "token", "idle": 20, "limit": 1e9, "body": b"ping"} | options
    await calls.download(f"https://{there}/", sink, **chosen)


@coroutine
async def test_both_ways(farm: Farm, made: list[Streams], tmp_path: Path) -> None:
    """Octets and a file arrive as one body, and a body of any size goes to a sink, over one connection."""
    identity, site = farm.identity("one"), Counting(Echo())
    there, calls = farm.listen(site, identity), known(made, identity)
    content = bytes(range(256)) * (MANY // 256)
    (tmp_path / "file").write_bytes(content)
    url = f"https://{there}/"
    answer = await calls.upload(url, b"head", tmp_path / "file", token="token", idle=20, limit=MANY + 4)
    assert answer == b"head" + content
    assert await calls.upload(url, b"head", None, token="token", idle=20, limit=4) == b"head"
    pieces: list[bytes] = []
    await download(calls, there, pieces.append, body=content)
    assert b"".join(pieces) == content
    swapped: list[bytes] = []
    await calls.swap(url, b"head", tmp_path / "file", swapped.append, token="token", idle=20, limit=MANY + 4)
    assert b"".join(swapped) == b"head" + content
    assert max(map(len, pieces)) < MANY / 8
    assert site.connections == 1


@coroutine
async def test_closed_by_the_peer(farm: Farm, made: list[Streams], tmp_path: Path) -> None:
    """If the peer closes a kept connection just then, the whole file is sent over another one."""
    identity, site = farm.identity("one"), Counting(Echo())
    there, calls = farm.listen(site, identity), known(made, identity)
    (tmp_path / "file").write_bytes(b"content")
    for _ in range(2):
        sending = calls.upload(f"https://{there}/", b"", tmp_path / "file", token="token", idle=20, limit=9)
        assert await sending == b"content"
        site.hang_up()
    assert site.connections == 2


@coroutine
async def test_nothing_moves(farm: Farm, made: list[Streams]) -> None:
    """A call in which nothing moves for a while is given up."""
    identity, silent = farm.identity("one"), Silent()
    there, calls = farm.listen(Counting(silent), identity), known(made, identity)
    with pytest.raises(PeerError, match=r"nothing has moved for 0\.2 s"):
        await download(calls, there, lambda _: None, idle=0.2)
    await silent.gone


@coroutine
async def test_cancelled(farm: Farm, made: list[Streams]) -> None:
    """Cancelling a call closes its connection at once."""
    identity, silent = farm.identity("one"), Silent()
    there, calls = farm.listen(Counting(silent), identity), known(made, identity)
    call = Deferred.fromCoroutine(download(calls, there, lambda _: None))
    await silent.asked
    call.cancel()
    with pytest.raises(CancelledError):
        await call
    await silent.gone


@coroutine
async def test_a_sink_that_fails(farm: Farm, made: list[Streams]) -> None:
    """An error of the sink is the call's, as it is."""
    identity = farm.identity("one")
    there, calls = farm.listen(Counting(Echo()), identity), known(made, identity)

    def full(_: bytes) -> None:
        raise LimitExceeded("inputs_bytes", "too much")

    with pytest.raises(LimitExceeded):
        await download(calls, there, full)


@coroutine
@pytest.mark.parametrize(("limit", "most"), [(MANY - 1, 1e9), (1e9, MANY)])
async def test_a_peer_that_sends_too_much(farm: Farm, made: list[Streams], limit: float, most: float) -> None:
    """An answer beyond a limit ends the call, and a sink never gets more than that."""
    identity = farm.identity("one")
    there, calls = farm.listen(Counting(Echo()), identity), known(made, identity, most=most)
    taken: list[int] = []
    with pytest.raises(PeerError):
        await download(calls, there, lambda data: taken.append(len(data)), body=b"x" * MANY, limit=limit)
    assert sum(taken) < MANY


@coroutine
async def test_a_refusal(farm: Farm, made: list[Streams]) -> None:
    """An answer that is no success has its status and what it says; its body is not the sink's."""
    identity = farm.identity("one")
    there, calls = farm.listen(Counting(Refusing()), identity), known(made, identity)
    taken: list[bytes] = []
    with pytest.raises(PeerError, match=r"status 401 \(no such token\)") as refused:
        await download(calls, there, taken.append, body=None)
    assert (refused.value.status, taken) == (401, [])
    with pytest.raises(PeerError, match="longer than 3"):
        await known(made, identity).upload(
            f"https://{farm.listen(Counting(Echo()), identity)}/", b"head", None, token="token", idle=20, limit=3
        )


@coroutine
async def test_a_file_that_goes(farm: Farm, made: list[Streams], tmp_path: Path) -> None:
    """A file that is not there, or becomes shorter on its way, is the disk's fault and not the peer's."""
    identity = farm.identity("one")
    there, calls = farm.listen(Counting(Echo()), identity), known(made, identity)
    file = tmp_path / "file"
    with pytest.raises(DiskError):
        await calls.upload(f"https://{there}/", b"head", file, token="token", idle=20, limit=9)
    file.write_bytes(b"content")
    sending = Deferred.fromCoroutine(calls.upload(f"https://{there}/", b"head", file, token="token", idle=20, limit=99))
    file.write_bytes(b"")  # the connection is not there yet
    with pytest.raises(DiskError, match="has become shorter"):
        await sending


@coroutine
async def test_pinned_by_a_heartbeat(farm: Farm, made: list[Streams]) -> None:
    """A build server whose certificate is pinned by its address is called in the same way; without a pin, it is not."""
    identity, pins = farm.identity("one"), Pins()
    there = farm.listen(Counting(Echo()), identity)
    made.append(pinned_streams(reactor, pins, 1e9))
    with pytest.raises(PeerError, match="no certificate is pinned"):
        await download(made[0], there, lambda _: None)
    pins.set(there, identity.certificate_digest)
    taken: list[bytes] = []
    await download(made[0], there, taken.append)
    assert taken == [b"ping"]
