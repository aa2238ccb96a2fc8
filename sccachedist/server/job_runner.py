"""Carries a job through a build server: assignment, toolchain, inputs, run, and the reports to the scheduler.

:mod:`sccachedist.server.jobs` decides, the toolchain cache and the builder work. How requests come in and answers go
out is not known here: :mod:`sccachedist.server.routes` does that.

Third of four stations of an error on its way to a status: :mod:`sccachedist.sandbox.result.outcome` raises it in the
worker, :mod:`sccachedist.builders.worker_protocol` carries it here, :meth:`JobRunner.run` ends the job with it, and
:mod:`sccachedist.web.responses` has the status. Here a ``DecodeError`` of the inputs becomes a ``BuildError``, and a
``ToolchainError`` before the run becomes the answer ``JobNotFound``.
"""

from collections.abc import Callable, Iterable, Sequence
from functools import partial
from pathlib import Path

from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.interfaces import IReactorTime
from twisted.logger import LogLevel

from sccachedist.budgets import Budget, Party
from sccachedist.builders.interface import Builder, BuildJob
from sccachedist.config import ServerLimits
from sccachedist.daemon.logs import Logger, QuietLog
from sccachedist.errors import (
    BuildError,
    DecodeError,
    DiskError,
    JobKilled,
    NoPlace,
    SccachedistError,
    StaysHome,
    ToolchainError,
    UnknownJob,
)
from sccachedist.files import remove_file
from sccachedist.outcomes import SentLocal
from sccachedist.server.deliveries import Delivery
from sccachedist.server.inputs import InputsSpool, ReceivedJob
from sccachedist.server.job_course import (
    ANSWER,
    ANSWERED,
    CLIENT_GONE,
    INPUTS_RECEIVE,
    SHUTDOWN,
    TOOLCHAIN_UPLOAD,
    TOOLCHAIN_WAIT,
    UNCLAIMED,
    WORKER_WAIT,
    Ending,
    JobCourse,
    sent_local,
)
from sccachedist.server.job_courses import JobCourses, JobObserver
from sccachedist.server.job_reports import JobReports
from sccachedist.server.job_turns import JobTurns
from sccachedist.server.jobs import Issue, ServerCore
from sccachedist.server.killing import until_killed
from sccachedist.server.portability import LocalOptions, reason_to_stay
from sccachedist.server.self_test import SelfTest
from sccachedist.toolchains.cache import Toolchains
from sccachedist.toolchains.uploads import Upload
from sccachedist.web.bodies import NoBody
from sccachedist.web.request_head import Head
from sccachedist.web.responses import MessageFile
from sccachedist.wire.archive_id import ArchiveId, archive_id
from sccachedist.wire.extension import Availability, Health
from sccachedist.wire.messages import (
    AssignJobResult,
    JobId,
    JobNotFound,
    JobState,
    RunJobRequest,
    SubmitToolchainResult,
    Toolchain,
)
from sccachedist.wire.tokens import Grant

log = Logger()


