"""What others keep for the daemons, or tell: the store of several schedulers, an object store, files of records.

The first byte chooses how the rest is read. Who may write there may have written anything: no error but ours comes
of it, and what was read can be written again.
"""

import json
from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import Any, cast

import attrs

from sccachedist.client.shapes import checked
from sccachedist.cluster.redis_board import RedisBoard
from sccachedist.cluster.redis_lock import RedisLock
from sccachedist.cluster.redis_store import RedisStore
from sccachedist.cluster.roll import SchedulerAccount
from sccachedist.cluster.store import StoreError
from sccachedist.errors import DecodeError
from sccachedist.objects.refusals import is_passing, refusal
from sccachedist.outcomes import Outcome, SentLocal
from sccachedist.records.documents import JobRow
from sccachedist.scheduler import sealed_heartbeats
from sccachedist.scheduler.out_of_service import Drain, OutOfService
from sccachedist.scheduler.sealed_heartbeats import sealed, unsealed
from sccachedist.wire import job_summary
from sccachedist.wire.addresses import ServerId
from sccachedist.wire.bincode import encode
from sccachedist.wire.extension import EXTENDED_HEARTBEAT
from tests.records.rows import job_row
from tests.scheduler.test_sealed_heartbeats import PUBLISHED, REPORT

ADDRESS = ServerId.parse("127.0.0.1:10501")
SECRET = b"of build servers"


@attrs.define
class _Says:
    """A store that answers everything alike."""

    said: object

    async def ask(self, *_: object) -> object:
        return self.said


def _now(work: Any) -> Any:
    """The result of a coroutine that waits for nothing."""
    try:
        work.send(None)
    except StopIteration as over:
        return over.value
    raise AssertionError("it waits")


def _store(octets: bytes) -> RedisStore:
    return cast(RedisStore, _Says(octets))


def _holder(octets: bytes) -> None:
    _now(RedisLock(_store(octets)).holder())


def _page(octets: bytes) -> None:
    class Pages(_Says):
        async def ask(self, *asked: object) -> object:
            if asked[0] == "TIME":
                return [b"1", b"2"]
            self.said, said = b"0\n", self.said
            return said

    posted = _now(RedisBoard(cast(RedisStore, Pages(octets)), "incarnation").read())
    for address, kept in posted.servers.items():
        with suppress(DecodeError):
            unsealed(ServerId.parse(address), kept, [SECRET])


def _json(octets: bytes) -> object:
    try:
        return json.loads(octets)
    except (ValueError, RecursionError) as error:
        raise DecodeError("no JSON") from error


def _state(octets: bytes) -> None:
    document = _json(octets)
    state = OutOfService()
    state.take(document)
    again = OutOfService()
    again.take(json.loads(json.dumps(state.to_json())))
    assert again.to_json() == state.to_json()
    again.recall(document, OutOfService())


def _heartbeat(octets: bytes) -> None:
    """By one who knows the secret."""
    salt = bytes(32)
    text = sealed_heartbeats._cipher(SECRET, salt).encrypt(bytes(12), octets, str(ADDRESS).encode())
    unsealed(ADDRESS, sealed_heartbeats._MARK + salt + text, [SECRET])


def _summary(octets: bytes) -> None:
    for read in (job_summary.ending, job_summary.times_us, job_summary.compile_us, job_summary.names_of):
        with suppress(DecodeError):
            read(octets)
    summary = job_summary.unpacked(octets)
    assert len(job_summary.packed(summary)) <= job_summary.MOST_BYTES


def _refusal(octets: bytes) -> None:
    error = refusal(int.from_bytes(octets[:2], "little"), octets[2:])
    is_passing(error)
    assert str(error).isprintable()


def _record(octets: bytes) -> None:
    json.dumps(checked(_json(octets), JobRow))


def _account(octets: bytes) -> None:
    json.dumps(SchedulerAccount.read(octets).to_json(), allow_nan=False)


READERS: tuple[Callable[[bytes], None], ...] = (
    _holder,
    _page,
    _state,
    _heartbeat,
    _summary,
    _refusal,
    _record,
    _account,
)


def _examples() -> Iterator[tuple[Callable[[bytes], None], bytes]]:
    yield _holder, b"7 incarnation http://127.0.0.1:10600"
    kept = sealed(ADDRESS, attrs.evolve(PUBLISHED, report=REPORT), SECRET)
    yield _page, b"0\n127.0.0.1:10501 %d\n" % len(kept) + kept
    state = OutOfService()
    state.drain(ADDRESS, Drain("ann", "a new disk", 1.0, 2.0))
    yield _state, json.dumps(state.to_json()).encode()
    yield _heartbeat, bytes(8) + encode(EXTENDED_HEARTBEAT, (PUBLISHED.heartbeat, REPORT))
    yield _summary, job_summary.packed(job_summary.JobSummary(Outcome.SENT_LOCAL, SentLocal.LIMIT, "job_secs"))
    yield _refusal, b"\x94\x01<Error><Code>NoSuchKey</Code><Region>eu-west-1</Region></Error>"
    yield _record, json.dumps(job_row()).encode()
    yield _account, json.dumps(SchedulerAccount("1", 7, 1.0, None, ("clients",)).to_json()).encode()


def seeds() -> Iterator[bytes]:
    """One of each kind."""
    for reader, octets in _examples():
        yield bytes([READERS.index(reader)]) + octets


def attack(data: bytes) -> None:
    """Read the input."""
    if data:
        with suppress(DecodeError, StoreError):
            READERS[data[0] % len(READERS)](data[1:])
