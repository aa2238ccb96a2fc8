"""A record of a request: whose phases make up its time, and what is shown of it."""

import attrs
import pytest

from sccachedist.outcomes import SERVER_PHASES, Outcome, Refusal, SentLocal, TimedPhase
from sccachedist.records.documents import JobRow
from sccachedist.records.record import JobRecord
from sccachedist.wire.job_summary import JobSummary
from sccachedist.wire.messages import JobId

SUMMARY = JobSummary(
    Outcome.SENT_LOCAL,
    SentLocal.LIMIT,
    kind="job_secs",
    output="obj/x.o",
    compiler="gcc",
    detail="a job took more than 600 seconds",
    phases_us=(0, 0, 0, 100_000, 0, 0, 50_000, 700_000, 50_000, 0),
    cpu_user_us=600_000,
    input_bytes=4096,
)
ENDED = JobRecord(
    job_id=JobId(2**63),
    asked=1000.0,
    ended=1002.0,
    client="10.0.0.1",
    server="10.0.0.2:10501",
    toolchain="ab" * 32,
    outcome=Outcome.SENT_LOCAL,
    wait_secs=0.5,
    assign_secs=0.1,
    summary=SUMMARY,
)
REFUSED = JobRecord(
    None, 1000.0, 1060.0, "10.0.0.1", None, "ab" * 32, Outcome.REFUSED, Refusal.QUEUE_TIMEOUT, "no slot", 60.0
)
#: From a published build server.
UNTOLD = attrs.evolve(ENDED, outcome=Outcome.UNTOLD, summary=None)


@pytest.mark.parametrize("record", [ENDED, REFUSED, UNTOLD], ids=["ended", "refused", "untold"])
def test_phases_add_up(record: JobRecord) -> None:
    """What the daemons did not time is the client's, so that nothing of the time is unexplained."""
    assert sum(record.phases.values()) == pytest.approx(record.ended - record.asked)
    assert list(record.phases) == [phase for phase in TimedPhase if phase in record.phases]


def test_who_had_the_time() -> None:
    """Each phase has its own."""
    assert ENDED.phases[TimedPhase.QUEUE_WAIT] == 0.5
    assert ENDED.phases[TimedPhase.COMPILE] == 0.7
    assert ENDED.phases[TimedPhase.CLIENT] == pytest.approx(0.5)
    assert set(SERVER_PHASES) < set(ENDED.phases)
    assert UNTOLD.phases[TimedPhase.CLIENT] == pytest.approx(1.4)


def test_clocks_that_differ() -> None:
    """A build server that claims more time than there was takes none from the client."""
    record = attrs.evolve(ENDED, ended=1000.9)
    assert TimedPhase.CLIENT not in record.phases


@pytest.mark.parametrize("record", [ENDED, REFUSED, UNTOLD], ids=["ended", "refused", "untold"])
def test_keys(record: JobRecord) -> None:
    """Each row has all keys that the document names."""
    assert record.to_json().keys() == JobRow.__annotations__.keys()


def test_row() -> None:
    """Ids are text, for JavaScript's numbers have 53 bits; words are those of the vocabulary."""
    row = ENDED.to_json()
    assert row["id"] == "9223372036854775808"
    assert (row["outcome"], row["reason"], row["kind"]) == ("sent_local", "limit", "job_secs")
    assert (row["cpu_user"], row["in"], row["prewarmed"], row["exit"]) == (0.6, 4096, False, None)


def test_what_is_not_known_is_null() -> None:
    """Never 0: a published build server tells nothing of a job."""
    row = UNTOLD.to_json()
    assert (row["outcome"], row["reason"], row["memory"], row["slot"], row["output"]) == (
        "untold",
        None,
        None,
        None,
        None,
    )
    row = REFUSED.to_json()
    assert (row["id"], row["server"], row["reason"], row["detail"]) == (None, None, "queue_timeout", "no slot")
