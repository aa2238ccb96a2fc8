"""The line of a job, also of one whose names are hostile."""

import pytest
from twisted.logger import capturedLogs, eventAsText

from sccachedist.outcomes import SERVER_PHASES, Outcome, SentLocal, TimedPhase
from sccachedist.server.job_log import log_job
from sccachedist.wire.job_summary import JobSummary
from sccachedist.wire.messages import JobId

JOB = JobId(7)


def line(summary: JobSummary, job_id: JobId | None = JOB) -> str:
    with capturedLogs() as events:
        log_job(job_id, "10.0.0.1", summary, b"")
    (text,) = (eventAsText(each, includeTimestamp=False, includeSystem=False) for each in events)
    return text


def test_a_compile() -> None:
    """What became of it, how long it took and where the time went; phases that took no time are left out."""
    times = {TimedPhase.INPUTS_RECEIVE: 3000, TimedPhase.COMPILE: 2_500_000, TimedPhase.OUTPUTS: 999}
    summary = JobSummary(
        Outcome.COMPILED,
        phases_us=tuple(times.get(phase, 0) for phase in SERVER_PHASES),
        cpu_user_us=2_000_000,
        cpu_system_us=250_000,
        peak_memory_bytes=2**26,
        output="/src/x.o",
        compiler="gcc",
    )
    assert line(summary) == (
        "job 7 of 10.0.0.1: compiled, 2.504 s (inputs_receive 0.003, compile 2.500), 2.250 s of CPU, 64 MiB: "
        "gcc /src/x.o"
    )


def test_one_that_was_sent_home() -> None:
    """With the reason, a word more, and what the client was told."""
    summary = JobSummary(Outcome.SENT_LOCAL, SentLocal.LIMIT, "job_secs", detail="a job took more than 5 seconds")
    assert line(summary, None) == (
        "job None of 10.0.0.1: sent_local/limit/job_secs, 0.000 s (), 0.000 s of CPU, 0 MiB: ? ?: "
        "a job took more than 5 seconds"
    )


@pytest.mark.parametrize("hostile", ["\x1b[2J\nroot: all is well", "x\u202ey", "\0\x7f", "{job_id}{0}"])
def test_hostile_names(hostile: str) -> None:
    """They stay on one line, move no cursor, change no direction, and are cut; of a path the end is kept."""
    much = hostile * 2000
    text = line(JobSummary(Outcome.COMPILED, output=f"{much}end.o", compiler=much, detail=much))
    assert text.isprintable()
    assert "end.o" in text
    assert len(text) < 10_000
