"""A builder on sandbox workers, without processes: who is asked for what, and when."""

from typing import Any

import attrs
from twisted.internet.defer import CancelledError

from farmkit.fakes import FakeWatch
from sccachedist.builders.interface import Builder
from sccachedist.builders.worker_builder import SWEEP_AT_STOP_SECS, WorkerBuilder
from sccachedist.builders.worker_protocol import (
    RemoveAll,
    RemoveSandbox,
    RemoveToolchain,
    RunJob,
    Size,
    Sweep,
    UnpackToolchain,
)
from sccachedist.config import ServerLimits
from sccachedist.errors import BuildError, ForeignToolchain, LimitExceeded, ToolchainError
from sccachedist.outcomes import SentLocal
from sccachedist.policy import OnFailure
from sccachedist.wire.archive_id import ArchiveId
from sccachedist.wire.machines import ANY
from sccachedist.wire.messages import JobId
from sccachedist.wire.usage import Usage
from tests.builders.worker_host import JOB, OTHER, PROGRAM, TOOLCHAIN, Asked, BuilderCase


class BuilderTests(BuilderCase):
    """One builder, whose workers do what the test says."""

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
        self.host.asked(RunJob).ends(BuildError(SentLocal.SANDBOX, "wrong"))
        assert self.host.asked(RemoveSandbox).request == RemoveSandbox(sandbox)
        self.assertNoResult(job)
        self.host.asked(RemoveSandbox).ends()
        self.failureResultOf(job, BuildError)

    def test_whose_policy(self) -> None:
        """A job may bring its own policy about failures; the builder's holds for others."""
        for own, meant in ((None, OnFailure.VERIFY), (OnFailure.REPORT, OnFailure.REPORT)):
            self.doing(self.builder.run(attrs.evolve(JOB, on_failure=own)))
            if own is None:
                self.host.asked(UnpackToolchain).ends()
            request = self.host.asked(RunJob).request
            assert isinstance(request, RunJob)
            assert request.on_failure is meant
            self.host.asked(RunJob).ends()

    def test_what_a_job_took(self) -> None:
        """It is told before the job is over, whether it succeeded or failed; a worker that dies tells nothing."""
        took, watch = Usage(run_ns=5), FakeWatch()
        heard = watch.usages
        job = attrs.evolve(JOB, watch=watch)
        well = self.doing(self.builder.run(job))
        self.host.asked(UnpackToolchain).ends()
        self.host.asked(RunJob).ends(usage=took)
        self.successResultOf(well)
        assert heard == [took]
        too_large = self.doing(self.builder.run(job))
        self.host.asked(RunJob).ends(LimitExceeded("stdio_bytes", "too much"), usage=took)
        assert heard == [took, took]
        self.host.asked(RemoveSandbox).ends()
        self.failureResultOf(too_large, LimitExceeded)
        died = self.doing(self.builder.run(job))
        self.host.asked(RunJob).end()
        self.host.asked(RemoveSandbox).ends()
        self.failureResultOf(died, BuildError)
        assert heard == [took, took]

    def test_a_job_that_is_cancelled_twice(self) -> None:
        """No job waits any longer, but its leftovers are removed all the same."""
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
        self.host.asked(RemoveSandbox).ends(BuildError(SentLocal.SANDBOX, "stuck"))
        self.failureResultOf(job, ToolchainError)

    def test_a_toolchain_that_has_vanished(self) -> None:
        """It costs one job; the next has it unpacked again."""
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

    def test_a_toolchain_for_another_machine(self) -> None:
        """Its jobs are not tried, and it is told for which machine it is; once that can be emulated, they run."""
        told: list[tuple[ArchiveId, int]] = []
        self.builder.machines.here, self.builder.machines.looked = (62, 3), lambda *news: told.append(news)
        job = self.job(TOOLCHAIN)
        self.host.asked(UnpackToolchain).ends(machine=183)
        error = self.failureResultOf(job, ForeignToolchain).value
        said = "the toolchain is for aarch64, and this build server is for x86_64, i686"
        assert (str(error), error.kind, told) == (said, "aarch64", [(TOOLCHAIN, 183)])
        self.failureResultOf(self.job(TOOLCHAIN), ForeignToolchain)
        self.builder.machines.here = (62, 183)
        job = self.job(TOOLCHAIN)
        self.host.asked(RunJob).ends()
        self.successResultOf(job)

    def test_toolchains_that_run_here(self) -> None:
        """A job runs if its toolchain is for this machine, or for none, or if nothing is known of this machine."""
        for here, machine in (((62, 3), 3), ((62,), ANY), ((), 183)):
            self.builder = self.new()
            self.builder.machines.here = here
            job = self.job(TOOLCHAIN)
            self.host.asked(UnpackToolchain).ends(machine=machine)
            self.host.asked(RunJob).ends()
            self.successResultOf(job)

    def test_a_toolchain_that_was_removed(self) -> None:
        """What was known of it is forgotten: the same name is looked at again when it comes again."""
        self.builder.machines.here = (62,)
        job = self.job(TOOLCHAIN)
        self.host.asked(UnpackToolchain).ends(machine=183)
        self.failureResultOf(job, ForeignToolchain)
        discarded = self.doing(self.builder.discard(TOOLCHAIN))
        self.host.asked(RemoveToolchain).ends()
        self.successResultOf(discarded)
        self.builder.machines.check(TOOLCHAIN)

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
        """Both remove everything; for a stop, one worker does it, and none waits for jobs beside it."""
        started = self.doing(self.builder.start())
        self.host.asked(RemoveAll).ends()
        self.successResultOf(started)
        before = list(self.host.processes)
        stopped = self.doing(self.builder.stop())
        for each in before:
            each.end()
        assert len(self.host.processes) == len(before) + 1
        self.host.asked(RemoveAll).ends()
        for each in self.host.processes:
            each.end()
        self.successResultOf(stopped)
        late = self.failureResultOf(self.doing(self.builder.run(JOB)), BuildError)
        assert late.value.sent_local is SentLocal.SHUTDOWN

    def test_a_stop_starts_no_worker(self) -> None:
        """One that is idle and has run no job removes everything; the others are killed first."""
        started = self.doing(self.builder.start())
        self.host.asked(RemoveAll).ends()
        self.successResultOf(started)
        before = list(self.host.processes)
        stopped = self.doing(self.builder.stop())
        killed = [each for each in before if each.killed]
        assert len(killed) == len(before) - 1
        assert self.host.requests() == []
        for each in killed:
            each.end()
        assert self.host.processes == before
        last = self.host.asked(RemoveAll)
        assert last not in killed
        last.ends()
        self.assertNoResult(stopped)
        assert last.killed
        last.end()
        self.successResultOf(stopped)

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

    def test_a_start_after_one_that_failed(self) -> None:
        """Other workers begin: what the failed start has left is in no way of what these make."""
        failed = self.doing(self.builder.start())
        self.host.asked(RemoveAll).ends(BuildError(SentLocal.SANDBOX, "Docker does not answer"))
        self.failureResultOf(failed, BuildError)
        before = self.builder.workers
        again = self.doing(self.builder.start())
        for each in list(self.host.processes):
            each.end()
        self.host.asked(RemoveAll).ends()
        self.successResultOf(again)
        assert before.stopped
        assert self.builder.workers is not before

    def test_a_start_on_a_full_disk(self) -> None:
        """Where the trial job finds no room, it is tried again when there is some."""
        Asked.sweeps = False
        self.addCleanup(setattr, Asked, "sweeps", True)
        tried = iter([BuildError(SentLocal.SANDBOX, "no room"), None])

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
