"""What a build server does for a job: takes it, gets its toolchain, runs it, says so.

The core decides, the toolchains and the builder work; how requests come in and answers go out is not known here.
"""

from collections.abc import Callable, Iterable
from functools import partial
from pathlib import Path

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IReactorTime

from sccachedist.builders.seam import Builder, BuildJob
from sccachedist.config import ServerLimits
from sccachedist.directories import clear, held
from sccachedist.errors import (
    BuildError,
    CompileFailed,
    DecodeError,
    DiskError,
    SccachedistError,
    StaysHome,
    ToolchainError,
    UnknownJob,
)
from sccachedist.files import remove_file
from sccachedist.logs import Logger
from sccachedist.server.core import ServerCore
from sccachedist.server.inputs import InputsSpool, ReceivedJob
from sccachedist.server.portability import LocalOptions, reason_to_stay
from sccachedist.server.reports import Reports
from sccachedist.server.toolchains import JOB_WAITS_SECS, Toolchains, Upload
from sccachedist.web.bodies import Body, NoBody
from sccachedist.web.head import Head
from sccachedist.wire.archive_id import ArchiveId, archive_id
from sccachedist.wire.messages import (
    AssignJobResult,
    CompileCommand,
    JobId,
    JobNotFound,
    JobState,
    SubmitToolchainResult,
    Toolchain,
)
from sccachedist.wire.reports import Availability

log = Logger()


