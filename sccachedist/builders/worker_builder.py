"""The builder that every kind of sandbox shares: its workers unpack toolchains, run jobs, and remove leftovers.

Nothing here opens, unpacks or mounts what a client sent: the workers do. Only their program knows the kind of
sandbox.
"""

import uuid
from collections import defaultdict
from collections.abc import Callable, Coroutine
from functools import partial
from pathlib import Path
from typing import Any

from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.task import deferLater
from twisted.python.failure import Failure

from sccachedist.builders.disk_room import UNBOUNDED, Room
from sccachedist.builders.interface import Builder, BuildJob
from sccachedist.builders.machines import Machines
from sccachedist.builders.refusals import Refusals
from sccachedist.builders.unpacked_toolchains import UnpackedToolchains
from sccachedist.builders.upload_follower import UploadFollower
from sccachedist.builders.worker_pool import IWorkerReactor, Program, Workers
from sccachedist.builders.worker_protocol import (
    SANDBOX_PREFIX,
    FollowToolchain,
    JobLimits,
    RemoveAll,
    RemoveSandbox,
    RemoveToolchain,
    Request,
    RunJob,
    Size,
    Sweep,
    UnpackLimits,
    UnpackToolchain,
    limits_from,
)
from sccachedist.config import WorkerLimits
from sccachedist.daemon.logs import Logger
from sccachedist.errors import BuildError, DiskFull, SccachedistError, ToolchainError
from sccachedist.outcomes import SentLocal
from sccachedist.policy import OnFailure
from sccachedist.singleflight import SingleFlight
from sccachedist.wire.archive_id import ArchiveId, archive_id

log = Logger()

#: Seconds for a :class:`Sweep`: while the build server runs, and when it stops.
SWEEP_SECS, SWEEP_AT_STOP_SECS = 3600.0, 2.0
#: The latter where other programs remove what there is, one piece after the other: Docker takes a part of one for each.
SWEEP_OUTSIDE_SECS = 10.0
#: Seconds until the removal of a sandbox that has failed is tried again: the first time, and after many.
RETRY_SECS, MOST_RETRY_SECS = 5.0, 300.0
#: Seconds to remove jobs and toolchains when the build server stops.
REMOVAL_AT_STOP_SECS = 30.0

Proof = Callable[[Builder], Coroutine[Deferred[Any], Any, None]]


