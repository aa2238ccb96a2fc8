"""The records that a scheduler makes of what happens: one for each request that is over."""

from collections.abc import Callable

import attrs
import pytest

from sccachedist.budgets import Party
from sccachedist.config import RecordSettings
from sccachedist.job_phases import JobPhase
from sccachedist.outcomes import Outcome, Refusal, SentLocal, TimedPhase
from sccachedist.records.record import JobRecord
from sccachedist.records.ring import Entry, record_of
from sccachedist.scheduler.events import (
    Event,
    JobAdopted,
    JobAllocated,
    JobEnd,
    JobEnded,
    JobStarted,
    LateSummary,
    RequestRefused,
)
from sccachedist.scheduler.job_records import LATE_SECS, MOST_STRANGERS, STRANGERS_PER_SEC, JobRecords
from sccachedist.wire.job_summary import MOST_BYTES, JobSummary, packed
from sccachedist.wire.messages import JobId
from tests.scheduler.farms import GCC, A, B

BEGAN = 1_000_000.0
CLIENT = Party("#0123456789abcdef@10.0.0.1")
RESERVED, READY, STARTED = JobPhase.RESERVED, JobPhase.READY, JobPhase.STARTED
#: Asked at 1, reserved at 3, assigned at 4.
ENDED = JobEnded(9.0, JobId(7), A, CLIENT, GCC, JobEnd.COMPLETE, {RESERVED: 3.0, READY: 4.0, STARTED: 5.0}, asked=1.0)
REFUSED = RequestRefused(9.0, 1.0, CLIENT, GCC, Refusal.QUEUE_TIMEOUT, "no slot")
STRANGER = RequestRefused(9.0, 9.0, Party("10.0.0.9"), "", Refusal.UNAUTHORIZED, "client token refused")
COMPILED = packed(JobSummary(Outcome.COMPILED, output="a.o", compiler="gcc", exit_code=0))
#: No build server refuses a slot.
LIE = packed(JobSummary(Outcome.REFUSED, SentLocal.INCIDENT))
HOME = packed(JobSummary(Outcome.SENT_LOCAL, SentLocal.SANDBOX))


def records_of(*events: Event, settings: RecordSettings | None = None) -> JobRecords:
    records = JobRecords(settings or RecordSettings(), BEGAN, lambda: 99.0)
    for event in events:
        records(event)
    return records


def record(*events: Event, settings: RecordSettings | None = None) -> JobRecord:
    (entry,) = records_of(*events, settings=settings).latest_first()
    return record_of(entry)


def test_who_led() -> None:
    """Of several schedulers, the record has the one that led when the request ended."""
    led_by: list[tuple[str, int] | None] = [("http://10.0.0.1:10600", 7), None]
    records = JobRecords(RecordSettings(), BEGAN, lambda: 99.0, (), lambda: led_by[0])
    records(ENDED)
    records(REFUSED)
    assert [record_of(entry).led_by for entry in records.latest_first()] == [led_by[0]] * 2
    del led_by[0]
    records(REFUSED)
    assert record_of(records.latest_first()[0]).led_by is None


def test_a_job() -> None:
    """Times are those since 1970; the wait for a slot and the assignment are the scheduler's part."""
    made = record(attrs.evolve(ENDED, summary=COMPILED))
    assert (made.job_id, made.asked, made.ended) == (7, BEGAN + 1, BEGAN + 9)
    assert (made.client, made.server, made.toolchain) == ("10.0.0.1", str(A), GCC)
    assert (made.wait_secs, made.assign_secs, made.outcome) == (2.0, 1.0, Outcome.COMPILED)
    assert made.summary is not None
    assert made.summary.output == "a.o"
    assert sum(made.phases.values()) == pytest.approx(8.0)


def test_an_adopted_job() -> None:
    """Of a job from before the scheduler's start, its client is not known, nor how long that waited."""
    made = record(JobEnded(9.0, JobId(7), A, None, "", JobEnd.COMPLETE, {READY: 4.0, STARTED: 5.0}, asked=4.0))
    assert (made.client, made.wait_secs, made.assign_secs) == (None, 0.0, 0.0)
    assert made.to_json()["toolchain"] is None


