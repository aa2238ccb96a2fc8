"""What the scheduler decides: which build server gets a job, and when a server or a job is dropped.

Pure: values in dictionaries, the time as an argument, no I/O and no clock. Each call that changes something returns the
events that it caused (:mod:`sccachedist.scheduler.events`); one that raises an error has changed nothing.

An allocation is cut in two around the call to the build server: :meth:`SchedulerCore.reserve` takes the slot, which is
no event yet, then :meth:`SchedulerCore.confirm` or :meth:`SchedulerCore.release` follows.

:mod:`sccachedist.scheduler.fleet` chooses the server, :mod:`sccachedist.scheduler.slots` gives slots back. How long a
silent server is believed, and a job kept: :mod:`sccachedist.scheduler.liveness`, :mod:`sccachedist.scheduler.jobs`.

A slot is a lease. Each heartbeat of our build server lists its live jobs: a job that is missing is released; an unknown
job is adopted (the scheduler was restarted, or had dropped it). A job belongs to the server that it was allocated to;
an adopted one to the first server that claims it. A false claim has no effect but that the claimant's count is one too
low until the job ends. If a job's client does not come, the slot is soon lent to others
(:mod:`sccachedist.scheduler.shares`): the job stays for a while, and takes a slot again when its client comes at last.
With a published build server, the rules and their numbers are those of the published scheduler ("The published
scheduler's behaviour" in ``doc/protocol``), unless a comment says otherwise.
"""

from collections.abc import Collection, Iterable, Mapping

import attrs

from sccachedist.budgets import Party
from sccachedist.errors import BadTransition, LimitExceeded, UnknownJob, UnknownServer
from sccachedist.job_phases import AFTER_REPORT, JobPhase
from sccachedist.scheduler.build_server import BuildServer
from sccachedist.scheduler.events import (
    Departure,
    Event,
    Events,
    Fault,
    JobAdopted,
    JobEnd,
    ServerAvoided,
    ServerJoined,
    ServerUnfit,
)
from sccachedist.scheduler.fleet import Fleet
from sccachedist.scheduler.heartbeat_bounds import IdentityInUse, check_heartbeat
from sccachedist.scheduler.interventions import Interventions
from sccachedist.scheduler.jobs import Job, Jobs
from sccachedist.scheduler.out_of_service import OutOfService, Pause
from sccachedist.scheduler.placement import Placement
from sccachedist.scheduler.presumptions import Presumptions
from sccachedist.scheduler.slots import Slots
from sccachedist.scheduler.snapshot import Snapshot, Views, snapshot_of
from sccachedist.wire.addresses import ServerId
from sccachedist.wire.extension import Availability, JobStates, SchedulerReport, ServerReport
from sccachedist.wire.job_summary import MOST_BYTES
from sccachedist.wire.messages import AssignJobResult, Heartbeat, JobId, JobState, SchedulerStatus, ServerCertificate

#: Heartbeats per second above which our build servers are told to send fewer: a few hundred take a tenth of a CPU.
MOST_HEARTBEATS_PER_SEC = 400


@attrs.frozen
class Reservation:
    """A slot taken for a job that its build server has not heard of yet.

    :param ours: whether the build server is ours: it learns of a job from the client's token, too.
    :param presumed: what the build server would answer, if it need not be asked; else None.
    """

    job_id: JobId
    server_id: ServerId
    job_key: bytes = attrs.field(repr=False)
    cert_digest: bytes
    ours: bool = False
    presumed: AssignJobResult | None = None


