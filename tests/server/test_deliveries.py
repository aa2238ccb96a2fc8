"""What a build server does for a job's toolchain, whichever client brings it, and for the jobs that wait for it."""

import errno
from pathlib import Path

import pytest
from twisted.internet.defer import CancelledError, Deferred

from sccachedist.errors import DecodeError
from sccachedist.server.build_server import Delivery
from sccachedist.server.core import UNCLAIMED_SECS
from sccachedist.server.toolchains import JOB_WAITS_SECS, Upload
from sccachedist.wire.messages import (
    AssignJobResult,
    JobId,
    JobNotFound,
    JobState,
    SubmitToolchainResult,
    Toolchain,
)
from tests.server.servers import ANSWER, JOB, OTHER, Host, run, run_in_vain, spooled
from tests.server.stocks import ARCHIVES, GCC
from tests.support.broken_disks import failing
from tests.support.ends import outcome, pending

GCC_BYTES = ARCHIVES[0]
PENDING, READY = AssignJobResult(JobState.PENDING, True), AssignJobResult(JobState.READY, False)


def submit(host: Host, upload: Upload | None, job_id: JobId = JOB) -> Deferred[SubmitToolchainResult]:
    return Deferred.fromCoroutine(host.server.submit(job_id, upload))


def begin_upload(host: Host, job_id: JobId = JOB) -> Delivery:
    return host.server.receive_toolchain(job_id)


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


# -- jobs that a client brings along, with a token of our scheduler --


def test_introduced(host: Host) -> None:
    """Nobody has told of the job before its client comes: it is taken, named while its toolchain comes in, and run."""
    host.server.introduce(JOB, GCC)
    named = [host.server.named_jobs]
    upload = begin_upload(host)
    named.append(host.server.named_jobs)
    upload.write(GCC_BYTES)
    assert outcome(submit(host, upload.complete())) is SubmitToolchainResult.SUCCESS
    assert host.stock.toolchains.log.news(1000).held == (GCC,)
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
