"""TLS for large bodies: what comes together goes on together, and tiny records do not hold others up."""

from collections.abc import Callable
from typing import Any, cast

from twisted.internet.address import IPv4Address
from twisted.internet.interfaces import ITransport
from twisted.internet.protocol import Factory, Protocol
from twisted.internet.task import Clock
from twisted.internet.testing import StringTransport
from twisted.protocols.tls import TLSMemoryBIOFactory
from twisted.test.iosim import connectedServerAndClient

from sccachedist.peers.pins import PinPolicy
from sccachedist.web.bulk import FIRST_READ, READ, BulkTLS
from sccachedist.web.listener import over_tls
from tests.peers.test_client_tls import Listed
from tests.peers.test_pins import certified, pinned

PEER = IPv4Address("TCP", "127.0.0.1", 40000)


class Answering(Listed):
    """Answers each piece at once."""

    def dataReceived(self, data: bytes) -> None:
        super().dataReceived(data)
        cast(ITransport, self.transport).write(b"answer")


def connected(hearer: Listed, client: Protocol) -> Callable[[], None]:
    """Connect a server's protocol over TLS to a client's; return what makes time and bytes go on."""
    clock, shown = Clock(), certified()
    server = over_tls(shown, Factory.forProtocol(lambda: hearer), clock)
    creator = PinPolicy(pinned(shown)).creatorForNetloc(b"127.0.0.1", 10501)
    asking = TLSMemoryBIOFactory(creator, True, Factory.forProtocol(lambda: client), clock)
    _, _, pump = connectedServerAndClient(lambda: server.buildProtocol(PEER), lambda: asking.buildProtocol(None))

    def go_on() -> None:
        for _ in range(3):
            clock.advance(0)
            pump.flush()

    go_on()
    return go_on


def listening() -> tuple[Listed, Any, Callable[[], None]]:
    """What a server over TLS hears, a client's end of the connection, and what makes time and bytes go on."""
    hearer, client = Listed(), Protocol()
    go_on = connected(hearer, client)
    return hearer, client.transport, go_on


def test_records_together() -> None:
    """The TLS records that come together go on as one piece."""
    hearer, client, go_on = listening()
    client.write(b"0123456789" * 5000)
    go_on()
    assert hearer.pieces == [b"0123456789" * 5000]
    assert hearer.has_tls


def test_the_end_of_tls() -> None:
    """What comes with the end of a connection is heard before it."""
    hearer, client, go_on = listening()
    client.write(b"bye")
    client.loseConnection()
    go_on()
    assert (hearer.heard, hearer.lost is None) == (b"bye", False)


def test_an_answer_to_what_came_with_the_end() -> None:
    """A peer that asks and ends TLS in one piece reads an answer that was made at once."""
    hearer, client = Answering(), Listed()
    go_on = connected(hearer, client)
    carrier: Any = client.transport
    carrier.write(b"ask")
    carrier.loseConnection()
    go_on()
    assert (hearer.heard, client.heard) == (b"ask", b"answer")


def test_no_tls() -> None:
    """What is no TLS ends the connection."""
    server = over_tls(certified(), Factory.forProtocol(Listed), Clock())
    protocol, transport = server.buildProtocol(PEER), StringTransport()
    assert isinstance(protocol, BulkTLS)
    protocol.makeConnection(transport)
    protocol.dataReceived(b"GET / HTTP/1.1\r\n\r\n")
    assert transport.disconnecting


def test_wider_reads() -> None:
    """More is read at a time from a peer that sends much in large records, and little from one that sends tiny ones."""
    hearer, client, go_on = listening()
    carrier: Any = hearer.transport
    carrier = carrier.transport
    assert carrier.bufferSize == FIRST_READ
    client.write(b"hello")
    go_on()
    assert carrier.bufferSize == FIRST_READ
    for _ in range(3):
        client.write(bytes(1 << 17))
        go_on()
    assert carrier.bufferSize == READ
    for _ in range(100):
        client.write(b"x")
    go_on()
    assert carrier.bufferSize == FIRST_READ
