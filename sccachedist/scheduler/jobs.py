"""The jobs of a scheduler: where each stands, and how long that is believed.

Pure: the time is an argument. Which build server a job goes to, and why, is not known here.
"""

import math
from collections import Counter

import attrs

from sccachedist.budgets import Hold, Party
from sccachedist.job_phases import AFTER_REPORT, JobPhase
from sccachedist.scheduler.alarms import Alarms
from sccachedist.wire.addresses import ServerId
from sccachedist.wire.messages import JobId, JobState

#: Seconds in a state after which a job that nobody claimed is dropped. The published scheduler counts both from the
#: allocation, and so drops a job whose upload took longer than the first; here each state has its own time. A
#: reservation ends by itself only where its allocation was lost, for each has a shorter time limit of its own.
CLAIM_SECS = {JobPhase.RESERVED: 300.0, JobPhase.PENDING: 300.0, JobPhase.READY: 60.0}
#: Seconds after which a job that started on a published build server is given up: no client waits longer for an answer,
#: and a Complete that was lost is not said again. What one of ours does not name any more is over much earlier.
STARTED_SECS = 1200.0
#: The same for a job on a build server of ours, until an upload begins. One that is claimed after that it names all the
#: same, so that no client need be waited for that could not reach it.
OUR_CLAIM_SECS = CLAIM_SECS | {JobPhase.PENDING: 8.0, JobPhase.READY: 8.0}
#: And from when its upload was last said to go on: heartbeats, which say it, are rarely as far apart as this.
UPLOAD_SECS = 120.0
#: Seconds for which a Pending job is a sign that its toolchain comes soon: until its upload begins, and from then on.
#: Jobs that wait for it hold slots; where an upload is slow, the next client may be quicker.
BEGINS_SECS, BRINGS_SECS = 2.0, 10.0


@attrs.define
class Job:
    """One job.

    :param client: whose it is; None where it was allocated by another scheduler, before this one was started.
    :param hold: what its client's share is charged with until it comes.
    :param lent: whether others may have its slot, for its client did not come in time.
    :param lends_at: when that is to be decided.
    :param expires_at: when it is to be looked at whether it is stale.
    :param number: of the message in which its build server has named it last, if it did and has to go on doing so.
    :param upload_began: when its build server first said that its toolchain comes in.
    """

    server_id: ServerId
    client: Party | None
    toolchain: str
    phase: JobPhase
    since: float
    number: int | None = None
    upload_began: float | None = None
    hold: Hold | None = None
    lent: bool = False
    lends_at: float = math.inf
    expires_at: float = math.inf

    def give_up_hold(self) -> None:
        """Its client's share is charged with it no more."""
        if self.hold is not None:
            self.hold.close()

    @property
    def is_unclaimed(self) -> bool:
        """Whether its client has been given it and has not come."""
        return self.phase in (JobPhase.PENDING, JobPhase.READY)

    def brings(self, toolchain: str, now: float) -> bool:
        """Whether its client is about to bring a toolchain, or has just begun to."""
        if self.phase is not JobPhase.PENDING or self.toolchain != toolchain:
            return False
        if self.upload_began is None:
            return now - self.since <= BEGINS_SECS
        return now - self.upload_began <= BRINGS_SECS

    def is_stale(self, now: float, *, ours: bool) -> bool:
        """Whether nobody came for it in time.

        :param ours: whether its build server is one of ours.
        """
        return now - self.since > self._patience(ours=ours)

    def stale_at(self, *, ours: bool) -> float:
        """When it is, if nothing else happens."""
        return self.since + self._patience(ours=ours)

    def _patience(self, *, ours: bool) -> float:
        if self.phase is JobPhase.STARTED:
            return math.inf if ours else STARTED_SECS
        if ours and self.phase is JobPhase.PENDING and self.upload_began is not None:
            return UPLOAD_SECS
        return (OUR_CLAIM_SECS if ours else CLAIM_SECS)[self.phase]


class Jobs:
    """All jobs that take a slot.

    :param first: the id to count from.
    """

    def __init__(self, first: JobId) -> None:
        self._next = first
        self._jobs: dict[JobId, Job] = {}
        self._reserved = 0
        self._unclaimed: Counter[Party] = Counter()
        self._lending = Alarms(lambda job_id: job.lends_at if (job := self._jobs.get(job_id)) else math.inf)
        self._expiring = Alarms(lambda job_id: job.expires_at if (job := self._jobs.get(job_id)) else math.inf)

    def __getitem__(self, job_id: JobId) -> Job:
        return self._jobs[job_id]

    def get(self, job_id: JobId) -> Job | None:
        """The job of this id, if there is one."""
        return self._jobs.get(job_id)

    def lend_at(self, job_id: JobId, when: float) -> None:
        """Look then whether the slot of a job is to be lent."""
        self._jobs[job_id].lends_at = when
        self._lending.set(job_id, when, len(self._jobs))

    def to_lend(self, now: float) -> list[JobId]:
        """Those to be looked at; each is then lent, or to be looked at later."""
        found = self._lending.due(now)
        for job_id in found:
            self._jobs[job_id].lends_at = math.inf
        return found

    def has_due(self, now: float) -> bool:
        """Whether more are to be looked at now, for either reason."""
        firsts = (self._lending.first, self._expiring.first)
        return any(first is not None and first < now for first in firsts)

    @property
    def next_to_lend(self) -> float | None:
        """When the next one is to be looked at."""
        return self._lending.first

    def expect(self, job_id: JobId, *, ours: bool) -> None:
        """Look at a job when it is stale, should nothing else happen."""
        job = self._jobs[job_id]
        when = job.stale_at(ours=ours)
        if when < job.expires_at:
            job.expires_at = when
            self._expiring.set(job_id, when, len(self._jobs))

    def to_expire(self, now: float) -> list[JobId]:
        """Those that may be stale; each is to be expected again, or dropped."""
        found = self._expiring.due(now)
        for job_id in found:
            self._jobs[job_id].expires_at = math.inf
        return found

    @property
    def confirmed(self) -> int:
        """How many are more than reserved."""
        return len(self._jobs) - self._reserved

    def unclaimed(self, client: Party) -> int:
        """How many jobs of a client have not started."""
        return self._unclaimed[client]

    def fresh_id(self) -> JobId:
        """An id that no job has had."""
        while self._next in self._jobs:  # a build server has named a job that is none of ours
            self._next = JobId(self._next + 1)
        job_id, self._next = self._next, JobId(self._next + 1)
        return job_id

    def enter(self, job_id: JobId, job: Job) -> None:
        """A new job."""
        self._jobs[job_id] = job
        self._count(job, 1)

    def move(self, job: Job, state: JobState, now: float) -> bool:
        """Apply a report; False where the job is in that phase, or a later one, already."""
        phase = AFTER_REPORT[job.phase, state]
        if phase is job.phase:
            return False
        self._count(job, -1)
        job.phase, job.since, job.lends_at = phase, now, math.inf
        self._count(job, 1)
        return True

    def drop(self, job_id: JobId) -> Job:
        """A job is no more."""
        job = self._jobs.pop(job_id)
        self._count(job, -1)
        job.give_up_hold()
        return job

    def _count(self, job: Job, change: int) -> None:
        self._reserved += change * (job.phase is JobPhase.RESERVED)
        if job.client is not None and job.phase is not JobPhase.STARTED:
            self._unclaimed[job.client] += change
            if not self._unclaimed[job.client]:
                del self._unclaimed[job.client]
