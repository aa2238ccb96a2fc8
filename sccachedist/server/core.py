"""The life of the jobs of one build server.

Pure: no I/O, no clock. A job is assigned by the scheduler, made ready by its toolchain, claimed once by its client,
and forgotten when it has run or when nobody came for it.
"""

from enum import Enum, auto

import attrs

from sccachedist.errors import BadTransition, UnknownJob
from sccachedist.wire.archive_id import ArchiveId
from sccachedist.wire.messages import AssignJobResult, JobId, JobState

#: Seconds after which a job that its client has not claimed is forgotten: longer than any scheduler waits for one.
UNCLAIMED_SECS = 600.0


class Stage(Enum):
    """Where a job stands, seen from its build server."""

    AWAITS_TOOLCHAIN = auto()
    READY = auto()
    RUNNING = auto()


@attrs.define
class _Job:
    toolchain: ArchiveId
    stage: Stage
    since: float


class ServerCore:
    """The jobs that this build server was assigned and has not finished."""

    def __init__(self) -> None:
        self._jobs: dict[JobId, _Job] = {}
        self._closed: str | None = "is starting"

    @property
    def running(self) -> int:
        """How many jobs compile at this moment."""
        return sum(job.stage is Stage.RUNNING for job in self._jobs.values())

    def open(self) -> None:
        """Take jobs from now on: the builder has shown that it works."""
        self._closed = None

    def leave(self) -> None:
        """Take no job from now on; those that were assigned may still run."""
        self._closed = "is shutting down"

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
        del self._jobs[job_id]

    def expire(self, now: float) -> tuple[JobId, ...]:
        """Forget the jobs that nobody claimed in time, and say which they were."""
        stale = tuple(
            job_id
            for job_id, job in self._jobs.items()
            if job.stage is not Stage.RUNNING and now - job.since > UNCLAIMED_SECS
        )
        for job_id in stale:
            del self._jobs[job_id]
        return stale

    def _unclaimed(self, job_id: JobId) -> _Job:
        job = self._jobs.get(job_id)
        if job is None or job.stage is Stage.RUNNING:
            raise UnknownJob(f"no job {job_id} waits here")
        return job