class SchedulerCore:
    """The build servers, their jobs, and which server gets the next one.

    :param first_job: the id of the first job, see :mod:`sccachedist.scheduler.job_ids`; ``job_step`` leads to the next.
    :param most_unclaimed: how many jobs that have not started one client may have.
    :param most_per_address: how many build servers may have the same IP address, or with ``by_network``, which is for
        a token that all of them share, the same IPv4 address or IPv6 /64.
    :param out_of_service: what administrators have taken out of service.
    """

    def __init__(
        self,
        first_job: JobId,
        most_unclaimed: int = 1000,
        most_per_address: int = 64,
        out_of_service: OutOfService | None = None,
        job_step: int = 1,
        *,
        by_network: bool = False,
    ) -> None:
        self.most_unclaimed, self.most_per_address = most_unclaimed, most_per_address
        self._fleet, self._jobs = Fleet(out_of_service, by_network=by_network), Jobs(first_job, job_step)
        self._events: list[Event] = []
        self._slots = Slots(self._fleet, self._jobs, self._events.append)
        self.placement = Placement(self._fleet)  # what is asked before a slot is taken
        self.presumptions = Presumptions(self._fleet, self._jobs)
        self.views = Views(self._fleet, self._jobs)  # for those who watch; the next one is for administrators
        self.interventions = Interventions(self._fleet, self._jobs, self._slots, self._events.append, self._caused)

    # -- build servers --

    def heartbeat(
        self, server_id: ServerId, heartbeat: Heartbeat, now: float, report: ServerReport | None = None
    ) -> Events:
        """Note that a build server lives. A new nonce means a new server: the old one is dropped with its jobs.

        :param report: what our build server adds to the protocol. One that says that it is gone is dropped.
        :returns: what follows; :class:`~sccachedist.scheduler.events.ServerJoined` is in it if the server is new.
        :raises DecodeError: a number or the key in it is out of bounds.
        :raises IdentityInUse: our build server lives at this address and has another job key.
        :raises LimitExceeded: too many others have the same IP address.
        """
        check_heartbeat(heartbeat, report)
        known = self._fleet.get(server_id)
        if known is None and self._fleet.count_at(server_id) >= self.most_per_address:
            raise LimitExceeded("servers_per_address", f"{self.most_per_address} build servers are at {server_id.host}")
        if known is not None and not known.may_become(heartbeat, now):
            raise IdentityInUse(f"build server {server_id} lives, and has another job key")
        is_new = known is None or known.heartbeat.server_nonce != heartbeat.server_nonce
        if known is not None and is_new:
            self._slots.drop_server(server_id, Departure.REPLACED, now)
        if known is None or is_new:
            known = BuildServer(server_id, heartbeat, now)
            self._fleet.enter(known)
            self._events.append(ServerJoined(now, server_id, heartbeat.num_cpus, report is not None))
        known.seen = now
        was_ours, was_unfit = known.report is not None, known.unfit
        if report is None or known.report is None or report.number > known.report.number:
            self._fleet.renew(known, heartbeat, report)
            if was_ours is (report is None):
                self._slots.expect_all(known)
            if report is not None:
                self._settle(known, report, now)
        if known.unfit != was_unfit:
            self._events.append(ServerUnfit(now, server_id, known.unfit))
        return self._caused()

    def job_states(self, server_id: ServerId, said: JobStates, now: float) -> Events:
        """Apply our build server's report of where several jobs stand.

        :raises UnknownServer: it has sent no heartbeat since it started; that has to come first.
        """
        server = self._fleet[server_id]
        if server.report is None or server.heartbeat.server_nonce != said.server_nonce:
            raise UnknownServer(f"build server {server_id} has to send a heartbeat first")
        server.seen = now
        is_new, server.number = said.number > server.number, max(said.number, server.number)
        summaries = {job_id: octets for job_id, octets in said.summaries if len(octets) <= MOST_BYTES}
        for job_id, state in said.states:
            if is_new or self._is_end(job_id, state, said.number):
                self._told(server, job_id, state, said.number, now, summaries.get(job_id, b""))
        return self._caused()

    def jobs_of_others(self, server_id: ServerId, named: Iterable[JobId]) -> list[JobId]:
        """The named jobs that belong to another build server: what this one says of them has no effect."""
        return [job_id for job_id in named if self._is_of_another(server_id, self._jobs.get(job_id))]

    def certificate(self, server_id: ServerId) -> ServerCertificate:
        """The certificate to trust for a build server.

        :raises UnknownServer: no such server lives.
        """
        heartbeat = self._fleet[server_id].heartbeat
        return ServerCertificate(heartbeat.cert_digest, heartbeat.cert_pem)

    def report(self, server_id: ServerId) -> SchedulerReport:
        """What our build server is told: how many of its jobs have not started, and how often to send a heartbeat."""
        server = self._fleet.get(server_id)
        unclaimed = sum(self._jobs[job_id].phase is not JobPhase.STARTED for job_id in server.jobs) if server else 0
        told = server.told if server else 0
        return SchedulerReport(unclaimed, len(self._fleet) // MOST_HEARTBEATS_PER_SEC, told)

    def status(self) -> SchedulerStatus:
        """How many servers, CPUs and confirmed jobs there are."""
        return SchedulerStatus(len(self._fleet), self._fleet.num_cpus, self._jobs.confirmed)

    def snapshot(self, waiting: Mapping[Party, int], now: float) -> Snapshot:
        """All that is known now, see :func:`~sccachedist.scheduler.snapshot.snapshot_of`."""
        return snapshot_of(self._fleet, self._jobs, waiting, now)

    @property
    def pause(self) -> Pause | None:
        """Why no request gets a slot; None if requests get some."""
        return self._fleet.out_of_service.pause

    def may_hold_more(self, client: Party, now: float) -> bool:
        """Whether a client may hold one more slot that it does not use yet; else it has to wait for its own jobs."""
        return self._slots.may_hold_more(client, now)

    def next_unheld(self, now: float) -> float | None:
        """When to look whether a client that is absent may hold one more, if one waits; None if it might now."""
        return self._slots.next_unheld(now)

    # -- allocations --

    def reserve(
        self,
        now: float,
        tried: Collection[ServerId] = (),
        *,
        toolchain: str = "",
        client: Party | None = None,
        asked: float | None = None,
        labels: frozenset[str] = frozenset(),
    ) -> Reservation:
        """Take a slot of the server that suits best, see :meth:`sccachedist.scheduler.fleet.Fleet.choose`.

        :param toolchain: the archive id of the toolchain that the job needs.
        :param tried: servers that have refused this allocation already.
        :param asked: when the client asked; by default, now.
        :param labels: that the server must have.
        :raises NoCapacity: no server has room.
        :raises LimitExceeded: too many of the client's jobs have not started.
        """
        if client is not None and self._jobs.unclaimed(client) >= self.most_unclaimed:
            raise LimitExceeded("unclaimed_jobs", f"{self.most_unclaimed} jobs of one client have not begun")
        need = self.placement.need(toolchain, labels)
        server = self._fleet.choose(toolchain, tried, now, need)
        if server is None:
            raise self.placement.no_capacity(need, tried)
        self.placement.chosen(server, toolchain, now)
        job_id, asked = self._jobs.fresh_id(), now if asked is None else asked
        job = Job(server.server_id, client, toolchain, JobPhase.RESERVED, now, asked=asked)
        self._slots.enter(job_id, job, now)
        return Reservation(
            job_id,
            server.server_id,
            server.heartbeat.jwt_key,
            server.heartbeat.cert_digest,
            server.report is not None,
            self.presumptions.presumed(server, toolchain, client, now),
        )

    def confirm(self, reserved: Reservation, assigned: AssignJobResult, now: float) -> Events:
        """Note that the build server has taken the job, or is presumed to take it.

        :raises UnknownServer: it was dropped or replaced meanwhile, and the reservation with it.
        :raises BadTransition: it claims a state that no new job can be in: the caller releases the reservation.
        """
        job = self._jobs.get(reserved.job_id)
        if job is None:
            raise UnknownServer(f"build server {reserved.server_id} went away during an allocation")
        if assigned.state not in (JobState.PENDING, JobState.READY):
            raise BadTransition(f"build server {reserved.server_id} says that a new job is {assigned.state.name}")
        if reserved.presumed is None:
            self._fleet.succeeded(self._fleet[reserved.server_id], now)
        self.presumptions.note(reserved.job_id, job, assigned, now)
        self._slots.move(reserved.job_id, job, assigned.state, now)
        return self._caused()

    def release(self, reserved: Reservation, now: float, *, failed: bool) -> Events:
        """Give a reservation's slot back: the build server has not taken the job.

        :param failed: whether that is the build server's fault, which backs it off.
        """
        job = self._jobs.get(reserved.job_id)
        if job is not None:
            self._slots.drop(reserved.job_id, JobEnd.NOT_TAKEN, now)
            if failed:
                server = self._fleet[reserved.server_id]
                self._fleet.failed(server, job.since, now)
                self._events.append(ServerAvoided(now, reserved.server_id, server.backoff.until, Fault.NOT_TAKEN))
        return self._caused()

    # -- jobs --

    def update(self, job_id: JobId, server_id: ServerId, state: JobState, now: float) -> Events:
        """Apply a build server's report of where a job stands, which also shows that the server lives.

        A late Complete has no effect, nor has anything of a job that another scheduler gave out, or an earlier run: a
        published server ends a job whose start or end is refused.

        :raises UnknownJob: there is no such job any more, or it is another server's.
        :raises BadTransition: the job is not assigned yet, or would become Pending again.
        """
        job = self._jobs.get(job_id)
        if job is None:
            if state is JobState.COMPLETE or not self._jobs.has_given_out(job_id):
                return ()
            raise UnknownJob("Unknown job")
        if self._is_of_another(server_id, job):
            raise UnknownJob(f"Job {job_id} is not a job of build server {server_id}")
        if job.phase is JobPhase.RESERVED or state is JobState.PENDING:
            raise BadTransition(f"Job {job_id} cannot go from {job.phase.name} to {state.name}")
        self._fleet[server_id].seen = now
        if state is JobState.COMPLETE:
            self._fleet.ranking.ended(self._fleet[server_id], job, b"", now)
            self._slots.end(job_id, job, now)
            self._count(self._fleet[server_id], 0, now)
        else:
            self._slots.move(job_id, job, state, now)
        return self._caused()

    @property
    def next_to_lend(self) -> float | None:
        """When to call :meth:`lend` next, if a client waits for a slot."""
        return self._jobs.next_to_lend

    def lend(self, now: float) -> Events:
        """Lend to others the slots of jobs whose clients have not come in time."""
        self._slots.lend(now)
        return self._caused()

    def expire(self, now: float) -> Events:
        """Drop silent servers, and jobs whose clients have not come, some at a time; end backoffs that are over."""
        self._fleet.end_backoffs(now)
        return self.expire_more(now)

    def expire_more(self, now: float) -> Events:
        """Drop some of the servers and jobs that :meth:`expire` has left over."""
        for server_id in self._fleet.silent(now):
            self._slots.drop_server(server_id, Departure.SILENT, now)
        for job_id in tuple(self._slots.stale(now)):
            server = self._fleet[self._jobs[job_id].server_id]
            server.proven = False  # perhaps clients cannot reach it
            self._slots.drop(job_id, JobEnd.EXPIRED, now)
            self._count(server, 1, now)
        self._slots.lend(now)
        return self._caused()

    def has_due(self, now: float) -> bool:
        """Whether servers or jobs that are due were left over."""
        return self._fleet.has_silent(now) or self._jobs.has_due(now)

    def _count(self, server: BuildServer, home: int, now: float) -> None:
        """Count the end of a job of a published server; ours tells with its heartbeats how many it sent home."""
        if server.report is None and self._fleet.ended(server, 1, home, now):
            self._avoid(server, now)

    def _avoid(self, server: BuildServer, now: float) -> None:
        self._events.append(ServerAvoided(now, server.server_id, server.record.avoided.until, Fault.SENDS_HOME))

    def _caused(self) -> Events:
        events = tuple(self._events)
        self._events.clear()
        return events

    # -- what our build server says --

    @staticmethod
    def _is_of_another(server_id: ServerId, job: Job | None) -> bool:
        return job is not None and job.server_id != server_id

    def _is_end(self, job_id: JobId, state: JobState, number: int) -> bool:
        """Whether an overtaken message has an end to tell: no later one tells of it, nor has to name the job."""
        job = self._jobs.get(job_id)
        return state is JobState.COMPLETE and job is not None and (job.number is None or job.number <= number)

    def _settle(self, server: BuildServer, report: ServerReport, now: float) -> None:
        """Apply what a heartbeat tells. Live jobs that its list leaves out are released, others noted."""
        if report.availability is Availability.GONE:
            self._slots.drop_server(server.server_id, Departure.GONE, now)
            return
        self._fleet.learned(server, report)
        if report.health is not None and self._fleet.told(server, report.health, now):
            self._avoid(server, now)
        if report.number <= server.number:  # a report of jobs has overtaken it; that has nothing of what is above
            return
        server.number = report.number
        for job_id, state in report.jobs:
            self._told(server, job_id, state, report.number, now)
        for job_id in tuple(server.jobs):
            job = self._jobs[job_id]
            if job.number is None and job.phase is JobPhase.STARTED:
                job.number = report.number  # reported by itself; heartbeats name it from now on
            elif job.number is not None and job.number < report.number:
                self._slots.drop(job_id, JobEnd.LOST, now)

    def _told(
        self, server: BuildServer, job_id: JobId, state: JobState, number: int, now: float, summary: bytes = b""
    ) -> None:
        """Apply what our build server says of a job. An unknown one is adopted: it is from before this scheduler."""
        job = self._jobs.get(job_id)
        if self._is_of_another(server.server_id, job):
            return
        if state is JobState.COMPLETE:
            if job is not None:
                self.presumptions.ended(server, job, summary, now)
                self._fleet.ranking.ended(server, job, summary, now)
                self._slots.end(job_id, job, now, summary)
            return
        if job is None:
            client = self._slots.take_up(job_id, server.server_id)
            job = Job(server.server_id, client, "", AFTER_REPORT[JobPhase.RESERVED, state], now)
            self._slots.enter(job_id, job, now)
            self._events.append(JobAdopted(now, job_id, server.server_id, client))
        # A Ready job waits for its client: until that comes, heartbeats need not name it.
        job.number = None if state is JobState.READY else number
        if job.phase is JobPhase.PENDING and state is JobState.PENDING:
            job.since = now  # its upload goes on
            if job.upload_began is None:
                job.upload_began = now
        if state is JobState.READY and job.toolchain:
            self._fleet.ranking.waited(job, now)
            self._fleet.gained(server, job.toolchain)
        self._slots.move(job_id, job, state, now)
