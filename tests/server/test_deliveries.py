"""What a build server does for a job's toolchain, whichever client brings it, and for the jobs that wait for it."""

import errno
from pathlib import Path

import pytest
from twisted.internet.defer import CancelledError, Deferred

from farmkit.deferreds import outcome, pending
from farmkit.fakes import ANSWER
from sccachedist.errors import DecodeError, LimitExceeded
from sccachedist.server.deliveries import Delivery
from sccachedist.server.jobs import UNCLAIMED_SECS
from sccachedist.toolchains.cache import JOB_WAITS_SECS
from sccachedist.toolchains.uploads import Upload
from sccachedist.wire.messages import AssignJobResult, JobId, JobNotFound, JobState, SubmitToolchainResult, Toolchain
from sccachedist.wire.tokens import Grant
from tests.server.servers import HEAD, JOB, OTHER, PARTY, Host, answered, run, spooled
from tests.support.broken_disks import failing
from tests.toolchains.stocks import ARCHIVES, GCC

GCC_BYTES = ARCHIVES[0]
PENDING, READY = AssignJobResult(JobState.PENDING, True), AssignJobResult(JobState.READY, False)


def submit(host: Host, upload: Upload | None, job_id: JobId = JOB) -> Deferred[SubmitToolchainResult]:
    return Deferred.fromCoroutine(host.server.submit(job_id, upload))


def begin_upload(host: Host, job_id: JobId = JOB) -> Delivery:
    return host.server.receive_toolchain(job_id, HEAD, PARTY)


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
    """Of two clients that bring the same toolchain the first one to have brought it makes it be there for both."""
    host.assign(JOB)
    host.assign(OTHER)
    first, second = begin_upload(host, JOB), begin_upload(host, OTHER)
    first.write(GCC_BYTES[:10])
    second.write(GCC_BYTES)
    assert outcome(submit(host, second.complete(), OTHER)) is SubmitToolchainResult.SUCCESS
    first.write(GCC_BYTES[10:20])
    assert outcome(submit(host, first.complete())) is SubmitToolchainResult.SUCCESS
    assert host.reported(JOB) == [JobState.READY]
    assert host.reported(OTHER) == [JobState.READY]


def test_submitted_again(host: Host) -> None:
    """Bringing a toolchain that is here is a success that nobody is told of twice."""
    host.assign()
    upload = begin_upload(host)
    upload.write(GCC_BYTES)
    outcome(submit(host, upload.complete()))
    again = begin_upload(host)
    again.write(b"passed over")
    assert outcome(submit(host, again.complete())) is SubmitToolchainResult.SUCCESS
    assert host.reported() == [JobState.READY]
    assert host.stock.files() == {GCC}


def test_submitted_for_nothing(host: Host) -> None:
    """Without a job there is no place for a toolchain."""
    nothing = host.server.receive_toolchain(JOB, HEAD, PARTY).complete()
    assert nothing is None
    assert outcome(submit(host, nothing)) is SubmitToolchainResult.JOB_NOT_FOUND


def test_submitted_for_long(host: Host) -> None:
    """A job is not given up while its toolchain comes in."""
    host.assign()
    upload = begin_upload(host)
    upload.write(GCC_BYTES)
    host.clock.advance(UNCLAIMED_SECS + 1)
    host.server.expire()
    assert outcome(submit(host, upload.complete())) is SubmitToolchainResult.SUCCESS
    assert host.reported() == [JobState.READY]


def test_submitted_something_else(host: Host) -> None:
    """A toolchain that is not what its name says cannot be cached, and the job is over: its client compiles."""
    host.assign()
    upload = begin_upload(host)
    upload.write(b"poison")
    assert outcome(submit(host, upload.complete())) is SubmitToolchainResult.CANNOT_CACHE
    assert host.reported() == []
    assert outcome(run(host)) == JobNotFound()


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
    host.server.introduce(JOB, Grant(GCC))
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
    assert answered(running) == ANSWER
    named.append(host.server.named_jobs)
    assert named == [(), ((JOB, JobState.PENDING),), (), ((JOB, JobState.STARTED),), ()]


