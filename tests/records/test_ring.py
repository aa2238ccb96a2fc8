"""The ring of records: bounded, found by id, and read when somebody looks."""

import subprocess
import sys

import pytest

from sccachedist.outcomes import Outcome, Refusal, SentLocal
from sccachedist.records.ring import ENDED, ID, Entry, Ring, entry_of, reason_of, record_of
from sccachedist.wire.job_summary import JobSummary, packed
from sccachedist.wire.messages import JobId
from tests.records.test_record import ENDED as ENDED_JOB
from tests.records.test_record import REFUSED, SUMMARY


def job(number: int) -> Entry:
    return entry_of(JobId(number), number - 1.0, float(number), "10.0.0.1", "10.0.0.2:1", "", Outcome.UNTOLD)


def refusal(ended: float) -> Entry:
    return entry_of(None, ended, ended, "10.0.0.1", None, "", Outcome.REFUSED, Refusal.NO_SLOT)


def test_the_latest_are_kept() -> None:
    """Old ones make room, and are not found by their id any more; the ring says from when on it knows all."""
    ring = Ring(3, since=0.5)
    for number in (1, 2, 3):
        ring.add(job(number))
    assert (ring.since, len(ring)) == (0.5, 3)
    ring.add(refusal(4.0))
    ring.add(job(5))
    assert [entry[ENDED] for entry in ring.latest_first()] == [5.0, 4.0, 3.0]
    assert (ring.since, ring.get(2), ring.get(5)) == (2.0, None, job(5))


def test_the_last_so_many() -> None:
    """Who counted along reads what has been added since, as far as it is kept."""
    ring = Ring(3, since=0.0)
    for number in (1, 2, 3, 4):
        ring.add(job(number))
    assert ring.added == 4
    assert [ring.latest(count) for count in (0, 1, 9)] == [[], [job(4)], [job(2), job(3), job(4)]]


def test_nothing_is_kept() -> None:
    """With room for none, there is none."""
    ring = Ring(0, since=0.0)
    ring.add(job(1))
    assert (ring.latest_first(), ring.get(1), ring.since) == ([], None, 1.0)


def test_an_id_that_comes_twice() -> None:
    """A job that is lost and comes back ends twice: its latest record is found, also when the first is dropped."""
    ring = Ring(2, since=0.0)
    for entry in (job(1), job(1), job(2)):
        ring.add(entry)
    assert ring.get(1) == job(1)


@pytest.mark.parametrize(
    ("digits", "found"), [("1021", [1021]), ("21", [1021, 3021]), ("021", [1021, 3021]), ("9", []), ("0" * 20, [])]
)
def test_the_end_of_a_number(digits: str, found: list[int]) -> None:
    """Jobs are found by the end of their number, as people copy it."""
    ring = Ring(9, since=0.0)
    for number in (1021, 3021, 55):
        ring.add(job(number))
    assert [entry[ID] for entry in ring.ending_with(digits)] == found


def test_a_record_comes_back() -> None:
    """What was kept as plain values is read as the record that it was."""
    entry = entry_of(
        ENDED_JOB.job_id,
        ENDED_JOB.asked,
        ENDED_JOB.ended,
        ENDED_JOB.client,
        ENDED_JOB.server,
        ENDED_JOB.toolchain,
        Outcome.SENT_LOCAL,
        SentLocal.LIMIT,
        wait_secs=0.5,
        assign_secs=0.1,
        summary=packed(SUMMARY),
    )
    assert record_of(entry) == ENDED_JOB
    assert record_of((*entry[:-1], ("http://10.0.0.1:10600", 7))).to_json() == {
        **ENDED_JOB.to_json(),
        "scheduler": "http://10.0.0.1:10600",
        "term": 7,
    }
    assert reason_of(entry) is SentLocal.LIMIT
    refused = entry_of(
        None, 1000.0, 1060.0, "10.0.0.1", None, "ab" * 32, Outcome.REFUSED, Refusal.QUEUE_TIMEOUT, "no slot", 60.0
    )
    assert record_of(refused) == REFUSED
    assert reason_of(job(1)) is None


@pytest.mark.parametrize("summary", [b"", b"x", packed(SUMMARY)[:-1], b"\xff" + packed(SUMMARY)[1:]])
def test_a_summary_that_cannot_be_read(summary: bytes) -> None:
    """It is as if there were none."""
    entry = entry_of(JobId(1), 1.0, 2.0, None, "10.0.0.2:1", "", Outcome.COMPILED, summary=summary)
    record = record_of(entry)
    assert (record.summary, record.outcome, record.reason) == (None, Outcome.COMPILED, None)


_MEMORY = """
from tests.records.test_ring import filled, resident
before = resident()
ring = filled(20_000)
print(resident() - before)
"""


def resident() -> int:
    """The resident memory of this process, in bytes."""
    with open("/proc/self/statm") as statm:
        return int(statm.read().split()[1]) * 4096


def filled(count: int) -> Ring:
    """A ring through which twice as many records have gone as it keeps; no two have the same texts."""
    ring = Ring(count, since=0.0)
    phases = tuple(range(100_000, 100_010))
    for number in range(2 * count):
        summary = packed(
            JobSummary(
                Outcome.COMPILED,
                output=f"obj/lib/Passes/{number:07}.cpp.o",
                compiler="x86_64-linux-gnu-g++-12",
                phases_us=phases,
            )
        )
        client, server, toolchain = f"10.0.0.{number % 200}", f"10.0.1.{number % 40}:10501", f"{number % 9:064}"
        ring.add(
            entry_of(
                JobId(2**62 + number),
                number + 0.25,
                number + 1.25,
                client,
                server,
                toolchain,
                Outcome.COMPILED,
                wait_secs=number / 7,
                assign_secs=number / 9,
                summary=summary,
            )
        )
    return ring


def test_memory() -> None:
    """20,000 records cost the scheduler at most 15 MB."""
    said = subprocess.run([sys.executable, "-c", _MEMORY], capture_output=True, check=True, text=True)
    assert int(said.stdout) <= 15_000_000


def test_fewer_are_kept() -> None:
    """The oldest go at once when a ring is to keep fewer; when it is to keep more, none comes back."""
    ring = Ring(3, since=0.5)
    for number in (1, 2, 3):
        ring.add(job(number))
    ring.hold(2)
    assert [entry[ENDED] for entry in ring.latest_first()] == [3.0, 2.0]
    ring.hold(3)
    ring.add(job(4))
    assert [entry[ENDED] for entry in ring.latest_first()] == [4.0, 3.0, 2.0]
