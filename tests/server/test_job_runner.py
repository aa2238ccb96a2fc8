"""What a build server does for a job, whatever happens to the compile and to the client."""

import errno
import shutil
from pathlib import Path

import attrs
import pytest
from twisted.internet.defer import CancelledError, Deferred

from farmkit.deferreds import outcome, pending
from farmkit.fakes import ANSWER, FakeScheduler
from sccachedist.errors import (
    BadTransition,
    BuildError,
    DecodeError,
    DiskError,
    LimitExceeded,
    StaysHome,
    ToolchainError,
)
from sccachedist.outcomes import SentLocal
from sccachedist.server.inputs import open_spool
from sccachedist.server.jobs import TOKEN_SECS, UNCLAIMED_SECS
from sccachedist.web.bodies import NoBody
from sccachedist.wire.bincode import encode
from sccachedist.wire.messages import RUN_JOB_REQUEST, AssignJobResult, JobId, JobNotFound, JobState, Toolchain
from sccachedist.wire.run_job_frame import frame
from sccachedist.wire.tokens import Grant
from tests.server.servers import HEAD, JOB, OTHER, PARTY, REQUEST, Host, answered, run, run_in_vain, spooled
from tests.support.broken_disks import failing
from tests.toolchains.stocks import ARCHIVES, CLANG, GCC

GCC_BYTES = ARCHIVES[0]
PENDING = AssignJobResult(JobState.PENDING, True)
WALK = [JobState.STARTED, JobState.COMPLETE]


@pytest.fixture
def ready(host: Host) -> Host:
    """A build server that has the toolchain, and a job for it."""
    outcome(host.stock.bring(GCC_BYTES))
    host.assign()
    return host


def leave(host: Host) -> Deferred[None]:
    host.server.leave()
    return Deferred.fromCoroutine(host.server.idle())


# -- runs --


def test_run(ready: Host) -> None:
    """A job runs on what was sent, its answer is handed over, the scheduler hears of start and end, once each."""
    running = run(ready)
    assert ready.reported() == [JobState.STARTED]
    (job,) = ready.builder.seen
    assert (job.job_id, job.toolchain, job.archive) == (JOB, GCC, ready.stock.path(GCC))
    assert (job.request, job.as_json) == (encode(RUN_JOB_REQUEST, REQUEST), False)
    assert job.inputs.read_bytes() == b"inputs"
    ready.builder.jobs.answer(JOB, None)
    answer = outcome(running)
    assert answer.path.read_bytes() == ANSWER
    assert spooled(ready) == [".inputs"]
    assert (ready.core.running, ready.stock.disk.used, ready.reported()) == (1, len(ANSWER), [])
    answer.taken()
    assert ready.reported() == [JobState.COMPLETE]
    assert (ready.core.running, ready.stock.disk.used, ready.memory.used) == (0, 0, 0)


def test_scheduler_is_silent(ready: Host) -> None:
    """A finished compile is answered, whether or not the scheduler can be told of it."""
    running = run(ready)
    ready.builder.jobs.answer(JOB, None)
    assert answered(running) == ANSWER
    assert ready.scheduler.reports.waiting == [(JOB, JobState.STARTED)]


@pytest.mark.parametrize(
    "error", [BuildError(SentLocal.SANDBOX, "no sandbox"), LimitExceeded("job_secs", "slow"), ToolchainError("x")]
)
def test_failed(ready: Host, error: Exception) -> None:
    """A run without a result keeps no file, frees the slot, and says what was wrong."""
    running = run(ready)
    ready.builder.jobs.answer(JOB, error)
    assert outcome(running) is error
    assert (spooled(ready), ready.reported(), ready.core.running) == ([], WALK, 0)


def test_a_compile_that_stays_at_home(ready: Host) -> None:
    """Its inputs are not taken; an administrator's options count as those of the table."""
    for count, option in enumerate(("-march=native", "-mours"), start=1):
        ready.assign(JobId(count))
        body = ready.server.receive_inputs(JobId(count), HEAD, PARTY)
        command = attrs.evolve(REQUEST.command, arguments=("-c", option))
        with pytest.raises(StaysHome, match=option) as caught:
            body.write(frame(attrs.evolve(REQUEST, command=command), b"inputs"))
        body.abort(caught.value)
        assert ready.ended[-1][2].reason is SentLocal.OPTIONS
    assert (spooled(ready), ready.core.taken) == ([], 1)


def test_inputs_that_cannot_be_unpacked(ready: Host) -> None:
    """Broken inputs make the client compile locally: they are no 400, which would fail the build."""
    running = run(ready)
    ready.builder.jobs.answer(JOB, DecodeError("not a tar"))
    assert isinstance(outcome(running), BuildError)
    assert (spooled(ready), ready.reported()) == ([], WALK)


