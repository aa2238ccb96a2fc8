"""What a scheduler knows at one time, as values: all that a page, a command or a metric reads of it.

Pure. A :class:`Snapshot` takes a look at each server and each job, so it is made for viewers, not for each
request. A reader of :class:`Totals` and of servers, some at a time, does not hold a scheduler of thousands up.
"""

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from itertools import islice

import attrs

from sccachedist.budgets import Party
from sccachedist.job_phases import JobPhase
from sccachedist.records.documents import ServerState
from sccachedist.scheduler.build_server import BuildServer
from sccachedist.scheduler.events import Fault
from sccachedist.scheduler.fleet import Fleet
from sccachedist.scheduler.jobs import Job, Jobs
from sccachedist.scheduler.out_of_service import Drain
from sccachedist.scheduler.ranking import Ranking
from sccachedist.scheduler.server_counts import state_of
from sccachedist.wire.abilities import Abilities
from sccachedist.wire.addresses import ServerId
from sccachedist.wire.extension import Health
from sccachedist.wire.host_facts import HostFacts
from sccachedist.wire.machines import UNKNOWN
from sccachedist.wire.messages import JobId


@attrs.frozen
class ServerView:
    """A build server.

    :param slots: how many jobs it takes at a time; ``taken``: how many of them are in use.
    :param jobs: its jobs, those included that have lent their slots.
    :param is_open: whether it accepts jobs (it may be full): neither itself nor an administrator drains it.
    :param drain: why an administrator drains it; None if none does.
    :param lack: why it takes fewer jobs than it has CPUs for, in a word of :class:`~sccachedist.outcomes.Lack`, unless
        it is of a later release; empty if it does not.
    :param slowness: how many times as long as usual jobs take there; 1 if it is not asked for who is faster.
    :param unfit: why it gets no jobs until its self-test passes; empty if it is fit, or does not tell.
    :param avoided_secs: for how long it still gets jobs only if no other has room; 0 if that is not so.
    :param sent_home: which part of its latest jobs it sent home.
    :param up_secs: since when it is known; ``seen_secs``: since when nothing was heard of it.
    :param version: of its program; empty if it has not told.
    :param metrics_port: the port of its metrics, at the IP address of ``server_id``; 0 if it has not told one.
    :param patience_secs: after how long a silence it is dropped.
    :param avoided_why: why it is avoided; None if it is not.
    :param health: what it tells of itself; None if it does not.
    :param host: what it tells of its host; None if it does not.
    :param abilities: what sets it apart from others; None if it does not tell.
    :param certificate_end: when its certificate ends, in seconds since 1970; None if it does not say.
    """

    server_id: ServerId
    ours: bool
    num_cpus: int
    slots: int
    taken: int
    jobs: int
    is_open: bool
    drain: Drain | None
    lack: str
    slowness: float
    unfit: str
    avoided_secs: float
    sent_home: float
    up_secs: float
    seen_secs: float
    toolchains: int
    version: str
    metrics_port: int
    patience_secs: float
    avoided_why: Fault | None
    health: Health | None
    host: HostFacts | None
    abilities: Abilities | None
    certificate_end: float | None

    @property
    def state(self) -> ServerState:
        """The one of these words that says best whether it gets jobs: unfit, draining, busy, avoided, full or open."""
        is_avoided, has_room = self.avoided_secs > 0, self.taken < self.slots
        return state_of(
            unfit=self.unfit, is_open=self.is_open, slots=self.slots, is_avoided=is_avoided, is_full=not has_room
        )


@attrs.frozen
class JobView:
    """A job that is not over.

    :param client: whose it is; None if it is from before this scheduler's start.
    :param began: when each of its phases began, in seconds before now.
    :param lent: whether others may have its slot, because its client has not come.
    """

    job_id: JobId
    server_id: ServerId
    client: Party | None
    toolchain: str
    phase: JobPhase
    began: Mapping[JobPhase, float]
    lent: bool


@attrs.frozen
class ClientView:
    """A client that has jobs or waits for slots."""

    client: Party
    jobs: int
    waiting: int


@attrs.frozen
class ToolchainView:
    """A toolchain, by its archive id, and the build servers that are known to have it: ours alone tell.

    :param size: in bytes; None if none of them told.
    :param machine: the one that it needs, see :mod:`sccachedist.wire.machines`.
    """

    archive_id: str
    servers: tuple[ServerId, ...]
    size: int | None = None
    machine: int = UNKNOWN


@attrs.frozen
class Snapshot:
    """All of it.

    :param waiting: how many requests for a slot wait.
    """

    servers: tuple[ServerView, ...]
    jobs: tuple[JobView, ...]
    waiting: int
    clients: tuple[ClientView, ...]
    toolchains: tuple[ToolchainView, ...]


@attrs.frozen
class Totals:
    """The numbers that are known without a look at each server and job.

    :param phases: how many jobs are in each phase.
    :param waiting: how many requests for a slot wait.
    :param toolchains: how many different toolchains are known to be somewhere.
    :param servers: how many build servers there are; ``slots``: how many all of them have.
    :param states: how many build servers are in each state; ``published``: how many are published ones.
    :param open_slots: the slots of those that accept jobs; ``workers``: how many all gateways have.
    """

    cpus: int
    phases: Mapping[JobPhase, int]
    waiting: int
    toolchains: int
    servers: int
    slots: int
    states: Mapping[ServerState, int]
    published: int
    open_slots: int
    workers: int

    @property
    def by_state(self) -> dict[str, int]:
        """How many build servers are in each state that one is in."""
        return {state: count for state, count in self.states.items() if count}


