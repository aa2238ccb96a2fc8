"""HTTP without a network: connections to a site that a test speaks to in bytes, and the answers that come back."""

from collections.abc import Iterable, Mapping
from typing import Any

import attrs
from twisted.internet.address import IPv4Address
from twisted.internet.error import ConnectionAborted, ConnectionDone, ConnectionLost
from twisted.internet.task import Clock
from twisted.internet.testing import StringTransport
from twisted.python.failure import Failure

from sccachedist.web.request import Site
from sccachedist.wire.bincode import Codec, decode

OCTETS = {"Content-Type": "application/octet-stream"}


@attrs.frozen
class Answer:
    """An answer as it came, header names in lower case."""

    status: int
    headers: dict[str, str]
    body: bytes

    def message(self, codec: Codec[Any]) -> Any:
        assert self.status == 200, self
        assert self.headers["content-type"] == "application/octet-stream"
        return decode(codec, self.body)


class Connection(StringTransport):
    """A connection to a site, seen from its client. As a real one's, its loss is told a little later."""

    def __init__(self, site: Site, clock: Clock, sender: str) -> None:
        super().__init__(peerAddress=IPv4Address("TCP", sender, 40000))
        self._clock = clock
        channel = site.buildProtocol(self.getPeer())
        assert channel is not None
        self._channel = channel
        self._channel.makeConnection(self)

    def say(self, *pieces: bytes) -> None:
        """Send these pieces, as long as somebody reads them; the reactor has its turns meanwhile."""
        for piece in pieces:
            if self.connected and not self.disconnecting:
                self._channel.dataReceived(piece)
        self._clock.advance(0)

    def leave(self) -> None:
        """Go away, as a real client that vanishes: what produces is told first."""
        if self.producer is not None:
            self.producer.stopProducing()
        self._lose(ConnectionLost())

    def pauseProducing(self) -> None:
        """As a real one, which does so as well when it is about to close."""
        if not self.disconnecting:
            super().pauseProducing()

    def resumeProducing(self) -> None:
        """As a real one, which only passes it over when it is about to close."""
        if self.connected and not self.disconnecting:
            super().resumeProducing()

    def loseConnection(self) -> None:
        super().loseConnection()
        self._clock.callLater(0, self._lose, ConnectionDone())

    def abortConnection(self) -> None:
        self._clock.callLater(0, self._lose, ConnectionAborted())

    def answers(self, *, head: bool = False) -> list[Answer]:
        """All answers so far, but for 100 Continue; ``head``: to HEAD, so that they have no bodies."""
        rest, found = self.value(), []
        while rest:
            top, _, rest = rest.partition(b"\r\n\r\n")
            line, *fields = top.decode("latin-1").split("\r\n")
            headers = {name.lower(): value for name, _, value in (field.partition(": ") for field in fields)}
            status = int(line.split()[1])
            # What is no HTTP may look like HEAD.
            length = 0 if head and status != 400 else int(headers.get("content-length", 0))
            found.append(Answer(status, headers, rest[:length]))
            rest = rest[length:]
        return [answer for answer in found if answer.status != 100]

    def _lose(self, reason: Exception) -> None:
        if self.connected:
            self.connected = False
            self._channel.connectionLost(Failure(reason))


class SlowConnection(Connection):
    """A connection that takes no more at once than a chunk."""

    def write(self, data: bytes) -> None:
        super().write(data)
        if self.producer is not None:
            self.producer.pauseProducing()

    def writeSequence(self, data: Iterable[bytes]) -> None:
        self.write(b"".join(data))

    def drain(self) -> None:
        """What was sent has arrived."""
        assert self.producer is not None
        self.producer.resumeProducing()


@attrs.frozen
class Browser:
    """Opens connections to a site."""

    site: Site
    clock: Clock

    def connect(self, sender: str = "127.0.0.1") -> Connection:
        return Connection(self.site, self.clock, sender)

    def ask(self, request: bytes, sender: str = "127.0.0.1") -> Answer:
        """The answer to one whole request, which has to come at once."""
        connection = self.connect(sender)
        connection.say(request)
        (answer,) = connection.answers()
        return answer


def request(method: str, path: str, body: bytes = b"", headers: Mapping[str, str] | None = None) -> bytes:
    """A request with the length of its body."""
    length = {"Content-Length": str(len(body))} if body else {}
    return head(method, path, {**length, **(headers or {})}) + body


def head(method: str, path: str, headers: Mapping[str, str] | None = None) -> bytes:
    """The head of a request."""
    lines = [f"{method} {path} HTTP/1.1", *(f"{name}: {value}" for name, value in (headers or {}).items()), "", ""]
    return "\r\n".join(lines).encode("latin-1")


def chunked(*pieces: bytes) -> bytes:
    """A body in these chunks."""
    return b"".join(b"%x\r\n%b\r\n" % (len(piece), piece) for piece in (*pieces, b""))


def bearer(token: str) -> dict[str, str]:
    """The header that shows a token."""
    return {"Authorization": f"Bearer {token}"}


def cuts(octets: bytes) -> Iterable[tuple[bytes, bytes]]:
    """Every way to cut something in two."""
    return ((octets[:size], octets[size:]) for size in range(len(octets) + 1))
