"""A connection of HTTP/1.1: one request after the other, within limits.

It finds the ends of heads and bodies, knows whose turn it is (:mod:`sccachedist.web.deadlines`), and closes the
connection of a late peer. :mod:`sccachedist.web.request` knows what a request asks and how it is answered. What is no
HTTP is answered here.

A refused request makes its connection deaf: what else comes is discarded, up to a bound. Otherwise, a client that is
still sending would meet a reset and lose the response.
"""

import sys
from collections.abc import Callable
from functools import lru_cache, partial
from http import HTTPStatus
from typing import Any, Protocol, cast

from twisted.internet.address import IPv4Address, IPv6Address
from twisted.internet.interfaces import IAddress, IHandshakeListener, ISSLTransport, ITCPTransport
from twisted.internet.protocol import Protocol as TwistedProtocol
from twisted.internet.protocol import connectionDone
from twisted.python.failure import Failure
from twisted.web.http_headers import Headers
from zope.interface import implementer

from sccachedist.auth.bearer import crowd_of
from sccachedist.config import ConnectionLimits
from sccachedist.errors import DecodeError, LimitExceeded, SccachedistError
from sccachedist.web.acknowledged import acknowledged, all_arrived, keep_little
from sccachedist.web.connection_limits import Connections
from sccachedist.web.deadlines import Phase, Progress, overdue
from sccachedist.web.framing import Chunks, Framing, Length
from sccachedist.web.parsing import Fields, RequestLine, take_head
from sccachedist.web.responses import Response, error_response
from sccachedist.web.turns import Tap, Turns

#: Bytes of the next request that are read while one is worked on: enough to notice that its sender has gone.
AHEAD = 1 << 14
#: Bytes that are discarded after a refusal: of a request that was not admitted, and of one that was.
PASSED_OVER, PASSED_OVER_ADMITTED = 1 << 20, 1 << 26
#: Seconds for which nothing is read after each piece of what was not admitted: who goes on sending waits, not others.
DEAF_SECS = 0.02
#: What a body in chunks ends with, except one with trailers.
_LAST_CHUNK = b"0\r\n\r\n"
#: Stands for our own address: it does not matter by which one a peer came.
_OURS = IPv4Address("TCP", "127.0.0.1", 0)


class IncomingRequest(Protocol):
    """What a channel tells a request."""

    def begin(self, line: RequestLine, fields: Fields) -> bool:
        """The head has come. False if the request was refused, and so answered."""

    def take(self, data: bytes) -> bool:
        """A piece of the body has come. False if the request was refused, and so answered."""

    def complete(self) -> None:
        """All of the body has come, or enough of a refused one has been discarded."""

    def refuse(self, error: SccachedistError) -> None:
        """Answer with an error, before all of the request has come."""

    def connectionLost(self, reason: Failure) -> None:
        """The sender has gone."""


