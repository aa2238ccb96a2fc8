"""The slots of build servers: a job takes one, may lend it to others until its client comes, and gives it back.

However a job ends, :meth:`Slots.drop` gives its slot back, or :meth:`Slots.drop_server` with all of its build server.
:mod:`sccachedist.scheduler.core` decides when; :mod:`sccachedist.scheduler.shares` decides how long a slot is held for
a client that does not come.

Pure: the time is an argument. Which build server a job goes to, and what a report means, is not known here.
"""

from collections.abc import Iterator

from sccachedist.bounded import remember
from sccachedist.budgets import Party
from sccachedist.job_phases import JobPhase
from sccachedist.scheduler.build_server import BuildServer
from sccachedist.scheduler.events import (
    Departure,
    JobAllocated,
    JobEnd,
    JobEnded,
    JobStarted,
    Observer,
    ServerLeft,
    SlotLent,
)
from sccachedist.scheduler.fleet import Fleet
from sccachedist.scheduler.jobs import BRINGS_SECS, Job, Jobs
from sccachedist.scheduler.shares import HOLD_SECS, Shares
from sccachedist.wire.addresses import ServerId
from sccachedist.wire.messages import JobId, JobState

#: How many times its slots a published build server lends, for jobs whose toolchain is there and whose clients do not
#: come. They could all come at once, and it would run them all.
READY_TIMES = 8
#: Of how many jobs that were dropped it is remembered whose they were. Their clients may come after all.
MOST_DROPPED = 1 << 16
#: The ends after which no build server goes on with a job.
_OVER = frozenset({JobEnd.COMPLETE, JobEnd.NOT_TAKEN})