class WorkerBuilder:
    """Runs compiles in the sandboxes of its workers.

    :param program: what the workers run.
    :param proof: runs a job that shows that the sandboxes work.
    :param scratch_bytes: how much a job may write, where its kind of sandbox limits it.
    :param slots: how many jobs may run at a time.
    :param room: the disk space that unpacked toolchains may take together.
    :param on_failure: which failed compiles the clients have to repeat.
    :param reuse: whether a sandbox is clean after a job that returned, and serves the next job with the same toolchain.
    :param follow: whether workers can unpack a toolchain while it is uploaded.
    :param sweep_at_stop_secs: for a :class:`Sweep` when the build server stops; the next start's removes the rest.
    :param clearing: what workers run that clear up at the end, if jobs have so little CPU that this could take long.
    """

    def __init__(
        self,
        reactor: IWorkerReactor,
        program: Program,
        proof: Proof,
        limits: WorkerLimits,
        scratch_bytes: int,
        slots: int,
        *,
        room: Size = UNBOUNDED,
        on_failure: OnFailure = OnFailure.VERIFY,
        reuse: bool = False,
        follow: bool = False,
        sweep_at_stop_secs: float = SWEEP_AT_STOP_SECS,
        clearing: Program | None = None,
    ) -> None:
        self._clearing = clearing or program
        self._reactor, self._program, self._proof, self._slots, self._reuse = reactor, program, proof, slots, reuse
        self._sweep_at_stop_secs = sweep_at_stop_secs
        self._job_secs, self._on_failure = limits.job_secs, on_failure
        self._job_limits = limits_from(limits, JobLimits, scratch_bytes=scratch_bytes)
        self._unpack_limits = limits_from(limits, UnpackLimits)
        self.workers = self._new_workers()
        self._room = Room(room)
        self._toolchains = UnpackedToolchains(self._room, self._remove)
        self._refusals = Refusals()
        #: Which machines its toolchains need, and what of that runs here.
        self.machines = Machines()
        self._spares: defaultdict[ArchiveId, list[str]] = defaultdict(list)
        self._removals: SingleFlight[str] = SingleFlight()
        self._sweeping: SingleFlight[str] = SingleFlight()
        self._left: set[str] = set()
        self._removing_left: Deferred[None] | None = None
        self._to_sweep = False
        self._started = self._stopped = False
        self._follows, self._may_follow = follow, slots if follow else 0

    def take_policy(self, limits: WorkerLimits, on_failure: OnFailure) -> None:
        """Let other limits hold for jobs and toolchains that come, but for those that sandboxes are made with."""
        self._job_secs, self._on_failure = limits.job_secs, on_failure
        self._job_limits = limits_from(limits, JobLimits, scratch_bytes=self._job_limits.scratch_bytes)
        self._unpack_limits = limits_from(limits, UnpackLimits)
        self._refusals = Refusals()

    def allow(self, slots: int) -> None:
        """Let so many jobs run at a time, if they are more than before; the scheduler sees to it that they are less."""
        more = max(0, slots - self._slots)
        self._slots += more
        self._may_follow += more * self._follows
        self.workers.allow(more)

    async def start(self) -> None:
        """See :meth:`sccachedist.builders.interface.Builder.start`."""
        if self._started:  # it did not work before; what that has left is swept like all else
            await self.workers.stop()
            self.workers = self._new_workers()
        self._started, self._stopped = True, False
        self._forget_all()
        await self._try(self.workers.ask(RemoveAll(), self._job_secs))
        swept = self._sweep()
        try:
            await self.prove()
        except BuildError:
            if swept.called:
                raise
            await swept  # the disk may have been full, and the sweep frees room
            await self.prove()

    async def prove(self) -> None:
        """Show that jobs can run. A running build server with the same sandboxes is not disturbed.

        :raises BuildError: they cannot; the text says why.
        """
        await self._try(self._proof(self))

    def complaint(self) -> str:
        """See :meth:`sccachedist.builders.interface.Builder.complaint`."""
        return ""

    def follow(self, toolchain: ArchiveId, archive: Path) -> UploadFollower:
        """See :meth:`sccachedist.builders.interface.Builder.follow`."""
        return UploadFollower(partial(self._follow, toolchain, archive))

    async def run(self, job: BuildJob) -> None:
        """See :meth:`sccachedist.builders.interface.Builder.run`."""
        if self._stopped:
            raise BuildError(SentLocal.SHUTDOWN, "the builder has stopped")
        with self._toolchains.using(job.toolchain):
            if job.toolchain not in self._toolchains:
                try:
                    await self._toolchains.prepare(job.toolchain, lambda: self._unpack(job))
                finally:
                    job.watch.unpacked()
            self.machines.check(job.toolchain)
            spares = self._spares[job.toolchain]
            sandbox = spares.pop() if spares else f"{SANDBOX_PREFIX}{uuid.uuid4()}"
            try:
                request = self._request(job, sandbox)
                await self.workers.ask(request, self._job_secs, job.toolchain, watch=job.watch)
            except BaseException as error:
                if isinstance(error, ToolchainError):
                    self._toolchains.forget(job.toolchain)
                # A single flight goes on when this coroutine is cancelled a second time.
                await self._removals.do(sandbox, lambda: self._remove_sandbox(sandbox))
                raise
            if self._reuse:
                spares.append(sandbox)

    async def discard(self, toolchain: ArchiveId) -> None:
        """See :meth:`sccachedist.builders.interface.Builder.discard`."""
        await self._toolchains.discard(toolchain)

    async def stop(self) -> None:
        """See :meth:`sccachedist.builders.interface.Builder.stop`."""
        self._stopped = True
        if self._removing_left is not None:
            self._removing_left.cancel()
        last = self._new_workers(self._clearing, ahead=False)
        if self._started:
            self.workers.hand_over(last)  # to start a worker takes a while
        await self.workers.stop()
        self._forget_all()
        if self._started:
            self._started = self._to_sweep = False
            self.workers = last  # one worker removes what there is, and no job follows
            await self._clear_up(RemoveAll(), REMOVAL_AT_STOP_SECS)
            await self._clear_up(Sweep(), self._sweep_at_stop_secs)
            await self.workers.stop()
        self.workers = self._new_workers()

    async def _try(self, step: Coroutine[Deferred[Any], Any, object]) -> None:
        try:
            await step
        except (OSError, SccachedistError) as error:
            raise BuildError(SentLocal.SANDBOX, f"the sandbox does not work: {error}") from error

    async def _follow(self, toolchain: ArchiveId, archive: Path, follower: UploadFollower) -> None:
        """Unpack an archive during its upload.

        The worker may wait for a slow client: it takes no job's turn, and there are at most ``slots`` of this kind.
        """
        if not self._may_follow or not self._started or self._room.is_clogged:
            return
        request = FollowToolchain(self._unpacking(toolchain, archive))

        async def unpack() -> bool:
            try:
                await follower.asked(lambda: self._followed(request, follower))
            except (CancelledError, SccachedistError) as error:
                log.debug("{toolchain} not unpacked meanwhile: {error}", toolchain=toolchain, error=str(error))
                await self._clear_up(RemoveToolchain(toolchain))
                self._sweep()
                return False
            return True

        self._may_follow -= 1
        try:
            await self._toolchains.prepare_early(toolchain, unpack)
        finally:
            self._may_follow += 1

    async def _followed(self, request: FollowToolchain, follower: UploadFollower) -> None:
        toolchain = archive_id(request.unpacking.toolchain)
        grown = partial(self._toolchains.grown, toolchain)
        done = await self.workers.ask_at_once(request, self._job_secs, follower.reach, grown=grown)
        grown(done.size)
        self.machines.unpacked(toolchain, done.machine)

    async def _unpack(self, job: BuildJob) -> bool:
        """Unpack a toolchain; if the disk is full, evict idle toolchains, sweep, and try again, at most twice.

        :raises SccachedistError: it cannot be unpacked.
        """
        self._refusals.check(job.toolchain, self._reactor.seconds())
        try:
            for _ in range(2):
                sweeping = "" in self._sweeping
                if self._room.is_clogged:
                    await self._sweep()
                try:
                    return await self._try_to_unpack(job)
                except DiskFull as error:
                    log.warn(
                        "making room for toolchain {toolchain}: {error}", toolchain=job.toolchain, error=str(error)
                    )
                    if not sweeping:
                        await self._toolchains.make_room()
                    await self._sweep()
            return await self._try_to_unpack(job)
        except SccachedistError as error:
            self._refusals.note(job.toolchain, error, self._reactor.seconds())
            raise

    async def _try_to_unpack(self, job: BuildJob) -> bool:
        request, grown = self._unpacking(job.toolchain, job.archive), partial(self._toolchains.grown, job.toolchain)
        try:
            done = await self.workers.ask(request, self._job_secs, grown=grown)
            grown(done.size)
        except SccachedistError:  # a killed worker leaves what it has unpacked so far
            await self._clear_up(RemoveToolchain(job.toolchain))
            self._sweep()
            raise
        self.machines.unpacked(job.toolchain, done.machine)
        return True

    async def _remove(self, toolchain: ArchiveId) -> None:
        self.machines.removed(toolchain)
        for sandbox in self._spares.pop(toolchain, []):
            await self._remove_sandbox(sandbox)
        await self._clear_up(RemoveToolchain(toolchain))
        self._sweep()

    def _sweep(self) -> Deferred[None]:
        """Free the disk space of removed toolchains in the background; the Deferred fires when that is done."""

        async def sweep() -> None:
            while self._to_sweep:
                self._to_sweep, removed = False, self._room.unswept
                await self._clear_up(Sweep(), SWEEP_SECS)
                self._room.swept(removed)

        self._to_sweep = True
        swept = Deferred.fromCoroutine(self._sweeping.do("", sweep))
        return swept.addErrback(lambda failure: log.failure("what was removed is not swept", failure))

    async def _remove_sandbox(self, sandbox: str) -> None:
        """Remove a sandbox, later if not now: its job may still run where another program is asked to end it."""
        if await self._clear_up(RemoveSandbox(sandbox)):
            return
        self._left.add(sandbox)
        if self._removing_left is None:
            self._removing_left = Deferred.fromCoroutine(self._remove_left())
            self._removing_left.addErrback(_unless_cancelled)

    async def _remove_left(self) -> None:
        """Try again until nothing is left: one after the other, for each may take long where all of them fail."""
        pause = RETRY_SECS
        try:
            while self._left:
                await deferLater(self._reactor, pause)
                pause = min(2 * pause, MOST_RETRY_SECS)
                for sandbox in tuple(self._left):
                    if not await self._clear_up(RemoveSandbox(sandbox)):
                        break
                    self._left.discard(sandbox)
                    pause = RETRY_SECS
        finally:
            self._left.clear()
            self._removing_left = None

    async def _clear_up(self, request: Request, seconds: float | None = None) -> bool:
        """Have something removed; returns whether that was done, or will be when this builder stops."""
        workers = self.workers
        try:
            await workers.ask_at_once(request, seconds or self._job_secs)
        except SccachedistError as error:
            if workers.stopped:  # stop() removes everything
                return True
            stays = "for a while" if isinstance(request, RemoveSandbox) else "until the next start"
            log.warn("something stays {stays}, {request}: {error}", stays=stays, request=request, error=error)
            return False
        return True

    def _unpacking(self, toolchain: ArchiveId, archive: Path) -> UnpackToolchain:
        return UnpackToolchain(toolchain, str(archive.absolute()), self._unpack_limits)

    def _request(self, job: BuildJob, sandbox: str) -> RunJob:
        return RunJob(
            toolchain=job.toolchain,
            sandbox=sandbox,
            request=job.request,
            inputs=str(job.inputs.absolute()),
            answer=str(job.answer.absolute()),
            as_json=job.as_json,
            on_failure=job.on_failure or self._on_failure,
            limits=self._job_limits,
        )

    def _new_workers(self, program: Program | None = None, *, ahead: bool = True) -> Workers:
        return Workers(self._reactor, program or self._program, self._slots, ahead=ahead)

    def _forget_all(self) -> None:
        self._toolchains.forget_all()
        self.machines.forget_all()
        self._spares.clear()


def _unless_cancelled(failure: Failure) -> None:
    if not failure.check(CancelledError):
        log.failure("what sandboxes have left is not removed", failure)
