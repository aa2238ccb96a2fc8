"""The line of a request that is over, also of one whose names are hostile."""

from twisted.logger import capturedLogs, eventAsText

from sccachedist.outcomes import Outcome, Refusal, SentLocal
from sccachedist.records.ring import Entry, entry_of
from sccachedist.scheduler.record_log import log_record
from sccachedist.wire.job_summary import JobSummary, packed
from sccachedist.wire.messages import JobId

PHASES = (0, 0, 0, 0, 0, 0, 0, 500_000, 999, 0)


def line(entry: Entry) -> str:
    with capturedLogs() as events:
        log_record(entry)
    (text,) = (eventAsText(each, includeTimestamp=False, includeSystem=False) for each in events)
    return text


def job(outcome: Outcome, reason: SentLocal | None = None, summary: JobSummary | None = None) -> Entry:
    octets = packed(summary) if summary else b""
    return entry_of(JobId(7), 1.0, 3.0, "10.0.0.1", "10.0.0.2:1", "", outcome, reason, wait_secs=0.25, summary=octets)


def test_a_job() -> None:
    """With what the scheduler knows and what the build server told, and the number that has both their lines."""
    summary = JobSummary(Outcome.COMPILED, phases_us=PHASES, output="x.o", compiler="gcc")
    assert line(job(Outcome.COMPILED, summary=summary)) == (
        "job 7 of 10.0.0.1: compiled, 2.000 s (queue_wait 0.250, client 1.249, compile 0.500) on 10.0.0.2:1: gcc x.o"
    )
    assert line(job(Outcome.UNTOLD)) == (
        "job 7 of 10.0.0.1: untold, 2.000 s (queue_wait 0.250, client 1.750) on 10.0.0.2:1"
    )


def test_a_refusal() -> None:
    """With the reason, and what the client was told."""
    entry = entry_of(None, 1.0, 61.0, None, None, "", Outcome.REFUSED, Refusal.QUEUE_TIMEOUT, "no slot", wait_secs=60.0)
    assert line(entry) == "request of unknown: refused/queue_timeout, 60.000 s (queue_wait 60.000): no slot"


def test_hostile_names() -> None:
    """One line, in which nothing moves a cursor."""
    hostile = "\x1b[31m\u202e\n{client}"
    summary = JobSummary(Outcome.SENT_LOCAL, SentLocal.LIMIT, hostile, output=hostile, compiler=hostile, detail=hostile)
    text = line(job(Outcome.SENT_LOCAL, SentLocal.LIMIT, summary))
    assert text.isprintable()
    assert "sent_local/limit/" in text
