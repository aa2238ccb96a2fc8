"""The slots of build servers: which job takes one, holds one until its client comes, or has lent it to others.

Pure: the time is an argument. Which build server a job goes to, and what a report means, is not known here.
"""

from collections.abc import Iterator

from sccachedist.budgets import Party
from sccachedist.job_phases import JobPhase
from sccachedist.scheduler.fleet import BuildServer, Fleet
from sccachedist.scheduler.jobs import BRINGS_SECS, Job, Jobs
from sccachedist.scheduler.shares import HOLD_SECS, Shares
from sccachedist.wire.addresses import ServerId
from sccachedist.wire.messages import JobId, JobState


class Slots:
    """What jobs do to the slots of their build servers."""

    def __init__(self, fleet: Fleet, jobs: Jobs) -> None:
        self._fleet, self._jobs, self._shares = fleet, jobs, Shares()
        self._lent = 0

    def may_hold_more(self, client: Party, now: float) -> bool:
        """Whether a client may hold one more slot that it does not use yet."""
        self._shares.resize(self._fleet.slots, self._lent)
        return self._shares.may_hold(client, now)

    def enter(self, job_id: JobId, job: Job, now: float) -> None:
        """A new job."""
        if job.client is not None:
            self._shares.resize(self._fleet.slots, self._lent)
            job.hold = self._shares.hold(job.client, now)
        self._jobs.enter(job_id, job)
        server = self._fleet[job.server_id]
        server.jobs.add(job_id)
        self._fleet.changed(server)
        self._jobs.expect(job_id, ours=server.report is not None)

    def move(self, job_id: JobId, job: Job, state: JobState, now: float) -> None:
        """Apply a report. Where the job's slot was lent, the job takes one again."""
        if not self._jobs.move(job, state, now):
            return
        server = self._fleet[job.server_id]
        if job.lent:
            self._take_back(job, server)
            self._fleet.changed(server)
        if job.is_unclaimed:
            self._jobs.lend_at(job_id, now + self._shares.hold_secs(job.client))
        else:
            self._came(job, now)
        self._jobs.expect(job_id, ours=server.report is not None)

    def end(self, job_id: JobId, job: Job, now: float) -> None:
        """A job is over; a short one was never said to have begun."""
        if job.phase is JobPhase.READY:
            self._came(job, now)
        self.drop(job_id)

    def heard(self, job: Job, now: float) -> None:
        """The client of a job sends its toolchain."""
        if job.client is not None:
            self._shares.heard(job.client, now)

    def drop(self, job_id: JobId) -> None:
        """A job is no more."""
        job = self._jobs.drop(job_id)
        server = self._fleet[job.server_id]
        server.jobs.remove(job_id)
        if job.lent:
            self._take_back(job, server)
        self._fleet.changed(server)

    def drop_server(self, server_id: ServerId) -> None:
        """A build server is no more, nor are its jobs."""
        server = self._fleet.leave(server_id)
        self._lent -= server.lent
        for job_id in server.jobs:
            self._jobs.drop(job_id)

    def lend(self, now: float) -> None:
        """Lend the slots to others whose clients have not come in time."""
        for job_id in self._jobs.to_lend(now):
            job = self._jobs[job_id]
            server = self._fleet[job.server_id]
            if self._may_lend(job, server, now):
                job.lent = True
                job.give_up_hold()
                server.lent += 1
                self._lent += 1
                self._fleet.changed(server)
            else:
                self._jobs.lend_at(job_id, now + HOLD_SECS)
            if job.client is not None:
                self._shares.missed(job.client, job.since, now, is_heard=job.upload_began is not None)

    def stale(self, now: float) -> Iterator[JobId]:
        """The jobs that nobody came for in time; they are to be dropped."""
        for job_id in self._jobs.to_expire(now):
            ours = self._fleet[self._jobs[job_id].server_id].report is not None
            if self._jobs[job_id].is_stale(now, ours=ours):
                yield job_id
            else:
                self._jobs.expect(job_id, ours=ours)

    def expect_all(self, server: BuildServer) -> None:
        """A build server has become one of ours, or a published one: its jobs are waited for shorter, or longer."""
        for job_id in server.jobs:
            self._jobs.expect(job_id, ours=server.report is not None)

    @staticmethod
    def _may_lend(job: Job, server: BuildServer, now: float) -> bool:
        """Where many toolchains come in, their jobs will all begin at once; and a published server takes every job.

        So no more slots of a build server are lent than it has; but for one of ours, where nothing comes in, or that
        takes long.
        """
        if server.lent < server.slots:
            return True
        return server.report is not None and (job.upload_began is None or now - job.upload_began > BRINGS_SECS)

    def _take_back(self, job: Job, server: BuildServer) -> None:
        job.lent = False
        server.lent -= 1
        self._lent -= 1

    def _came(self, job: Job, now: float) -> None:
        job.give_up_hold()
        if job.client is not None:
            self._shares.came(job.client, now)
