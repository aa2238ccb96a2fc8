"""What a worker reads in the response to an answer: whether that was taken, and the job behind it."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import attrs
import pytest
from twisted.internet.defer import Deferred

from farmkit.deferreds import outcome
from sccachedist.errors import PeerError
from sccachedist.wire.gateway import TAKEN, WORKER_ANSWER, Built, Taken, head
from sccachedist.wire.usage import NO_USAGE
from sccachedist.worker.gateway_calls import GatewayCalls

BUILT = Built(NO_USAGE)


@attrs.define
class FakeStreams:
    """Answers a swap in pieces."""

    pieces: list[bytes]
    asked: list[object] = attrs.field(factory=list)

    async def swap(self, *asked: Any, token: str, idle: float, limit: float) -> None:
        url, octets, file, sink = asked
        self.asked += [url, octets, file, token]
        for piece in self.pieces:
            sink(piece)


def swap(streams: Any, taken: Callable[[bool], None], sink: Callable[[bytes], None]) -> Deferred[None]:
    calls = GatewayCalls("https://gateway:1", streams, lambda: "token", lambda: 9)
    return Deferred.fromCoroutine(calls.answer_and_next("s" * 32, 7, 3, BUILT, Path("result"), taken, sink))


@pytest.mark.parametrize("size", [1, 5, 100])
@pytest.mark.parametrize("counts", [True, False])
def test_taken_and_the_next(size: int, counts: bool) -> None:
    """It is known as soon as the first part is there; the rest is the next job's, however it is cut."""
    said: list[Any] = []
    octets = head(TAKEN, Taken(counts)) + b"a job"
    streams = FakeStreams([octets[at : at + size] for at in range(0, len(octets), size)])
    assert outcome(swap(streams, said.append, said.append)) is None
    assert (said[0], b"".join(said[1:])) == (counts, b"a job")
    where = f"https://gateway:1/api/v1/gateway/answer/{'s' * 32}/7/3"
    assert streams.asked == [where, head(WORKER_ANSWER, BUILT), Path("result"), "token"]


def test_no_job() -> None:
    """Without one, nothing is behind it."""
    said: list[object] = []
    assert outcome(swap(FakeStreams([head(TAKEN, Taken(True))]), said.append, said.append)) is None
    assert said == [True]


@pytest.mark.parametrize("octets", [b"", b"\x01", b"\xff" * 30, b"\x01\0\0\0\x07"])
def test_what_is_no_answer(octets: bytes) -> None:
    """It is the gateway's error, and nothing is taken for known."""
    said: list[object] = []
    assert isinstance(outcome(swap(FakeStreams([octets]), said.append, said.append)), PeerError)
    assert said == []
