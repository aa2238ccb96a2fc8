"""Calls whose bodies are never in memory as a whole: a body goes to a sink piece by piece, or comes from a file.

A stream may take as long as it likes, but must not rest: a call is given up when nothing has moved for a while. Only
the callers know what the octets mean, and where they go.
"""

from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any, BinaryIO, TypeAlias

import attrs
from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.error import ConnectingCancelledError
from twisted.internet.interfaces import IConsumer, IReactorTime
from twisted.internet.protocol import Protocol, connectionDone
from twisted.python.failure import Failure
from twisted.web.client import (
    Agent,
    RequestGenerationFailed,
    ResponseDone,
)
from twisted.web.http import PotentialDataLoss
from twisted.web.http_headers import Headers
from twisted.web.iweb import IBodyProducer, IPolicyForHTTPS, IResponse
from zope.interface import implementer

from sccachedist.disks import on_disk
from sccachedist.errors import DiskError, PeerError, SccachedistError
from sccachedist.peers.bodies import Octets, read_body
from sccachedist.peers.connection_pool import BoundedPool, Endpoints, PinnedPool
from sccachedist.peers.http_client import CONNECT_SECS, FAILURES, causes_of, over_kept, refused, text_of
from sccachedist.peers.pins import PinPolicy, Pins

#: The most bytes that are read of an answer that is no success.
REFUSAL_BYTES = 1 << 14
_PIECE = 1 << 16

#: Makes a request: method, URL, headers and body; the result is the response. No URL is used twice, so none is parsed
#: as for other calls.
Ask: TypeAlias = Callable[[bytes, bytes, Headers, IBodyProducer | None], "Deferred[IResponse]"]
#: Takes the next bytes of an answer. One of our errors that it raises ends the call, and is the call's own.
Sink = Callable[[bytes], None]
#: Makes the error of an answer that is no success, from its status and the beginning of its body.
Refuse = Callable[[int, bytes], PeerError]


