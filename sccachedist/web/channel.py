"""A connection of HTTP: Twisted's parser between our limits.

It knows whose turn it is, and gives up a peer that is late. What Twisted answers to what is no HTTP is said in our own
form here. Requests and routes are not known: they tell when they begin to answer.
"""

import socket
import struct
import sys
from functools import lru_cache
from http import HTTPStatus
from typing import Any, cast

from twisted.internet.address import IPv4Address, IPv6Address
from twisted.internet.interfaces import IAddress, IHandshakeListener, ISSLTransport
from twisted.internet.protocol import connectionDone
from twisted.protocols.basic import LineReceiver
from twisted.python.failure import Failure
from twisted.web.http import HTTPChannel, _ChunkedTransferDecoder
from zope.interface import implementer

from sccachedist.config import Limits
from sccachedist.errors import DecodeError, LimitExceeded
from sccachedist.web.answers import Answer, error_answer
from sccachedist.web.bulk import BulkChunks
from sccachedist.web.connections import Connections
from sccachedist.web.progress import Phase, Progress, overdue

#: Nobody asks by which of our addresses a peer came.
_OURS = IPv4Address("TCP", "127.0.0.1", 0)
#: Where ``struct tcp_info`` has the bytes that the other end has acknowledged, since Linux 4.1.
_BYTES_ACKED = struct.Struct("=120xQ")


