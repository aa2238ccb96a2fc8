"""The life of the jobs of one build server: the rules for accepting, claiming and ending them.

Pure: no I/O, no clock. A job is assigned by the scheduler, or introduced by its client with a token in which our
scheduler names the toolchain. It waits until its client comes: first with the toolchain, if that is missing, then with
the inputs. It ends once, in any way, and then its id is spent (:mod:`sccachedist.server.spent_tokens`).

A job has at most one open request, which holds a place. Uploads have as many places as this server has slots, and a
:func:`few` more, for what the scheduler has not heard of yet; so uploads that never end take no place of a job that
could run. Runs have four times as many and a few: the scheduler lends the slot of a client that does not come soon,
and if it comes all the same, its job waits here for its turn; and a scheduler that has just taken over gives out all of
that once more, beside jobs of the one before that it has not heard of yet. A client that comes very late gets only one
of the few places, so it takes none of a client that comes in time.
"""

from collections import Counter
from enum import Enum

import attrs

from sccachedist.errors import BadTransition, NoPlace, UnknownJob
from sccachedist.job_phases import JobPhase
from sccachedist.outcomes import Lack
from sccachedist.server.openness import Openness
from sccachedist.server.spent_tokens import SpentJobs
from sccachedist.wire.abilities import Offer
from sccachedist.wire.archive_id import ArchiveId
from sccachedist.wire.extension import Availability
from sccachedist.wire.messages import AssignJobResult, JobId, JobState

#: Seconds until an unclaimed job is dropped: longer than any scheduler waits for its client.
UNCLAIMED_SECS = 600.0
#: Seconds that our scheduler and a published one keep the slot of a client that does not come, and a few more.
OUR_SLOT_SECS, PUBLISHED_SLOT_SECS = 15.0, 90.0
#: Seconds after its issue in which a token of our scheduler opens a job. No client needs more: it waits at most 1,200
#: seconds for an answer, and may send a toolchain for as long.
TOKEN_SECS = 3600
#: How many jobs are kept at a time.
MOST_JOBS = 1 << 14


