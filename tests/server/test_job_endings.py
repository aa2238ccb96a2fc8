"""Each job that ends at a build server ends once, with what became of it; and how that travels to the scheduler."""

from collections.abc import Callable
from typing import Any

import attrs
import pytest
from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.task import Clock

from farmkit.deferreds import outcome
from farmkit.fakes import FakeScheduler
from sccachedist.errors import (
    BuildError,
    CompileFailed,
    DiskFull,
    LimitExceeded,
    PeerError,
    StaleToken,
    ToolchainError,
)
from sccachedist.outcomes import SERVER_PHASES, Outcome, SentLocal, Suspicion, TimedPhase
from sccachedist.server.batched_reports import LATER_SECS, MOST_SUMMARIES_BYTES, BatchedReports
from sccachedist.server.jobs import UNCLAIMED_SECS
from sccachedist.wire.job_summary import MOST_BYTES, JobSummary, unpacked
from sccachedist.wire.messages import JobId, JobState
from sccachedist.wire.run_job_frame import frame
from sccachedist.wire.usage import Usage
from tests.server.servers import HEAD, JOB, OTHER, PARTY, REQUEST, Host, run, run_in_vain
from tests.toolchains.stocks import ARCHIVES

GCC_BYTES = ARCHIVES[0]


@pytest.fixture
def ready(host: Host) -> Host:
    """A build server that has the toolchain, and a job for it."""
    outcome(host.stock.bring(GCC_BYTES))
    host.assign()
    return host


def only(host: Host) -> JobSummary:
    """The one job that has ended."""
    ((job_id, client, summary),) = host.ended
    assert (job_id, client) == (JOB, HEAD.peer)
    assert host.core.taken == 0
    return summary


def why(host: Host) -> tuple[Outcome, SentLocal | None, str]:
    summary = only(host)
    return summary.outcome, summary.reason, summary.kind


def phases(summary: JobSummary) -> dict[TimedPhase, float]:
    return {phase: us / 1e6 for phase, us in zip(SERVER_PHASES, summary.phases_us, strict=True) if us}


def test_a_compile(ready: Host) -> None:
    """All that is known of it is told when its answer has been sent."""
    ready.builder.usage = Usage(run_ns=2 * 10**9, cpu_user_ns=10**9, peak_memory_bytes=5, prewarmed=True, exit_code=0)
    body = ready.server.receive_inputs(JOB, HEAD, PARTY)
    ready.clock.advance(0.5)
    body.write(frame(REQUEST, b"inputs"))
    running = Deferred.fromCoroutine(ready.server.run(JOB, body.complete()))
    ready.clock.advance(3)
    ready.builder.jobs.answer(JOB, None)
    answer = outcome(running)
    ready.clock.advance(0.25)
    assert ready.ended == []
    size = answer.path.stat().st_size
    answer.taken(None)
    summary = only(ready)
    assert (summary.outcome, summary.reason, summary.exit_code) == (Outcome.COMPILED, None, 0)
    assert (summary.compiler, summary.output, summary.slot, summary.prewarmed) == ("cc", "/x.o", 0, True)
    assert (summary.input_bytes, summary.output_bytes, summary.cpu_user_us) == (len(b"inputs"), size, 10**6)
    assert phases(summary) == {
        TimedPhase.INPUTS_RECEIVE: 0.5,
        TimedPhase.WORKER_WAIT: 1.0,
        TimedPhase.COMPILE: 2.0,
        TimedPhase.ANSWER: 0.25,
    }


def test_a_compile_error(ready: Host) -> None:
    """The user gets it as the result."""
    ready.builder.usage = Usage(exit_code=1)
    running = run(ready)
    ready.builder.jobs.answer(JOB, None)
    outcome(running).taken(None)
    assert (why(ready), only(ready).exit_code) == ((Outcome.COMPILE_ERROR, None, ""), 1)


