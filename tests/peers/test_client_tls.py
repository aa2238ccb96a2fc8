"""TLS of a client: what comes in one read goes on together, and the end is told."""

from collections.abc import Callable
from typing import Any, cast

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IHandshakeListener, IStreamClientEndpoint
from twisted.internet.protocol import Factory, Protocol
from twisted.internet.task import Clock
from twisted.protocols.tls import TLSMemoryBIOFactory
from twisted.test.iosim import connectedServerAndClient
from zope.interface import implementer

from farmkit.deferreds import outcome
from sccachedist.peers.client_tls import READ, TLSEndpoint
from sccachedist.peers.pins import PinPolicy
from tests.peers.test_pins import Hearer, certified, pinned


@implementer(IHandshakeListener)
class Listed(Hearer):
    """Keeps the pieces that it hears, too."""

    def __init__(self) -> None:
        self.pieces: list[bytes] = []
        self.has_tls = False

    def handshakeCompleted(self) -> None:
        """There is TLS."""
        self.has_tls = True

    def dataReceived(self, data: bytes) -> None:
        super().dataReceived(data)
        self.pieces.append(data)


@implementer(IStreamClientEndpoint)
class Wire:
    """Connects when a test wants it."""

    def __init__(self) -> None:
        self.factory: Any = None
        self.connected: Deferred[Any] = Deferred()

    def connect(self, factory: Any) -> "Deferred[Any]":
        self.factory = factory
        return self.connected


def speaking() -> tuple[Listed, Any, Callable[[], None]]:
    """What a client hears, the server's end of the connection, and what makes time and bytes go on."""
    clock, shown, hearer, server, wire = Clock(), certified(), Listed(), Protocol(), Wire()
    creator = PinPolicy(pinned(shown)).creatorForNetloc(b"127.0.0.1", 10501)
    connecting = TLSEndpoint(clock, wire, creator).connect(Factory.forProtocol(lambda: hearer))
    answering = TLSMemoryBIOFactory(shown, False, Factory.forProtocol(lambda: server), clock)
    client, _, pump = connectedServerAndClient(
        lambda: answering.buildProtocol(None), lambda: wire.factory.buildProtocol(None)
    )
    wire.connected.callback(client)
    assert outcome(connecting) is hearer

    def go_on() -> None:
        for _ in range(3):
            clock.advance(0)
            pump.flush()

    go_on()
    return hearer, server.transport, go_on


def test_records_together() -> None:
    """The TLS records that come together go on as one piece, and reads are large."""
    hearer, server, go_on = speaking()
    server.write(b"0123456789" * 5000)
    go_on()
    assert hearer.pieces == [b"0123456789" * 5000]
    assert hearer.has_tls
    assert cast(Any, hearer.transport).transport.bufferSize == READ


def test_the_end_of_tls() -> None:
    """What comes with the end of a connection is heard before it."""
    hearer, server, go_on = speaking()
    server.write(b"bye")
    server.loseConnection()
    go_on()
    assert (hearer.heard, hearer.lost is None) == (b"bye", False)


def test_its_own_end() -> None:
    """A client that closes the connection is told of the end."""
    hearer, _, go_on = speaking()
    cast(Any, hearer.transport).loseConnection()
    go_on()
    assert hearer.lost is not None
