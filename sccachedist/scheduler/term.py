"""All that a scheduler knows, in one value, and what clients, build servers and administrators ask of it.

A :class:`Term` lasts as long as the scheduler decides without a break. It knows the build servers and jobs, which
clients wait, and who observes. When another term begins (:class:`Terms`), the old one is thrown away: its clients wait
on in the new one, and our build servers' next heartbeats tell the new one of their jobs.

Routes take the current term for each request and keep nothing of it. HTTP is not known here.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence

import attrs
from twisted.internet.interfaces import IReactorTime
from twisted.logger import LogLevel

from sccachedist.budgets import Party
from sccachedist.config import QueueSettings, SchedulerLimits
from sccachedist.daemon.logs import Logger, QuietLog
from sccachedist.errors import DecidedElsewhere, DecodeError, NoCapacity, SccachedistError
from sccachedist.outcomes import Refusal
from sccachedist.policy import PlacementRule
from sccachedist.scheduler.allocation import Allocation, BuildServers, TermEnded, Ticket
from sccachedist.scheduler.certificates import certificate_digest
from sccachedist.scheduler.core import SchedulerCore
from sccachedist.scheduler.events import Events, JobAdopted, JobEnded, LateSummary, Observer, ServerJoined
from sccachedist.scheduler.farm_actions import Step
from sccachedist.scheduler.interventions import Interventions
from sccachedist.scheduler.job_tokens import JobTokens
from sccachedist.scheduler.queue import ALL_ALIKE, Queue, is_over
from sccachedist.scheduler.snapshot import JobView, ServerView, Snapshot, ToolchainView, Totals
from sccachedist.scheduler.standings import Standing
from sccachedist.wire.addresses import ServerId
from sccachedist.wire.archive_id import ArchiveId
from sccachedist.wire.extension import JobStates, SchedulerReport, ServerReport
from sccachedist.wire.holders import Holders, Popular, ToolchainHolder
from sccachedist.wire.messages import (
    AllocJobFail,
    AllocJobSuccess,
    Heartbeat,
    HeartbeatResult,
    JobId,
    JobState,
    SchedulerStatus,
    ServerCertificate,
    Toolchain,
)

log = Logger()

#: Called with each heartbeat of a build server that is let in, and when it came, by the clock.
Hear = Callable[[ServerId, Heartbeat, ServerReport | None, float], None]


def not_kept(server_id: ServerId, heartbeat: Heartbeat, report: ServerReport | None, came: float) -> None:
    """The one that keeps nothing."""


class Term:
    """What a scheduler knows, and its decisions, told to the observers.

    :param core: knows the build servers and jobs; it is this term's alone.
    :param tokens: issues the job tokens of clients.
    :param observers: called with each event, in order.
    :param standing: what a client counts for among others.
    :param hear: keeps heartbeats for the next term.
    """

    def __init__(
        self,
        core: SchedulerCore,
        build_servers: BuildServers,
        waiting: QueueSettings,
        clock: IReactorTime,
        tokens: JobTokens,
        observers: Sequence[Observer] = (),
        standing: Callable[[Party], Standing] = ALL_ALIKE,
        hear: Hear = not_kept,
    ) -> None:
        self._core, self._clock, self._tokens, self._observers, self._hear = core, clock, tokens, observers, hear
        self._queue: Queue[Ticket] = Queue(waiting.max_waiting, standing)
        self._allocation = Allocation(core, build_servers, self._queue, waiting, clock, tokens, self._tell, standing)
        self._quiet_log, self._standing = QuietLog(clock.seconds), standing

    def now(self) -> float:
        """The time by the clock that events have."""
        return self._clock.seconds()

    async def place(self, client: Party, toolchain: Toolchain, asked: float) -> AllocJobSuccess | AllocJobFail:
        """Find a build server for one job, and wait for a slot if necessary.

        :param asked: when the client asked, by :meth:`now`.
        :raises TermEnded: it ended while the client waited.
        """
        return await self._allocation.allocate(client, toolchain, asked)

    def turned_away(self, client: Party, asked: float, error: BaseException) -> None:
        """Note that a request for a slot was refused before it was read: the client's token was not accepted."""
        self._allocation.refused(client, None, asked, error)

    def heartbeat(
        self, server_id: ServerId, heartbeat: Heartbeat, report: ServerReport | None, age: float = 0.0
    ) -> tuple[HeartbeatResult, SchedulerReport | None]:
        """Note that a build server lives.

        :param report: what ours adds. The second part of the answer is for it alone.
        :param age: seconds since it came.
        :raises DecodeError: a number in it is out of bounds, or clients must not trust its certificate.
        :raises IdentityInUse: another one lives at its address.
        :raises LimitExceeded: too many have the same IP address.
        """
        known = self.interventions.server(server_id)
        if known is None or not known.has_certificate_of(heartbeat):  # else it was checked
            self._check_certificate(server_id, heartbeat)
        if report is not None:
            self._look_for_jobs_of_others(server_id, report.jobs)
        came = self._clock.seconds() - age
        events = self._core.heartbeat(server_id, heartbeat, came, report)
        self._follow(events)
        known = self.interventions.server(server_id)
        self._hear(server_id, heartbeat if known is None else known.heartbeat, report, came)
        is_new = any(isinstance(event, ServerJoined) for event in events)
        return HeartbeatResult(is_new), None if report is None else self._report(server_id)

    def recall(self, server_id: ServerId, heartbeat: Heartbeat, report: ServerReport | None, age: float) -> None:
        """Note what a build server said before this term, unless it has said something since.

        :param age: seconds since then; errors are those of :meth:`heartbeat`.
        """
        if self.interventions.server(server_id) is None:
            self.heartbeat(server_id, heartbeat, report, age)

    def renew_drains(self) -> None:
        """Go by what is out of service now: it has been recalled."""
        self.interventions.renew_drains()
        self._allocation.serve_waiting()

    def job_states(self, server_id: ServerId, said: JobStates) -> None:
        """Apply our build server's report of where several jobs stand.

        :raises UnknownServer: it has to send a heartbeat first.
        """
        self._look_for_jobs_of_others(server_id, said.states)
        now = self._clock.seconds()
        events = self._core.job_states(server_id, said, now)
        if said.summaries:
            ended = {event.job_id for event in events if isinstance(event, JobEnded)}
            late = [(job_id, octets) for job_id, octets in said.summaries if job_id not in ended]
            events = (*events, *(LateSummary(now, job_id, server_id, octets) for job_id, octets in late))
        self._follow(events)

    def update(self, server_id: ServerId, job_id: JobId, state: JobState) -> bool:
        """Apply a build server's report of where one job stands; returns whether the job's id is of this term.

        :raises UnknownJob: it has no such job.
        :raises BadTransition: the job cannot go to that state.
        """
        self._follow(self._core.update(job_id, server_id, state, self._clock.seconds()))
        return self._core.views.has_given_out(job_id)

    def perform(self, steps: Iterable[Step]) -> None:
        """Do what an administrator asks for."""
        for step in steps:
            self._follow(step.perform(self._core.interventions, self._clock.seconds()))

    def revoke(self, is_revoked: Callable[[ServerId], bool]) -> None:
        """Drop the build servers that are let in no longer."""
        self._follow(self._core.interventions.revoke(is_revoked, self._clock.seconds()))

    def take_limits(self, waiting: QueueSettings, limits: SchedulerLimits) -> None:
        """Let other limits hold from now on, for what comes."""
        self._queue.hold_at_most(waiting.max_waiting)
        self._allocation.take_settings(waiting)
        self._core.most_unclaimed, self._core.most_per_address = limits.unclaimed_jobs, limits.servers_per_address

    def place_by(self, rule: PlacementRule) -> None:
        """Choose build servers by this rule from now on."""
        self._core.placement.rule = rule
        self._allocation.serve_waiting()

    @property
    def interventions(self) -> Interventions:
        """What administrators look at before they change something."""
        return self._core.interventions

    def certificate(self, server_id: ServerId) -> ServerCertificate:
        """The certificate to trust for a build server.

        :raises UnknownServer: no such server lives.
        """
        return self._core.certificate(server_id)

    def holders(self, server_id: ServerId, toolchain: ArchiveId) -> Holders:
        """Where a build server may get a toolchain that it lacks."""
        where = self._core.presumptions.where(toolchain, server_id, self._clock.seconds())
        return Holders(
            tuple(
                ToolchainHolder(
                    holder.server_id,
                    holder.heartbeat.cert_digest,
                    self._tokens.lend(holder.heartbeat.jwt_key, toolchain),
                )
                for holder in where.holders
            ),
            where.is_coming,
        )

    def popular(self, server_id: ServerId) -> tuple[Popular, ...]:
        """The toolchains that a build server should have before its first job, those that are needed most first."""
        return self._core.presumptions.popular(server_id, self._clock.seconds())

    def status(self) -> SchedulerStatus:
        """The farm in numbers."""
        return self._core.status()

    def snapshot(self) -> Snapshot:
        """All that is known now."""
        return self._core.snapshot(self._queue.waiting, self._clock.seconds())

    def totals(self) -> Totals:
        """What is known without a look at each server and job."""
        return self._core.views.totals(len(self._queue))

    def servers(self, some: int) -> Iterator[tuple[ServerView, ...]]:
        """All build servers, some at a time: the caller lets the reactor turn in between."""
        return self._core.views.servers(some, self._clock.seconds)

    def jobs(self, some: int) -> Iterator[tuple[JobView, ...]]:
        """All jobs that are not over, in the same way."""
        return self._core.views.jobs(some, self._clock.seconds)

    def server_ids(self) -> list[ServerId]:
        """The addresses of all build servers."""
        return self._core.views.server_ids()

    def of_servers(self, ids: Iterable[ServerId]) -> tuple[ServerView, ...]:
        """The build servers at some addresses, as far as they are there."""
        return self._core.views.of_servers(ids, self._clock.seconds())

    def of_jobs(self, ids: Iterable[JobId]) -> tuple[JobView, ...]:
        """Some jobs, as far as they are not over."""
        return self._core.views.of_jobs(ids, self._clock.seconds())

    def toolchains(self) -> Iterator[ToolchainView]:
        """The toolchains that are known to be somewhere, one by one, in the same way."""
        return self._core.views.toolchains()

    @property
    def waiting(self) -> dict[Party, int]:
        """How many requests of each client wait."""
        return self._queue.waiting

    def waiting_of(self, client: str) -> int:
        """How many requests of a client with a name wait."""
        return self._queue.waiting_of(client)

    def held(self, client: str) -> int:
        """How many jobs a client has that are not over.

        :param client: a party, or an account for all its parties.
        """
        return self._core.views.held(client)

    @property
    def oldest_wait_secs(self) -> float:
        """How long the first of the requests that wait has waited; 0 without any."""
        return self._allocation.oldest_wait_secs

    @property
    def settling_secs(self) -> float:
        """For how many seconds more requests wait for a first build server; 0 if one accepts jobs, or it is over."""
        return self._allocation.settling_secs

    def expire(self) -> bool:
        """Drop what is silent or stale, some of it at a time, and end drains in time; returns whether there is more."""
        now, interventions = self._clock.seconds(), self._core.interventions
        self._follow(self._core.expire(now))
        for server_id in interventions.out_of_service.due(self._tokens.now()):
            self._follow(interventions.drain(server_id, None, now))
        return self._core.has_due(now)

    def expire_more(self) -> bool:
        """Drop some of what :meth:`expire` has left over; returns whether there is more."""
        now = self._clock.seconds()
        self._follow(self._core.expire_more(now))
        return self._core.has_due(now)

    def renew_standings(self) -> None:
        """Go by the standings that clients have now, also for those that wait already."""
        self._queue.renew()
        self._allocation.serve_waiting()

    def end(self, reason: SccachedistError) -> None:
        """Let all clients that wait fail for a reason."""
        self._allocation.end(reason)

    def _follow(self, events: Events) -> None:
        """Tell the observers, and give slots that have come free to clients that wait."""
        self._tell(events)
        self._allocation.serve_waiting()

    def _tell(self, events: Events) -> None:
        for event in events:
            if isinstance(event, JobEnded) and event.client is not None:
                self._queue.recall(event.client)
            if isinstance(event, JobAdopted) and event.client is not None:
                self._end_if_too_many(event.job_id, event.client)
            for observer in self._observers:
                observer(event)

    def _end_if_too_many(self, job_id: JobId, client: Party) -> None:
        """Have a job end whose client comes late, if it has got as many others as it may have meanwhile."""
        if is_over(self._standing(client), self.held):
            self._core.interventions.kill(job_id)
            form = "job {job_id} is to end: its client came too late for it (limit: max_slots of the client)"
            self._quiet_log.tell(log, LogLevel.warn, "late", form, by=client, job_id=job_id)

    def _report(self, server_id: ServerId) -> SchedulerReport:
        orders = self._core.interventions.orders(server_id, self._clock.seconds())
        return attrs.evolve(self._core.report(server_id), time=int(self._tokens.now()), orders=orders)

    def _check_certificate(self, server_id: ServerId, heartbeat: Heartbeat) -> None:
        """Refuse a build server whose certificate clients must not trust, and tell the log.

        :raises DecodeError: it is refused, for a reason of :mod:`sccachedist.scheduler.certificates`.
        """
        try:
            if certificate_digest(heartbeat.cert_pem, server_id) != heartbeat.cert_digest:
                raise DecodeError("the certificate does not have the digest that was sent with it")
        except DecodeError as error:
            self._quiet_log.tell(
                log,
                LogLevel.warn,
                "certificate",
                "build server {server} is refused: {error}; it makes a proper certificate when it is restarted "
                "without its old one",
                by=str(server_id),
                why=str(error),
                server=str(server_id),
                error=str(error),
            )
            raise

    def _look_for_jobs_of_others(self, server_id: ServerId, named: Iterable[tuple[JobId, JobState]]) -> None:
        """Tell the log, now and then, that a build server names jobs of others."""
        others = self._core.jobs_of_others(server_id, (job_id for job_id, _ in named))
        if others:
            self._quiet_log.tell(
                log,
                LogLevel.warn,
                "jobs of others",
                "build server {server} names {count} jobs of others, which has no effect: {job_id} is one of them",
                by=str(server_id),
                server=str(server_id),
                count=len(others),
                job_id=others[0],
            )