@pytest.mark.parametrize(
    ("error", "reason", "kind"),
    [
        (CompileFailed(Suspicion.NO_SPACE, "x"), SentLocal.SUSPICIOUS, "no_space"),
        (BuildError(SentLocal.SIGNAL, "x"), SentLocal.SIGNAL, ""),
        (LimitExceeded("job_secs", "x"), SentLocal.LIMIT, "job_secs"),
        (DiskFull("x"), SentLocal.DISK, "full"),
        (ToolchainError("x"), SentLocal.TOOLCHAIN, ""),
        (KeyError("x"), SentLocal.INCIDENT, ""),
        (CancelledError(), SentLocal.CLIENT_GONE, ""),
    ],
)
def test_a_run_that_fails(ready: Host, error: Exception, reason: SentLocal, kind: str) -> None:
    """The reason is that of its error."""
    running = run(ready)
    ready.builder.jobs.answer(JOB, error)
    running.addErrback(lambda _: None)
    assert why(ready) == (Outcome.SENT_LOCAL, reason, kind)


def test_a_client_that_goes_away_while_its_compile_runs(ready: Host) -> None:
    """It is interrupted; when the build server ends at that time, that is why."""
    running = run(ready)
    running.addErrback(lambda _: None)
    running.cancel()
    assert why(ready) == (Outcome.SENT_LOCAL, SentLocal.CLIENT_GONE, "")
    ready.assign(OTHER)
    running = run(ready, OTHER)
    running.addErrback(lambda _: None)
    ready.server.end()
    running.cancel()
    assert ready.ended[-1][2].reason is SentLocal.SHUTDOWN


def test_an_answer_that_is_not_taken(ready: Host) -> None:
    """The client has no result then."""
    running = run(ready)
    ready.builder.jobs.answer(JOB, None)
    outcome(running).taken(CancelledError())
    assert why(ready) == (Outcome.SENT_LOCAL, SentLocal.CLIENT_GONE, "")


def inputs_break_off(host: Host) -> None:
    host.server.receive_inputs(JOB, HEAD, PARTY).abort()


def inputs_come_too_slowly(host: Host) -> None:
    host.server.receive_inputs(JOB, HEAD, PARTY).abort(LimitExceeded("min_bytes_per_sec", "slow"))


def inputs_are_too_large(host: Host) -> None:
    with pytest.raises(LimitExceeded):
        host.server.receive_inputs(JOB, attrs.evolve(HEAD, length=1 << 60), PARTY)


def nobody_comes(host: Host) -> None:
    upload = host.server.receive_toolchain(JOB, HEAD, PARTY)
    upload.write(GCC_BYTES)
    outcome(Deferred.fromCoroutine(host.server.submit(JOB, upload.complete())))
    host.clock.advance(UNCLAIMED_SECS + 1)
    host.server.expire()


def another_toolchain_is_brought(host: Host) -> None:
    upload = host.server.receive_toolchain(JOB, HEAD, PARTY)
    upload.write(b"something else")
    outcome(Deferred.fromCoroutine(host.server.submit(JOB, upload.complete())))


def the_upload_breaks_off(host: Host) -> None:
    host.server.receive_toolchain(JOB, HEAD, PARTY).abort()


def nobody_brings_it(host: Host) -> None:
    outcome(run_in_vain(host))


LOCAL = Outcome.SENT_LOCAL


@pytest.mark.parametrize(
    ("end", "expected"),
    [
        (inputs_break_off, (LOCAL, SentLocal.CLIENT_GONE, "")),
        (inputs_come_too_slowly, (LOCAL, SentLocal.LIMIT, "min_bytes_per_sec")),
        (inputs_are_too_large, (LOCAL, SentLocal.LIMIT, "inputs_bytes")),
        (nobody_comes, (Outcome.UNCLAIMED, None, "")),
        (another_toolchain_is_brought, (LOCAL, SentLocal.TOOLCHAIN, "")),
        (the_upload_breaks_off, (LOCAL, SentLocal.CLIENT_GONE, "")),
        (nobody_brings_it, (LOCAL, SentLocal.TOOLCHAIN, "")),
    ],
    ids=lambda value: getattr(value, "__name__", ""),
)
def test_a_job_that_does_not_run(
    host: Host, end: Callable[[Host], None], expected: tuple[Outcome, SentLocal | None, str]
) -> None:
    """It ends with what kept it from running."""
    host.assign()
    end(host)
    assert why(host) == expected


