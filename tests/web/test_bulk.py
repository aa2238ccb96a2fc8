"""Large bodies: whatever way they come cut, nothing of them is lost, and what comes together goes on together."""

from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from twisted.internet.address import IPv4Address
from twisted.internet.protocol import Factory, Protocol
from twisted.internet.task import Clock
from twisted.internet.testing import StringTransport
from twisted.protocols.tls import TLSMemoryBIOFactory
from twisted.test.iosim import connectedServerAndClient
from twisted.web.http import _ChunkedTransferDecoder, _MalformedChunkedDataError

from sccachedist.peers.pins import PinPolicy
from sccachedist.web.bulk import READ, BulkChunks, BulkTLS
from sccachedist.web.listening import over_tls
from tests.peers.test_pins import Hearer, certified, pinned
from tests.support.http import chunked

Decoder = Callable[[Callable[[bytes], None], Callable[[bytes], None]], Any]

PEER = IPv4Address("TCP", "127.0.0.1", 40000)
NEXT = b"GET / HTTP/1.1\r\n"
ODD = b"004;name=value\r\n0123\r\n1\r\n\n\r\n00\r\nTrailer: x\r\n\r\n"
BROKEN = [
    b"x\r\n",
    b"-1\r\n",
    b"1\r\nab\r\n",
    b"2\r\nab\n\n",
    b"4\r\n01230\r\n",
    b"0x1\r\na\r\n",
    b"1" * 2000,
    b"\r\n1\r\na",
]


def decoded(kind: Decoder, octets: bytes, size: int) -> tuple[bytes, bytes] | None:
    """The body that comes in pieces of a size, and what came of the next request; None where the body has no end."""
    body: list[bytes] = []
    rest: list[bytes] = []
    decoder = kind(body.append, rest.append)
    for at in range(0, len(octets), size):
        if rest:
            rest.append(octets[at:])
            break
        decoder.dataReceived(octets[at : at + size])
    return (b"".join(body), b"".join(rest)) if rest else None


@given(st.lists(st.binary(min_size=1, max_size=40)), st.integers(1, 200))
def test_chunks(pieces: list[bytes], size: int) -> None:
    """The body is what was sent, and what follows it is the next request's."""
    assert decoded(BulkChunks, chunked(*pieces) + NEXT, size) == (b"".join(pieces), NEXT)


@pytest.mark.parametrize("octets", [ODD + NEXT, chunked(b"\r\n", b"\r\n0\r\n\r\n", b"0") + NEXT, chunked(b"ab")[:-3]])
def test_as_twisted(octets: bytes) -> None:
    """What is unusual means what it means to Twisted, wherever it is cut."""
    for size in range(1, len(octets) + 1):
        assert decoded(BulkChunks, octets, size) == decoded(_ChunkedTransferDecoder, octets, size)


@pytest.mark.parametrize("octets", BROKEN)
@pytest.mark.parametrize("before", [b"", chunked(b"0123")[:-5]])
@pytest.mark.parametrize("size", [1, 2, 5, 5000])
def test_no_chunks(octets: bytes, before: bytes, size: int) -> None:
    """What is no chunk is refused."""
    with pytest.raises(_MalformedChunkedDataError):
        decoded(BulkChunks, before + octets + b"\r\n\r\n", size)


def test_chunks_together() -> None:
    """The chunks that come together go on as one piece."""
    body: list[bytes] = []
    decoder = BulkChunks(body.append, lambda _: None)
    decoder.dataReceived(chunked(b"0123", b"4", b"56789")[:-5])
    assert body == [b"0123456789"]


class Listed(Hearer):
    """Keeps the pieces that it hears, too."""

    def __init__(self) -> None:
        self.pieces: list[bytes] = []

    def dataReceived(self, data: bytes) -> None:
        super().dataReceived(data)
        self.pieces.append(data)


def connected() -> tuple[Listed, Any, Callable[[], None]]:
    """What a server over TLS hears, a client's end of the connection, and what makes time and bytes go on."""
    clock, shown, hearer, client = Clock(), certified(), Listed(), Protocol()
    server = over_tls(shown, Factory.forProtocol(lambda: hearer), clock)
    creator = PinPolicy(pinned(shown)).creatorForNetloc(b"127.0.0.1", 10501)
    asking = TLSMemoryBIOFactory(creator, True, Factory.forProtocol(lambda: client), clock)
    _, _, pump = connectedServerAndClient(lambda: server.buildProtocol(PEER), lambda: asking.buildProtocol(None))

    def go_on() -> None:
        for _ in range(3):
            clock.advance(0)
            pump.flush()

    go_on()
    return hearer, client.transport, go_on


def test_records_together() -> None:
    """The TLS records that come together go on as one piece."""
    hearer, client, go_on = connected()
    client.write(b"0123456789" * 5000)
    go_on()
    assert hearer.pieces == [b"0123456789" * 5000]


def test_the_end_of_tls() -> None:
    """What comes with the end of a connection is heard before it."""
    hearer, client, go_on = connected()
    client.write(b"bye")
    client.loseConnection()
    go_on()
    assert (hearer.heard, hearer.lost is None) == (b"bye", False)


def test_no_tls() -> None:
    """What is no TLS ends the connection."""
    server = over_tls(certified(), Factory.forProtocol(Listed), Clock())
    protocol, transport = server.buildProtocol(PEER), StringTransport()
    assert isinstance(protocol, BulkTLS)
    protocol.makeConnection(transport)
    protocol.dataReceived(b"GET / HTTP/1.1\r\n\r\n")
    assert transport.disconnecting


def test_wider_reads() -> None:
    """More is read at a time from a peer that sends much, and from no other."""
    server = over_tls(certified(), Factory.forProtocol(Listed), Clock())
    transport = StringTransport()
    transport.bufferSize = 1 << 16  # type: ignore[attr-defined]
    protocol = server.buildProtocol(PEER)
    assert protocol is not None
    protocol.makeConnection(transport)
    protocol.dataReceived(b"\x16")
    assert transport.bufferSize == 1 << 16  # type: ignore[attr-defined]
    protocol.dataReceived(bytes(1 << 16))
    assert transport.bufferSize == READ  # type: ignore[attr-defined]