@implementer(IHandshakeListener)
class Channel(HTTPChannel):
    """One connection, from its first byte to its last."""

    site: Any
    transport: Any
    timeOut = None  # Twisted's own: the sweep does it for all of us

    def __init__(self, peer_host: str, limits: Limits, connections: Connections, now: float) -> None:
        super().__init__()
        self.peer_host = sys.intern(peer_host)  # thousands may come from one
        self._limits, self._connections = limits, connections
        self.progress = Progress(Phase.IDLE, now)
        # All that a channel comes to have: named from the start, it lies in the table that objects of a class share.
        self._taken_before: int | None = None  # what the peer had taken when we began to answer
        self._deaf = False
        self.site = self.factory = None
        self.connected, self.transport, self._networkProducer = 0, None, cast(Any, None)
        self._buffer, self.line_mode, self._busyReceiving = b"", 1, False
        self._receivedHeaderSize = self._receivedHeaderCount = self.length = 0
        self._HTTPChannel__header, self._HTTPChannel__first_line = b"", 1
        self._command = self._path = self._version = b""
        self.persistent = 1

    @property
    def MAX_LENGTH(self) -> int:  # type: ignore[override]  # noqa: N802
        """Bytes of a line."""
        return self._limits.header_bytes

    @property
    def totalHeadersSize(self) -> int:  # type: ignore[override]  # noqa: N802
        """Bytes of a head."""
        return self._limits.header_bytes

    @property
    def maxHeaders(self) -> int:  # type: ignore[override]  # noqa: N802
        """Headers of a request."""
        return self._limits.headers

    def getPeer(self) -> IAddress:
        """The address at the other end, but for its port, which nobody asks for."""
        return _somebody_at(self.peer_host)

    def getHost(self) -> IAddress:
        """Some address."""
        return _OURS

    def connectionMade(self) -> None:
        """Begin."""
        super().connectionMade()
        if ISSLTransport.providedBy(self.transport):
            self.progress.phase = Phase.HANDSHAKE
        self._connections.add(self)

    def handshakeCompleted(self) -> None:
        """There is TLS: the peer may ask."""
        self._enter(Phase.IDLE)

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        """It is over."""
        self._connections.remove(self)
        super().connectionLost(reason)

    def dataReceived(self, data: bytes) -> None:
        """The peer has sent something."""
        if self._deaf:
            return
        progress = self.progress
        if progress.phase is Phase.IDLE:
            self._enter(Phase.RECEIVING)
        if progress.phase is Phase.RECEIVING:
            progress.reach(progress.octets + len(data), self._now())
        LineReceiver.dataReceived(self, data)

    def rawDataReceived(self, data: bytes) -> None:
        """The peer has sent something that is no head."""
        if not self._deaf:
            super().rawDataReceived(data)

    def lineLengthExceeded(self, line: bytes) -> None:
        """A head does not end."""
        self._refuse_deafly(LimitExceeded("header_bytes", "a long line in a head"))

    def _maybeChooseTransferDecoder(self, header: bytes, data: bytes) -> bool:  # noqa: N802  # Twisted's one place for it
        chosen: bool = super()._maybeChooseTransferDecoder(header, data)
        if isinstance(self._transferDecoder, _ChunkedTransferDecoder):
            self._transferDecoder = BulkChunks(self.requests[-1].handleContentChunk, self._finishRequestBody)
        return chosen

    def allContentReceived(self) -> None:
        """The request has come: it is our turn."""
        self._enter(Phase.WORKING)
        super().allContentReceived()

    def begin_sending(self) -> None:
        """An answer begins: it is the peer's turn to take it."""
        self._taken_before = self._taken()
        self._enter(Phase.SENDING)

    def begin_lingering(self) -> None:
        """The request was refused before all of it had come: the peer may read why."""
        self._enter(Phase.REFUSED)

    def requestDone(self, request: Any) -> None:
        """An answer is complete, as far as we are concerned."""
        if self.persistent:
            self._enter(Phase.IDLE)
        elif self.progress.phase is not Phase.SENDING:
            self.begin_sending()
        super().requestDone(request)

    def overdue(self, now: float) -> str | None:
        """The limit that the peer has hit by being slow."""
        if self.progress.phase is Phase.SENDING:
            taken = self._taken()
            self.progress.reach(sys.maxsize if taken is None else taken - (self._taken_before or 0), now)
        return overdue(self.progress, self._limits, now)

    def give_up(self, limit: str) -> None:
        """Wait no longer: a peer that has begun to ask is told why, as far as it listens."""
        if limit:
            phase = self.progress.phase.name.lower()
            self._connections.limit_log.hit(limit, self.peer_host, f"a connection closed that was {phase}")
        if self.progress.phase is not Phase.RECEIVING:
            self.transport.abortConnection()
            return
        error = LimitExceeded(limit, "a request that comes too slowly")
        request = self.requests[-1] if self.requests else None
        if request is None or not request.refuse_late(error):
            self._write_answer(error_answer(error))
        self._deaf = True
        self.begin_lingering()
        self.loseConnection()

    def _respondToBadRequestAndDisconnect(self) -> None:  # noqa: N802  # Twisted's one place for it
        if self._receivedHeaderSize > self._limits.header_bytes:
            self._refuse_deafly(LimitExceeded("header_bytes", "a large head"))
        elif self._receivedHeaderCount > self._limits.headers:
            self._refuse_deafly(LimitExceeded("headers", "a head with many headers"))
        else:
            self._write_answer(error_answer(DecodeError("not HTTP")))
            self._deaf = True
            self.begin_lingering()
            self.loseConnection()

    def _refuse_deafly(self, error: LimitExceeded) -> None:
        """Answer, and pass over what else comes for a while: a reset would take the answer away."""
        self._connections.limit_log.hit(error.limit, self.peer_host, "a request refused")
        self._write_answer(error_answer(error))
        self._deaf = True
        self.setRawMode()
        self.begin_lingering()

    def _write_answer(self, answer: Answer) -> None:
        """Answer where there is no request to be answered."""
        headers = (*answer.headers, ("Content-Length", str(len(answer.body))), ("Connection", "close"))
        lines = [f"HTTP/1.1 {answer.status} {HTTPStatus(answer.status).phrase}", *(f"{n}: {v}" for n, v in headers)]
        self.transport.write("\r\n".join([*lines, "", ""]).encode("latin-1") + answer.body)

    def _enter(self, phase: Phase) -> None:
        self.progress.enter(phase, self._now())

    def _now(self) -> float:
        return float(self.site.reactor.seconds())

    def _taken(self) -> int | None:
        """The bytes of ours that the other end has acknowledged, where the kernel tells."""
        try:
            handle = getattr(self.transport, "transport", self.transport).getHandle()
            info = handle.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, _BYTES_ACKED.size)
            return int(_BYTES_ACKED.unpack(info)[0])
        except (AttributeError, OSError, struct.error):
            return None


@lru_cache(1024)
def _somebody_at(host: str) -> IAddress:
    return IPv6Address("TCP", host, 0) if ":" in host else IPv4Address("TCP", host, 0)
