"""The life of the jobs of one build server.

Pure: no I/O, no clock. A job is assigned by the scheduler, or introduced by its client with a token in which our own
scheduler names the toolchain. It waits until its client comes: with the toolchain where that is missing, then with the
inputs. It ends once, in whatever way, and its id is spent then.

One request at a time belongs to a job, and holds a place: there are as many for uploads, and as many for runs, as the
scheduler knows of slots, and a few for what the scheduler has not heard of yet. Uploads that do not end never take the
places of jobs that could run. A client that comes so late that the scheduler may have given its slot to another gets
one of those few only: it never takes the places of those that come in time.
"""

from collections import Counter
from enum import Enum, auto

import attrs

from sccachedist.errors import BadTransition, NoPlace, UnknownJob
from sccachedist.server.spent_tokens import SpentJobs
from sccachedist.wire.archive_id import ArchiveId
from sccachedist.wire.extension import Availability
from sccachedist.wire.messages import AssignJobResult, JobId, JobState

#: Seconds after which a job that its client has not claimed is forgotten: longer than any scheduler waits for one.
UNCLAIMED_SECS = 600.0
#: Seconds for which our own and a published scheduler keep the slot of a client that does not come, and a few more.
OUR_SLOT_SECS, PUBLISHED_SLOT_SECS = 15.0, 90.0
#: Seconds after its issue in which a token of our own scheduler opens a job: no client needs the half of that, which
#: waits 1,200 seconds for an answer at most and may send a toolchain for as long.
TOKEN_SECS = 3600
#: How many jobs are remembered that wait for their clients.
MOST_JOBS = 1 << 14


