"""What gateways and workers say, in bytes."""

from contextlib import suppress
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sccachedist.errors import DecodeError
from sccachedist.outcomes import SentLocal
from sccachedist.policy import OnFailure
from sccachedist.wire.abilities import MOST_MACHINES
from sccachedist.wire.bincode import Codec, decode, encode
from sccachedist.wire.gateway import (
    MOST_ANSWER_HEAD,
    MOST_CANCELLED,
    MOST_HELD,
    MOST_LABELS,
    MOST_TOLD_PLACES,
    TAKEN,
    WELCOME,
    WORKER_ANSWER,
    WORKER_HELLO,
    WORKER_JOB,
    WORKER_ORDERS,
    WORKER_STATE,
    Built,
    Busy,
    HeadReader,
    NotBuilt,
    Taken,
    Welcome,
    WorkerAnswer,
    WorkerHello,
    WorkerJob,
    WorkerOrders,
    WorkerState,
    head,
)
from sccachedist.wire.messages import JobId
from sccachedist.wire.usage import Usage

USAGE = Usage(run_ns=5, peak_memory_bytes=2**40, exit_code=0)
JOB = WorkerJob(2**64 - 1, JobId(7), "a" * 64, b"command", True, OnFailure.SUSPICIOUS)
VALUES: list[tuple[Codec[Any], object]] = [
    (WORKER_HELLO, WorkerHello("rack-7", 2**64 - 1, 8, 10, (62, 3), ("gpu", "ü"), "1.0", ("a" * 64,))),
    (WELCOME, Welcome("0" * 32, 5, 5, 20, 540, b"-----BEGIN")),
    (WORKER_STATE, WorkerState(8, 10, ("a" * 64, "b" * 64), (3, 5), 5)),
    (WORKER_ORDERS, WorkerOrders((1, 2**64 - 1), b"-----BEGIN")),
    (WORKER_JOB, JOB),
    (WORKER_ANSWER, Built(USAGE, 3)),
    (WORKER_ANSWER, NotBuilt(SentLocal.LIMIT, "job_secs", "it took too long", USAGE, 3)),
    (WORKER_ANSWER, Busy()),
    (TAKEN, Taken(True)),
]
RESULT = b"a whole result"
BODY = head(WORKER_ANSWER, Built(USAGE)) + RESULT
HEAD_BYTES = len(BODY) - len(RESULT)


@pytest.mark.parametrize(("codec", "value"), VALUES)
def test_each_message(codec: Codec[Any], value: object) -> None:
    """A message is read as it was written; cut anywhere, it is no message."""
    octets = encode(codec, value)
    assert decode(codec, octets) == value
    for size in range(len(octets)):
        with pytest.raises(DecodeError):
            decode(codec, octets[:size])


@pytest.mark.parametrize(
    ("codec", "value"),
    [
        (WORKER_HELLO, WorkerHello("", 1, 1, 2, (), ("x",) * (MOST_LABELS + 1), "")),
        (WORKER_HELLO, WorkerHello("", 1, 1, 2, (62,) * (MOST_MACHINES + 1), (), "")),
        (WORKER_STATE, WorkerState(1, 2, ("",) * (MOST_HELD + 1))),
        (WORKER_STATE, WorkerState(1, 2, (), (0,) * (MOST_TOLD_PLACES + 1))),
        (WORKER_ORDERS, WorkerOrders((0,) * (MOST_CANCELLED + 1))),
        (WORKER_ORDERS, WorkerOrders((), bytes(65_537))),
    ],
)
def test_too_many(codec: Codec[Any], value: object) -> None:
    """More labels, toolchains, places, tickets or bytes of a certificate than any has are refused."""
    with pytest.raises(DecodeError):
        decode(codec, encode(codec, value))


@pytest.mark.parametrize("split", range(len(BODY) + 1))
def test_any_split(split: int) -> None:
    """Wherever the network cuts a body in two, its head and what it carries are the same."""
    reader: HeadReader[WorkerAnswer] = HeadReader(WORKER_ANSWER, MOST_ANSWER_HEAD)
    first = reader.feed(BODY[:split])
    assert (reader.is_whole, reader.is_empty) == (split >= HEAD_BYTES, split == 0)
    assert first + reader.feed(BODY[split:]) == RESULT
    assert reader.finish() == Built(USAGE)


@pytest.mark.parametrize("size", [0, 3, 4, HEAD_BYTES - 1])
def test_ends_early(size: int) -> None:
    """A body that ends within its head has none."""
    reader: HeadReader[WorkerAnswer] = HeadReader(WORKER_ANSWER, MOST_ANSWER_HEAD)
    assert reader.feed(BODY[:size]) == b""
    with pytest.raises(DecodeError):
        reader.finish()


def test_too_long() -> None:
    """A head above its limit is refused as soon as its length is there."""
    reader: HeadReader[WorkerAnswer] = HeadReader(WORKER_ANSWER, HEAD_BYTES - 5)
    with pytest.raises(DecodeError):
        reader.feed(BODY[:4])


@given(st.lists(st.binary(max_size=64), max_size=8))
def test_any_bytes(chunks: list[bytes]) -> None:
    """Of any bytes, there is a message or a decode error."""
    reader: HeadReader[WorkerJob] = HeadReader(WORKER_JOB, 128)
    with suppress(DecodeError):
        for chunk in chunks:
            reader.feed(chunk)
        reader.finish()