def test_a_job_that_was_taken_for_lost_and_returns() -> None:
    """A heartbeat may leave a job out whose toolchain has just come: it is one request all the same."""
    lost = attrs.evolve(ENDED, how=JobEnd.LOST, began={RESERVED: 3.0, JobPhase.PENDING: 4.0})
    adopted = JobAdopted(9.5, JobId(7), A)
    end = JobEnded(30.0, JobId(7), A, None, "", JobEnd.COMPLETE, {STARTED: 9.5}, asked=9.5, summary=COMPILED)
    made = record(lost, adopted, end)
    assert (made.client, made.toolchain, made.outcome) == ("10.0.0.1", GCC, Outcome.COMPILED)
    assert (made.asked, made.ended, made.wait_secs, made.assign_secs) == (BEGAN + 1, BEGAN + 30, 2.0, 1.0)
    assert record(lost, adopted, attrs.evolve(end, how=JobEnd.LOST)).outcome is Outcome.SERVER_LOST
    other = records_of(lost, JobAdopted(9.5, JobId(7), B), attrs.evolve(end, server_id=B)).latest_first()
    assert {record_of(entry).client for entry in other} == {"10.0.0.1", None}


def test_a_refused_request() -> None:
    """It has neither a job nor a build server, and all of its time was a wait."""
    made = record(REFUSED)
    assert (made.job_id, made.server, made.outcome, made.reason) == (None, None, Outcome.REFUSED, REFUSED.refusal)
    assert (made.detail, made.wait_secs) == ("no slot", 8.0)
    assert made.phases == {TimedPhase.QUEUE_WAIT: 8.0, TimedPhase.ASSIGN: 0.0}


@pytest.mark.parametrize(
    ("ended", "outcome", "reason"),
    [
        (ENDED, Outcome.UNTOLD, None),
        (attrs.evolve(ENDED, summary=COMPILED), Outcome.COMPILED, None),
        (attrs.evolve(ENDED, summary=HOME), Outcome.SENT_LOCAL, SentLocal.SANDBOX),
        (attrs.evolve(ENDED, summary=b"nonsense"), Outcome.UNTOLD, None),
        (attrs.evolve(ENDED, summary=LIE), Outcome.UNTOLD, None),
        (attrs.evolve(ENDED, summary=packed(JobSummary(Outcome.COMPILED, SentLocal.DISK))), Outcome.COMPILED, None),
        (attrs.evolve(ENDED, summary=b"\xff" + COMPILED[1:]), Outcome.UNTOLD, None),
        (attrs.evolve(ENDED, summary=packed(JobSummary(Outcome.UNCLAIMED))), Outcome.UNCLAIMED, None),
        (attrs.evolve(ENDED, how=JobEnd.LOST), Outcome.SERVER_LOST, None),
        (attrs.evolve(ENDED, how=JobEnd.SERVER_LEFT), Outcome.SERVER_LOST, None),
        (attrs.evolve(ENDED, how=JobEnd.EXPIRED), Outcome.SERVER_LOST, None),
        (attrs.evolve(ENDED, how=JobEnd.EXPIRED, began={RESERVED: 3.0, READY: 4.0}), Outcome.UNCLAIMED, None),
    ],
)
def test_outcomes(ended: JobEnded, outcome: Outcome, reason: SentLocal | None) -> None:
    """What became of a job is what its build server told, or else what the scheduler saw; each is counted."""
    records = records_of(ended)
    (entry,) = records.latest_first()
    assert (record_of(entry).outcome, record_of(entry).reason) == (outcome, reason)
    assert records.counts == {(outcome, reason): 1}


LOST = attrs.evolve(ENDED, how=JobEnd.LOST)


@pytest.mark.parametrize(
    ("late", "outcome"),
    [
        (LateSummary(9.5, LOST.job_id, A, COMPILED), Outcome.COMPILED),
        (LateSummary(9.5, LOST.job_id, B, COMPILED), Outcome.SERVER_LOST),
        (LateSummary(9.5, JobId(8), A, COMPILED), Outcome.SERVER_LOST),
        (LateSummary(9.5, LOST.job_id, A, COMPILED + b"x" * MOST_BYTES), Outcome.SERVER_LOST),
        (LateSummary(9.5 + LATE_SECS, LOST.job_id, A, COMPILED), Outcome.SERVER_LOST),
    ],
)
def test_told_late(late: LateSummary, outcome: Outcome) -> None:
    """A job that a heartbeat no longer named was not lost if its build server tells of it in time, and only then."""
    now = [10.0]
    records = JobRecords(RecordSettings(), BEGAN, lambda: now[0])
    records(LOST)
    assert records.latest_first() == []
    records(late)
    now[0] += LATE_SECS
    (entry,) = records.latest_first()
    assert (record_of(entry).outcome, record_of(entry).ended >= BEGAN + 9.5) == (outcome, True)