def few(slots: int) -> int:
    """Return how many places there are beside the slots."""
    return max(2, slots // 4)


class OpenRequest(Enum):
    """What the open request of a job is for; the value is how many places there are for each slot."""

    UPLOAD = 1
    RUN = 4


@attrs.frozen
class Issue:
    """When a token of our scheduler was issued, in seconds of that scheduler's clock.

    :param at: as the token says; None if it has no such time.
    :param time: the time now by the same clock; None if this build server does not know it.
    """

    at: int | None = None
    time: float | None = None

    @property
    def age(self) -> float:
        """Seconds since then, or 0 if that is not known."""
        return 0.0 if self.at is None or self.time is None else max(0.0, self.time - self.at)


UNDATED = Issue()


@attrs.define
class _Job:
    """One job; ``issued`` is when the token that introduced it was issued, if known."""

    toolchain: ArchiveId
    has_toolchain: bool
    since: float
    is_introduced: bool = False
    issued: int | None = None
    use: OpenRequest | None = None
    is_late: bool = False

    @property
    def phase(self) -> JobPhase:
        """A job that is claimed has started, also where its toolchain is still to come from another client."""
        if self.use is OpenRequest.RUN:
            return JobPhase.STARTED
        return JobPhase.READY if self.has_toolchain else JobPhase.PENDING


class ServerCore(Openness):
    """The jobs that this build server has accepted and not finished.

    :param slots: how many jobs the scheduler gives it at a time.
    :param spent: the ids of jobs that are over.
    """

    def __init__(self, slots: int = MOST_JOBS, spent: SpentJobs | None = None) -> None:
        super().__init__()
        self.slots, self.refused = slots, 0
        #: What it takes for now, where that is less than its slots.
        self.offer: Offer | None = None
        #: How many jobs found their toolchain here, and how many did not.
        self.arrived = {True: 0, False: 0}
        self._jobs: dict[JobId, _Job] = {}
        self._spent = SpentJobs() if spent is None else spent
        self._used: set[JobId] = set()
        self._open, self._late = Counter[OpenRequest](), Counter[OpenRequest]()
        self._gone = False

    @property
    def slots_for_now(self) -> int:
        """How many jobs it takes at a time for now."""
        return self.slots if self.offer is None else min(self.slots, self.offer.slots)

    @property
    def availability(self) -> Availability:
        """Whether the scheduler may give it jobs."""
        if self._gone:
            return Availability.GONE
        return Availability.DRAINING if self.closed else Availability.OPEN

    @property
    def named(self) -> tuple[tuple[JobId, JobState], ...]:
        """The jobs that a heartbeat lists: those that are claimed, and those whose toolchain is being uploaded."""
        return tuple(
            (job_id, JobState.STARTED if job.phase is JobPhase.STARTED else JobState.PENDING)
            for job_id, job in self._jobs.items()
            if job.use is not None
        )

    @property
    def phases(self) -> Counter[JobPhase]:
        """How many jobs are in each phase."""
        return Counter(job.phase for job in self._jobs.values())

    @property
    def running(self) -> int:
        """How many jobs are claimed and not over."""
        return sum(self._jobs[job_id].phase is JobPhase.STARTED for job_id in self._used)

    def __contains__(self, job_id: object) -> bool:
        return job_id in self._jobs

    @property
    def taken(self) -> int:
        """How many jobs there are, running or waiting for their clients."""
        return len(self._jobs)

    def has_spare(self, untold: int, unclaimed: int) -> bool:
        """Whether no client has to wait for a slot while the scheduler counts some that are free.

        For each job here, another client may be on its way to a slot; and clients that do not come hold some.

        :param untold: jobs that are over and that the scheduler still counts.
        :param unclaimed: slots that the scheduler holds for clients that have not come.
        """
        busy = self.taken + untold
        return busy + max(busy, unclaimed) < self.slots

    def open(self) -> None:
        """Accept jobs from now on: the builder has shown that it works."""
        self.is_ready = True

    def drain(self, drained: bool) -> None:
        """Accept no job from now on, or accept them again; accepted jobs may still run."""
        self.is_drained = drained

    def offers(self, offer: Offer) -> None:
        """Take so many jobs at a time from now on, at most as many as there are slots; accepted jobs may still run."""
        self.offer, self.is_busy = offer if offer.lack else None, not offer.slots

    def leave(self) -> None:
        """Accept no job any more; accepted jobs may still run."""
        self.is_leaving = True

    def end(self) -> None:
        """Drop all jobs without an open request: the scheduler is about to hear that this server is gone."""
        self._gone = True
        for job_id in [job_id for job_id in self._jobs if job_id not in self._used]:
            self.drop(job_id)

    def assign(self, job_id: JobId, toolchain: ArchiveId, *, present: bool, now: float) -> AssignJobResult:
        """Accept a job. The same assignment may come again; a different one never changes the job.

        :param present: whether the toolchain is here.
        :raises BadTransition: the job exists and differs or runs, or this server accepts no jobs yet or any more.
        """
        job = self._jobs.get(job_id)
        if job is None:
            if self.closed:
                raise BadTransition(f"this build server {self.closed}")
            if self.offer is not None and self.running >= self.offer.slots:
                raise BadTransition(f"this build server takes {self.offer.slots} jobs for now: {self.offer.lack}")
            job = self._enter(job_id, _Job(toolchain, present, now))
        if job.toolchain != toolchain or job.phase is JobPhase.STARTED:
            raise BadTransition(f"job {job_id} is assigned already")
        return AssignJobResult(JobState.READY if job.has_toolchain else JobState.PENDING, not job.has_toolchain)

    def introduce(
        self, job_id: JobId, toolchain: ArchiveId, *, present: bool, now: float, issue: Issue = UNDATED
    ) -> None:
        """Accept a job that a client's token introduces: our scheduler has named the job and the toolchain in it.

        A job that is over is not accepted again. Nor is one whose token is too old, or from before the ids that are
        remembered, nor any job while this server is starting or gone.

        :raises BadTransition: the job exists with another toolchain.
        """
        job = self._jobs.get(job_id)
        if job is not None and job.toolchain != toolchain:
            raise BadTransition(f"job {job_id} is assigned already")
        if job is not None:
            job.is_introduced, job.issued = True, issue.at
        elif self.is_ready and not self._gone and not self._is_spent(job_id, issue):
            self._enter(job_id, _Job(toolchain, present, now - issue.age, True, issue.at))

    def toolchain(self, job_id: JobId) -> ArchiveId:
        """Return the toolchain that a job needs.

        :raises UnknownJob: there is no such job (any more).
        """
        return self._get(job_id).toolchain

    def begin_upload(self, job_id: JobId, now: float) -> ArchiveId:
        """Open the request with which a client uploads its job's toolchain; returns the toolchain.

        :raises UnknownJob: no such job waits for its client, or another request of the job is open.
        :raises NoPlace: too many uploads are open; the job is not over by that.
        """
        return self._begin(job_id, OpenRequest.UPLOAD, now).toolchain

    def end_upload(self, job_id: JobId) -> None:
        """Close that request: the job waits for its client again, unless it is over."""
        if (job := self._jobs.get(job_id)) is not None and job.use is OpenRequest.UPLOAD:
            self._leave_place(job_id, job)
            job.use = None

    def claim(self, job_id: JobId, now: float) -> ArchiveId:
        """Claim a job for its client, which can do so once: the id is spent. Returns the toolchain that the job needs.

        :raises UnknownJob: no such job waits for its client, or another request of the job is open.
        :raises NoPlace: too many runs are open; the job is not over by that.
        """
        job = self._begin(job_id, OpenRequest.RUN, now)
        self._spend(job_id, job)
        return job.toolchain

    def toolchain_arrived(self, job_id: JobId, now: float) -> bool:
        """Note that a job's toolchain is here; returns whether that made the job ready.

        :raises UnknownJob: there is no such job (any more).
        """
        job = self._get(job_id)
        made_ready = not job.has_toolchain
        if made_ready:
            job.has_toolchain, job.since = True, now
        return made_ready

    def awaits_toolchain(self, job_id: JobId) -> bool:
        """Return whether a job still needs its toolchain.

        :raises UnknownJob: there is no such job (any more).
        """
        return not self._get(job_id).has_toolchain

    def drop(self, job_id: JobId) -> bool:
        """End a job for any reason, and spend its id; returns whether it was here."""
        job = self._jobs.pop(job_id, None)
        if job is None:
            return False
        self._leave_place(job_id, job)
        if job.phase is not JobPhase.STARTED:
            self._spend(job_id, job)
        return True

    def is_used(self, job_id: JobId) -> bool:
        """Return whether a job has an open request."""
        return job_id in self._used

    def refuse(self, job_id: JobId) -> bool:
        """Spend the id of a job that is not here; returns whether it was not spent before."""
        if job_id in self._jobs or self._spent.refuses(job_id, None):
            return False
        self._spent.add(job_id, 0, keep=True)
        return True

    def expire(self, now: float) -> tuple[JobId, ...]:
        """Drop the jobs that no client has claimed in time; returns them."""
        stale = tuple(
            job_id for job_id, job in self._jobs.items() if job.use is None and now - job.since > UNCLAIMED_SECS
        )
        for job_id in stale:
            self.drop(job_id)
        return stale

    def _enter(self, job_id: JobId, job: _Job) -> _Job:
        """Add a job; if there are too many, drop the oldest that waits. Its token may introduce that one once more."""
        if len(self._jobs) >= MOST_JOBS:
            oldest = next((other for other in self._jobs if other not in self._used), None)
            if oldest is not None:
                del self._jobs[oldest]
        self._jobs[job_id] = job
        self.arrived[job.has_toolchain] += 1
        return job

    def _begin(self, job_id: JobId, use: OpenRequest, now: float) -> _Job:
        job = self._get(job_id)
        if job.use is not None:
            raise UnknownJob(f"job {job_id} has an open request already")
        if self.offer is not None and not self.offer.slots:
            self.refused += 1
            lack = Lack.of(self.offer.lack)
            raise NoPlace(f"no job is taken for now. {lack.means}", lack)
        is_late = now - job.since > (OUR_SLOT_SECS if job.is_introduced else PUBLISHED_SLOT_SECS)
        places = self.slots * use.value + few(self.slots)
        if self._open[use] >= places or (is_late and self._late[use] >= few(self.slots)):
            self.refused += 1
            late = f"and {self._late[use]} of them late (limit: capacity.cpus)"
            raise NoPlace(f"{self._open[use]} of {use.name} are open, {late}")
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
