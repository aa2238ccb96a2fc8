"""What the scheduler decides: which build server gets a job, and how long anything is believed.

Pure: values in dictionaries, the time as an argument, no I/O and no clock. An allocation is cut in two around
the call to the build server: :meth:`SchedulerCore.reserve` takes the slot, then exactly one of
:meth:`SchedulerCore.confirm` and :meth:`SchedulerCore.release` follows.

A slot is a lease: what a build server of ours does not name among its jobs any more is free, and what it names and
nobody knows is taken. A job of this scheduler's is whose it was given to; one from before its start is taken for the
first server's that names it, as nobody can prove more. Another that names it stays, and is given a job more meanwhile.
A slot whose client does not come for it is lent to others after a moment (:mod:`sccachedist.scheduler.shares`): the job
stays for a while, and takes a slot again when its client comes after all.
With a published build server, the rules and their numbers are those of the published scheduler ("The published
scheduler's behaviour" in ``doc/protocol``), but for what comments say.
"""

from collections.abc import Collection, Iterable

import attrs

from sccachedist.budgets import Party
from sccachedist.errors import BadTransition, DecodeError, LimitExceeded, SccachedistError, UnknownJob, UnknownServer
from sccachedist.job_phases import AFTER_REPORT, JobPhase
from sccachedist.scheduler.fleet import BuildServer, Fleet
from sccachedist.scheduler.jobs import Job, Jobs
from sccachedist.scheduler.slots import Slots
from sccachedist.wire.addresses import ServerId
from sccachedist.wire.extension import Availability, JobStates, SchedulerReport, ServerReport
from sccachedist.wire.messages import AssignJobResult, Heartbeat, JobId, JobState, SchedulerStatus, ServerCertificate

#: CPUs that a build server may claim. The wire has room for more than a farm's sum could be told in.
MOST_CPUS = 1 << 16
#: Bytes of the key that a build server signs its job tokens with. The published one has 32.
MOST_KEY_BYTES = 1024
#: Seconds between two heartbeats that a build server of ours may announce.
MOST_HEARTBEAT_SECS = 3600
#: Heartbeats of build servers of ours in a second, above which they are told to come less often: a few hundred take a
#: tenth of a CPU.
MOST_HEARTBEATS_PER_SEC = 400


class NoCapacity(SccachedistError):
    """No build server has room for one more job."""


class IdentityInUse(SccachedistError):
    """A heartbeat for the address of a build server that lives is not its own."""


@attrs.frozen
class Reservation:
    """A slot taken for a job that its build server has not heard of yet.

    :param ours: whether the build server is one of ours, which takes a job that its client's token speaks of.
    :param presumed: what the build server would answer if it were asked, where it need not be.
    """

    job_id: JobId
    server_id: ServerId
    job_key: bytes = attrs.field(repr=False)
    cert_digest: bytes
    ours: bool = False
    presumed: AssignJobResult | None = None


@attrs.frozen
class Expired:
    """What was dropped because its time had come.

    :param more: whether more jobs are to be looked at, in a moment.
    """

    servers: tuple[ServerId, ...]
    jobs: tuple[JobId, ...]
    more: bool = False


def first_job_id(unix_time: float) -> JobId:
    """The id to count from, so that no restart reuses one: microseconds since 1970, 63 bits until 2112."""
    return JobId(int(unix_time * 1_000_000) << 11)