def test_what_is_no_end_of_a_request() -> None:
    """A build server that did not take a job makes no record: another one is asked, or the request is refused."""
    not_taken = attrs.evolve(ENDED, how=JobEnd.NOT_TAKEN, began={RESERVED: 3.0})
    others = JobAllocated(4.0, JobId(7), A, CLIENT, GCC), JobStarted(4.0, JobId(7), A), JobAdopted(4.0, JobId(8), A)
    records = records_of(not_taken, *others, REFUSED)
    assert records.counts == {(Outcome.REFUSED, Refusal.QUEUE_TIMEOUT): 1}
    assert len(records.latest_first()) == 1


@pytest.mark.parametrize("addresses", [True, False])
def test_a_client_with_a_name(addresses: bool) -> None:
    """It is called so wherever it is, also where addresses are not shown."""
    records = records_of(settings=RecordSettings(addresses=addresses))
    assert {records.name_of(Party(f"ann@{address}")) for address in ("10.0.0.1", "2001:db8::/64")} == {"ann"}


def test_no_addresses() -> None:
    """Without addresses, a client has a name that does not tell where it is, the same for all of its requests."""
    settings = RecordSettings(addresses=False)
    records = records_of(REFUSED, ENDED, settings=settings)
    names = {record_of(entry).client for entry in records.latest_first()}
    assert names == {records.name_of(CLIENT)}
    assert "10.0.0.1" not in str(names)
    assert names != {records_of(settings=settings).name_of(CLIENT)}


@pytest.mark.parametrize("summary", [COMPILED, b"", b"nonsense", COMPILED[:-1]])
def test_no_names(summary: bytes) -> None:
    """Without names, no output has one; the rest of what the build server told is kept."""
    made = record(attrs.evolve(ENDED, summary=summary), settings=RecordSettings(names=False))
    assert made.summary is None or (made.summary.output, made.summary.compiler) == ("", "gcc")
    assert (made.summary is not None) is (summary == COMPILED)


def test_strangers() -> None:
    """Senders without a good token are counted, and a few of them kept; they push out no record of a client."""
    records = records_of(REFUSED, *[STRANGER] * 50, settings=RecordSettings(keep=2))
    assert records.counts[Outcome.REFUSED, Refusal.UNAUTHORIZED] == 50
    outcomes = [record_of(entry).reason for entry in records.latest_first()]
    assert outcomes.count(Refusal.QUEUE_TIMEOUT) == 1
    assert outcomes.count(Refusal.UNAUTHORIZED) == 2
    seconds = range(2 * MOST_STRANGERS // STRANGERS_PER_SEC)
    many = records_of(*(attrs.evolve(STRANGER, at=float(at)) for at in seconds for _ in range(50)))
    assert len(many.latest_first()) == MOST_STRANGERS


def test_in_order() -> None:
    """The latest come first, also where strangers are among them."""
    events = (attrs.evolve(event, at=at) for event, at in ((ENDED, 2.0), (STRANGER, 3.0), (REFUSED, 4.0)))
    ended = [record_of(entry).ended for entry in records_of(*events).latest_first()]
    assert ended == [BEGAN + 4, BEGAN + 3, BEGAN + 2]


def test_nothing_is_kept() -> None:
    """With keep = 0 all is counted and nothing kept."""
    records = records_of(ENDED, STRANGER, settings=RecordSettings(keep=0))
    assert (records.latest_first(), records.counts.total()) == ([], 2)


@pytest.mark.parametrize("find", [str, lambda number: str(number)[-2:]])
def test_found_by_id(find: Callable[[int], str]) -> None:
    """A job is found by its number, whole or its end."""
    records = records_of(attrs.evolve(ENDED, job_id=JobId(1234)), attrs.evolve(ENDED, job_id=JobId(51234)))
    found = records.ending_with(find(1234))
    assert len(found) == (1 if find is str else 2)


def test_takers() -> None:
    """Each that takes records gets all of them."""
    taken: list[Entry] = []
    records = JobRecords(RecordSettings(keep=0), BEGAN, lambda: 0.0, [taken.append])
    records(REFUSED)
    assert [record_of(entry).reason for entry in taken] == [Refusal.QUEUE_TIMEOUT]


def test_other_settings() -> None:
    """Fewer records are kept at once, and those that come hide what they are to hide."""
    records = records_of(*(attrs.evolve(ENDED, job_id=JobId(number)) for number in (1, 2, 3)), STRANGER)
    records.take_settings(RecordSettings(keep=2, addresses=False))
    records(attrs.evolve(ENDED, job_id=JobId(4)))
    made = [record_of(entry) for entry in records.latest_first()]
    assert [record.job_id for record in made if record.job_id] == [4, 3]
    assert made[0].client != "10.0.0.1"