def test_brought_by_another(host: Host) -> None:
    """A job whose toolchain another client is bringing waits for it, without an upload of its own."""
    host.server.introduce(JOB, Grant(GCC))
    host.server.introduce(OTHER, Grant(GCC))
    running = run(host, OTHER)
    upload = begin_upload(host)
    assert dict(host.server.named_jobs) == {JOB: JobState.PENDING, OTHER: JobState.STARTED}
    upload.write(GCC_BYTES)
    assert pending(running)
    outcome(submit(host, upload.complete()))
    host.builder.jobs.answer(OTHER, None)
    assert answered(running) == ANSWER


def test_our_scheduler_hears_of_an_upload_that_was_not_needed(host: Host) -> None:
    """A scheduler that was restarted asks for toolchains that are here: it has to hear that their uploads are over."""
    host.server.introduce(OTHER, Grant(GCC))
    upload = begin_upload(host, OTHER)
    upload.write(GCC_BYTES)
    outcome(submit(host, upload.complete(), OTHER))
    host.clock.advance(0)
    host.scheduler.is_ours = True
    host.server.introduce(JOB, Grant(GCC))
    again = begin_upload(host)
    host.clock.advance(0)
    host.scheduler.batches.answer(((JOB, JobState.PENDING),), None)
    again.write(GCC_BYTES)
    assert outcome(submit(host, again.complete())) is SubmitToolchainResult.SUCCESS
    assert host.server.named_jobs == ()
    host.clock.advance(0)
    host.scheduler.batches.answer(((JOB, JobState.READY),), None)


def test_our_scheduler_hears_of_uploads(host: Host) -> None:
    """It learns when one begins, breaks off or is not what it should be: the next client is asked for it, or is not."""
    host.scheduler.is_ours = True
    host.server.introduce(JOB, Grant(GCC))

    def heard(job_id: JobId, *states: JobState) -> bool:
        expected = tuple((job_id, state) for state in states)
        host.scheduler.batches.answer(expected, None)
        return True

    begin_upload(host).abort()
    host.clock.advance(0)
    assert heard(JOB, JobState.PENDING, JobState.COMPLETE)
    host.server.introduce(OTHER, Grant(GCC))
    upload = begin_upload(host, OTHER)
    upload.write(b"poison")
    host.clock.advance(0)
    assert heard(OTHER, JobState.PENDING)
    submitted = submit(host, upload.complete(), OTHER)
    host.clock.advance(0)
    assert pending(submitted)
    assert heard(OTHER, JobState.COMPLETE)
    assert outcome(submitted) is SubmitToolchainResult.CANNOT_CACHE


@pytest.mark.parametrize("gone", [True, False])
def test_not_brought_after_all(host: Host, gone: bool) -> None:
    """When the other client goes away with its upload, or is too slow, the job is compiled locally."""
    host.server.introduce(JOB, Grant(GCC))
    host.server.introduce(OTHER, Grant(GCC))
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
    host.server.introduce(JOB, Grant(GCC))
    running = run(host)
    running.addErrback(lambda failure: failure.trap(CancelledError)).cancel()
    assert (spooled(host), host.server.named_jobs) == ([], ())


@pytest.mark.parametrize("when", ["begun", "whole"])
def test_what_is_over_opens_nothing(host: Host, when: str) -> None:
    """A job whose upload broke off, or whose client went away before it was answered, is over in every memory."""
    host.scheduler.is_ours = True
    host.stock.threads.at_once = False
    host.server.introduce(JOB, Grant(GCC))
    other = host.stock.begin(GCC)
    other.write(GCC_BYTES + b"and more")
    upload = begin_upload(host)
    upload.write(GCC_BYTES)
    if when == "begun":
        upload.abort()
    else:
        submitted = submit(host, upload.complete())
        submitted.addErrback(lambda failure: failure.trap(CancelledError)).cancel()
    host.clock.advance(0)
    assert host.scheduler.batches.waiting == [((JOB, JobState.PENDING), (JOB, JobState.COMPLETE))]
    host.server.introduce(JOB, Grant(GCC))
    assert host.core.taken == 0
    assert begin_upload(host).complete() is None


def test_no_room_on_the_disk(host: Host) -> None:
    """A client that has too much on the disk is refused, and its job is over."""
    host.stock.disk.total = 100
    host.assign()
    upload = begin_upload(host)
    with pytest.raises(LimitExceeded, match="spool_bytes"):
        upload.write(GCC_BYTES)
    upload.abort()
    assert (host.core.taken, host.stock.disk.used, host.stock.files()) == (0, 0, set())