@attrs.frozen
class Streams:
    """Makes calls.

    :param clock: counts the time in which nothing moves.
    :param pool: the connections that ``kept`` keeps.
    :param kept: makes a request over a kept connection, if there is one; ``fresh``, over one of its own.
    """

    _clock: IReactorTime
    _pool: BoundedPool
    _kept: Ask
    _fresh: Ask

    async def download(
        self, url: str, sink: Sink, *, token: str, idle: float, limit: float, body: bytes | None = None
    ) -> None:
        """Send a request, and give the body of a successful answer (status 2xx) to a sink.

        As each call here, it is made once more if the peer closes a kept connection just when it is used again.

        :param token: the bearer token; no error's text holds it.
        :param idle: the most seconds in which nothing comes, also before the answer begins.
        :param limit: bytes of the answer's body.
        :param body: of a POST; without one, it is a GET.
        :raises PeerError: for every other outcome; the sink may have got a part.
        """
        method = "GET" if body is None else "POST"
        take = partial(_take_into, sink, limit)
        await self._call(method, url, _bearing(token), lambda _: None if body is None else Octets(body), take, idle)

    async def exchange(
        self,
        method: str,
        url: str,
        headers: Mapping[str, str],
        file: Path | None,
        sink: Sink | None,
        *,
        idle: float,
        limit: float,
        refuse: Refuse = refused,
    ) -> None:
        """Send a request with these headers alone, and give the body of a successful answer to a sink.

        :param headers: no error's text holds them.
        :param file: whose content is the request's body; None for no body.
        :param sink: None if only the status counts; then a body has to be there within ``idle``.
        :param idle: the most seconds in which nothing moves, also before the answer begins.
        :param limit: bytes of the answer's body.
        :param refuse: makes the error of any other answer.
        :raises PeerError: for every other outcome; the sink may have got a part.
        :raises DiskError: the file cannot be read.
        """

        def body(moved: Callable[[], None]) -> HeadAndFile | None:
            return None if file is None else HeadAndFile(b"", file, moved)

        raw = Headers({name: [value] for name, value in headers.items()})
        take = partial(_take_whole, limit) if sink is None else partial(_take_into, sink, limit)
        await self._call(method, url, raw, body, take, idle, refuse)

    async def upload(self, url: str, head: bytes, file: Path | None, *, token: str, idle: float, limit: int) -> bytes:
        """Send octets and the content of a file as one POST; returns the body of a successful answer.

        :param idle: the most seconds in which nothing moves, also until the answer is there.
        :param limit: bytes of the answer's body.
        :raises PeerError: for every other outcome.
        :raises DiskError: the file cannot be read.
        """
        body, take = partial(HeadAndFile, head, file), partial(_take_whole, limit)
        octets: bytes = await self._call("POST", url, _bearing(token), body, take, idle)
        return octets

    async def swap(
        self, url: str, head: bytes, file: Path | None, sink: Sink, *, token: str, idle: float, limit: float
    ) -> None:
        """Send as :meth:`upload` does, and give the body of a successful answer to a sink as :meth:`download` does."""
        body, take = partial(HeadAndFile, head, file), partial(_take_into, sink, limit)
        await self._call("POST", url, _bearing(token), body, take, idle)

    async def close(self) -> None:
        """Close the kept connections."""
        await self._pool.closeCachedConnections()

    async def _call(
        self,
        method: str,
        url: str,
        headers: Headers,
        body: Callable[[Callable[[], None]], Any],
        take: Callable[[IResponse, Callable[[], None]], Any],
        idle: float,
        refuse: Refuse = refused,
    ) -> Any:
        has_rested = False

        def rested() -> None:
            nonlocal has_rested
            has_rested = True
            asked.cancel()

        waiting = self._clock.callLater(idle, rested)

        def moved() -> None:
            if waiting.active():
                waiting.reset(idle)

        async def over(ask: Ask) -> Any:
            response = await ask(method.encode(), url.encode("ascii"), headers.copy(), body(moved))
            moved()
            if response.code // 100 != 2:
                raise refuse(response.code, await read_body(response, REFUSAL_BYTES))
            return await take(response, moved)

        asked = Deferred.fromCoroutine(over_kept(over, self._kept, self._fresh))
        try:
            return await asked
        except (PeerError, CancelledError, RequestGenerationFailed, *FAILURES) as error:
            causes = list(causes_of(error))
            if isinstance(causes[0], DiskError):  # the file cannot be read
                raise causes[0] from error
            if has_rested:
                raise PeerError(f"{method} {url}: nothing has moved for {idle:g} s") from error
            if any(isinstance(cause, CancelledError | ConnectingCancelledError) for cause in causes):
                raise CancelledError from error
            status = error.status if isinstance(error, PeerError) else None
            text = str(error) if isinstance(error, PeerError) else text_of(causes)
            raise PeerError(f"{method} {url}: {text}", status=status) from error
        finally:
            if waiting.active():
                waiting.cancel()


def _bearing(token: str) -> Headers:
    return Headers({"Authorization": [f"Bearer {token}"], "Content-Type": ["application/octet-stream"]})


async def _take_whole(limit: float, response: IResponse, _: Callable[[], None]) -> bytes:
    octets = await read_body(response, limit)
    if len(octets) > limit:
        raise PeerError(f"the answer is longer than {limit:g} bytes")
    return octets


async def _take_into(sink: Sink, limit: float, response: IResponse, moved: Callable[[], None]) -> None:
    into = _Into(sink, limit, moved)
    response.deliverBody(into)
    await into.end