@implementer(IHandshakeListener)
class Channel(TwistedProtocol):
    """One connection, from its first byte to its last.

    :param new_request: makes the request that is told of what comes.
    """

    transport: Any
    persistent = True

    def __init__(
        self,
        site: Any,
        peer_host: str,
        limits: ConnectionLimits,
        connections: Connections,
        turns: Turns,
        new_request: Callable[["Channel"], IncomingRequest],
    ) -> None:
        self.site = self.factory = site
        self.peer_host = sys.intern(peer_host)  # thousands of connections may have the same
        self._party = crowd_of(peer_host)  # in whose turns it is served
        self._limits, self._connections, self._turns, self._new_request = limits, connections, turns, new_request
        self.progress = Progress(Phase.IDLE, self._now())
        # All attributes are set from the start: then their names lie in the table that objects of a class share.
        self.connected, self.transport = 0, None
        self._in_turn = False  # TLS has taken a turn already
        self._waits = self._unsent = False  # the next request waits for its turn; the peer takes no more of a response
        self._tap: Tap | None = None
        self._unread = bytearray()
        self._searched = 0  # no head ends in the unread bytes before this one
        self._request: IncomingRequest | None = None
        self._framing: Framing | None = None  # while the body comes
        self._admitted = False  # the request that comes was admitted
        self._passed_over: int | None = None  # discarded bytes, once the connection is deaf
        self._producer: Any = None
        self._taken_before: int | None = None  # bytes the peer had taken when the response began
        self._head = b""  # of a response, until the first piece of its body goes with it

    def getPeer(self) -> IAddress:
        """The address at the other end, without its port, which does not matter."""
        return _somebody_at(self.peer_host)

    def getHost(self) -> IAddress:
        """Something in place of our own address."""
        return _OURS

    def connectionMade(self) -> None:
        """Begin to read."""
        if ITCPTransport.providedBy(self.transport):
            self.transport.setTcpNoDelay(True)
        if ISSLTransport.providedBy(self.transport):
            self.progress.phase, self._in_turn = Phase.HANDSHAKE, True
        self._tap = Tap(self.transport.pauseProducing, self.transport.resumeProducing)
        self.transport.registerProducer(self, True)
        self._connections.add(self)

    def handshakeCompleted(self) -> None:
        """TLS has begun: the peer may send a request."""
        self._connections.counts.handshakes["done"] += 1
        self._enter(Phase.IDLE)

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        """The connection is closed."""
        if self.progress.phase is Phase.HANDSHAKE:
            self._connections.counts.handshakes["failed"] += 1
        self._connections.remove(self)
        self.connected = 0
        request, self._request = self._request, None
        if request is not None:
            request.connectionLost(reason)
        self._tap = None

    # What comes.

    def dataReceived(self, data: bytes) -> None:
        """Work on what the peer has sent, now or in a later turn."""
        if self._in_turn:
            self._receive(data)
        elif not self._turns.run(self._party, partial(self._receive_in_turn, data)):
            self._read_no_more("no turn yet")

    def _receive_in_turn(self, data: bytes) -> None:
        if self.connected:
            self._read_again("no turn yet")
            self._receive(data)

    def _receive(self, data: bytes) -> None:
        progress = self.progress
        if progress.phase is Phase.IDLE and not self._waits:
            self._enter(Phase.RECEIVING)
        if progress.phase is Phase.RECEIVING:
            progress.reach(progress.octets + len(data), self._now())
        if self._passed_over is not None:
            self._pass_over(data)
        elif self._waits or (self._request is not None and self._framing is None):
            self._unread += data
            if len(self._unread) > AHEAD:
                self._read_no_more("far ahead")
        elif self._framing is not None:
            self._receive_body(data)
        else:
            self._unread += data
            self._receive_head()

    def _receive_head(self) -> None:
        """Look for the end of a head."""
        limits = self._limits
        try:
            self._searched, found = take_head(self._unread, self._searched, limits.header_bytes, limits.headers)
        except (LimitExceeded, DecodeError) as error:
            self._refuse_head(error)
            if isinstance(error, DecodeError):
                self.loseConnection()
        else:
            if found is not None:
                self._begin(*found)

    def _begin(self, line: RequestLine, fields: Fields) -> None:
        """Admit or refuse the request whose head has come."""
        self.persistent = fields.persistent
        self._framing = Chunks(self._limits.framing_bytes) if fields.length is None else Length(fields.length)
        self._request = request = self._new_request(self)
        self._admitted = admitted = request.begin(line, fields)
        rest, self._unread = bytes(self._unread), bytearray()
        if not admitted:
            self._become_deaf()
            self._pass_over(rest)
            return
        if fields.expects and fields.length != 0:
            self.transport.write(b"HTTP/1.1 100 Continue\r\n\r\n")
        self._receive_body(rest)

    def _receive_body(self, data: bytes) -> None:
        """Hand over what belongs to the body."""
        request, framing = cast(IncomingRequest, self._request), cast(Framing, self._framing)
        try:
            body, rest = framing.feed(data)
        except (DecodeError, LimitExceeded) as error:
            self._admitted = False  # no client sends a body with so much between its chunks
            request.refuse(error)
            self._become_deaf()
            if isinstance(error, DecodeError):  # the end of the body cannot be found
                self._end_of_refused()
            return
        if body and not request.take(body):
            self._become_deaf()
            if rest is not None:
                self._end_of_refused()
        elif rest is not None:
            self._framing = None
            self._unread += rest
            self._enter(Phase.WORKING)
            request.complete()

    def _become_deaf(self) -> None:
        """Begin to discard the rest of a refused request, so that the peer can read why."""
        self._passed_over = 0
        self._unread.clear()
        self._enter(Phase.REFUSED)

    def _pass_over(self, data: bytes) -> None:
        """Discard what comes, up to a bound or the end of the body, as far as that is easily seen."""
        self._passed_over = (self._passed_over or 0) + len(data)
        if isinstance(self._framing, Length):
            is_over = self._framing.feed(data)[1] is not None
        else:
            is_over = data.startswith(_LAST_CHUNK) or b"\r\n" + _LAST_CHUNK in data
        if self._passed_over > (PASSED_OVER_ADMITTED if self._admitted else PASSED_OVER):
            self.transport.abortConnection()
        elif is_over:
            self._end_of_refused()
        elif not self._admitted:
            self._read_no_more("deaf")
            self.site.reactor.callLater(DEAF_SECS, self._read_again, "deaf")

    def _end_of_refused(self) -> None:
        request, self._framing = self._request, None
        if request is not None:
            request.complete()

    def _refuse_head(self, error: SccachedistError) -> None:
        """Answer a head that became no request with an error."""
        if isinstance(error, LimitExceeded):
            self._connections.tell(error.limit, self.peer_host, "a request refused")
        self._write_answer(error_response(error))
        self._become_deaf()

    # What is sent. The methods in Twisted's style are called by twisted.web.http.Request.

    def begin_sending(self, phase: Phase = Phase.SENDING) -> None:
        """Begin a response: it is the peer's turn to take it. ``STREAMING`` if it stays open, up to the next call."""
        self._taken_before = acknowledged(self.transport)
        if phase is Phase.STREAMING:
            keep_little(self.transport)
        self._enter(phase)

    def writeHeaders(self, version: bytes, code: bytes, reason: bytes, headers: Headers) -> None:  # noqa: N802
        """Keep the head of a response: it goes with the next :meth:`write`, in one record of TLS."""
        lines = [b"HTTP/1.1 " + code + b" " + reason]
        lines += (name + b": " + value for name, values in headers.getAllRawHeaders() for value in values)
        self._head = b"\r\n".join([*lines, b"", b""])

    def write(self, data: bytes) -> None:
        """Write a piece of a response, or only its head."""
        head, self._head = self._head, b""
        self.transport.write(head + data)

    def writeSequence(self, pieces: list[bytes]) -> None:
        """Write pieces of a response."""
        self.write(b"".join(pieces))

    def requestDone(self, request: Any) -> None:
        """A response is written: wait for the next request, or close."""
        self._request = None
        if self._head:
            self.write(b"")
        if not self.persistent:
            if self.progress.phase is not Phase.SENDING:
                self.begin_sending()
            self._passed_over = self._passed_over or 0
            self._unread.clear()
            self._read_again("far ahead")
            self.loseConnection()
            return
        self._enter(Phase.IDLE)
        if self._unread:
            self._waits = True
            self._turns.run_later(self._party, self._go_on)

    def _go_on(self) -> None:
        """Go on with a request that came early, after other peers have had their turn."""
        if not self.connected or not self._waits or self._unsent:
            return
        self._waits = False
        self._enter(Phase.RECEIVING)
        self._receive_head()
        if len(self._unread) <= AHEAD:
            self._read_again("far ahead")

    def registerProducer(self, producer: Any, streaming: bool) -> None:
        """Tell a producer, from now on, whether the peer takes more."""
        self._producer = producer

    def unregisterProducer(self) -> None:
        """Tell the producer no longer."""
        self._producer = None

    def pauseProducing(self) -> None:
        """The peer takes no more for now, so nothing more is read from it."""
        self._unsent = True
        self._read_no_more("much unsent")
        if self._producer is not None:
            self._producer.pauseProducing()

    def resumeProducing(self) -> None:
        """The peer takes more."""
        self._unsent = False
        self._read_again("much unsent")
        if self._waits:
            self._turns.run_later(self._party, self._go_on)
        if self._producer is not None:
            self._producer.resumeProducing()

    def stopProducing(self) -> None:
        """The peer takes nothing more."""
        if self._producer is not None:
            self._producer.stopProducing()

    def loseConnection(self) -> None:
        """Close the connection when all is written."""
        self.transport.unregisterProducer()
        self.transport.loseConnection()

    def abort(self) -> None:
        """Close the connection in the middle of a response."""
        self.transport.abortConnection()

    # Whose turn it is.

    @property
    def is_idle(self) -> bool:
        """Whether it is the peer's turn to send a request."""
        return self.progress.phase is Phase.IDLE

    def overdue(self, now: float) -> str | None:
        """See :meth:`sccachedist.web.connection_limits.Watched.overdue`."""
        if self.progress.phase is Phase.STREAMING and all_arrived(self.transport):
            self.progress.rest(now)
        elif self.progress.phase in (Phase.SENDING, Phase.STREAMING):
            taken = acknowledged(self.transport)
            self.progress.reach(None if taken is None else taken - (self._taken_before or 0), now)
        return overdue(self.progress, self._limits, now)

    def give_up(self, limit: str) -> None:
        """Close the connection. A peer that is sending a request is told why, if a limit has a key."""
        if limit and not self.is_idle:  # clients keep connections for a next request that may never come
            what = f"a connection closed that was {self.progress.phase.name.lower()}"
            is_answered = self.progress.phase is Phase.RECEIVING and self._request is not None
            self._connections.tell(limit, self.peer_host, what, is_counted=is_answered)
        if self.progress.phase is not Phase.RECEIVING or not limit:
            self.transport.abortConnection()
            return
        error = LimitExceeded(limit, "a request that comes too slowly")
        if self._request is not None:
            self._request.refuse(error)
        else:
            self._write_answer(error_response(error))
        self._become_deaf()
        self.loseConnection()

    def _write_answer(self, answer: Response) -> None:
        headers = (*answer.headers, ("Content-Length", str(len(answer.body))), ("Connection", "close"))
        lines = [f"HTTP/1.1 {answer.status} {HTTPStatus(answer.status).phrase}", *(f"{n}: {v}" for n, v in headers)]
        self.transport.write("\r\n".join([*lines, "", ""]).encode("latin-1") + answer.body)

    def _read_no_more(self, reason: str) -> None:
        if self._tap is not None:
            self._tap.close(reason)

    def _read_again(self, reason: str) -> None:
        if self._tap is not None:
            self._tap.open(reason)

    def _enter(self, phase: Phase) -> None:
        self.progress.enter(phase, self._now())

    def _now(self) -> float:
        return float(self.site.reactor.seconds())


@lru_cache(1024)
def _somebody_at(host: str) -> IAddress:
    return IPv6Address("TCP", host, 0) if ":" in host else IPv4Address("TCP", host, 0)