def test_client_goes(ready: Host) -> None:
    """A client that goes away takes its compile along, and nothing is left of it."""
    running = run(ready)
    running.cancel()
    assert isinstance(outcome(running), CancelledError)
    assert ready.builder.jobs.waiting == []
    assert (spooled(ready), ready.reported(), ready.core.running) == ([], WALK, 0)


def test_toolchain_is_gone(ready: Host) -> None:
    """A toolchain that vanished after the assignment is an error of ours, and the next job brings it again."""
    ready.stock.path(GCC).unlink()
    assert isinstance(outcome(run(ready)), ToolchainError)
    assert (spooled(ready), ready.reported(), ready.builder.seen) == ([], WALK, [])
    assert ready.server.assign(OTHER, Toolchain(GCC)) == PENDING


def test_unknown_job(host: Host) -> None:
    """A job that nobody assigned, or that still waits for its toolchain, is not found; its inputs are dropped."""
    assert outcome(run(host)) == JobNotFound()
    host.assign()
    assert outcome(run_in_vain(host)) == JobNotFound()
    assert (spooled(host), host.reported(), host.core.taken) == ([], [], 0)


def test_claimed_twice(ready: Host) -> None:
    """A job runs once, and the one that runs is not disturbed."""
    running = run(ready)
    assert outcome(run(ready)) == JobNotFound()
    ready.builder.jobs.answer(JOB, None)
    assert answered(running) == ANSWER
    assert outcome(run(ready)) == JobNotFound()
    assert (spooled(ready), ready.reported()) == ([".inputs"], WALK)


def test_unclaimed(ready: Host) -> None:
    """A job that nobody comes for is forgotten."""
    ready.clock.advance(UNCLAIMED_SECS + 1)
    ready.server.expire()
    assert outcome(run(ready)) == JobNotFound()


def test_unclaimed_and_told(tmp_path: Path) -> None:
    """Our scheduler hears of it: it need not wait for the next heartbeat to give the slot to another client."""
    host = Host(tmp_path, scheduler=FakeScheduler(is_ours=True))
    host.assign()
    host.clock.advance(UNCLAIMED_SECS + 1)
    host.server.expire()
    host.clock.advance(0)
    assert host.scheduler.batches.waiting == [((JOB, JobState.COMPLETE),)]


def test_leftovers(tmp_path: Path) -> None:
    """What an earlier process left in the spool is removed."""
    spool = tmp_path / "a" / "spool"
    open_spool(spool)
    (spool / "x.inputs").touch()
    open_spool(spool)
    assert list(spool.iterdir()) == []


# -- leaving --


def test_leave_idle(ready: Host) -> None:
    """A build server without running jobs can go at once, and takes no new ones."""
    assert outcome(leave(ready)) is None
    with pytest.raises(BadTransition):
        ready.server.assign(OTHER, Toolchain(CLANG))
    assert ready.clock.getDelayedCalls() == []


def test_leave_waits(ready: Host) -> None:
    """Running jobs are waited for, all of them."""
    ready.assign(OTHER)
    running = [run(ready, JOB), run(ready, OTHER)]
    leaving = leave(ready)
    ready.builder.jobs.answer(JOB, None)
    assert pending(leaving)
    ready.builder.jobs.answer(OTHER, BuildError(SentLocal.SANDBOX, "no"))
    assert pending(leaving)
    assert answered(running[0]) == ANSWER
    assert outcome(leaving) is None
    assert isinstance(outcome(running[1]), BuildError)
    assert ready.clock.getDelayedCalls() == []


def test_no_more_patience(ready: Host) -> None:
    """Who stops waiting for a job does not disturb it."""
    running = run(ready)
    leaving = leave(ready)
    leaving.addErrback(lambda _: None).cancel()
    assert outcome(leaving) is None
    ready.builder.jobs.answer(JOB, None)
    assert answered(running) == ANSWER


def test_jobs_that_come_while_leaving(ready: Host) -> None:
    """A job that was assigned before is served while the server leaves, however many have ended since."""
    ready.assign(OTHER)
    running = run(ready, JOB)
    leaving = leave(ready)
    ready.builder.jobs.answer(JOB, None)
    assert pending(leaving), "the answer has not been taken"
    assert answered(running) == ANSWER
    assert outcome(leaving) is None
    last = run(ready, OTHER)
    ready.builder.jobs.answer(OTHER, None)
    assert answered(last) == ANSWER


# -- disks --


