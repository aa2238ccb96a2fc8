"""Calls to build servers over real TLS on loopback, where a connection is kept and a pin changes."""

from collections.abc import AsyncIterator, Callable
from datetime import UTC, datetime
from ipaddress import ip_address
from pathlib import Path
from typing import Any, TypeVar

import attrs
import pytest
import pytest_twisted
from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePrivateKey
from cryptography.hazmat.primitives.serialization import load_pem_private_key
from cryptography.x509 import load_pem_x509_certificate
from OpenSSL import SSL
from twisted.internet import reactor as global_reactor  # noqa: TID251
from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IOpenSSLServerConnectionCreator
from twisted.internet.protocol import Factory, Protocol
from twisted.internet.task import deferLater
from twisted.logger import capturedLogs
from twisted.web.resource import Resource
from twisted.web.server import Request, Site
from zope.interface import implementer

from sccachedist.errors import PeerError
from sccachedist.peers.connection_pool import BoundedPool
from sccachedist.peers.http_client import Calls, pinned_calls
from sccachedist.peers.pins import Pins
from sccachedist.server.identity import Identity, load_identity
from sccachedist.wire.addresses import ServerId

T = TypeVar("T")

HERE = ip_address("127.0.0.1")

# Both are untyped where they come from.
reactor: Any = global_reactor
coroutine: Callable[[T], T] = pytest_twisted.ensureDeferred
fixture: Callable[[T], T] = pytest_twisted.async_yield_fixture


class Echo(Resource):
    """Answers with what it was sent."""

    isLeaf = True  # noqa: N815

    def render(self, request: Request) -> bytes:
        assert request.content is not None
        return bytes(request.content.read())


class Greeter(Protocol):
    """Speaks first, and no TLS."""

    def connectionMade(self) -> None:
        assert self.transport is not None
        self.transport.write(b"220 mail.example ESMTP\r\n")


class Counting(Site):
    """Counts the connections that were made to it, and can close the last one."""

    connections = 0
    _last: Any

    def buildProtocol(self, addr: Any) -> Any:
        self.connections += 1
        self._last = super().buildProtocol(addr)
        return self._last

    def hang_up(self) -> None:
        self._last._channel.loseConnection()


@implementer(IOpenSSLServerConnectionCreator)
@attrs.frozen
class Showing:
    """TLS as a build server of ours does it."""

    identity: Identity

    def serverConnectionForTLS(self, tlsProtocol: object) -> SSL.Connection:  # noqa: N803
        context = SSL.Context(SSL.TLS_SERVER_METHOD)
        key = load_pem_private_key(self.identity.private_key_pem, None)
        assert isinstance(key, EllipticCurvePrivateKey)
        context.use_privatekey(key)
        context.use_certificate(load_pem_x509_certificate(self.identity.certificate_pem))
        return SSL.Connection(context, None)


@attrs.define
class Farm:
    """A scheduler's calls, and build servers to call."""

    directory: Path
    pins: Pins = attrs.field(factory=Pins)
    calls: Calls = attrs.field(init=False)
    ports: list[Any] = attrs.field(factory=list)

    def __attrs_post_init__(self) -> None:
        self.calls = pinned_calls(reactor, self.pins)

    def identity(self, name: str) -> Identity:
        return load_identity(self.directory / name, ServerId(HERE, 1), datetime.now(UTC), lambda _: None)

    def listen(self, factory: Any, identity: Identity | None = None, port: int = 0) -> ServerId:
        """Listen, with TLS where there is an identity to show."""
        if identity is None:
            listening = reactor.listenTCP(port, factory, interface=str(HERE))
        else:
            listening = reactor.listenSSL(port, factory, Showing(identity), interface=str(HERE))
        self.ports.append(listening)
        return ServerId(HERE, listening.getHost().port)

    async def ask(self, server_id: ServerId) -> bytes:
        return await self.calls.post(f"https://{server_id}/", b"ping", token="token", timeout=20, limit=100)

    async def close(self) -> None:
        await self.calls.close()
        for port in self.ports:
            await port.stopListening()


@fixture
async def farm(tmp_path: Path) -> AsyncIterator[Farm]:
    farm = Farm(tmp_path)
    yield farm
    await farm.close()


@coroutine
async def test_kept(farm: Farm) -> None:
    """A second call needs no second handshake."""
    site, identity = Counting(Echo()), farm.identity("one")
    server_id = farm.listen(site, identity)
    farm.pins.set(server_id, identity.certificate_digest)
    assert [await farm.ask(server_id) for _ in range(3)] == [b"ping"] * 3
    assert site.connections == 1


@coroutine
async def test_closed_by_the_peer(farm: Farm, monkeypatch: pytest.MonkeyPatch) -> None:
    """A kept connection that the build server closes is forgotten in silence, and the next call makes another."""
    monkeypatch.setattr(BoundedPool, "cachedConnectionTimeout", 0.3)
    site, identity = Counting(Echo()), farm.identity("one")
    server_id = farm.listen(site, identity)
    farm.pins.set(server_id, identity.certificate_digest)
    with capturedLogs() as events:
        await farm.ask(server_id)
        forgotten: Deferred[None] = deferLater(reactor, 0.4)
        site.hang_up()
        await forgotten
        assert await farm.ask(server_id) == b"ping"
    assert [event for event in events if "log_failure" in event] == []
    assert site.connections == 2


@coroutine
async def test_pin_changes(farm: Farm) -> None:
    """A connection that was good under the pin from before is not used under the new one."""
    site, identity = Counting(Echo()), farm.identity("one")
    server_id = farm.listen(site, identity)
    farm.pins.set(server_id, identity.certificate_digest)
    await farm.ask(server_id)
    farm.pins.set(server_id, farm.identity("other").certificate_digest)
    with pytest.raises(PeerError, match="certificate verify failed"):
        await farm.ask(server_id)
    assert site.connections == 2


@coroutine
async def test_forgotten(farm: Farm) -> None:
    """Nor is it used when there is no pin any more."""
    site, identity = Counting(Echo()), farm.identity("one")
    server_id = farm.listen(site, identity)
    farm.pins.set(server_id, identity.certificate_digest)
    await farm.ask(server_id)
    farm.pins.forget(server_id)
    with pytest.raises(PeerError, match="no certificate is pinned"):
        await farm.ask(server_id)
    assert site.connections == 1


@coroutine
async def test_restart(farm: Farm) -> None:
    """A build server that comes back at the same place with the same identity is called as before."""
    identity = farm.identity("one")
    server_id = farm.listen(Counting(Echo()), identity)
    farm.pins.set(server_id, identity.certificate_digest)
    await farm.ask(server_id)
    await farm.calls.close()
    await farm.ports.pop().stopListening()
    farm.listen(Counting(Echo()), farm.identity("one"), server_id.port)
    assert await farm.ask(server_id) == b"ping"


@coroutine
async def test_plain_tcp(farm: Farm) -> None:
    """A server that speaks no TLS is an error at once."""
    server_id = farm.listen(Factory.forProtocol(Greeter))
    farm.pins.set(server_id, farm.identity("one").certificate_digest)
    with pytest.raises(PeerError, match="SSL"):
        await farm.ask(server_id)


@coroutine
async def test_nobody_there(farm: Farm) -> None:
    """A server that is down is an error that says so."""
    server_id = farm.listen(Counting(Echo()))
    await farm.ports.pop().stopListening()
    farm.pins.set(server_id, farm.identity("one").certificate_digest)
    with pytest.raises(PeerError, match="refused"):
        await farm.ask(server_id)