class Terms:
    """The current term, and how the next one begins.

    :param begin: makes a term.
    """

    def __init__(self, begin: Callable[[], Term]) -> None:
        self._begin = begin
        self.current = begin()
        self._is_resigned = False

    async def place(self, client: Party, toolchain: Toolchain) -> AllocJobSuccess | AllocJobFail:
        """Find a build server for one job. If the term ends while the client waits, it waits on in the next one.

        :raises DecidedElsewhere: that is another scheduler's.
        """
        asked = self.current.now()
        while True:
            if self._is_resigned:  # since the client's token began to be checked
                raise DecidedElsewhere("another scheduler decides now")
            try:
                return await self.current.place(client, toolchain, asked)
            except TermEnded:
                continue

    def renew(self) -> None:
        """Throw the current term away and begin another one."""
        ended, self.current, self._is_resigned = self.current, self._begin(), False
        ended.end(TermEnded("the scheduler's term has ended"))

    def resign(self) -> None:
        """Throw the current term away because another scheduler decides: the clients that wait, wait on there.

        What comes all the same finds a term that knows nothing.
        """
        ended, self.current, self._is_resigned = self.current, self._begin(), True
        ended.end(DecidedElsewhere("another scheduler decides now"))

    def stop(self) -> None:
        """Let all clients that wait compile locally, because the scheduler stops."""
        self.current.end(NoCapacity(Refusal.SHUTDOWN, "the scheduler stops"))