@attrs.frozen
class Views:
    """Looks at a part of it, or at some of it at a time. What has gone meanwhile is passed over.

    ``clock`` is the time now, as the caller of the core has it.
    """

    _fleet: Fleet
    _jobs: Jobs

    def totals(self, waiting: int) -> Totals:
        """Count.

        :param waiting: how many requests for a slot wait.
        """
        fleet, counts = self._fleet, self._fleet.counts
        return Totals(
            cpus=fleet.num_cpus,
            phases=dict(self._jobs.phases),
            waiting=waiting,
            toolchains=fleet.num_toolchains,
            servers=len(fleet),
            slots=fleet.slots,
            states=dict(counts.states),
            published=counts.published,
            open_slots=counts.open_slots,
            workers=counts.workers,
        )

    def held(self, client: str) -> int:
        """How many jobs a client has: see :meth:`sccachedist.scheduler.jobs.Jobs.held`."""
        return self._jobs.held(client)

    def servers(self, some: int, clock: Callable[[], float]) -> Iterator[tuple[ServerView, ...]]:
        """The build servers, ``some`` at a time."""
        ids = iter(self.server_ids())
        while group := tuple(islice(ids, some)):
            yield self.of_servers(group, clock())

    def server_ids(self) -> list[ServerId]:
        """The addresses of all build servers."""
        return [server.server_id for server in self._fleet.servers()]

    def of_servers(self, ids: Iterable[ServerId], now: float) -> tuple[ServerView, ...]:
        """The build servers at some addresses, as far as they are there."""
        servers = map(self._fleet.get, ids)
        return tuple(_server_view(server, self._fleet.ranking, now) for server in servers if server is not None)

    def jobs(self, some: int, clock: Callable[[], float]) -> Iterator[tuple[JobView, ...]]:
        """The jobs that are not over, ``some`` at a time."""
        ids = iter([job_id for job_id, _ in self._jobs.items()])
        while group := tuple(islice(ids, some)):
            yield self.of_jobs(group, clock())

    def of_jobs(self, ids: Iterable[JobId], now: float) -> tuple[JobView, ...]:
        """Some jobs, as far as they are not over."""
        jobs = ((job_id, self._jobs.get(job_id)) for job_id in ids)
        return tuple(_job_view(job_id, job, now) for job_id, job in jobs if job is not None)

    def has_given_out(self, job_id: JobId) -> bool:
        """Whether a job has had this id from here."""
        return self._jobs.has_given_out(job_id)

    def toolchains(self) -> Iterator[ToolchainView]:
        """The toolchains, one by one."""
        return _toolchain_views(self._fleet)


def snapshot_of(fleet: Fleet, jobs: Jobs, waiting: Mapping[Party, int], now: float) -> Snapshot:
    """Look at everything.

    :param waiting: how many requests of each client wait for a slot.
    """
    shown = tuple(_job_view(job_id, job, now) for job_id, job in jobs.items())
    per_client = Counter(job.client for job in shown if job.client is not None)
    return Snapshot(
        servers=tuple(_server_view(server, fleet.ranking, now) for server in fleet.servers()),
        jobs=shown,
        waiting=sum(waiting.values()),
        clients=tuple(
            ClientView(client, per_client[client], waiting.get(client, 0))
            for client in dict.fromkeys((*per_client, *waiting))
        ),
        toolchains=tuple(_toolchain_views(fleet)),
    )


def _server_view(server: BuildServer, ranking: Ranking, now: float) -> ServerView:
    return ServerView(
        server_id=server.server_id,
        ours=server.report is not None,
        num_cpus=server.heartbeat.num_cpus,
        slots=server.slots,
        taken=server.taken,
        jobs=len(server.jobs),
        is_open=server.is_open,
        drain=server.drain,
        lack=server.lack,
        slowness=ranking.slowness(server),
        unfit=server.unfit,
        avoided_secs=max(0.0, server.avoided_until - now),
        sent_home=server.record.results.part(),
        up_secs=now - server.joined,
        seen_secs=now - server.seen,
        toolchains=len(server.toolchains),
        version="" if server.report is None else server.report.version,
        metrics_port=0 if server.report is None else server.report.metrics_port,
        patience_secs=server.patience_secs,
        avoided_why=_why_avoided(server, now),
        health=None if server.report is None else server.report.health,
        host=None if server.report is None else server.report.host,
        abilities=None if server.report is None else server.report.abilities,
        certificate_end=server.certificate_end,
    )


def _toolchain_views(fleet: Fleet) -> Iterator[ToolchainView]:
    for toolchain in fleet.toolchains():
        if holders := fleet.holders(toolchain):
            yield ToolchainView(toolchain, holders, fleet.size_of(toolchain), fleet.machine_of(toolchain))


def _why_avoided(server: BuildServer, now: float) -> Fault | None:
    if server.avoided_until <= now:
        return None
    return Fault.NOT_TAKEN if server.backoff.until >= server.record.avoided.until else Fault.SENDS_HOME


def _job_view(job_id: JobId, job: Job, now: float) -> JobView:
    began = {phase: now - at for phase, at in job.began.items()}
    return JobView(job_id, job.server_id, job.client, job.toolchain, job.phase, began, job.lent)
