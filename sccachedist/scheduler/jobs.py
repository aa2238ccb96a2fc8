"""The jobs of a scheduler: the phase of each, and how long it is kept in that phase.

Pure: the time is an argument. Which build server a job goes to is decided in :mod:`sccachedist.scheduler.fleet`, how
long a slot is held for a client that does not come in :mod:`sccachedist.scheduler.shares`.
"""

import math
from collections import Counter
from collections.abc import Iterable

import attrs

from sccachedist.auth.clients import account_of
from sccachedist.budgets import Hold, Party
from sccachedist.job_phases import AFTER_REPORT, JobPhase
from sccachedist.scheduler.alarms import Alarms
from sccachedist.wire.addresses import ServerId
from sccachedist.wire.messages import JobId, JobState

#: Seconds in a phase after which a job is dropped if its client has not come. The published scheduler counts the last
#: two from the allocation, and so drops a job whose upload took long; here each phase has its own time. Only a
#: reservation whose allocation was lost gets so old, because an allocation has a shorter time limit of its own.
CLAIM_SECS = {JobPhase.RESERVED: 300.0, JobPhase.PENDING: 300.0, JobPhase.READY: 60.0}
#: Seconds after which a job that started on a published build server is dropped: no client waits longer for an
#: answer, and a lost Complete is not sent again. A job on our build server is released when a heartbeat omits it.
STARTED_SECS = 1200.0
#: The same for a job on our build server, until an upload begins. It is short, because perhaps the client cannot reach
#: the server. If the client comes later all the same, the server names the job, and it is adopted.
OUR_CLAIM_SECS = CLAIM_SECS | {JobPhase.PENDING: 8.0, JobPhase.READY: 8.0}
#: The same from the last heartbeat that said that the upload goes on: heartbeats are rarely so far apart.
UPLOAD_SECS = 120.0
#: Seconds for which a Pending job means that its toolchain comes soon: until its upload begins, and from then on. Not
#: longer, because jobs that wait for it hold slots, and the next client may be quicker than a slow upload.
BEGINS_SECS, BRINGS_SECS = 2.0, 10.0
#: The same for jobs of the client that brings it, once its upload has begun: it is not asked for the same twice.
OWN_BRINGS_SECS = 600.0
#: How many slots are lent, and how many jobs dropped, without a pause in which requests are served: to lend a slot
#: takes little, and a job that is dropped leaves a record.
MOST_LENT, MOST_DROPPED = 20, 5


@attrs.define
class Job:
    """One job.

    :param client: whose it is; None if it is from before this scheduler was started.
    :param since: from when the time limit of its phase counts: the begin of the phase, or the last sign of an upload.
    :param began: when each of its phases began. A phase that was not reported is missing.
    :param asked: when its client asked for a slot; by default, when it became a job.
    :param hold: its part of the client's share of unused slots, until the client comes.
    :param lent: whether others may have its slot, because its client did not come in time.
    :param lends_at: when to decide that.
    :param expires_at: when to look whether it is stale.
    :param number: the number of the last message that named it; None if its build server does not have to name it.
    :param upload_began: when its build server first said that its toolchain is arriving.
    :param is_to_bring: whether its client was asked for its toolchain.
    :param is_to_fetch: whether its build server is expected to fetch it, so that the client was not asked.
    :param beside: how many slots of its build server were taken when it took its own, with that.
    :param unwanted: whether an administrator wants it to end: its build server is told so until it has ended.
    """

    server_id: ServerId
    client: Party | None
    toolchain: str
    phase: JobPhase
    since: float
    number: int | None = None
    upload_began: float | None = None
    asked: float = attrs.field(default=attrs.Factory(lambda self: self.since, takes_self=True))
    hold: Hold | None = None
    lent: bool = False
    unwanted: bool = False
    is_to_bring: bool = False
    is_to_fetch: bool = False
    beside: int = 1
    lends_at: float = math.inf
    expires_at: float = math.inf
    began: dict[JobPhase, float] = attrs.field(
        default=attrs.Factory(lambda self: {self.phase: self.since}, takes_self=True), init=False
    )

    def give_up_hold(self) -> None:
        """Count it in its client's share no longer."""
        if self.hold is not None:
            self.hold.close()

    @property
    def is_unclaimed(self) -> bool:
        """Whether it is allocated and has not started."""
        return self.phase in (JobPhase.PENDING, JobPhase.READY)

    def brings(self, toolchain: str, now: float, asks: Party | None) -> bool:
        """Whether its client is about to bring a toolchain, or has just begun to.

        :param asks: for whom that is to be known.
        """
        if self.phase is not JobPhase.PENDING or self.toolchain != toolchain:
            return False
        if self.upload_began is None:
            return self.is_to_bring and now - self.since <= BEGINS_SECS
        return now - self.upload_began <= (OWN_BRINGS_SECS if self.is_of_same(asks) else BRINGS_SECS)

    def is_of_same(self, client: Party | None) -> bool:
        """Whether its client was asked for the toolchain, and is this one."""
        return self.is_to_bring and client is not None and client == self.client

    def is_stale(self, now: float, *, ours: bool) -> bool:
        """Whether its client has not come in time.

        :param ours: whether its build server is ours.
        """
        return now - self.since > self._patience(ours=ours)

    def stale_at(self, *, ours: bool) -> float:
        """When it becomes stale, if nothing else happens."""
        return self.since + self._patience(ours=ours)

    def _patience(self, *, ours: bool) -> float:
        if self.phase is JobPhase.STARTED:
            return math.inf if ours else STARTED_SECS
        if ours and self.phase is JobPhase.PENDING and self.upload_began is not None:
            return UPLOAD_SECS
        return (OUR_CLAIM_SECS if ours else CLAIM_SECS)[self.phase]