class _Into(Protocol):
    """Gives an answer's body to a sink; ``end`` fires when all of it has come."""

    def __init__(self, sink: Sink, limit: float, moved: Callable[[], None]) -> None:
        self.end: Deferred[None] = Deferred(lambda _: self._cut())
        self._sink, self._limit, self._moved, self._taken = sink, limit, moved, 0

    def _cut(self) -> None:
        if self.transport is not None:
            self.transport.loseConnection()

    def dataReceived(self, data: bytes) -> None:
        """Give the data to the sink, up to the limit."""
        if self.end.called:
            return
        self._moved()
        self._taken += len(data)
        try:
            if self._taken > self._limit:
                raise PeerError(f"the answer is longer than {self._limit:g} bytes")
            self._sink(data)
        except SccachedistError as error:
            self._cut()
            self.end.errback(error)

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        """Note the end. Without a length, the end of the connection is none: it may have been cut."""
        if self.end.called:
            return
        if reason.check(ResponseDone):
            self.end.callback(None)
        else:
            self.end.errback(PeerError("the answer breaks off") if reason.check(PotentialDataLoss) else reason)


@implementer(IBodyProducer)
class HeadAndFile:
    """A request body: octets, and then a file as it is when this is made, read as the connection takes it.

    :param moved: called when a part is sent.
    :ivar length: the value of ``Content-Length``.
    :raises DiskError: the file is not there.
    """

    def __init__(self, head: bytes, path: Path | None, moved: Callable[[], None]) -> None:
        self._head, self._path, self._moved = head, path, moved
        self._left = _size(path) if path else 0
        self.length = len(head) + self._left
        self._file: BinaryIO | None = None
        self._consumer: IConsumer | None = None
        self._sent: Deferred[None] = Deferred(lambda _: self.stopProducing())
        self._is_paused = False

    def startProducing(self, consumer: IConsumer) -> Deferred[None]:
        """Send as much as the connection takes; fires when all is sent."""
        self._consumer = consumer
        self.resumeProducing()
        return self._sent

    def pauseProducing(self) -> None:
        """Wait until the connection takes more."""
        self._is_paused = True

    def resumeProducing(self) -> None:
        """Send until the connection has enough."""
        self._is_paused = False
        while not self._is_paused and self._consumer is not None:
            self._send_piece(self._consumer)

    def _send_piece(self, consumer: IConsumer) -> None:
        try:
            piece = self._head + self._read()
        except SccachedistError as error:
            self.stopProducing()
            self._sent.errback(error)
            return
        self._head = b""  # it went with the first piece: one write less
        if piece:
            self._moved()
            consumer.write(piece)
        else:
            self.stopProducing()
            self._sent.callback(None)

    def _read(self) -> bytes:
        if self._path is None or not self._left:
            return b""
        with on_disk(self._path.parent):
            self._file = self._file or self._path.open("rb", buffering=0)
            piece = self._file.read(min(_PIECE, self._left))
        if not piece:
            raise DiskError(f"{self._path} has become shorter")
        self._left -= len(piece)
        return piece

    def stopProducing(self) -> None:
        """Close the file: all has been sent, or nothing more is wanted."""
        self._consumer = None
        if self._file is not None:
            self._file.close()


def _size(path: Path) -> int:
    with on_disk(path.parent):
        return path.stat().st_size


def streams(reactor: Any, policy: IPolicyForHTTPS, most: float, kept: int) -> Streams:
    """Calls to peers whose certificates a policy accepts.

    :param most: bytes of one answer, head and body.
    :param kept: the most idle connections that are kept for one peer.
    """
    pool, once = BoundedPool(reactor, most=most), BoundedPool(reactor, persistent=False, most=most)
    pool.maxPersistentPerHost = kept
    return _streams(reactor, policy, pool, once)


def pinned_streams(reactor: Any, pins: Pins, most: float) -> Streams:
    """Calls to the build servers whose certificates are pinned."""
    pool = PinnedPool(reactor, pins, most=most)
    return _streams(reactor, PinPolicy(pins), pool, BoundedPool(reactor, persistent=False, most=most))


def _streams(reactor: Any, policy: IPolicyForHTTPS, pool: BoundedPool, once: BoundedPool) -> Streams:
    endpoints = Endpoints(reactor, policy, CONNECT_SECS, lambda: None)
    kept, fresh = (Agent.usingEndpointFactory(reactor, endpoints, each).request for each in (pool, once))
    return Streams(reactor, pool, kept, fresh)
