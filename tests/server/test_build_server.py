"""What a build server does for a job, whatever happens to the compile and to the client."""

import errno
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from twisted.internet.defer import CancelledError, Deferred

from sccachedist.errors import BadTransition, BuildError, DecodeError, LimitExceeded, ToolchainError
from sccachedist.server.build_server import Delivery, open_spool
from sccachedist.server.core import UNCLAIMED_SECS
from sccachedist.server.toolchains import BEGIN_SECS, JOB_WAITS_SECS, Upload
from sccachedist.wire.messages import (
    AssignJobResult,
    JobId,
    JobNotFound,
    JobState,
    SubmitToolchainResult,
    Toolchain,
)
from tests.server.servers import ANSWER, JOB, REQUEST, Host
from tests.server.stocks import ARCHIVES, CLANG, GCC
from tests.support.broken_disks import failing
from tests.support.ends import outcome, pending

GCC_BYTES = ARCHIVES[0]
PENDING, READY = AssignJobResult(JobState.PENDING, True), AssignJobResult(JobState.READY, False)
WALK = [JobState.STARTED, JobState.COMPLETE]
OTHER = JobId(8)


@pytest.fixture
def host(tmp_path: Path) -> Iterator[Host]:
    host = Host(tmp_path)
    yield host
    host.stock.close()


@pytest.fixture
def ready(host: Host) -> Host:
    """A build server that has the toolchain, and a job for it."""
    outcome(host.stock.bring(GCC_BYTES))
    host.assign()
    return host


def run(host: Host, job_id: JobId = JOB) -> Deferred[Any]:
    return Deferred.fromCoroutine(host.server.run(job_id, host.received()))


def submit(host: Host, upload: Upload | None, job_id: JobId = JOB) -> Deferred[SubmitToolchainResult]:
    return Deferred.fromCoroutine(host.server.submit(job_id, upload))


def spooled(host: Host) -> list[str]:
    return sorted(path.suffix for path in host.spool.iterdir())


def begin_upload(host: Host, job_id: JobId = JOB) -> Delivery:
    return host.server.receive_toolchain(job_id)


def run_in_vain(host: Host) -> Deferred[Any]:
    """Run a job whose toolchain nobody brings."""
    running = run(host)
    host.clock.advance(BEGIN_SECS)
    return running


def leave(host: Host) -> Deferred[None]:
    host.server.leave()
    return Deferred.fromCoroutine(host.server.idle())


# -- assignments and toolchains --


def test_assigned(host: Host) -> None:
    """A job is Pending while its toolchain is not here, and Ready when it is."""
    assert host.server.assign(JOB, Toolchain(GCC)) == PENDING
    outcome(host.stock.bring(GCC_BYTES))
    assert host.server.assign(OTHER, Toolchain(GCC)) == READY


@pytest.mark.parametrize("name", ["", "x", "../" * 21 + "x", "/etc/cron.d/x", "A" * 64, GCC + "\n"])
def test_not_a_toolchain(host: Host, name: str) -> None:
    """What is no archive id never becomes a path."""
    with pytest.raises(DecodeError):
        host.server.assign(JOB, Toolchain(name))


def test_submitted(host: Host) -> None:
    """A toolchain that a job's client brings makes the job Ready, once it is verified."""
    host.assign()
    upload = begin_upload(host)
    upload.write(GCC_BYTES)
    assert host.reported() == []
    assert outcome(submit(host, upload.complete())) is SubmitToolchainResult.SUCCESS
    assert host.reported() == [JobState.READY]


def test_submitted_by_two(host: Host) -> None:
    """Of two clients that need the same toolchain one brings it, and both their jobs become Ready."""
    host.assign(JOB)
    host.assign(OTHER)
    upload = begin_upload(host)
    second = host.server.receive_toolchain(OTHER).complete()
    assert second is None
    following = submit(host, second, OTHER)
    assert pending(following)
    upload.write(GCC_BYTES)
    assert outcome(submit(host, upload.complete())) is SubmitToolchainResult.SUCCESS
    assert outcome(following) is SubmitToolchainResult.SUCCESS
    assert host.reported(JOB) == [JobState.READY]
    assert host.reported(OTHER) == [JobState.READY]


def test_submitted_again(host: Host) -> None:
    """Bringing a toolchain that is here is a success that nobody is told of twice."""
    host.assign()
    upload = begin_upload(host)
    upload.write(GCC_BYTES)
    outcome(submit(host, upload.complete()))
    again = host.server.receive_toolchain(JOB).complete()
    assert again is None
    assert outcome(submit(host, again)) is SubmitToolchainResult.SUCCESS
    assert host.reported() == [JobState.READY]


def test_submitted_for_nothing(host: Host) -> None:
    """Without a job there is no place for a toolchain."""
    nothing = host.server.receive_toolchain(JOB).complete()
    assert nothing is None
    assert outcome(submit(host, nothing)) is SubmitToolchainResult.JOB_NOT_FOUND


def test_submitted_too_late(host: Host) -> None:
    """A toolchain whose job was given up meanwhile is kept all the same."""
    host.assign()
    upload = begin_upload(host)
    upload.write(GCC_BYTES)
    host.clock.advance(UNCLAIMED_SECS + 1)
    host.server.expire()
    assert outcome(submit(host, upload.complete())) is SubmitToolchainResult.JOB_NOT_FOUND
    assert GCC in host.stock.toolchains
    assert host.reported() == []


