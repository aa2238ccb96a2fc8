"""The life of the jobs of one build server.

Pure: no I/O, no clock. A job is assigned by the scheduler, or brought by its client with a token in which our own
scheduler names the toolchain; it is made ready by its toolchain, claimed once by its client, and forgotten when it has
run or when nobody came for it.
"""

from collections import OrderedDict
from enum import Enum, auto

import attrs

from sccachedist.errors import BadTransition, UnknownJob
from sccachedist.wire.archive_id import ArchiveId
from sccachedist.wire.messages import AssignJobResult, JobId, JobState
from sccachedist.wire.reports import Availability

#: Seconds after which a job that its client has not claimed is forgotten: longer than any scheduler waits for one.
UNCLAIMED_SECS = 600.0
#: How many jobs are remembered that are over, so that no client brings one of them again.
MOST_SPENT = 1 << 14


class Stage(Enum):
    """Where a job stands, seen from its build server."""

    AWAITS_TOOLCHAIN = auto()
    READY = auto()
    RUNNING = auto()


@attrs.define
class _Job:
    """``contacts`` are the requests in which its client is bringing the toolchain, or waiting for it."""

    toolchain: ArchiveId
    stage: Stage
    since: float
    contacts: int = 0


class ServerCore:
    """The jobs that this build server was assigned and has not finished."""

    def __init__(self) -> None:
        self._jobs: dict[JobId, _Job] = {}
        self._spent: OrderedDict[JobId, None] = OrderedDict()
        self._ready = self._drained = self._leaving = self._gone = False

    @property
    def availability(self) -> Availability:
        """Whether the scheduler may give it jobs."""
        if self._gone:
            return Availability.GONE
        return Availability.OPEN if self._closed is None else Availability.DRAINING

    @property
    def named(self) -> tuple[tuple[JobId, JobState], ...]:
        """The jobs that the scheduler is to know of: those that run, and those whose toolchain is on its way."""
        return tuple(
            (job_id, JobState.STARTED if job.stage is Stage.RUNNING else JobState.PENDING)
            for job_id, job in self._jobs.items()
            if job.stage is Stage.RUNNING or job.contacts
        )

    @property
    def _closed(self) -> str | None:
        """Why no job is taken."""
        if self._leaving:
            return "is shutting down"
        if not self._ready:
            return "is starting"
        return "is drained" if self._drained else None

    @property
    def running(self) -> int:
        """How many jobs compile at this moment."""
        return sum(job.stage is Stage.RUNNING for job in self._jobs.values())

    @property
    def taken(self) -> int:
        """How many jobs are here, whether they run or wait for their clients."""
        return len(self._jobs)

    def open(self) -> None:
        """Take jobs from now on: the builder has shown that it works."""
        self._ready = True

    def drain(self, drained: bool) -> None:
        """Take no job from now on, or take some again; those that were assigned may still run."""
        self._drained = drained

    def leave(self) -> None:
        """Take no job any more; those that were assigned may still run."""
        self._leaving = True

    def end(self) -> None:
        """The end: whoever comes now comes in vain."""
        self._gone = True

    def assign(self, job_id: JobId, toolchain: ArchiveId, *, present: bool, now: float) -> AssignJobResult:
        """Take a job. The same assignment may come again; another one never changes the job.

        :param present: whether the toolchain is here.
        :raises BadTransition: the job exists and is another, or this server takes no jobs yet or no more.
        """
        job = self._jobs.get(job_id)
        if job is None:
            if self._closed is not None:
                raise BadTransition(f"this build server {self._closed}")
            job = self._jobs[job_id] = _Job(toolchain, Stage.READY if present else Stage.AWAITS_TOOLCHAIN, now)
        if job.toolchain != toolchain or job.stage is Stage.RUNNING:
            raise BadTransition(f"job {job_id} is assigned already")
        missing = job.stage is Stage.AWAITS_TOOLCHAIN
        return AssignJobResult(JobState.PENDING if missing else JobState.READY, missing)

    def introduce(self, job_id: JobId, toolchain: ArchiveId, *, present: bool, now: float) -> None:
        """A client shows a token in which our scheduler has named its job and the toolchain.

        A job that is over is not taken up again, nor is one while this server is starting.

        :raises BadTransition: the job exists and is another.
        """
        job = self._jobs.get(job_id)
        if job is not None and job.toolchain != toolchain:
            raise BadTransition(f"job {job_id} is assigned already")
        if job is None and job_id not in self._spent and self._ready:
            self._jobs[job_id] = _Job(toolchain, Stage.READY if present else Stage.AWAITS_TOOLCHAIN, now)

    def contact(self, job_id: JobId, change: int) -> None:
        """A request in which the client brings a toolchain, or waits for it, has begun (1) or ended (-1)."""
        if (job := self._jobs.get(job_id)) is not None:
            job.contacts += change

    def awaited_toolchain(self, job_id: JobId) -> ArchiveId:
        """The toolchain that a job's client may upload.

        :raises UnknownJob: no such job waits for its client.
        """
        return self._unclaimed(job_id).toolchain

    def toolchain_arrived(self, job_id: JobId, now: float) -> bool:
        """A job's client has delivered its toolchain; returns whether that made the job ready.

        :raises UnknownJob: no such job waits for its client (any more).
        """
        job = self._unclaimed(job_id)
        made_ready = job.stage is Stage.AWAITS_TOOLCHAIN
        if made_ready:
            job.stage, job.since = Stage.READY, now
        return made_ready

    def awaits_toolchain(self, job_id: JobId) -> bool:
        """Whether a job cannot start yet.

        :raises UnknownJob: no such job waits for its client.
        """
        return self._unclaimed(job_id).stage is Stage.AWAITS_TOOLCHAIN

    def start(self, job_id: JobId, now: float) -> ArchiveId:
        """A client claims its job, which it can do once; returns the toolchain that it needs.

        :raises UnknownJob: there is no such job, or it has been claimed.
        """
        job = self._unclaimed(job_id)
        if job.stage is Stage.AWAITS_TOOLCHAIN:
            raise UnknownJob(f"job {job_id} has no toolchain yet")
        job.stage, job.since = Stage.RUNNING, now
        return job.toolchain

    def finish(self, job_id: JobId) -> None:
        """A claimed job has ended, in whatever way."""
        self._forget(job_id)

    def expire(self, now: float) -> tuple[JobId, ...]:
        """Forget the jobs that nobody claimed in time, and say which they were."""
        stale = tuple(
            job_id
            for job_id, job in self._jobs.items()
            if job.stage is not Stage.RUNNING and now - job.since > UNCLAIMED_SECS
        )
        for job_id in stale:
            self._forget(job_id)
        return stale

    def _forget(self, job_id: JobId) -> None:
        del self._jobs[job_id]
        self._spent[job_id] = None
        if len(self._spent) > MOST_SPENT:
            self._spent.popitem(last=False)

    def _unclaimed(self, job_id: JobId) -> _Job:
        job = self._jobs.get(job_id)
        if job is None or job.stage is Stage.RUNNING:
            raise UnknownJob(f"no job {job_id} waits here")
        return job
