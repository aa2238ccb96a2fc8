"""Toolchains that are unpacked while they come in, by workers that a test answers for."""

from pathlib import Path

import attrs

from sccachedist.builders.upload_follower import STEP
from sccachedist.builders.worker_protocol import FollowToolchain, RemoveToolchain, RunJob, UnpackToolchain
from sccachedist.errors import ToolchainError
from sccachedist.wire.archive_id import archive_id
from tests.builders.worker_host import JOB, OTHER, TOOLCHAIN, Asked, BuilderCase


class FollowedUploadTests(BuilderCase):
    """A builder that follows uploads."""

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