class SchedulerCore:
    """The build servers, their jobs, and who gets the next one.

    :param first_job: the id of the first job, see :func:`first_job_id`.
    :param most_unclaimed: how many jobs one client may have that have not started.
    :param most_per_address: how many build servers may have the same IP address.
    """

    def __init__(self, first_job: JobId, most_unclaimed: int = 1000, most_per_address: int = 64) -> None:
        self._most_unclaimed, self._most_per_address = most_unclaimed, most_per_address
        self._fleet, self._jobs = Fleet(), Jobs(first_job)
        self._slots = Slots(self._fleet, self._jobs)

    # -- build servers --

    def heartbeat(
        self, server_id: ServerId, heartbeat: Heartbeat, now: float, report: ServerReport | None = None
    ) -> bool:
        """Keep a build server among the living; a new nonce is a new server, without the old one's jobs.

        :param report: what a build server of ours says beyond the protocol; one that goes away is dropped.
        :returns: whether it is new.
        :raises DecodeError: what it says of itself cannot be.
        :raises IdentityInUse: one of ours lives at this address, and it is another one.
        :raises LimitExceeded: many others have the same IP address.
        """
        _check(heartbeat, report)
        known = self._fleet.get(server_id)
        if known is None and self._fleet.count_at(server_id) >= self._most_per_address:
            raise LimitExceeded(
                "servers_per_address", f"{self._most_per_address} build servers are at {server_id.host}"
            )
        if known is not None and not known.may_become(heartbeat, now):
            raise IdentityInUse(f"build server {server_id} lives, and has another job key")
        is_new = known is None or known.heartbeat.server_nonce != heartbeat.server_nonce
        if known is not None and is_new:
            self._slots.drop_server(server_id)
        if known is None or is_new:
            known = BuildServer(server_id, heartbeat, now)
            self._fleet.enter(known)
        known.seen = now
        was_ours = known.report is not None
        if report is None or report.number > known.number:
            known.report = report
            self._fleet.renew(known, heartbeat)
        if was_ours is not (known.report is not None):
            self._slots.expect_all(known)
        if report is not None and report.number > known.number:  # else it was overtaken
            self._settle(known, report, now)
        return is_new

    def job_states(self, server_id: ServerId, said: JobStates, now: float) -> None:
        """A build server of ours says how several jobs stand.

        :raises UnknownServer: it has not been heard of since it started: its heartbeat has to come first.
        """
        server = self._fleet[server_id]
        if server.report is None or server.heartbeat.server_nonce != said.server_nonce:
            raise UnknownServer(f"build server {server_id} has to send a heartbeat first")
        server.seen = now
        if said.number > server.number:  # else a heartbeat was quicker and has said it already
            server.number = said.number
            for job_id, state in said.states:
                self._told(server, job_id, state, said.number, now)

    def jobs_of_others(self, server_id: ServerId, named: Iterable[JobId]) -> list[JobId]:
        """Those of these jobs that are another build server's: what this one says of them has no effect."""
        return [job_id for job_id in named if self._is_of_another(server_id, self._jobs.get(job_id))]

    def drain(self, server_id: ServerId, drained: bool) -> bool:
        """Give a build server no more jobs, whether it is here or comes later, or give it some again.

        :return: whether it is here.
        """
        self._fleet.drain(server_id, drained)
        return self._fleet.get(server_id) is not None

    def certificate(self, server_id: ServerId) -> ServerCertificate:
        """The certificate to trust for a build server.

        :raises UnknownServer: no such server has sent a heartbeat in time.
        """
        heartbeat = self._fleet[server_id].heartbeat
        return ServerCertificate(heartbeat.cert_digest, heartbeat.cert_pem)

    def report(self, server_id: ServerId) -> SchedulerReport:
        """What a build server of ours is told: its jobs that have not started, and how often it has to be heard."""
        server = self._fleet.get(server_id)
        unclaimed = sum(self._jobs[job_id].phase is not JobPhase.STARTED for job_id in server.jobs) if server else 0
        told = server.told if server else 0
        return SchedulerReport(unclaimed, len(self._fleet) // MOST_HEARTBEATS_PER_SEC, told)

    def status(self) -> SchedulerStatus:
        """How many servers, CPUs and confirmed jobs there are."""
        return SchedulerStatus(len(self._fleet), self._fleet.num_cpus, self._jobs.confirmed)

    @property
    def has_servers(self) -> bool:
        """Whether any build server takes jobs, be it full or not."""
        return self._fleet.takes_jobs

    def has_better_than(self, tried: Collection[ServerId]) -> bool:
        """Whether any build server takes jobs that has not failed lately, be it full or not, beside these."""
        return self._fleet.has_better_than(tried)

    @property
    def has_room(self) -> bool:
        """Whether a job should be given to any build server now, or wait for a better one."""
        return self._fleet.has_room

    def may_hold_more(self, client: Party, now: float) -> bool:
        """Whether a client may hold one more slot that it does not use yet; else it has to wait for its own jobs."""
        return self._slots.may_hold_more(client, now)

    # -- allocations --

    def reserve(
        self,
        now: float,
        tried: Collection[ServerId] = (),
        *,
        toolchain: str = "",
        client: Party | None = None,
    ) -> Reservation:
        """Take a slot of the server that suits best, see :meth:`sccachedist.scheduler.fleet.Fleet.choose`.

        :param toolchain: the archive id of the one that the job needs.
        :param tried: servers that have refused this allocation already.
        :raises NoCapacity: no server has room.
        :raises LimitExceeded: the client has too many jobs that it has not begun.
        """
        if client is not None and self._jobs.unclaimed(client) >= self._most_unclaimed:
            raise LimitExceeded("unclaimed_jobs", f"{self._most_unclaimed} jobs of one client have not begun")
        server = self._fleet.choose(toolchain, tried, now)
        if server is None:
            raise NoCapacity(f"Insufficient capacity across {len(self._fleet)} available servers")
        job_id = self._jobs.fresh_id()
        self._slots.enter(job_id, Job(server.server_id, client, toolchain, JobPhase.RESERVED, now), now)
        return Reservation(
            job_id,
            server.server_id,
            server.heartbeat.jwt_key,
            server.heartbeat.cert_digest,
            server.report is not None,
            self._presumed(server, toolchain, now) if server.needs_no_question(now) else None,
        )

    def confirm(self, reserved: Reservation, assigned: AssignJobResult, now: float) -> None:
        """The build server has taken the job, or is presumed to take it.

        :raises UnknownServer: it was dropped or replaced meanwhile, and the reservation with it.
        :raises BadTransition: it claims a state that no new job can be in; the slot is free again.
        """
        job = self._jobs.get(reserved.job_id)
        if job is None:
            raise UnknownServer(f"build server {reserved.server_id} went away during an allocation")
        if assigned.state not in (JobState.PENDING, JobState.READY):
            self.release(reserved, now, failed=True)
            raise BadTransition(f"build server {reserved.server_id} says that a new job is {assigned.state.name}")
        if reserved.presumed is None:
            self._fleet.succeeded(self._fleet[reserved.server_id])
        self._slots.move(reserved.job_id, job, assigned.state, now)

    def release(self, reserved: Reservation, now: float, *, failed: bool) -> None:
        """The job will not be: give its slot back.

        :param failed: whether the build server is to blame.
        """
        job = self._jobs.get(reserved.job_id)
        if job is not None:
            self._slots.drop(reserved.job_id)
            if failed:
                self._fleet.failed(self._fleet[reserved.server_id], job.since, now)

    # -- jobs --

    def update(self, job_id: JobId, server_id: ServerId, state: JobState, now: float) -> None:
        """A build server reports where a job stands, and so that it lives. A late Complete has no effect.

        :raises UnknownJob: there is no such job, or it is another server's.
        :raises BadTransition: the job is not assigned yet, or would become Pending again.
        """
        job = self._jobs.get(job_id)
        if job is None:
            if state is JobState.COMPLETE:
                return
            raise UnknownJob("Unknown job")
        if self._is_of_another(server_id, job):
            raise UnknownJob(f"Job {job_id} is not a job of build server {server_id}")
        if job.phase is JobPhase.RESERVED or state is JobState.PENDING:
            raise BadTransition(f"Job {job_id} cannot go from {job.phase.name} to {state.name}")
        self._fleet[server_id].seen = now
        if state is JobState.COMPLETE:
            self._slots.end(job_id, job, now)
        else:
            self._slots.move(job_id, job, state, now)

    @property
    def next_to_lend(self) -> float | None:
        """When to call :meth:`lend` next, should somebody wait for a slot."""
        return self._jobs.next_to_lend

    def lend(self, now: float) -> None:
        """Lend the slots to others whose clients have not come in time."""
        self._slots.lend(now)

    def expire(self, now: float) -> Expired:
        """Drop servers that are silent and jobs that nobody claims, some at a time; forgive failures of long ago."""
        self._fleet.forgive(now)
        silent = tuple(self._fleet.silent(now))
        for server_id in silent:
            self._slots.drop_server(server_id)
        stale = tuple(self._slots.stale(now))
        for job_id in stale:
            self._fleet[self._jobs[job_id].server_id].proven = False  # perhaps clients do not reach it
            self._slots.drop(job_id)
        self.lend(now)
        return Expired(silent, stale, more=self._jobs.has_due(now))

    # -- what a build server of ours says --

    @staticmethod
    def _is_of_another(server_id: ServerId, job: Job | None) -> bool:
        return job is not None and job.server_id != server_id

    def _settle(self, server: BuildServer, report: ServerReport, now: float) -> None:
        """Free the jobs that a heartbeat does not name any more, and note those that it names."""
        server.number = report.number
        if report.availability is Availability.GONE:
            self._slots.drop_server(server.server_id)
            return
        self._fleet.learned(server, report)
        for job_id, state in report.jobs:
            self._told(server, job_id, state, report.number, now)
        for job_id in tuple(server.jobs):
            job = self._jobs[job_id]
            if job.number is None and job.phase is JobPhase.STARTED:
                job.number = report.number  # told as a published server tells it: named from now on
            elif job.number is not None and job.number < report.number:
                self._slots.drop(job_id)

    def _told(self, server: BuildServer, job_id: JobId, state: JobState, number: int, now: float) -> None:
        """A build server of ours names a job, which it may have had before this scheduler was started."""
        job = self._jobs.get(job_id)
        if self._is_of_another(server.server_id, job):
            return
        if state is JobState.COMPLETE:
            if job is not None:
                self._slots.end(job_id, job, now)
            return
        if job is None:
            job = Job(server.server_id, None, "", AFTER_REPORT[JobPhase.RESERVED, state], now)
            self._slots.enter(job_id, job, now)
        # One that is Ready waits for its client, and is named again when that comes.
        job.number = None if state is JobState.READY else number
        if job.phase is JobPhase.PENDING and state is JobState.PENDING:
            job.since = now  # its upload goes on
            if job.upload_began is None:
                job.upload_began = now
            self._slots.heard(job, now)
        if state is JobState.READY and job.toolchain:
            self._fleet.gained(server, job.toolchain)
        self._slots.move(job_id, job, state, now)

    def _presumed(self, server: BuildServer, toolchain: str, now: float) -> AssignJobResult:
        """What a build server of ours would answer; a toolchain that somebody is bringing is not asked for again."""
        if toolchain in server.toolchains:
            return AssignJobResult(JobState.READY, need_toolchain=False)
        others = (self._jobs[job_id] for job_id in server.jobs)
        is_brought = any(job.brings(toolchain, now) for job in others) and server.may_presume(toolchain, now)
        return AssignJobResult(JobState.PENDING, need_toolchain=not is_brought)


def _check(heartbeat: Heartbeat, report: ServerReport | None) -> None:
    if not 1 <= heartbeat.num_cpus <= MOST_CPUS:
        raise DecodeError(f"a build server has 1 to {MOST_CPUS} CPUs, not {heartbeat.num_cpus}")
    if len(heartbeat.jwt_key) > MOST_KEY_BYTES:
        raise DecodeError(f"jwt_key has more than {MOST_KEY_BYTES} bytes")
    if report is not None and not 1 <= report.heartbeat_secs <= MOST_HEARTBEAT_SECS:
        raise DecodeError(f"heartbeats come every 1 to {MOST_HEARTBEAT_SECS} seconds")
