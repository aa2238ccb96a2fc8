"""The record that a build server makes of a job."""

from sccachedist.outcomes import SERVER_PHASES, Outcome, SentLocal, TimedPhase
from sccachedist.records.ring import Entry, record_of
from sccachedist.server.job_recorder import JobRecorder
from sccachedist.wire.addresses import ServerId
from sccachedist.wire.job_summary import JobSummary, packed
from sccachedist.wire.messages import JobId

SERVER = ServerId.parse("10.0.0.9:10501")
PHASES = tuple(2_000_000 if phase is TimedPhase.COMPILE else 0 for phase in SERVER_PHASES)
SUMMARY = JobSummary(Outcome.SENT_LOCAL, SentLocal.LIMIT, "job_secs", phases_us=PHASES, output="x.o")


def test_a_record() -> None:
    """All that the build server knows; it begins with what the server timed itself, and a toolchain is not in it."""
    taken: list[Entry] = []
    JobRecorder(SERVER, lambda: 1000.0, taken.append)(JobId(7), "10.0.0.1", SUMMARY, packed(SUMMARY))
    (record,) = map(record_of, taken)
    assert (record.job_id, record.client, record.server, record.toolchain) == (7, "10.0.0.1", str(SERVER), "")
    assert (record.asked, record.ended, record.outcome, record.reason) == (
        998.0,
        1000.0,
        Outcome.SENT_LOCAL,
        SentLocal.LIMIT,
    )
    assert record.summary == SUMMARY
    assert record.phases[TimedPhase.COMPILE] == 2.0


def test_a_request_that_ended_no_job() -> None:
    """It is not recorded."""
    taken: list[Entry] = []
    JobRecorder(SERVER, lambda: 1000.0, taken.append)(None, "10.0.0.1", SUMMARY, b"")
    assert taken == []