def test_submitted_something_else(host: Host) -> None:
    """A toolchain that is not what its name says cannot be cached, and the job stays as it is."""
    host.assign()
    upload = begin_upload(host)
    upload.write(b"poison")
    assert outcome(submit(host, upload.complete())) is SubmitToolchainResult.CANNOT_CACHE
    assert host.reported() == []
    assert outcome(run_in_vain(host)) == JobNotFound()


# -- runs --


def test_run(ready: Host) -> None:
    """A job runs on what was sent, its answer is handed over, the scheduler hears of start and end, once each."""
    running = run(ready)
    assert ready.reported() == [JobState.STARTED]
    (job,) = ready.builder.seen
    assert (job.job_id, job.toolchain, job.archive) == (JOB, GCC, ready.stock.path(GCC))
    assert (job.command, job.outputs, job.as_json) == (REQUEST.command, REQUEST.outputs, False)
    assert job.inputs.read_bytes() == b"inputs"
    ready.builder.jobs.answer(JOB, None)
    answer = outcome(running)
    assert answer.read_bytes() == ANSWER
    assert spooled(ready) == [".answer"]
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


# -- jobs that a client brings along, with a token of our scheduler --


def test_introduced(host: Host) -> None:
    """Nobody has told of the job before its client comes: it is taken, named while its toolchain comes in, and run."""
    host.server.introduce(JOB, GCC)
    named = [host.server.named_jobs]
    upload = begin_upload(host)
    named.append(host.server.named_jobs)
    upload.write(GCC_BYTES)
    assert outcome(submit(host, upload.complete())) is SubmitToolchainResult.SUCCESS
    assert host.server.held_toolchains == (GCC,)
    named.append(host.server.named_jobs)
    running = run(host)
    named.append(host.server.named_jobs)
    host.builder.jobs.answer(JOB, None)
    assert outcome(running).read_bytes() == ANSWER
    named.append(host.server.named_jobs)
    assert named == [(), ((JOB, JobState.PENDING),), (), ((JOB, JobState.STARTED),), ()]


def test_brought_by_another(host: Host) -> None:
    """A job whose toolchain another client is bringing waits for it, without an upload of its own."""
    host.server.introduce(JOB, GCC)
    host.server.introduce(OTHER, GCC)
    running = run(host, OTHER)
    upload = begin_upload(host)
    assert dict(host.server.named_jobs) == {JOB: JobState.PENDING, OTHER: JobState.PENDING}
    upload.write(GCC_BYTES)
    assert pending(running)
    outcome(submit(host, upload.complete()))
    host.builder.jobs.answer(OTHER, None)
    assert outcome(running).read_bytes() == ANSWER


def test_our_scheduler_hears_of_uploads(host: Host) -> None:
    """It learns when one begins, breaks off or is not what it should be: the next client is asked for it, or is not."""
    host.scheduler.is_ours = True
    host.server.introduce(JOB, GCC)

    def heard(*states: JobState) -> bool:
        expected = tuple((JOB, state) for state in states)
        host.scheduler.batches.answer(expected, None)
        return True

    begin_upload(host).abort()
    host.clock.advance(0)
    assert heard(JobState.PENDING, JobState.COMPLETE)
    upload = begin_upload(host)
    upload.write(b"poison")
    host.clock.advance(0)
    assert heard(JobState.PENDING)
    submitted = submit(host, upload.complete())
    host.clock.advance(0)
    assert pending(submitted)
    assert heard(JobState.COMPLETE)
    assert outcome(submitted) is SubmitToolchainResult.CANNOT_CACHE


@pytest.mark.parametrize("gone", [True, False])
def test_not_brought_after_all(host: Host, gone: bool) -> None:
    """When the other client goes away with its upload, or is too slow, the job is compiled locally."""
    host.server.introduce(JOB, GCC)
    host.server.introduce(OTHER, GCC)
    running = run(host, OTHER)
    upload = begin_upload(host)
    if gone:
        upload.abort()
    host.clock.advance(JOB_WAITS_SECS)
    assert outcome(running) == JobNotFound()
    upload.abort()
    assert (spooled(host), host.server.named_jobs) == ([], ())


def test_goes_while_waiting(host: Host) -> None:
    """A client that goes away while its job waits for the toolchain leaves nothing behind."""
    host.server.introduce(JOB, GCC)
    running = run(host)
    running.addErrback(lambda failure: failure.trap(CancelledError)).cancel()
    assert (spooled(host), host.server.named_jobs) == ([], ())


def test_claimed_twice(ready: Host) -> None:
    """A job runs once, and the one that runs is not disturbed."""
    running = run(ready)
    assert outcome(run(ready)) == JobNotFound()
    ready.builder.jobs.answer(JOB, None)
    assert outcome(running).read_bytes() == ANSWER
    assert outcome(run(ready)) == JobNotFound()
    assert (spooled(ready), ready.reported()) == ([".answer"], WALK)


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


def test_a_disk_that_does_not_keep_a_toolchain(host: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its client is told to compile locally, and the next one may bring it."""
    host.assign()
    upload = begin_upload(host)
    upload.write(GCC_BYTES)
    with monkeypatch.context() as broken:
        broken.setattr(Path, "rename", failing(errno.EIO))
        assert outcome(submit(host, upload.complete())) is SubmitToolchainResult.CANNOT_CACHE
    outcome(host.stock.bring(GCC_BYTES))
    assert GCC in host.stock.toolchains


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
