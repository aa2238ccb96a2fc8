"""A builder on sandbox workers, without processes: who is asked for what, and when."""

import io
from collections.abc import Coroutine
from pathlib import Path
from typing import Any

import attrs
from twisted.internet.defer import CancelledError, Deferred
from twisted.trial.unittest import SynchronousTestCase

from sccachedist.builders.builder import WorkerBuilder
from sccachedist.builders.following import STEP, Following
from sccachedist.builders.requests import (
    ARRIVED,
    FRAME_LENGTH,
    REQUEST,
    Arrived,
    Done,
    FollowToolchain,
    RemoveAll,
    RemoveSandbox,
    RemoveToolchain,
    Request,
    RunJob,
    UnpackToolchain,
    failed,
)
from sccachedist.builders.seam import Builder, BuildJob
from sccachedist.config import Limits
from sccachedist.errors import BuildError, ToolchainError
from sccachedist.wire.archive_id import archive_id
from sccachedist.wire.bincode import decode
from sccachedist.wire.messages import CompileCommand, JobId
from tests.builders.test_workers import PROGRAM, Process, Reactor

TOOLCHAIN, OTHER = archive_id("a" * 64), archive_id("b" * 64)
JOB = BuildJob(
    job_id=JobId(1),
    toolchain=TOOLCHAIN,
    archive=Path("/archive"),
    command=CompileCommand("cc", (), (), "/"),
    outputs=(),
    inputs=Path("/inputs"),
    answer=Path("/answer"),
    as_json=False,
)


class Asked(Process):
    """A worker that is ready, what it was asked last, and what it was told since then."""

    @property
    def request(self) -> Request | None:
        return decode(REQUEST, self._frames()[0]) if self.value() else None

    @property
    def news(self) -> list[Arrived]:
        return [decode(ARRIVED, each) for each in self._frames()[1:]]

    def _frames(self) -> list[bytes]:
        frames, stream = [], io.BytesIO(self.value())
        while header := stream.read(FRAME_LENGTH.size):
            frames.append(stream.read(*FRAME_LENGTH.unpack(header)))
        return frames

    def ends(self, error: Exception | None = None) -> None:
        """Answer the request; after an error it is killed."""
        self.clear()
        self.answers(failed(error) if error else Done())
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

    def new(self, *, reuse: bool = False, follow: bool = False) -> WorkerBuilder:
        return WorkerBuilder(self.host, PROGRAM, proof, Limits(), 1, 2, reuse=reuse, follow=follow)  # type: ignore[arg-type]

    def following(self) -> Following:
        """A toolchain that comes in, at a builder that follows, and enough of it that it is worth while."""
        self.builder = self.new(follow=True)
        started = self.doing(self.builder.start())
        self.host.asked(RemoveAll).ends()
        self.successResultOf(started)
        following = self.builder.follow(TOOLCHAIN, Path("/archive"))
        following.grown(STEP - 1)
        assert self.host.requests() == []
        following.grown(STEP)
        return following

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
        following = self.following()
        worker = self.host.asked(FollowToolchain)
        following.grown(STEP + 1)
        following.grown(2 * STEP)
        job = self.doing(self.builder.run(JOB))
        following.whole(2 * STEP + 5)
        following.abandon()
        sizes = [(each.size, each.whole) for each in worker.news]
        assert sizes == [(STEP, False), (2 * STEP, False), (2 * STEP + 5, True)]
        assert self.host.requests() == [FollowToolchain]
        worker.ends()
        self.host.asked(RunJob).ends()
        self.successResultOf(job)

    def test_a_toolchain_that_does_not_come(self) -> None:
        """Its worker is killed, what it made is removed, and a job has the toolchain unpacked that came after all."""
        following = self.following()
        worker = self.host.asked(FollowToolchain)
        following.abandon()
        assert worker.killed
        job = self.doing(self.builder.run(JOB))
        worker.clear()
        worker.end()
        following.grown(3 * STEP)
        following.whole(3 * STEP)
        assert worker.value() == b""
        self.host.asked(RemoveToolchain).ends()
        self.host.asked(UnpackToolchain).ends()
        self.host.asked(RunJob).ends()
        self.successResultOf(job)

    def test_a_toolchain_that_cannot_be_unpacked_meanwhile(self) -> None:
        """The first job that needs it tries once more, and says why."""
        following = self.following()
        self.host.asked(FollowToolchain).ends(ToolchainError("bad"))
        self.host.asked(RemoveToolchain).ends()
        following.whole(STEP)
        job = self.doing(self.builder.run(JOB))
        self.host.asked(UnpackToolchain).ends(ToolchainError("bad"))
        self.host.asked(RemoveToolchain).ends()
        self.failureResultOf(job, ToolchainError)

    def test_not_many_are_followed(self) -> None:
        """As many as there are slots, each once, and jobs do not wait for those that come slowly."""
        self.following()
        for toolchain in (TOOLCHAIN, OTHER, archive_id("c" * 64)):
            self.builder.follow(toolchain, Path("/archive")).grown(STEP)
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
        following = self.following()
        following.whole(STEP)
        discarded = self.doing(self.builder.discard(TOOLCHAIN))
        self.host.asked(FollowToolchain).ends()
        self.host.asked(RemoveToolchain).ends()
        self.successResultOf(discarded)

    def test_nothing_is_followed_by_others(self) -> None:
        """Not every kind of sandbox can."""
        following = self.builder.follow(TOOLCHAIN, Path("/archive"))
        following.grown(STEP)
        following.whole(STEP)
        assert self.host.requests() == []
