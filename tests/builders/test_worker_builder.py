"""A builder on sandbox workers, without processes: who is asked for what, and when."""

import io
from collections.abc import Coroutine
from pathlib import Path
from typing import Any

import attrs
from twisted.internet.defer import CancelledError, Deferred
from twisted.trial.unittest import SynchronousTestCase

from sccachedist.builders.disk_room import UNBOUNDED
from sccachedist.builders.interface import Builder, BuildJob
from sccachedist.builders.refusals import REMEMBERED_SECS
from sccachedist.builders.upload_follower import STEP, UploadFollower
from sccachedist.builders.worker_builder import SWEEP_AT_STOP_SECS, WorkerBuilder
from sccachedist.builders.worker_protocol import (
    ARRIVED,
    FRAME_LENGTH,
    NOTHING,
    REQUEST,
    Arrived,
    Done,
    FollowToolchain,
    Growing,
    RemoveAll,
    RemoveSandbox,
    RemoveToolchain,
    Request,
    RunJob,
    Size,
    Sweep,
    UnpackToolchain,
    failed,
)
from sccachedist.config import ServerLimits
from sccachedist.errors import BuildError, DiskFull, LimitExceeded, ToolchainError
from sccachedist.wire.archive_id import ArchiveId, archive_id
from sccachedist.wire.bincode import decode, encode
from sccachedist.wire.messages import RUN_JOB_REQUEST, CompileCommand, JobId, RunJobRequest
from tests.builders.test_worker_pool import PROGRAM, Process, Reactor

TOOLCHAIN, OTHER = archive_id("a" * 64), archive_id("b" * 64)
JOB = BuildJob(
    job_id=JobId(1),
    toolchain=TOOLCHAIN,
    archive=Path("/archive"),
    request=encode(RUN_JOB_REQUEST, RunJobRequest(CompileCommand("cc", (), (), "/"), ())),
    inputs=Path("/inputs"),
    answer=Path("/answer"),
    as_json=False,
)


class Asked(Process):
    """A worker that is ready, what it was asked last, and what it was told since then."""

    sweeps = True

    @property
    def request(self) -> Request | None:
        return decode(REQUEST, self._frames()[0]) if self.value() else None

    def write(self, data: bytes) -> None:
        """Sweeping takes no time, unless a test wants it to."""
        super().write(data)
        if self.sweeps and self.request == Sweep():
            self.ends()

    @property
    def news(self) -> list[Arrived]:
        return [decode(ARRIVED, each) for each in self._frames()[1:]]

    def _frames(self) -> list[bytes]:
        frames, stream = [], io.BytesIO(self.value())
        while header := stream.read(FRAME_LENGTH.size):
            frames.append(stream.read(*FRAME_LENGTH.unpack(header)))
        return frames

    def ends(self, error: Exception | None = None, size: Size = NOTHING) -> None:
        """Answer the request; after an error it is killed."""
        self.clear()
        self.answers(failed(error) if error else Done(size))
        if error:
            self.end()


class Host(Reactor):
    """Starts workers that are ready at once."""

    def spawnProcess(self, worker: Any, executable: str, args: list[str], env: dict[str, str]) -> None:  # noqa: N802
        process = Asked(worker, args, env)
        self.processes.append(process)
        process.answers(Done())

    def asked(self, kind: type[Request]) -> Asked:
        """The worker that is asked for this; there has to be one."""
        (found,) = (each for each in self.processes if isinstance(each, Asked) and isinstance(each.request, kind))
        return found

    def requests(self) -> list[type[Request]]:
        """All that is asked for now."""
        return [type(each.request) for each in self.processes if isinstance(each, Asked) and each.request]


async def proof(_: Builder) -> None:
    """Nothing is to be proven."""