def test_a_disk_that_removes_nothing_holds_no_job(ready: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    """A job is over when it is over, also where its files have to stay."""
    running = run(ready)
    with monkeypatch.context() as broken:
        broken.setattr(Path, "unlink", failing(errno.EROFS))
        ready.builder.jobs.answer(JOB, BuildError(SentLocal.SANDBOX, "it failed"))
    assert isinstance(outcome(running), BuildError)
    assert ready.core.running == 0
    assert ready.reported() == WALK


def test_a_spool_that_has_vanished(ready: Host) -> None:
    """It is made again by the next job."""
    shutil.rmtree(ready.spool)
    running = run(ready)
    ready.builder.jobs.answer(JOB, None)
    assert answered(running) == ANSWER


# -- one end, in every memory --


def test_a_disk_that_takes_no_toolchain(host: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    """The client compiles locally, and its job holds no place that another one could have."""
    host.assign()
    monkeypatch.setattr("sccachedist.files.FileIO", failing(errno.ENOSPC))
    with pytest.raises(DiskError):
        host.server.receive_toolchain(JOB, HEAD, PARTY)
    assert (host.core.taken, host.core.named) == (0, ())


def test_a_body_that_is_none(ready: Host) -> None:
    """Whatever is wrong with a request, when its scheduler hears that the job is over, it is."""
    ready.scheduler.is_ours = True
    with pytest.raises(DecodeError):
        ready.server.receive_inputs(JOB, attrs.evolve(HEAD, headers={"content-type": "text/plain"}), PARTY)
    ready.clock.advance(0)
    assert ready.scheduler.batches.waiting == [((JOB, JobState.COMPLETE),)]
    assert outcome(run(ready)) == JobNotFound()


def test_a_body_that_breaks_off(ready: Host) -> None:
    """A job whose inputs do not come is over, and its token opens nothing."""
    body = ready.server.receive_inputs(JOB, HEAD, PARTY)
    body.write(frame(REQUEST, b"inputs")[:-1])
    assert (ready.memory.used > 0, ready.stock.disk.used) == (True, 5)
    body.abort()
    assert (ready.core.taken, ready.memory.used, ready.stock.disk.used, spooled(ready)) == (0, 0, 0, [])
    assert outcome(run(ready)) == JobNotFound()


def test_one_body_at_a_time(ready: Host) -> None:
    """A second request of a job is passed over while the first comes in, and does it no harm."""
    first = ready.server.receive_inputs(JOB, HEAD, PARTY)
    assert isinstance(ready.server.receive_inputs(JOB, HEAD, PARTY), NoBody)
    assert ready.server.receive_toolchain(JOB, HEAD, PARTY).complete() is None
    first.write(frame(REQUEST, b"inputs"))
    running = Deferred.fromCoroutine(ready.server.run(JOB, first.complete()))
    ready.builder.jobs.answer(JOB, None)
    assert answered(running) == ANSWER


def test_an_answer_that_is_too_large(ready: Host) -> None:
    """An answer counts as inputs do; what is too much beside all others is no answer, and its client compiles."""
    ready.builder.result = bytes(60_000)
    running = run(ready)
    ready.builder.jobs.answer(JOB, None)
    assert isinstance(outcome(running), LimitExceeded)
    assert (spooled(ready), ready.reported(), ready.stock.disk.used) == ([], WALK, 0)


def test_more_tokens_than_places(host: Host) -> None:
    """Clients for whom there is no place compile locally, and their jobs are over."""
    outcome(host.stock.bring(GCC_BYTES))
    host.core.slots = 1
    for number in range(8):
        host.assign(JobId(number))
    running = [run(host, JobId(number)) for number in range(8)]
    assert host.builder.jobs.waiting == [0, 1, 2, 3, 4, 5]
    assert [outcome(each) for each in running[6:]] == [JobNotFound(), JobNotFound()]
    assert host.core.taken == 6
    for number in range(6):
        host.builder.jobs.answer(JobId(number), None)
        assert answered(running[number]) == ANSWER


def test_an_old_token(host: Host) -> None:
    """A token that is older than any client needs opens nothing, as the scheduler's clock tells."""
    outcome(host.stock.bring(GCC_BYTES))
    host.scheduler_time = 10_000.0
    host.server.introduce(JOB, Grant(GCC, issued=10_000 - TOKEN_SECS - 1))
    assert outcome(run(host)) == JobNotFound()
    host.server.introduce(OTHER, Grant(GCC, issued=10_000 - TOKEN_SECS))
    running = run(host, OTHER)
    host.builder.jobs.answer(OTHER, None)
    assert answered(running) == ANSWER