class JobRunner:
    """Runs jobs.

    :param spool: the directory for inputs and answers of running jobs.
    :param memory: the budget for bodies and commands in memory; ``disk`` is that for uploads, inputs and answers.
    :param local_options: ``policy.local_options``: further options with which the client has to compile locally.
    :param self_test: is told how jobs end.
    :param scheduler_time: returns the time by our scheduler's clock, if that is known.
    :param observers: are told of each job that ends.
    """

    def __init__(
        self,
        core: ServerCore,
        toolchains: Toolchains,
        builder: Builder,
        reports: JobReports,
        spool: Path,
        limits: ServerLimits,
        memory: Budget,
        disk: Budget,
        clock: IReactorTime,
        self_test: SelfTest,
        local_options: Iterable[str],
        scheduler_time: Callable[[], float | None],
        observers: Sequence[JobObserver],
    ) -> None:
        self._core, self._toolchains, self._builder, self._reports = core, toolchains, builder, reports
        self._spool, self.limits, self._clock, self._scheduler_time = spool, limits, clock, scheduler_time
        self._self_test, self.courses = self_test, JobCourses(clock.seconds, observers)
        self.memory, self.disk = memory, disk
        self._quiet_log = QuietLog(clock.seconds)
        self._idle: Deferred[None] | None = None
        self.local_options, self.turns = LocalOptions.of(local_options), JobTurns(clock)

    def open(self) -> None:
        """Accept jobs from now on: a scheduler that knows this server may send some before the next heartbeat."""
        self._core.open()

    def drain(self, drained: bool) -> None:
        """Accept no new job from now on, or accept them again."""
        self._core.drain(drained)

    @property
    def availability(self) -> Availability:
        """Whether this server accepts jobs."""
        return self._core.availability

    def judge(self, unfit: str) -> None:
        """Accept no new job while this server is unfit, for a reason; with an empty one, it is fit."""
        self._core.unfit = unfit

    @property
    def health(self) -> Health:
        """How this server fares."""
        return self._self_test.fitness.health

    @property
    def named_jobs(self) -> tuple[tuple[JobId, JobState], ...]:
        """The jobs that a heartbeat lists."""
        return self._core.named

    def introduce(self, job_id: JobId, grant: Grant) -> None:
        """Accept a job from a client's token, in which our scheduler names the job's toolchain.

        :raises BadTransition: the job exists with another toolchain.
        """
        self._core.introduce(
            job_id,
            grant.toolchain,
            present=grant.toolchain in self._toolchains,
            now=self._clock.seconds(),
            issue=Issue(grant.issued, self._scheduler_time()),
        )

    def assign(self, job_id: JobId, toolchain: Toolchain) -> AssignJobResult:
        """Accept a job from the scheduler.

        :raises DecodeError: the toolchain's name is no archive id.
        :raises BadTransition: the job exists already and differs, or this server accepts no jobs yet or any more.
        """
        needed = archive_id(toolchain.archive_id)
        return self._core.assign(job_id, needed, present=needed in self._toolchains, now=self._clock.seconds())

    def receive_toolchain(self, job_id: JobId, head: Head, party: Party) -> "Delivery":
        """Return a body that takes the toolchain of a job, or ignores it if there is no such job.

        :raises SccachedistError: the toolchain cannot be taken.
        """
        now = self._clock.seconds()
        try:
            toolchain = self._core.begin_upload(job_id, now)
        except (UnknownJob, NoPlace) as error:
            self._turn_away(job_id, head.peer, error)
            return Delivery(None, lambda _: None)
        self.courses.enter(job_id, head.peer).begin(TOOLCHAIN_UPLOAD, now)
        try:
            upload = self._toolchains.receive(toolchain, party)
        except BaseException as error:
            self._over(job_id, error)
            raise
        self._reports.report_extension(job_id, JobState.PENDING)
        return Delivery(upload, partial(self._over, job_id))

    async def submit(self, job_id: JobId, upload: Upload | None) -> SubmitToolchainResult:
        """Publish the toolchain that a job's client has uploaded; None if there is no such job."""
        if upload is None:
            return SubmitToolchainResult.JOB_NOT_FOUND
        course = self.courses[job_id]
        course.uploaded_bytes = upload.size
        try:
            await self._toolchains.publish(upload)
            now = self._clock.seconds()
            made_ready = self._core.toolchain_arrived(job_id, now)
        except (ToolchainError, DiskError) as error:
            self._tell(LogLevel.warn, "toolchain of job {job_id}, from {client}: {error}", job_id, error)
            self._self_test.failed(error)
            # Report it before the answer, so that the scheduler asks the next client for the toolchain.
            self._over(job_id, error)
            await self._reports.flush()
            return SubmitToolchainResult.CANNOT_CACHE
        except BaseException as error:
            self._over(job_id, error)
            raise
        course.pause(now)
        self._core.end_upload(job_id)
        if course.killed is not None:
            self._over(job_id, course.killed)
            return SubmitToolchainResult.SUCCESS
        # Our scheduler has heard of the upload: until the job is Ready, it expects it in each heartbeat.
        (self._reports.report if made_ready else self._reports.report_extension)(job_id, JobState.READY)
        return SubmitToolchainResult.SUCCESS

    def receive_inputs(self, job_id: JobId, head: Head, party: Party) -> "InputsSpool | NoBody":
        """Claim a job for its client; return a body that takes its inputs, or ignores them if there is no such job.

        :raises SccachedistError: the inputs are too large or cannot be taken.
        """
        now = self._clock.seconds()
        try:
            self._core.claim(job_id, now)
        except (UnknownJob, NoPlace) as error:
            self._turn_away(job_id, head.peer, error)
            return NoBody()
        course = self.courses.enter(job_id, head.peer)
        course.begin(INPUTS_RECEIVE, now)
        self.courses.take_slot(course)
        memory, room = course.holds = self.memory.open(party), self.disk.open(party)
        try:
            given_up, judge = partial(self._over, job_id), partial(self._judge_request, course)
            return InputsSpool(head, self._spool, self.limits, memory, room, given_up, judge)
        except BaseException as error:
            self._over(job_id, error)
            raise

    def _judge_request(self, course: JobCourse, request: RunJobRequest) -> None:
        """Note what a job compiles.

        :raises StaysHome: that would not mean the same here as on its client's machine.
        """
        course.know(request)
        if (reason := reason_to_stay(request.command, self.local_options)) is not None:
            raise StaysHome(reason)

    async def run(self, job_id: JobId, received: ReceivedJob | None) -> MessageFile | JobNotFound:
        """Compile; returns the file with the answer, which the caller removes. ``received`` is None without a job.

        The job is over when the answer has been sent.

        :raises SccachedistError: there is no result that a user may see: the client has to compile locally.
        """
        if received is None:
            return JobNotFound()
        course = self.courses[job_id]
        course.input_bytes = received.room.amount
        try:
            toolchain = await self._wait_for_toolchain(job_id, course)
        except BaseException as error:
            remove_file(received.inputs)
            if isinstance(error, ToolchainError):
                self._tell(LogLevel.info, "job {job_id} of {client} not run: {error}", job_id, error)
            self._over(job_id, error)
            if not isinstance(error, ToolchainError):
                raise
            await self._reports.flush()  # then the scheduler asks the next client for the toolchain
            return JobNotFound()
        self._reports.report(job_id, JobState.STARTED)
        try:
            await until_killed(course, self._build(job_id, toolchain, received, course))
            course.output_bytes = received.charge_answer()
        except BaseException as error:
            self._self_test.failed(error)
            remove_file(received.inputs)
            self._ended(job_id, error)
            raise
        course.begin(ANSWER, self._clock.seconds())
        self._self_test.succeeded()
        return MessageFile(received.inputs, partial(self._ended, job_id))

    async def _wait_for_toolchain(self, job_id: JobId, course: JobCourse) -> ArchiveId:
        """Wait for another client's upload or for a fetch: while our scheduler knows where it is, no client is asked.

        :raises ToolchainError: the toolchain does not come.
        """
        toolchain = self._core.toolchain(job_id)
        if self._core.awaits_toolchain(job_id):
            course.begin(TOOLCHAIN_WAIT, self._clock.seconds())
            self._reports.report_extension(job_id, JobState.PENDING)
            await self._toolchains.wait_until_present(toolchain)
            if self._core.toolchain_arrived(job_id, self._clock.seconds()):
                self._reports.report(job_id, JobState.READY)
        return toolchain

    def _tell(self, level: LogLevel, form: str, job_id: JobId, error: Exception, client: str | None = None) -> None:
        """Log what becomes of a job, unless the same has been told of its client lately."""
        client, said = client or self.courses.client(job_id), str(error)
        why = said.replace(str(job_id), "")
        self._quiet_log.tell(log, level, form, form, by=client, why=why, job_id=job_id, client=client, error=said)

    def _turn_away(self, job_id: JobId, client: str, error: SccachedistError) -> None:
        """Refuse a client's request. If there was no place for it, the job is over: the client compiles locally."""
        self._tell(LogLevel.info, "job {job_id} of {client} not taken: {error}", job_id, error, client)
        if not isinstance(error, NoPlace):
            return self.turned_away(client, error)
        self.courses.enter(job_id, client)
        return self._over(job_id, error)

    def turned_away(self, client: str, error: SccachedistError) -> None:
        """Tell observers of a request that was refused and ended no job: none such waits, or its token is stale."""
        self.courses.turned_away(client, sent_local(error))

    def _over(self, job_id: JobId, error: BaseException | None) -> None:
        """End a job that has not started, and tell our scheduler that it will not run. A disk may be the cause.

        :param error: None if the client has gone.
        """
        self._self_test.look()
        if (summary := self._drop(job_id, self._ending(error))) is not None:
            self._reports.report_extension(job_id, JobState.COMPLETE, summary)

    def _ended(self, job_id: JobId, error: BaseException | None = None) -> None:
        """End a job that has started, and report it.

        :param error: None if the answer has been sent.
        """
        if (summary := self._drop(job_id, ANSWERED if error is None else self._ending(error))) is not None:
            self._reports.report(job_id, JobState.COMPLETE, summary)

    def _ending(self, error: BaseException | None) -> Ending:
        if error is None or isinstance(error, CancelledError):
            return SHUTDOWN if self._core.availability is Availability.GONE else CLIENT_GONE
        return sent_local(error)

    def _drop(self, job_id: JobId, ending: Ending) -> bytes | None:
        """Release what a job holds, so that its slot is free; no token opens the job any more.

        Returns what became of it, in bytes, unless it was over already.
        """
        if not self._core.drop(job_id):
            return None
        summary = self.courses.end(job_id, ending)
        self._tell_idle()
        return summary

    def expire(self) -> None:
        """Drop jobs that no client has claimed in time."""
        for job_id in self._core.expire(self._clock.seconds()):
            client, form = self.courses.client(job_id), "job {job_id} of {client} was not claimed"
            self._quiet_log.tell(log, LogLevel.info, "unclaimed", form, by=client, job_id=job_id, client=client)
            self._reports.report_extension(job_id, JobState.COMPLETE, self.courses.end(job_id, UNCLAIMED))
        self.courses.keep_only(self._core)

    def kill(self, job_id: JobId) -> None:
        """End a job because an administrator wants that, or refuse one that has not come yet."""
        if self._core.is_used(job_id):
            self.courses[job_id].kill(JobKilled())
        elif job_id in self._core:
            self._over(job_id, JobKilled())
        elif self._core.refuse(job_id):
            summary = self.courses.end(job_id, sent_local(JobKilled()))
            self._reports.report_extension(job_id, JobState.COMPLETE, summary)

    def leave(self) -> None:
        """Accept no new job any more; clients of accepted jobs may still come, and their jobs run."""
        self._core.leave()

    def end(self) -> None:
        """Have heartbeats say from now on that this build server is gone."""
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

    async def _build(self, job_id: JobId, toolchain: ArchiveId, received: ReceivedJob, course: JobCourse) -> None:
        course.begin(WORKER_WAIT, self._clock.seconds())
        try:
            async with self.turns.turn(), self._toolchains.using(toolchain) as archive:
                await self._builder.run(
                    BuildJob(
                        job_id=job_id,
                        toolchain=toolchain,
                        archive=archive,
                        request=received.request,
                        inputs=received.inputs,
                        answer=received.inputs,  # one file less to make and to remove
                        as_json=received.as_json,
                        watch=course,
                    )
                )
        except DecodeError as error:
            raise BuildError(SentLocal.INPUTS, f"the inputs cannot be unpacked: {error}") from error
