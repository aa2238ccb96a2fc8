"""A model of the scheduler core that is too simple to be wrong: a list of jobs and a list of servers."""

import math

import attrs
import pytest
from hypothesis.stateful import RuleBasedStateMachine

from sccachedist.budgets import Party
from sccachedist.scheduler.core import SchedulerCore
from sccachedist.scheduler.events import Event, Events
from sccachedist.scheduler.shares import HOLD_SECS
from sccachedist.wire.addresses import ServerId
from sccachedist.wire.messages import JobId, JobState, job_capacity
from tests.scheduler.farms import FIRST_JOB, MANY

LIFE = ["reserved", "pending", "ready", "started", "complete"]
PATIENCE = {"reserved": 300, "pending": 300, "ready": 60}
OUR_PATIENCE = PATIENCE | {"pending": 8, "ready": 8}
OURS_SECS = 5
#: All of them are new, and all have come before; ``None`` is one that nobody knows.
CLIENTS = (None, *map(Party, "ABC"))


@attrs.define
class Job:
    """A job that takes a slot."""

    job_id: JobId
    server_id: ServerId
    where: str
    since: float
    client: Party | None = None
    named: bool = False
    began: float | None = None
    lent: bool = False
    lends_at: float = math.inf

    def patience(self, ours: bool) -> float:
        if self.where == "started":
            return math.inf if ours else 1200
        if ours and self.where == "pending" and self.began is not None:
            return 120
        return (OUR_PATIENCE if ours else PATIENCE)[self.where]


@attrs.define
class Server:
    """A build server that lives."""

    cpus: int
    nonce: int
    seen: float
    ours: bool = False
    failed: float | None = None
    backoff: float = 0


class ToldCore(SchedulerCore):
    """A core that keeps the events that its calls return."""

    def __init__(self, first_job: JobId) -> None:
        super().__init__(first_job)
        self._jobs._expiring._most = MANY  # the model drops all jobs that are stale, not some at a time
        self.told: list[Event] = []

    def _caused(self) -> Events:
        events = super()._caused()
        self.told += events
        return events


class CoreBesideModel(RuleBasedStateMachine):
    """The core and the model, side by side; nothing happens to them here."""

    def __init__(self) -> None:
        super().__init__()
        self.core = ToldCore(FIRST_JOB)
        self.now = 0.0
        self.servers: dict[ServerId, Server] = {}
        self.jobs: list[Job] = []
        self.last_id = FIRST_JOB - 1
        self.number = 0

    def of(self, server_id: ServerId) -> list[Job]:
        return [job for job in self.jobs if job.server_id == server_id]

    def job(self, job_id: JobId) -> Job | None:
        return next((job for job in self.jobs if job.job_id == job_id), None)

    def of_others(self, server_id: ServerId, indices: set[int]) -> list[JobId]:
        others = [job.job_id for job in self.jobs if job.server_id != server_id]
        assert self.core.jobs_of_others(server_id, [job.job_id for job in self.jobs]) == others
        return [job_id for index, job_id in enumerate(others) if index in indices]

    def taken(self, server_id: ServerId) -> int:
        return sum(not job.lent for job in self.of(server_id))

    def room(self, server_id: ServerId) -> int:
        return max(0, job_capacity(self.servers[server_id].cpus) - self.taken(server_id))

    def move(self, job: Job, where: str) -> None:
        job.where, job.since, job.lent = where, self.now, False
        job.lends_at = self.core._jobs[job.job_id].lends_at
        if where in ("pending", "ready"):
            assert job.lends_at - self.now in (0.0, pytest.approx(HOLD_SECS))
        else:
            assert job.lends_at == math.inf

    def drop(self, server_id: ServerId) -> None:
        del self.servers[server_id]
        self.jobs = [job for job in self.jobs if job.server_id != server_id]

    def rank(self, server_id: ServerId) -> tuple[int, float]:
        server = self.servers[server_id]
        if server.failed is not None and self.now - server.failed <= server.backoff:
            return (1, server.failed)
        return (0, self.taken(server_id) / server.cpus)

    def told(self, server_id: ServerId, job_id: JobId, state: JobState) -> None:
        job, where = self.job(job_id), state.name.lower()
        assert job is not None
        if job.server_id != server_id:
            return
        if where == "complete":
            self.jobs.remove(job)
            return
        job.named = state is not JobState.READY
        if job.where == where == "pending":
            job.since = self.now
            job.began = self.now if job.began is None else job.began
        if LIFE.index(where) > LIFE.index(job.where):
            self.move(job, where)

    def blame(self, job: Job) -> None:
        server = self.servers[job.server_id]
        if server.failed is None or job.since > server.failed:
            server.backoff = min(300, 2 * server.backoff or 10)
        server.failed = self.now

    def lend(self) -> None:
        """The slots of those that did not come go to others, the one that was waited for longest first."""
        for job in sorted(self.jobs, key=lambda job: (job.lends_at, job.job_id)):
            if job.lends_at > self.now:
                return
            server = self.servers[job.server_id]
            lent = [other for other in self.of(job.server_id) if other.lent]
            full = len(lent) >= job_capacity(server.cpus) * (8 if job.where == "ready" else 1)
            if full and not server.ours and job.where == "ready":
                self.jobs.remove(min(lent, key=lambda other: (other.since, other.job_id)))
                full = False
            if full and not (server.ours and (job.began is None or self.now - job.began > 10)):
                job.lends_at = self.now + HOLD_SECS
            else:
                job.lent, job.lends_at = True, math.inf