class Slots:
    """The jobs, and the slots that they take of their build servers.

    :param tell: called with what happens to them.
    """

    def __init__(self, fleet: Fleet, jobs: Jobs, tell: Observer) -> None:
        self._fleet, self._jobs, self._shares, self._tell = fleet, jobs, Shares(), tell
        self._lent = 0
        self._dropped: dict[JobId, tuple[ServerId, Party]] = {}

    def may_hold_more(self, client: Party, now: float) -> bool:
        """Whether a client may hold one more slot that it does not use yet."""
        self._shares.resize(self._fleet.slots, self._lent)
        return self._shares.may_hold(client, now)

    def next_unheld(self, now: float) -> float | None:
        """When a client that is absent may have a slot; None for at once."""
        return self._shares.next_unheld(now)

    def enter(self, job_id: JobId, job: Job, now: float) -> None:
        """Take a slot for a new job."""
        if job.client is not None and job.phase is JobPhase.RESERVED:  # its client is not there yet
            self._shares.resize(self._fleet.slots, self._lent)
            job.hold = self._shares.hold(job.client, now)
        self._jobs.enter(job_id, job)
        server = self._fleet[job.server_id]
        server.jobs.add(job_id)
        job.beside = server.taken
        self._fleet.changed(server)
        self._jobs.expect(job_id, ours=server.report is not None)

    def take_up(self, job_id: JobId, server_id: ServerId) -> Party | None:
        """Whose job a build server goes on with that was dropped as its own; None if that is not known.

        The client may come for a job that was dropped because it did not come, and is not to have more slots for that.
        """
        if (dropped := self._dropped.get(job_id)) is None or dropped[0] != server_id:
            return None
        del self._dropped[job_id]
        return dropped[1]

    def move(self, job_id: JobId, job: Job, state: JobState, now: float) -> None:
        """Apply a report. A job that has lent its slot takes one again, if the report moves it."""
        was = job.phase
        if not self._jobs.move(job, state, now):
            return
        if was is JobPhase.RESERVED:
            self._tell(JobAllocated(now, job_id, job.server_id, job.client, job.toolchain))
        if job.phase is JobPhase.STARTED:
            self._tell(JobStarted(now, job_id, job.server_id))
        server = self._fleet[job.server_id]
        if job.lent:
            self._take_back(job, server)
            self._fleet.changed(server)
        if job.is_unclaimed:
            self._jobs.lend_at(job_id, now + self._shares.hold_secs(job.client, now))
        else:
            self._came(job)
        self._jobs.expect(job_id, ours=server.report is not None)

    def end(self, job_id: JobId, job: Job, now: float, summary: bytes = b"") -> None:
        """Give back the slot of a job that is complete. The start of a short job may not have been reported."""
        if job.phase is JobPhase.READY:
            self._came(job)
        self.drop(job_id, JobEnd.COMPLETE, now, summary)

    def drop(self, job_id: JobId, how: JobEnd, now: float, summary: bytes = b"") -> None:
        """Forget a job and give its slot back."""
        job = self._forget(job_id, how, now, summary)
        server = self._fleet[job.server_id]
        server.jobs.remove(job_id)
        if job.lent:
            self._take_back(job, server)
        self._fleet.changed(server)

    def drop_server(self, server_id: ServerId, why: Departure, now: float) -> None:
        """Forget a build server and its jobs."""
        server = self._fleet.leave(server_id)
        self._lent -= server.lent
        for job_id in server.jobs:
            self._forget(job_id, JobEnd.SERVER_LEFT, now)
        self._tell(ServerLeft(now, server_id, why))

    def lend(self, now: float) -> None:
        """Lend to others the slots of jobs whose clients have not come in time."""
        for job_id in self._jobs.to_lend(now):
            job = self._jobs[job_id]
            server = self._fleet[job.server_id]
            if self._may_lend(job, server, now) or self._drop_longest_lent(job, server, now):
                job.lent = True
                job.give_up_hold()
                server.lent += 1
                self._lent += 1
                self._fleet.changed(server)
                self._tell(SlotLent(now, job_id, job.server_id))
            else:
                self._jobs.lend_at(job_id, now + HOLD_SECS)
            if job.client is not None and now - job.since >= HOLD_SECS:
                self._shares.missed(job.client, now, is_heard=job.upload_began is not None)

    def stale(self, now: float) -> Iterator[JobId]:
        """The jobs whose clients have not come in time. The caller drops them."""
        for job_id in self._jobs.to_expire(now):
            ours = self._fleet[self._jobs[job_id].server_id].report is not None
            if self._jobs[job_id].is_stale(now, ours=ours):
                yield job_id
            else:
                self._jobs.expect(job_id, ours=ours)

    def expect_all(self, server: BuildServer) -> None:
        """Set the time limits of a build server's jobs: it has turned out to be ours, or to be published."""
        for job_id in server.jobs:
            self._jobs.expect(job_id, ours=server.report is not None)

    def _forget(self, job_id: JobId, how: JobEnd, now: float, summary: bytes = b"") -> Job:
        job = self._jobs.drop(job_id)
        if job.client is not None and how not in _OVER:
            remember(self._dropped, job_id, (job.server_id, job.client), MOST_DROPPED)
        told = JobEnded(now, job_id, job.server_id, job.client, job.toolchain, how, job.began, job.asked, summary)
        self._tell(told)
        return job

    def _drop_longest_lent(self, job: Job, server: BuildServer, now: float) -> bool:
        """Drop the job of a published server that was lent longest, so that a job whose toolchain is there can be lent.

        Its client has not come since, and a published server keeps it for a minute. Else everyone would wait for that.
        """
        if server.report is not None or job.phase is not JobPhase.READY:
            return False
        lent = (job_id for job_id in server.jobs if self._jobs[job_id].lent)
        self.drop(min(lent, key=lambda job_id: (self._jobs[job_id].since, job_id)), JobEnd.EXPIRED, now)
        return True

    @staticmethod
    def _may_lend(job: Job, server: BuildServer, now: float) -> bool:
        """Whether a build server may lend one more slot. As a rule, it lends no more than it has.

        When many toolchains arrive, their jobs all begin at once, and a published server takes every job. Our build
        server may lend more for a job whose toolchain does not arrive, or not within ``BRINGS_SECS``; a published one,
        ``READY_TIMES`` as many as it has for jobs whose toolchain is there.
        """
        if server.lent < server.slots * (READY_TIMES if job.phase is JobPhase.READY else 1):
            return True
        return server.report is not None and (job.upload_began is None or now - job.upload_began > BRINGS_SECS)

    def _take_back(self, job: Job, server: BuildServer) -> None:
        job.lent = False
        server.lent -= 1
        self._lent -= 1

    def _came(self, job: Job) -> None:
        job.give_up_hold()
        if job.client is not None:
            self._shares.came(job.client)