class BuildServer:
    """Runs jobs.

    :param spool: the directory for inputs and answers of running jobs.
    :param local_options: an administrator's own options with which compiles are sent home.
    """

    def __init__(
        self,
        core: ServerCore,
        toolchains: Toolchains,
        builder: Builder,
        reports: Reports,
        spool: Path,
        limits: ServerLimits,
        clock: IReactorTime,
        local_options: Iterable[str] = (),
    ) -> None:
        self._core, self._toolchains, self._builder, self._reports = core, toolchains, builder, reports
        self._spool, self._limits, self._clock = spool, limits, clock
        self._idle: Deferred[None] | None = None
        #: How many failed compiles were given back for their clients to repeat, since the start.
        self.verified_failures = 0
        self._local_options = LocalOptions.of(local_options)
        #: How many compiles were sent home for what their options mean, since the start.
        self.stayed_home = 0

    def open(self) -> None:
        """Take jobs from now on; the scheduler may know this server from before and not wait for its heartbeat."""
        self._core.open()

    def drain(self, drained: bool) -> None:
        """Take no new job from now on, or take some again."""
        self._core.drain(drained)

    @property
    def availability(self) -> Availability:
        """Whether it takes jobs."""
        return self._core.availability

    @property
    def named_jobs(self) -> tuple[tuple[JobId, JobState], ...]:
        """The jobs that the scheduler is to know of."""
        return self._core.named

    def introduce(self, job_id: JobId, toolchain: ArchiveId) -> None:
        """A client has a token of our scheduler's, which names its job's toolchain.

        :raises BadTransition: the job is another.
        """
        self._core.introduce(job_id, toolchain, present=toolchain in self._toolchains, now=self._clock.seconds())

    def assign(self, job_id: JobId, toolchain: Toolchain) -> AssignJobResult:
        """Take a job from the scheduler.

        :raises DecodeError: what it calls a toolchain is none.
        :raises BadTransition: the job is another already, or this server takes none yet or no more.
        """
        needed = archive_id(toolchain.archive_id)
        return self._core.assign(job_id, needed, present=needed in self._toolchains, now=self._clock.seconds())

    def receive_toolchain(self, job_id: JobId) -> "Delivery":
        """A place for the toolchain of a job; what is not wanted is passed over, and :meth:`submit` finds out again.

        :raises DiskError: there is none.
        """
        try:
            body = self._toolchains.receive(self._core.awaited_toolchain(job_id)) or NoBody()
        except UnknownJob:
            body = NoBody()
        except DiskError:
            self._over(job_id)
            raise
        self._reports.remark(job_id, JobState.PENDING)
        return Delivery(body, partial(self._contact, job_id))

    async def submit(self, job_id: JobId, upload: Upload | None) -> SubmitToolchainResult:
        """A job's client has sent its toolchain; None where it was not wanted."""
        try:
            if upload is None:
                await self._toolchains.arrival(self._core.awaited_toolchain(job_id))
            else:
                self._toolchains.publish(upload)
            if self._core.toolchain_arrived(job_id, self._clock.seconds()):
                self._reports.report(job_id, JobState.READY)
        except UnknownJob:
            return SubmitToolchainResult.JOB_NOT_FOUND
        except (ToolchainError, DiskError) as error:
            log.warn("toolchain of job {job_id}: {error}", job_id=job_id, error=str(error))
            # The next client is to be asked for the toolchain again.
            self._over(job_id)
            await self._reports.heard()
            return SubmitToolchainResult.CANNOT_CACHE
        finally:
            self._core.contact(job_id, -1)
        return SubmitToolchainResult.SUCCESS

    def _contact(self, job_id: JobId, change: int) -> None:
        """An upload begins, or breaks off."""
        self._core.contact(job_id, change)
        if change < 0:
            self._over(job_id)

    def _over(self, job_id: JobId) -> None:
        """A job's client compiles locally, or has gone."""
        self._reports.remark(job_id, JobState.COMPLETE)

    def receive_inputs(self, job_id: JobId, head: Head) -> InputsSpool:
        """A place for the inputs of a job.

        :raises SccachedistError: they are too large, or there is none.
        """
        try:
            return InputsSpool(head, self._spool, self._limits, partial(self._over, job_id), self._require_portable)
        except SccachedistError:
            self._over(job_id)
            raise

    def _require_portable(self, command: CompileCommand) -> None:
        """See that a compile means the same here as on its client's machine.

        :raises StaysHome: it does not.
        """
        if (reason := reason_to_stay(command, self._local_options)) is not None:
            self.stayed_home += 1
            raise StaysHome(reason)

    async def run(self, job_id: JobId, received: ReceivedJob) -> Path | JobNotFound:
        """Compile; returns the file that holds the answer, which whoever gets it removes.

        :raises SccachedistError: there is no result that a user may see: the client has to compile locally.
        """
        try:
            await self._wait_for_toolchain(job_id)
            toolchain = self._core.start(job_id, self._clock.seconds())
        except (UnknownJob, ToolchainError) as error:
            log.info("job {job_id} not run: {error}", job_id=job_id, error=str(error))
            remove_file(received.inputs)
            return JobNotFound()
        except BaseException:
            remove_file(received.inputs)
            raise
        self._reports.report(job_id, JobState.STARTED)
        try:
            return await self._build(job_id, toolchain, received)
        except CompileFailed:
            self.verified_failures += 1
            remove_file(received.inputs)
            raise
        except BaseException:
            remove_file(received.inputs)
            raise
        finally:
            self._core.finish(job_id)
            self._reports.report(job_id, JobState.COMPLETE)
            self._tell_idle()

    async def _wait_for_toolchain(self, job_id: JobId) -> None:
        """Where our scheduler knows that another client is bringing a toolchain, it asks for no second upload.

        :raises UnknownJob: no such job waits for its client.
        :raises ToolchainError: the toolchain does not come.
        """
        if not self._core.awaits_toolchain(job_id):
            return
        toolchain = self._core.awaited_toolchain(job_id)
        self._core.contact(job_id, 1)
        self._reports.remark(job_id, JobState.PENDING)
        try:
            await self._toolchains.begun(toolchain)
            await self._toolchains.arrival(toolchain, JOB_WAITS_SECS)
            self._core.toolchain_arrived(job_id, self._clock.seconds())
        finally:
            self._core.contact(job_id, -1)

    def expire(self) -> None:
        """Forget jobs that nobody claimed."""
        for job_id in self._core.expire(self._clock.seconds()):
            log.info("job {job_id} was not claimed", job_id=job_id)

    def leave(self) -> None:
        """Take no new job any more; those that were assigned may still come, and run."""
        self._core.leave()

    def end(self) -> None:
        """Say from now on that this build server is gone."""
        self._core.end()

    async def idle(self) -> None:
        """Wait until no job runs."""
        if self._core.running:
            log.info("waiting for {count} jobs", count=self._core.running)
            self._idle = Deferred()
            await self._idle

    def _tell_idle(self) -> None:
        if self._idle is not None and not self._core.running:
            idle, self._idle = self._idle, None
            idle.callback(None)

    async def _build(self, job_id: JobId, toolchain: ArchiveId, received: ReceivedJob) -> Path:
        began = self._clock.seconds()
        try:
            async with self._toolchains.using(toolchain) as archive:
                await self._builder.run(
                    BuildJob(
                        job_id=job_id,
                        toolchain=toolchain,
                        archive=archive,
                        request=received.request,
                        inputs=received.inputs,
                        answer=received.inputs,  # one file less to make and to remove
                        as_json=received.as_json,
                    )
                )
        except DecodeError as error:
            raise BuildError(f"the inputs cannot be unpacked: {error}") from error
        log.debug("job {job_id} took {seconds:.3f} s", job_id=job_id, seconds=self._clock.seconds() - began)
        return received.inputs


class Delivery(Body[Upload | None]):
    """The body of a ``submit_toolchain``: while it comes, its job is one whose toolchain is on its way.

    :param contact: told 1 when it begins and -1 when it breaks off; who takes it when it is complete says the rest.
    """

    def __init__(self, body: Upload | NoBody, contact: Callable[[int], None]) -> None:
        self._body, self._contact, self._open = body, contact, True
        contact(1)

    def write(self, chunk: bytes) -> None:
        """Pass it on."""
        self._body.write(chunk)

    def complete(self) -> Upload | None:
        """The whole upload, None where it was not wanted."""
        self._open = False
        return self._body.complete()

    def abort(self) -> None:
        """The rest will not come."""
        self._body.abort()
        if self._open:
            self._open = False
            self._contact(-1)


def open_spool(spool: Path) -> None:
    """Make the directory for inputs and answers, and remove what an earlier process left in it."""
    clear(held(spool))