def test_no_place(host: Host) -> None:
    """A client that comes late finds all slots taken: its job is over."""
    outcome(host.stock.bring(GCC_BYTES))
    host.core.slots = 0
    bodies = []
    for number in range(40):
        host.assign(JobId(number))
        bodies.append(host.server.receive_inputs(JobId(number), HEAD, PARTY))
    turned_away = [*host.ended]
    for body in bodies:
        body.abort()
    assert {summary.reason for _, _, summary in turned_away} == {SentLocal.NO_PLACE}
    assert len({job_id for job_id, _, _ in host.ended}) == len(host.ended) == 40


def test_a_job_that_made_room_for_others(host: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is forgotten, and not over: its token may bring it back."""
    monkeypatch.setattr("sccachedist.server.jobs.MOST_JOBS", 1)
    host.assign()
    upload = host.server.receive_toolchain(JOB, HEAD, PARTY)
    upload.write(GCC_BYTES)
    outcome(Deferred.fromCoroutine(host.server.submit(JOB, upload.complete())))
    host.assign(OTHER)
    host.server.expire()
    assert JOB not in host.core
    assert host.ended == []
    with pytest.raises(KeyError):
        host.server.courses[JOB]


def test_what_is_refused_and_ends_no_job(ready: Host) -> None:
    """No job is named: one that runs is not over by that, and anybody may make up a token."""
    run(ready).addErrback(lambda _: None)
    ready.server.receive_inputs(JOB, HEAD, PARTY)
    ready.server.turned_away(HEAD.peer, StaleToken("old"))
    told = [(job_id, summary.reason) for job_id, _, summary in ready.ended]
    assert told == [(None, SentLocal.UNKNOWN_JOB), (None, SentLocal.STALE_TOKEN)]


def test_slots(ready: Host) -> None:
    """Jobs that run at a time have different numbers, the smallest that are free."""
    for number in range(10, 13):
        ready.assign(JobId(number))
        run(ready, JobId(number)).addErrback(lambda _: None)
    ready.builder.jobs.answer(JobId(11), BuildError(SentLocal.SANDBOX, "no"))
    run(ready).addErrback(lambda _: None)
    for number in (10, 7, 12):
        ready.builder.jobs.answer(JobId(number), BuildError(SentLocal.SANDBOX, "no"))
    assert [(job_id, summary.slot) for job_id, _, summary in ready.ended] == [(11, 1), (10, 0), (7, 1), (12, 2)]


# -- to the scheduler --


def sent(host: Host) -> list[tuple[JobId, JobSummary]]:
    host.clock.pump([0.0, LATER_SECS])
    return [(job_id, unpacked(octets)) for batch in host.scheduler.summaries for job_id, octets in batch]


def fail(host: Host, job_id: JobId = JOB) -> None:
    running: Deferred[Any] = run(host, job_id)
    running.addErrback(lambda _: None)
    host.builder.jobs.answer(job_id, LimitExceeded("job_secs", "slow"))


def test_what_our_scheduler_hears(ready: Host) -> None:
    """The end and what became of the job, in one message; once more if it did not arrive."""
    ready.scheduler.is_ours = True
    fail(ready)
    ((job_id, summary),) = sent(ready)
    assert (job_id, summary) == (JOB, only(ready))
    ready.scheduler.batches.answer(ready.scheduler.batches.waiting[0], PeerError("away"))
    ready.clock.pump([0.0, 1.0])
    assert sent(ready) == [(JOB, summary)] * 2


def test_what_a_published_scheduler_hears(ready: Host) -> None:
    """The end alone."""
    fail(ready)
    assert sent(ready) == []
    assert ready.ended


def test_many_ends_at_a_time() -> None:
    """A request stays small, however long the texts of its summaries are."""
    scheduler, clock = FakeScheduler(is_ours=True), Clock()
    reports = BatchedReports(scheduler, clock, lambda: None, lambda _: False)
    summaries = [(JobId(number), bytes(MOST_BYTES)) for number in range(2 * MOST_SUMMARIES_BYTES // MOST_BYTES)]
    for job_id, octets in summaries:
        reports.report(job_id, JobState.COMPLETE, octets)
    clock.advance(0)
    while scheduler.batches.waiting:
        scheduler.batches.answer(scheduler.batches.waiting[0], None)
    assert len(scheduler.summaries) >= 2
    assert all(sum(len(octets) for _, octets in batch) <= MOST_SUMMARIES_BYTES for batch in scheduler.summaries)
    assert [told for batch in scheduler.summaries for told in batch] == summaries