class Jobs:
    """All jobs.

    :param first: the id to count from.
    :param step: from each id to the next.
    """

    def __init__(self, first: JobId, step: int = 1) -> None:
        self._first, self._next, self._step = first, first, step
        self._jobs: dict[JobId, Job] = {}
        #: How many jobs are in each phase.
        self.phases: Counter[JobPhase] = Counter()
        self._unclaimed: Counter[Party] = Counter()
        self._held: Counter[str] = Counter()
        self._lending: Alarms[JobId] = Alarms(
            lambda job_id: job.lends_at if (job := self._jobs.get(job_id)) else math.inf, MOST_LENT
        )
        self._expiring: Alarms[JobId] = Alarms(
            lambda job_id: job.expires_at if (job := self._jobs.get(job_id)) else math.inf, MOST_DROPPED
        )

    def __getitem__(self, job_id: JobId) -> Job:
        return self._jobs[job_id]

    def get(self, job_id: JobId) -> Job | None:
        """The job of this id, if there is one."""
        return self._jobs.get(job_id)

    def items(self) -> Iterable[tuple[JobId, Job]]:
        """All jobs with their ids."""
        return self._jobs.items()

    def lend_at(self, job_id: JobId, when: float) -> None:
        """Decide at time ``when`` whether to lend a job's slot."""
        self._jobs[job_id].lends_at = when
        self._lending.set(job_id, when, len(self._jobs))

    def to_lend(self, now: float) -> list[JobId]:
        """The jobs whose slots may be lent now. The caller lends each slot, or sets a later time."""
        found = self._lending.due(now)
        for job_id in found:
            self._jobs[job_id].lends_at = math.inf
        return found

    def has_due(self, now: float) -> bool:
        """Whether more jobs are due now, to lend or to expire."""
        firsts = (self._lending.first, self._expiring.first)
        return any(first is not None and first < now for first in firsts)

    @property
    def next_to_lend(self) -> float | None:
        """When the next slot may be lent; None for never."""
        return self._lending.first

    def expect(self, job_id: JobId, *, ours: bool) -> None:
        """Set an alarm for the time when a job becomes stale, if nothing else happens."""
        job = self._jobs[job_id]
        when = job.stale_at(ours=ours)
        if when < job.expires_at:
            job.expires_at = when
            self._expiring.set(job_id, when, len(self._jobs))

    def to_expire(self, now: float) -> list[JobId]:
        """The jobs that may be stale. The caller drops each, or expects it again."""
        found = self._expiring.due(now)
        for job_id in found:
            self._jobs[job_id].expires_at = math.inf
        return found

    @property
    def confirmed(self) -> int:
        """How many jobs are no longer only reserved."""
        return len(self._jobs) - self.phases[JobPhase.RESERVED]

    def unclaimed(self, client: Party) -> int:
        """How many jobs of a client have not started."""
        return self._unclaimed[client]

    def held(self, client: str) -> int:
        """How many jobs a client has, in all phases, those included that have lent their slots: it may still come.

        :param client: a party, or an account for all its parties.
        """
        return self._held[client]

    def has_given_out(self, job_id: JobId) -> bool:
        """Whether a job has had this id from :meth:`fresh_id`."""
        return self._first <= job_id < self._next and (job_id - self._first) % self._step == 0

    def fresh_id(self) -> JobId:
        """An id that no job has had."""
        while self._next in self._jobs:  # a build server claims a job with this id
            self._next = JobId(self._next + self._step)
        job_id, self._next = self._next, JobId(self._next + self._step)
        return job_id

    def enter(self, job_id: JobId, job: Job) -> None:
        """Add a job."""
        self._jobs[job_id] = job
        self._count(job, 1)
        self._hold(job, 1)

    def move(self, job: Job, state: JobState, now: float) -> bool:
        """Apply a report; False if the job is in that phase, or a later one, already."""
        phase = AFTER_REPORT[job.phase, state]
        if phase is job.phase:
            return False
        self._count(job, -1)
        job.phase, job.since, job.lends_at = phase, now, math.inf
        job.began[phase] = now
        self._count(job, 1)
        return True

    def drop(self, job_id: JobId) -> Job:
        """Forget a job."""
        job = self._jobs.pop(job_id)
        self._count(job, -1)
        self._hold(job, -1)
        job.give_up_hold()
        return job

    def _hold(self, job: Job, change: int) -> None:
        if job.client is not None:
            for client in (job.client, account_of(job.client)):
                self._held[client] += change
                if not self._held[client]:
                    del self._held[client]

    def _count(self, job: Job, change: int) -> None:
        self.phases[job.phase] += change
        if job.client is not None and job.phase is not JobPhase.STARTED:
            self._unclaimed[job.client] += change
            if not self._unclaimed[job.client]:
                del self._unclaimed[job.client]