class BuilderTests(SynchronousTestCase):
    """One builder, whose workers do what the test says."""

    def setUp(self) -> None:
        self.host = Host()
        self.builder = self.new()

    def new(self, *, reuse: bool = False, follow: bool = False, room: Size = UNBOUNDED) -> WorkerBuilder:
        host: Any = self.host
        return WorkerBuilder(host, PROGRAM, proof, ServerLimits(), 1, 2, room=room, reuse=reuse, follow=follow)

    def following(self) -> UploadFollower:
        """A toolchain that comes in, at a builder that follows, and enough of it that it is worth while."""
        self.builder = self.new(follow=True)
        started = self.doing(self.builder.start())
        self.host.asked(RemoveAll).ends()
        self.successResultOf(started)
        follower = self.builder.follow(TOOLCHAIN, Path("/archive"))
        follower.received(STEP - 1)
        assert self.host.requests() == []
        follower.received(STEP)
        return follower

    def doing(self, work: Coroutine[Deferred[Any], Any, None]) -> Deferred[None]:
        return Deferred.fromCoroutine(work)

    def unpacked(self) -> Deferred[None]:
        """A job whose toolchain is there."""
        job = self.doing(self.builder.run(JOB))
        self.host.asked(UnpackToolchain).ends()
        return job

    def sandbox(self) -> str:
        request = self.host.asked(RunJob).request
        assert isinstance(request, RunJob)
        return request.sandbox

    def test_a_toolchain_is_unpacked_once(self) -> None:
        """Jobs that come together wait for the same; each runs in a sandbox of its own."""
        jobs = [self.doing(self.builder.run(JOB)) for _ in range(2)]
        self.host.asked(UnpackToolchain).ends()
        running = [each for each in self.host.processes if isinstance(each, Asked) and each.request]
        sandboxes = {each.request.sandbox for each in running if isinstance(each.request, RunJob)}
        assert len(sandboxes) == 2
        for each in running:
            each.ends()
        for job in jobs:
            self.successResultOf(job)

    def test_what_a_failed_job_leaves_is_removed(self) -> None:
        """The job is over when that is done."""
        job = self.unpacked()
        sandbox = self.sandbox()
        self.host.asked(RunJob).ends(BuildError("wrong"))
        assert self.host.asked(RemoveSandbox).request == RemoveSandbox(sandbox)
        self.assertNoResult(job)
        self.host.asked(RemoveSandbox).ends()
        self.failureResultOf(job, BuildError)

    def test_a_job_that_is_cancelled_twice(self) -> None:
        """Nobody waits any longer, but what it leaves is removed all the same."""
        job = self.unpacked()
        running = self.host.asked(RunJob)
        job.cancel()
        running.clear()
        running.end()
        removing = self.host.asked(RemoveSandbox)
        job.cancel()
        self.failureResultOf(job, CancelledError)
        assert not removing.killed
        removing.ends()

    def test_a_sandbox_that_cannot_be_removed(self) -> None:
        """The job's own failure is what counts."""
        job = self.unpacked()
        self.host.asked(RunJob).ends(ToolchainError("gone"))
        self.host.asked(RemoveSandbox).ends(BuildError("stuck"))
        self.failureResultOf(job, ToolchainError)

    def test_a_toolchain_that_has_vanished(self) -> None:
        """It costs one job; the next has it unpacked anew."""
        job = self.unpacked()
        self.host.asked(RunJob).ends(ToolchainError("gone"))
        self.host.asked(RemoveSandbox).ends()
        self.failureResultOf(job, ToolchainError)
        again = self.unpacked()
        self.host.asked(RunJob).ends()
        self.successResultOf(again)

    def test_a_clean_sandbox_is_used_again(self) -> None:
        """After a job that came to its end; it goes with its toolchain, before it."""
        self.builder = self.new(reuse=True)
        job = self.unpacked()
        first = self.sandbox()
        self.host.asked(RunJob).ends()
        self.successResultOf(job)
        again = self.doing(self.builder.run(JOB))
        assert self.sandbox() == first
        self.host.asked(RunJob).ends()
        self.successResultOf(again)
        discarded = self.doing(self.builder.discard(TOOLCHAIN))
        self.host.asked(RemoveSandbox).ends()
        self.host.asked(RemoveToolchain).ends()
        self.successResultOf(discarded)

    def test_a_toolchain_in_use_stays(self) -> None:
        """It is removed after the last of its jobs; another one is no reason to wait."""
        job = self.unpacked()
        discarded = self.doing(self.builder.discard(TOOLCHAIN))
        self.successResultOf(self.doing(self.builder.discard(OTHER)))
        assert self.host.requests() == [RunJob]
        self.host.asked(RunJob).ends()
        self.successResultOf(job)
        self.host.asked(RemoveToolchain).ends()
        self.successResultOf(discarded)

    def test_an_unpacking_that_fails(self) -> None:
        """What it had made is removed, and every job that waited fails."""
        jobs = [self.doing(self.builder.run(job)) for job in (JOB, attrs.evolve(JOB, job_id=JobId(2)))]
        self.host.asked(UnpackToolchain).ends(ToolchainError("damaged"))
        self.host.asked(RemoveToolchain).ends()
        for job in jobs:
            self.failureResultOf(job, ToolchainError)

    def test_starting_and_stopping(self) -> None:
        """Both remove everything."""
        started = self.doing(self.builder.start())
        self.host.asked(RemoveAll).ends()
        self.successResultOf(started)
        stopped = self.doing(self.builder.stop())
        for each in list(self.host.processes):
            each.end()
        self.host.asked(RemoveAll).ends()
        for each in self.host.processes:
            each.end()
        self.successResultOf(stopped)

    def test_a_toolchain_that_comes_in_is_unpacked(self) -> None:
        """The worker hears how far it has come, now and then; a job waits for it and has it unpacked no second time."""
        follower = self.following()
        worker = self.host.asked(FollowToolchain)
        follower.received(STEP + 1)
        follower.received(2 * STEP)
        job = self.doing(self.builder.run(JOB))
        follower.verified(2 * STEP + 5)
        follower.aborted()
        sizes = [(each.size, each.whole) for each in worker.news]
        assert sizes == [(STEP, False), (2 * STEP, False), (2 * STEP + 5, True)]
        assert self.host.requests() == [FollowToolchain]
        worker.ends()
        self.host.asked(RunJob).ends()
        self.successResultOf(job)

    def test_a_toolchain_that_does_not_come(self) -> None:
        """Its worker is killed, what it made is removed, and a job has the toolchain unpacked that came after all."""
        follower = self.following()
        worker = self.host.asked(FollowToolchain)
        follower.aborted()
        assert worker.killed
        job = self.doing(self.builder.run(JOB))
        worker.clear()
        worker.end()
        follower.received(3 * STEP)
        follower.verified(3 * STEP)
        assert worker.value() == b""
        self.host.asked(RemoveToolchain).ends()
        self.host.asked(UnpackToolchain).ends()
        self.host.asked(RunJob).ends()
        self.successResultOf(job)

    def test_a_toolchain_that_cannot_be_unpacked_meanwhile(self) -> None:
        """The first job that needs it tries once more, and says why."""
        follower = self.following()
        self.host.asked(FollowToolchain).ends(ToolchainError("bad"))
        self.host.asked(RemoveToolchain).ends()
        follower.verified(STEP)
        job = self.doing(self.builder.run(JOB))
        self.host.asked(UnpackToolchain).ends(ToolchainError("bad"))
        self.host.asked(RemoveToolchain).ends()
        self.failureResultOf(job, ToolchainError)

    def test_not_many_are_followed(self) -> None:
        """As many as there are slots, each once, and jobs do not wait for those that come slowly."""
        self.following()
        for toolchain in (TOOLCHAIN, OTHER, archive_id("c" * 64)):
            self.builder.follow(toolchain, Path("/archive")).received(STEP)
        assert self.host.requests() == [FollowToolchain] * 2
        jobs = [self.doing(self.builder.run(attrs.evolve(JOB, toolchain=archive_id("d" * 64)))) for _ in range(2)]
        self.host.asked(UnpackToolchain).ends()
        assert self.host.requests().count(RunJob) == 2
        for process in self.host.processes:
            if isinstance(process, Asked) and isinstance(process.request, RunJob | FollowToolchain):
                process.ends()
        for job in jobs:
            self.successResultOf(job)

    def test_a_toolchain_that_goes_before_it_is_unpacked(self) -> None:
        """It is removed as soon as that is done."""
        follower = self.following()
        follower.verified(STEP)
        discarded = self.doing(self.builder.discard(TOOLCHAIN))
        self.host.asked(FollowToolchain).ends()
        self.host.asked(RemoveToolchain).ends()
        self.successResultOf(discarded)

    def test_nothing_is_followed_by_others(self) -> None:
        """Not every kind of sandbox can."""
        follower = self.builder.follow(TOOLCHAIN, Path("/archive"))
        follower.received(STEP)
        follower.verified(STEP)
        assert self.host.requests() == []

    # -- the room for what is unpacked --

    def job(self, toolchain: ArchiveId) -> Deferred[None]:
        return self.doing(self.builder.run(attrs.evolve(JOB, toolchain=toolchain)))

    def done(self, toolchain: ArchiveId, size: Size) -> None:
        """A job with a toolchain of that size, from beginning to end."""
        job = self.job(toolchain)
        self.host.asked(UnpackToolchain).ends(size=size)
        self.host.asked(RunJob).ends()
        self.successResultOf(job)

    def test_unpacked_toolchains_make_room(self) -> None:
        """One that no job uses goes for the next, and is unpacked again for its next job, after its removal."""
        self.builder = self.new(room=Size(100, 100))
        self.done(TOOLCHAIN, Size(60, 1))
        job = self.job(OTHER)
        self.host.asked(UnpackToolchain).ends(size=Size(50, 1))
        removing = self.host.asked(RemoveToolchain)
        assert removing.request == RemoveToolchain(TOOLCHAIN)
        back = self.job(TOOLCHAIN)
        assert sorted(each.__name__ for each in self.host.requests()) == ["RemoveToolchain", "RunJob"]
        self.host.asked(RunJob).ends()
        self.successResultOf(job)
        removing.ends()
        self.host.asked(UnpackToolchain).ends(size=Size(50, 1))
        self.host.asked(RunJob).ends()
        self.successResultOf(back)

    def test_room_is_made_while_one_grows(self) -> None:
        """Nobody knows before how large it becomes; where what is in use leaves no room, it ends there and goes."""
        self.builder = self.new(room=Size(100, 100))
        self.done(TOOLCHAIN, Size(60, 1))
        job = self.job(OTHER)
        unpacking = self.host.asked(UnpackToolchain)
        unpacking.answers(Growing(Size(30, 50)))
        assert self.host.requests() == [UnpackToolchain]
        unpacking.answers(Growing(Size(50, 60)))
        self.host.asked(RemoveToolchain).ends()
        unpacking.answers(Growing(Size(60, 101)), Growing(Size(70, 120)))
        assert unpacking.killed
        unpacking.clear()
        unpacking.end()
        assert self.host.asked(RemoveToolchain).request == RemoveToolchain(OTHER)
        self.host.asked(RemoveToolchain).ends()
        assert self.failureResultOf(job, LimitExceeded).value.limit == "toolchains_unpacked_inodes"
        self.done(TOOLCHAIN, Size(100, 100))

    def test_the_last_word_counts(self) -> None:
        """A toolchain that is too large in the end is removed like one that could not be unpacked."""
        self.builder = self.new(room=Size(100, 100))
        job = self.job(TOOLCHAIN)
        self.host.asked(UnpackToolchain).ends(size=Size(101, 1))
        self.host.asked(RemoveToolchain).ends()
        self.failureResultOf(job, LimitExceeded)
        self.done(TOOLCHAIN, Size(100, 1))

    def test_one_that_comes_in_takes_room_too(self) -> None:
        """As long as it is unpacked meanwhile."""
        follower = self.following()
        self.builder._toolchains._room._most = Size(100, 100)
        worker = self.host.asked(FollowToolchain)
        worker.answers(Growing(Size(101, 1)))
        assert worker.killed
        worker.clear()
        worker.end()
        self.host.asked(RemoveToolchain).ends()
        follower.aborted()
        self.done(TOOLCHAIN, Size(100, 1))

    def test_a_full_disk(self) -> None:
        """What is not in use goes, and the toolchain is unpacked once more when the disk has that back."""
        self.done(OTHER, Size(5, 5))
        job = self.job(TOOLCHAIN)
        self.host.asked(UnpackToolchain).ends(DiskFull("no room"))
        self.host.asked(RemoveToolchain).ends()
        self.host.asked(RemoveToolchain).ends()
        self.host.asked(UnpackToolchain).ends()
        self.host.asked(RunJob).ends()
        self.successResultOf(job)

    def test_a_disk_that_stays_full(self) -> None:
        """Then the job fails, and it is not the toolchain's fault: the next one tries again."""
        job = self.job(TOOLCHAIN)
        for _ in range(3):
            self.host.asked(UnpackToolchain).ends(DiskFull("no room"))
            self.host.asked(RemoveToolchain).ends()
        self.failureResultOf(job, DiskFull)
        self.done(TOOLCHAIN, Size(5, 5))

    def test_one_that_cannot_be_unpacked(self) -> None:
        """Whoever comes next is told so at once; after a while it is tried again."""
        job = self.job(TOOLCHAIN)
        self.host.asked(UnpackToolchain).ends(ToolchainError("damaged"))
        self.host.asked(RemoveToolchain).ends()
        self.failureResultOf(job, ToolchainError)
        self.failureResultOf(self.job(TOOLCHAIN), ToolchainError)
        assert self.host.requests() == []
        self.host.advance(REMEMBERED_SECS)
        self.done(TOOLCHAIN, Size(5, 5))

    def test_a_start_does_not_wait_for_what_was_there(self) -> None:
        """It is swept away while jobs run already; a stop waits for it for a moment only."""
        Asked.sweeps = False
        self.addCleanup(setattr, Asked, "sweeps", True)
        started = self.doing(self.builder.start())
        self.host.asked(RemoveAll).ends()
        self.successResultOf(started)
        assert self.host.requests() == [Sweep]
        self.done(TOOLCHAIN, Size(5, 5))
        stopped = self.doing(self.builder.stop())
        for each in list(self.host.processes):
            each.end()
        self.host.asked(RemoveAll).ends()
        self.assertNoResult(stopped)
        self.host.advance(SWEEP_AT_STOP_SECS)
        for each in self.host.processes:
            each.end()
        self.successResultOf(stopped)

    def test_a_start_on_a_full_disk(self) -> None:
        """Where the trial job finds no room, it is tried again when there is some."""
        Asked.sweeps = False
        self.addCleanup(setattr, Asked, "sweeps", True)
        tried = iter([BuildError("no room"), None])

        async def proven(_: Builder) -> None:
            if (error := next(tried)) is not None:
                raise error

        host: Any = self.host
        self.builder = WorkerBuilder(host, PROGRAM, proven, ServerLimits(), 1, 2)
        started = self.doing(self.builder.start())
        self.host.asked(RemoveAll).ends()
        self.assertNoResult(started)
        self.host.asked(Sweep).ends()
        self.successResultOf(started)