def few(slots: int) -> int:
    """How many places there are beside the slots."""
    return max(2, slots // 4)


class Use(Enum):
    """What the open request of a job is for."""

    UPLOAD = auto()
    RUN = auto()


@attrs.frozen
class Issue:
    """When a token of our own scheduler was issued, in seconds of that scheduler's clock.

    :param at: as the token says; None for one that does not.
    :param time: what it is now by the same clock, as far as this build server has heard.
    """

    at: int | None = None
    time: float | None = None

    @property
    def age(self) -> float:
        """Seconds since then, as far as known."""
        return 0.0 if self.at is None or self.time is None else max(0.0, self.time - self.at)


UNDATED = Issue()


@attrs.define
class _Job:
    """``issued`` is when the token was that introduced it, if it says so."""

    toolchain: ArchiveId
    is_ready: bool
    since: float
    is_introduced: bool = False
    issued: int | None = None
    use: Use | None = None
    is_late: bool = False


class ServerCore:
    """The jobs that this build server was given and has not finished.

    :param slots: how many jobs the scheduler gives it at a time.
    :param spent: the ids of jobs that are over.
    """

    def __init__(self, slots: int = MOST_JOBS, spent: SpentJobs | None = None) -> None:
        self.slots, self.refused = slots, 0
        self._jobs: dict[JobId, _Job] = {}
        self._spent = SpentJobs() if spent is None else spent
        self._used: set[JobId] = set()
        self._open, self._late = Counter[Use](), Counter[Use]()
        self._ready = self._drained = self._leaving = self._gone = False

    @property
    def availability(self) -> Availability:
        """Whether the scheduler may give it jobs."""
        if self._gone:
            return Availability.GONE
        return Availability.OPEN if self._closed is None else Availability.DRAINING

    @property
    def named(self) -> tuple[tuple[JobId, JobState], ...]:
        """The jobs that the scheduler is to know of: those that are claimed, and those whose toolchain comes in."""
        return tuple(
            (job_id, JobState.STARTED if job.use is Use.RUN else JobState.PENDING)
            for job_id, job in self._jobs.items()
            if job.use is not None
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
        """How many jobs are claimed and not over."""
        return sum(self._jobs[job_id].use is Use.RUN for job_id in self._used)

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
        """The scheduler hears that this server is gone: what has not been claimed is over."""
        self._gone = True
        for job_id in [job_id for job_id in self._jobs if job_id not in self._used]:
            self.drop(job_id)

    def assign(self, job_id: JobId, toolchain: ArchiveId, *, present: bool, now: float) -> AssignJobResult:
        """Take a job. The same assignment may come again; another one never changes the job.

        :param present: whether the toolchain is here.
        :raises BadTransition: the job exists and is another, or this server takes no jobs yet or no more.
        """
        job = self._jobs.get(job_id)
        if job is None:
            if self._closed is not None:
                raise BadTransition(f"this build server {self._closed}")
            job = self._enter(job_id, _Job(toolchain, present, now))
        if job.toolchain != toolchain or job.use is Use.RUN:
            raise BadTransition(f"job {job_id} is assigned already")
        return AssignJobResult(JobState.READY if job.is_ready else JobState.PENDING, not job.is_ready)

    def introduce(
        self, job_id: JobId, toolchain: ArchiveId, *, present: bool, now: float, issue: Issue = UNDATED
    ) -> None:
        """A client shows a token in which our scheduler has named its job and the toolchain.

        A job that is over is not taken up again. Nor is one whose token is too old, or from before the ids that are
        remembered; nor is any while this server is starting or gone.

        :raises BadTransition: the job exists and is another.
        """
        job = self._jobs.get(job_id)
        if job is not None and job.toolchain != toolchain:
            raise BadTransition(f"job {job_id} is assigned already")
        if job is not None:
            job.is_introduced, job.issued = True, issue.at
        elif self._ready and not self._gone and not self._is_spent(job_id, issue):
            self._enter(job_id, _Job(toolchain, present, now - issue.age, True, issue.at))

    def toolchain(self, job_id: JobId) -> ArchiveId:
        """The toolchain that a job needs.

        :raises UnknownJob: there is no such job (any more).
        """
        return self._get(job_id).toolchain

    def begin_upload(self, job_id: JobId, now: float) -> ArchiveId:
        """A client begins to bring its job's toolchain; returns which one that is.

        :raises UnknownJob: no such job waits for its client, or another request of it is open.
        :raises NoPlace: too many requests are; the job is not over by that.
        """
        return self._begin(job_id, Use.UPLOAD, now).toolchain

    def end_upload(self, job_id: JobId) -> None:
        """The toolchain is here: the job waits for its client again, unless it is over."""
        if (job := self._jobs.get(job_id)) is not None and job.use is Use.UPLOAD:
            self._leave_place(job_id, job)
            job.use = None

    def claim(self, job_id: JobId, now: float) -> ArchiveId:
        """A client claims its job, which it can do once: the id is spent. Returns the toolchain that the job needs.

        :raises UnknownJob: no such job waits for its client, or another request of it is open.
        :raises NoPlace: too many requests are; the job is not over by that.
        """
        job = self._begin(job_id, Use.RUN, now)
        self._spend(job_id, job)
        return job.toolchain

    def toolchain_arrived(self, job_id: JobId, now: float) -> bool:
        """A job's toolchain is here; returns whether that made the job ready.

        :raises UnknownJob: there is no such job (any more).
        """
        job = self._get(job_id)
        made_ready = not job.is_ready
        if made_ready:
            job.is_ready, job.since = True, now
        return made_ready

    def awaits_toolchain(self, job_id: JobId) -> bool:
        """Whether a job cannot start yet.

        :raises UnknownJob: there is no such job (any more).
        """
        return not self._get(job_id).is_ready

    def drop(self, job_id: JobId) -> bool:
        """A job is over, in whatever way, and its id is spent; returns whether it was here."""
        job = self._jobs.pop(job_id, None)
        if job is None:
            return False
        self._leave_place(job_id, job)
        if job.use is not Use.RUN:
            self._spend(job_id, job)
        return True

    def expire(self, now: float) -> tuple[JobId, ...]:
        """Drop the jobs that no client came for in time, and say which they were."""
        stale = tuple(
            job_id for job_id, job in self._jobs.items() if job.use is None and now - job.since > UNCLAIMED_SECS
        )
        for job_id in stale:
            self.drop(job_id)
        return stale

    def _enter(self, job_id: JobId, job: _Job) -> _Job:
        """A new job; of too many that wait, the oldest makes room. Its token may introduce it once more."""
        if len(self._jobs) >= MOST_JOBS:
            oldest = next((other for other in self._jobs if other not in self._used), None)
            if oldest is not None:
                del self._jobs[oldest]
        self._jobs[job_id] = job
        return job

    def _begin(self, job_id: JobId, use: Use, now: float) -> _Job:
        job = self._get(job_id)
        if job.use is not None:
            raise UnknownJob(f"job {job_id} has an open request already")
        is_late = now - job.since > (OUR_SLOT_SECS if job.is_introduced else PUBLISHED_SLOT_SECS)
        if self._open[use] >= self.slots + few(self.slots) or (is_late and self._late[use] >= few(self.slots)):
            self.refused += 1
            raise NoPlace(f"{self._open[use]} of {use.name} are open, and {self._late[use]} of them late")
        job.use, job.is_late = use, is_late
        self._used.add(job_id)
        self._open[use] += 1
        self._late[use] += is_late
        return job

    def _leave_place(self, job_id: JobId, job: _Job) -> None:
        if job.use is not None:
            self._used.remove(job_id)
            self._open[job.use] -= 1
            self._late[job.use] -= job.is_late
            job.is_late = False

    def _spend(self, job_id: JobId, job: _Job) -> None:
        self._spent.add(job_id, job.issued or 0, keep=job.is_introduced)

    def _is_spent(self, job_id: JobId, issue: Issue) -> bool:
        return issue.age > TOKEN_SECS or self._spent.refuses(job_id, issue.at, issue.time)

    def _get(self, job_id: JobId) -> _Job:
        job = self._jobs.get(job_id)
        if job is None:
            raise UnknownJob(f"no job {job_id} waits here")
        return job
