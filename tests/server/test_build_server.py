"""What a build server does for a job, whatever happens to the compile and to the client."""

import errno
import shutil
from pathlib import Path

import attrs
import pytest
from twisted.internet.defer import CancelledError, Deferred

from sccachedist.errors import (
    BadTransition,
    BuildError,
    CompileFailed,
    DecodeError,
    LimitExceeded,
    StaysHome,
    ToolchainError,
)
from sccachedist.server.build_server import open_spool
from sccachedist.server.core import UNCLAIMED_SECS
from sccachedist.wire.bincode import encode
from sccachedist.wire.frame import frame
from sccachedist.wire.messages import RUN_JOB_REQUEST, AssignJobResult, JobNotFound, JobState, Toolchain
from tests.server.servers import ANSWER, JOB, OCTETS, OTHER, REQUEST, Host, run, run_in_vain, spooled
from tests.server.stocks import ARCHIVES, CLANG, GCC
from tests.support.broken_disks import failing
from tests.support.ends import outcome, pending

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
    assert answer.read_bytes() == ANSWER
    assert spooled(ready) == [".inputs"]
    assert ready.reported() == [JobState.COMPLETE]
    assert ready.core.running == 0


def test_scheduler_is_silent(ready: Host) -> None:
    """A finished compile is answered, whether or not the scheduler can be told of it."""
    running = run(ready)
    ready.builder.jobs.answer(JOB, None)
    assert outcome(running).read_bytes() == ANSWER
    assert ready.scheduler.reports.waiting == [(JOB, JobState.STARTED)]


@pytest.mark.parametrize("error", [BuildError("no sandbox"), LimitExceeded("job_secs", "slow"), ToolchainError("x")])
def test_failed(ready: Host, error: Exception) -> None:
    """A run without a result keeps no file, frees the slot, and says what was wrong."""
    running = run(ready)
    ready.builder.jobs.answer(JOB, error)
    assert outcome(running) is error
    assert (spooled(ready), ready.reported(), ready.core.running) == ([], WALK, 0)


def test_failed_compiles_are_counted(ready: Host) -> None:
    """Those that their clients repeat, and no other."""
    ready.assign(OTHER)
    for job_id, error in ((JOB, CompileFailed("status 1", routine=True)), (OTHER, BuildError("no sandbox"))):
        running = run(ready, job_id)
        ready.builder.jobs.answer(job_id, error)
        assert outcome(running) is error
    assert ready.server.verified_failures == 1
    assert spooled(ready) == []


def test_a_compile_that_stays_at_home(ready: Host) -> None:
    """Its inputs are not taken; an administrator's options count as those of the table."""
    for count, option in enumerate(("-march=native", "-mours"), start=1):
        body = ready.server.receive_inputs(JOB, OCTETS)
        command = attrs.evolve(REQUEST.command, arguments=("-c", option))
        with pytest.raises(StaysHome, match=option):
            body.write(frame(attrs.evolve(REQUEST, command=command), b"inputs"))
        body.abort()
        assert ready.server.stayed_home == count
    assert spooled(ready) == []


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
    """A toolchain that vanished after the assignment is an error of ours, and the next job brings it anew."""
    ready.stock.path(GCC).unlink()
    assert isinstance(outcome(run(ready)), ToolchainError)
    assert (spooled(ready), ready.reported(), ready.builder.seen) == ([], WALK, [])
    assert ready.server.assign(OTHER, Toolchain(GCC)) == PENDING


def test_unknown_job(host: Host) -> None:
    """A job that nobody assigned, or that still waits for its toolchain, is not found; its inputs are dropped."""
    assert outcome(run(host)) == JobNotFound()
    host.assign()
    assert outcome(run_in_vain(host)) == JobNotFound()
    assert (spooled(host), host.reported()) == ([], [])


def test_claimed_twice(ready: Host) -> None:
    """A job runs once, and the one that runs is not disturbed."""
    running = run(ready)
    assert outcome(run(ready)) == JobNotFound()
    ready.builder.jobs.answer(JOB, None)
    assert outcome(running).read_bytes() == ANSWER
    assert outcome(run(ready)) == JobNotFound()
    assert (spooled(ready), ready.reported()) == ([".inputs"], WALK)


def test_unclaimed(ready: Host) -> None:
    """A job that nobody comes for is forgotten."""
    ready.clock.advance(UNCLAIMED_SECS + 1)
    ready.server.expire()
    assert outcome(run(ready)) == JobNotFound()


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
    ready.builder.jobs.answer(OTHER, BuildError("no"))
    assert outcome(leaving) is None
    assert [outcome(each) is None for each in running] == [False, False]
    assert ready.clock.getDelayedCalls() == []


def test_no_more_patience(ready: Host) -> None:
    """Who stops waiting for a job does not disturb it."""
    running = run(ready)
    leaving = leave(ready)
    leaving.addErrback(lambda _: None).cancel()
    assert outcome(leaving) is None
    ready.builder.jobs.answer(JOB, None)
    assert outcome(running).read_bytes() == ANSWER


def test_jobs_that_come_while_leaving(ready: Host) -> None:
    """A job that was assigned before is served while the server leaves, however many have ended since."""
    ready.assign(OTHER)
    running = run(ready, JOB)
    leaving = leave(ready)
    ready.builder.jobs.answer(JOB, None)
    assert outcome(leaving) is None
    assert isinstance(outcome(running), Path)
    last = run(ready, OTHER)
    ready.builder.jobs.answer(OTHER, None)
    assert isinstance(outcome(last), Path)


# -- disks --


def test_a_disk_that_removes_nothing_holds_no_job(ready: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    """A job is over when it is over, also where its files have to stay."""
    running = run(ready)
    with monkeypatch.context() as broken:
        broken.setattr(Path, "unlink", failing(errno.EROFS))
        ready.builder.jobs.answer(JOB, BuildError("it failed"))
    assert isinstance(outcome(running), BuildError)
    assert ready.core.running == 0
    assert ready.reported() == WALK


def test_a_spool_that_has_vanished(ready: Host) -> None:
    """It is made anew by the next job."""
    shutil.rmtree(ready.spool)
    running = run(ready)
    ready.builder.jobs.answer(JOB, None)
    assert outcome(running).read_bytes() == ANSWER
