"""What a worker asks one gateway, as values: the routes of :mod:`sccachedist.wire.gateway`. When, is not known here."""

import re
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

import attrs

from sccachedist.errors import DecodeError, PeerError
from sccachedist.peers.streams import Streams
from sccachedist.wire.archive_id import ArchiveId
from sccachedist.wire.bincode import Codec, decode, encode
from sccachedist.wire.gateway import (
    MOST_TAKEN,
    TAKEN,
    WELCOME,
    WORKER_ANSWER,
    WORKER_HELLO,
    WORKER_ORDERS,
    WORKER_STATE,
    HeadReader,
    Welcome,
    WorkerAnswer,
    WorkerHello,
    WorkerOrders,
    WorkerState,
    head,
)

T = TypeVar("T")

#: Seconds in which a gateway answers at once, or something of a stream has to move.
IDLE_SECS = 20.0
#: Bytes of an answer: the longest names a few thousand cancelled jobs, or a certificate.
ANSWER_BYTES = 1 << 18
#: The longest time in seconds that a gateway may name.
MOST_SECS = 300


@attrs.frozen
class GatewayCalls:
    """Calls to one gateway. All of them raise PeerError if it does not answer as it should.

    :param url: its origin.
    :param streams: trusts it.
    :param token: returns the one in force.
    :param toolchain_bytes: returns how many an archive may have.
    """

    url: str
    _streams: Streams
    _token: Callable[[], str]
    _toolchain_bytes: Callable[[], int]

    async def hello(self, hello: WorkerHello) -> Welcome:
        """Begin a session."""
        welcome = await self._ask("hello", encode(WORKER_HELLO, hello), WELCOME, IDLE_SECS)
        waits = (welcome.ping_secs, welcome.grace_secs, welcome.poll_secs)
        if not re.fullmatch("[0-9a-f]{32}", welcome.session) or not all(0 < secs <= MOST_SECS for secs in waits):
            raise PeerError(f"POST {self._at('hello')}: the answer is none of a gateway")
        return welcome

    async def orders(self, session: str, state: WorkerState, idle: float) -> WorkerOrders:
        """Tell how the worker stands, and wait for orders.

        :param idle: the most seconds until there is an answer.
        """
        return await self._ask(f"orders/{session}", encode(WORKER_STATE, state), WORKER_ORDERS, idle)

    async def next(self, session: str, place: int, sink: Callable[[bytes], None], idle: float) -> None:
        """Wait for a job, and give all that comes to a sink; nothing comes if there is none.

        :param idle: the most seconds in which nothing comes.
        """
        await self._streams.download(
            self._at(f"next/{session}/{place}"), sink, token=self._token(), idle=idle, limit=float("inf"), body=b""
        )

    async def withdraw(self, session: str, place: int) -> None:
        """Have the request for a job at a place answered with none."""
        await self._post(f"withdraw/{session}/{place}", b"", IDLE_SECS)

    async def leave(self, session: str) -> None:
        """Say that no more jobs are wanted in this session."""
        await self._post(f"leave/{session}", b"", IDLE_SECS)

    async def answer(self, session: str, ticket: int, answer: WorkerAnswer, result: Path | None) -> bool:
        """Bring what became of a job; returns whether the gateway had waited for it.

        :param result: the file with the result, if there is one.
        :raises DiskError: it cannot be read.
        """
        where = self._at(f"answer/{session}/{ticket}")
        octets = await self._streams.upload(
            where, head(WORKER_ANSWER, answer), result, token=self._token(), idle=IDLE_SECS, limit=ANSWER_BYTES
        )
        return _decoded(TAKEN, octets, where).counts

    async def answer_and_next(
        self,
        session: str,
        ticket: int,
        place: int,
        answer: WorkerAnswer,
        result: Path | None,
        taken: Callable[[bool], None],
        sink: Callable[[bytes], None],
    ) -> None:
        """Bring what became of a job, and give the next one to a sink if there is one soon.

        :param taken: called as soon as it is known whether the gateway had waited for the answer.
        :raises DiskError: the result cannot be read.
        """
        where, reader = self._at(f"answer/{session}/{ticket}/{place}"), HeadReader(TAKEN, MOST_TAKEN)

        def take(octets: bytes) -> None:
            if not reader.is_whole:
                try:
                    octets = reader.feed(octets)
                except DecodeError as error:
                    raise PeerError(f"POST {where}: the answer is none of a gateway: {error}") from error
                if not reader.is_whole:
                    return
                taken(reader.finish().counts)
            if octets:
                sink(octets)

        await self._streams.swap(
            where,
            head(WORKER_ANSWER, answer),
            result,
            take,
            token=self._token(),
            idle=IDLE_SECS,
            limit=float("inf"),
        )
        if not reader.is_whole:
            raise PeerError(f"POST {where}: the answer is none of a gateway")

    async def toolchain(self, toolchain: ArchiveId, sink: Callable[[bytes], None]) -> None:
        """Give the archive of a toolchain to a sink."""
        where = self._at(f"toolchain/{toolchain}")
        await self._streams.download(
            where, sink, token=self._token(), idle=IDLE_SECS, limit=float(self._toolchain_bytes())
        )

    async def close(self) -> None:
        """Close the connections that are kept."""
        await self._streams.close()

    def _at(self, path: str) -> str:
        return f"{self.url}/api/v1/gateway/{path}"

    async def _post(self, path: str, body: bytes, idle: float) -> bytes:
        return await self._streams.upload(
            self._at(path), body, None, token=self._token(), idle=idle, limit=ANSWER_BYTES
        )

    async def _ask(self, path: str, body: bytes, codec: Codec[T], idle: float) -> T:
        return _decoded(codec, await self._post(path, body, idle), self._at(path))


def _decoded(codec: Codec[T], octets: bytes, where: str) -> T:
    try:
        return decode(codec, octets)
    except DecodeError as error:
        raise PeerError(f"POST {where}: the answer is none of a gateway: {error}") from error
