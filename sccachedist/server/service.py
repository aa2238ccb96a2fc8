"""Composes the build server from configuration: ``twistd sccache-server``; starts and stops it in the right order.

Only this module knows all parts. Draining by signal stands here; draining by HTTP is the scheduler's, in
:mod:`sccachedist.scheduler.admin_routes`.
"""

import time
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from typing import Any

import attrs
from twisted.application.service import IService
from twisted.internet.defer import Deferred
from twisted.internet.threads import deferToThreadPool

from sccachedist.auth.workers import WorkerTokens
from sccachedist.budgets import Budget
from sccachedist.builders.cgroups import own_and_above
from sccachedist.builders.worker_builder import WorkerBuilder
from sccachedist.config import (
    RemoteBuilderSettings,
    ServerSettings,
    load_server_settings,
)
from sccachedist.daemon.background import in_background
from sccachedist.daemon.logs import Logger
from sccachedist.daemon.periodic import PeriodicService
from sccachedist.daemon.reload import Reload
from sccachedist.daemon.signals import OnSignal, end_at_once_when_told_again
from sccachedist.daemon.startup import AtStop, RoleOptions, check_address, make_role
from sccachedist.errors import ConfigError, DecodeError
from sccachedist.gateway.remote_builder import RemoteBuilder
from sccachedist.gateway.routes import GatewayRoutes
from sccachedist.gateway.worker_metrics import read_workers
from sccachedist.gateway.worker_sessions import LOOK_SECS, WorkerSessions
from sccachedist.memory import least_free_memory
from sccachedist.metrics.both_roles import monitor_port, watch, watch_reloads
from sccachedist.metrics.registry import Registry
from sccachedist.metrics.server_series import SERVER
from sccachedist.outcomes import Lack
from sccachedist.peers.http_client import trusting_calls
from sccachedist.peers.source_address import is_own, source_address
from sccachedist.records.line_writer import record_writer
from sccachedist.server.announcement import announcement
from sccachedist.server.cache_lock import CACHE_DIRECTORIES, IDENTITY, CacheLock
from sccachedist.server.heartbeat import HeartbeatService
from sccachedist.server.host import DISK_SECS, Host
from sccachedist.server.inputs import open_spool
from sccachedist.server.job_courses import JobObserver
from sccachedist.server.job_metrics import JobMetrics
from sccachedist.server.job_recorder import JobRecorder
from sccachedist.server.job_reports import JobReports
from sccachedist.server.job_runner import JobRunner
from sccachedist.server.jobs import ServerCore
from sccachedist.server.lifecycle import ServerService
from sccachedist.server.metrics import ServerMetrics
from sccachedist.server.reloaded_parts import JobObservers, ServerParts
from sccachedist.server.routes import ServerRoutes
from sccachedist.server.sandbox_service import SandboxParts
from sccachedist.server.sandboxes import (
    account_of,
    check_directories,
    directories_of,
    make_builder,
    take_up,
)
from sccachedist.server.scheduler_session import HttpSchedulerSession, Incarnation
from sccachedist.server.self_description import abilities, offered_cpus, server_token, told_metrics_port
from sccachedist.server.self_test import SelfTest
from sccachedist.server.sharing import Sharing
from sccachedist.server.spare_capacity import QUOTA_SECS, spare_capacity
from sccachedist.server.spent_token_file import KeptSpentJobs
from sccachedist.server.tls import ShownIdentity
from sccachedist.toolchains.cache import Toolchains
from sccachedist.web.listener import Listen, Listener, listening_with, over_tls
from sccachedist.web.request import Site
from sccachedist.web.router import Mounted, Routes
from sccachedist.web.turns import Turns
from sccachedist.wire.abilities import Abilities, Offer
from sccachedist.wire.archive_id import ArchiveId, archive_id
from sccachedist.wire.extension import Orders
from sccachedist.wire.messages import job_capacity

log = Logger()

Options = RoleOptions

#: Seconds between two searches for jobs that no client has claimed.
EXPIRY_SECS = 10.0
#: Seconds between two checks of the certificate's age, and between two of whether the host's clock was wrong before.
RENEWAL_SECS, EARLY_RENEWAL_SECS = 3600.0, 5.0


def makeService(options: RoleOptions) -> IService:
    """Return the build server that a configuration file describes."""
    return make_role("build server", options, load_server_settings, server_service)


def server_service(
    settings: ServerSettings,
    reactor: Any,
    listen: Listen | None = None,
    reload: Reload[ServerSettings] | None = None,
) -> ServerService:
    """Return a build server that is not started yet.

    :param listen: opens ports; by default the reactor does.
    :param reload: changes the settings later; by default they stay.
    :raises ConfigError: the settings cannot be met on this host.
    """
    check_address("bind_address", settings.bind_address)
    reload = reload or Reload(settings, lambda: settings, reactor.seconds)
    chosen = settings.network.source_address
    if chosen is not None and not chosen.is_unspecified and not is_own(chosen):
        raise ConfigError(f"network.source_address: {chosen} is not an address of this host")
    account = account_of(settings)
    check_directories(settings, account)
    cache, limits = settings.cache_dir, settings.limits
    lock = CacheLock(cache)
    identity = ShownIdentity(cache / IDENTITY, settings.public_addr)
    sessions = gateway_sessions(settings, reactor, lambda: identity.current.certificate_pem, lambda: offer())
    builder: WorkerBuilder | RemoteBuilder
    if sessions is None:
        builder = make_builder(settings, reactor)
    else:
        builder = RemoteBuilder(sessions, settings.policy.on_failure, lambda each: toolchains.machine_of(each))
    memory, disk = Budget("buffered_bytes", limits.buffered_bytes), Budget("spool_bytes", limits.spool_bytes)

    def cpus() -> int:
        return builder.cpus if isinstance(builder, RemoteBuilder) else offered_cpus(reload.settings)

    def able() -> Abilities:
        if isinstance(builder, RemoteBuilder):
            own = builder.abilities(reload.settings.capacity.labels)
        else:
            own = abilities(reload.settings, host.machine)
        return attrs.evolve(own, fetches=reload.settings.toolchains.share, store=sharing.store, offer=core.offer)

    def offer() -> None:
        """Tell the scheduler, now, what the workers of a gateway can do."""
        if core.slots != job_capacity(cpus()) and not link.is_ours:
            incarnation.begin_again()
        core.slots = job_capacity(cpus())
        if isinstance(builder, RemoteBuilder) and builder.is_resting is not core.is_busy:
            offers(Offer(0, Lack.NO_WORKER.word) if builder.is_resting else Offer(core.slots))
            if not builder.complaint():
                log.info("no worker takes jobs for now" if builder.is_resting else "workers take jobs again")
        heartbeat.soon()
        self_test.again()

    def evicted(toolchain: ArchiveId) -> Deferred[None]:
        in_background(builder.discard(toolchain))
        return in_background(heartbeat.told())  # then the scheduler asks the next client that needs it to upload it

    in_thread = partial(deferToThreadPool, reactor, reactor.getThreadPool())
    toolchains = Toolchains(
        cache,
        settings.toolchain_cache_size,
        limits.toolchains,
        limits.toolchain_bytes,
        disk,
        reactor,
        in_thread,
        builder.follow,
        evicted,
    )
    host = Host(directories_of(settings), in_thread, toolchains.under_way)

    def looked(toolchain: ArchiveId, machine: int) -> None:
        if toolchains.looked_at(toolchain, machine):
            in_background(heartbeat.told())  # then the scheduler chooses servers of that machine

    builder.machines.looked = looked
    source = partial(source_address, settings.public_addr.host, chosen)
    calls = trusting_calls(reactor, lambda: heartbeat.connection_lost(), source)
    incarnation, metrics_port = Incarnation(), told_metrics_port(settings)
    link = HttpSchedulerSession(calls, settings.scheduler_url, server_token(settings), incarnation)
    heartbeat = HeartbeatService(
        link,
        lambda seconds, news: announcement(
            identity,
            runner,
            toolchains.log,
            incarnation,
            cpus(),
            reload.settings.limits,
            seconds,
            news,
            host.facts(),
            able(),
            metrics_port,
        ),
        toolchains.log,
        settings.heartbeat.secs,
        reactor,
        lambda orders: obey(orders, runner, toolchains),
    )
    sharing = Sharing(
        reactor,
        settings,
        toolchains,
        link,
        identity,
        lambda: reload.settings.limits.toolchain_bytes,
        heartbeat.scheduler_time,
    )
    spent = KeptSpentJobs(cache / IDENTITY / "spent")
    core = ServerCore(job_capacity(cpus()), spent)
    reports = JobReports(link, reactor, heartbeat.soon, lambda untold: core.has_spare(untold, heartbeat.unclaimed))

    def judge(unfit: str) -> None:
        runner.judge(unfit)
        in_background(heartbeat.tell())

    def offers(offered: Offer) -> None:
        core.offers(offered)
        runner.turns.allow(offered)
        in_background(heartbeat.told())

    registry = Registry(SERVER)
    started = reactor.seconds()
    began, writer = time.time() - started, record_writer(settings.records, reactor)
    recorder = JobRecorder(settings.public_addr, lambda: began + reactor.seconds(), writer.take)
    free_memory = partial(least_free_memory, own_and_above("memory"))
    spare = None  # a gateway offers what its workers do
    if sessions is None:
        spare = spare_capacity(
            settings, free_memory, lambda: runner.turns.running, offers, lambda: runner.courses.give_back(), reactor
        )
    told: list[JobObserver] = [] if spare is None else [spare.ended]
    told += [] if settings.metrics.address is None else [JobMetrics(registry).ended]
    observers = JobObservers(recorder, tuple(told))
    observers.choose(settings)
    self_test = SelfTest(builder, [cache / name for name in CACHE_DIRECTORIES], free_memory, judge, reactor)
    runner = JobRunner(
        core,
        toolchains,
        builder,
        reports,
        cache / "spool",
        limits,
        memory,
        disk,
        reactor,
        self_test,
        settings.policy.local_options,
        heartbeat.scheduler_time,
        observers.now,
    )
    turns = Turns(reactor)
    routes = ServerRoutes(runner, identity, limits, sharing.is_stored)
    mounted: list[Routes] = [routes, *sharing.lending]
    if sessions is not None:
        mounted.append(GatewayRoutes(sessions, toolchains, lambda: reload.settings.limits, memory))
    site = Site(Mounted(*mounted), reactor, limits, turns=turns)
    service = ServerService(
        SandboxParts(
            opening=(
                partial(take_up, account, settings, builder, lock),
                identity.load,
                spent.open,
                toolchains.open,
                partial(open_spool, cache / "spool"),
            ),
            builder=builder,
            self_test=self_test,
            stopping=end_at_once_when_told_again,
            grace_secs=settings.shutdown.grace_secs,
            clock=reactor,
            status=lambda: f"{unready(core, heartbeat) or 'open'}, {core.taken} of {core.slots} slots taken",
        ),
        heartbeat=heartbeat,
        runner=runner,
        reports=reports,
        warm=sharing.warm,
    )

    async def drain(drained: bool) -> None:
        runner.drain(drained)
        await heartbeat.tell()
        log.info("drained: no new jobs" if drained else "not drained any more: new jobs are welcome")

    def renew() -> None:
        if identity.renew():
            heartbeat.soon()

    def renew_early() -> None:
        if identity.renew_early(heartbeat.scheduler_time(), reactor.seconds() - started):
            heartbeat.soon()

    changing = ServerParts(
        service,
        site,
        routes,
        runner,
        core,
        builder,
        toolchains,
        disk,
        heartbeat,
        link,
        observers,
        writer,
        host.machine,
        spare,
    )
    changing.run_machines(settings)
    reload.add(*changing.parts())
    listen = listen or listening_with(reactor)
    if settings.metrics.address is not None:
        watch_reloads(registry, reload)
        read_workers(registry, None if sessions is None else sessions.dispatch)
        registry.read("sccachedist_server_reports_waiting", lambda: reports.waiting)
        sharing.count(registry)
        metrics = ServerMetrics(
            registry,
            core,
            heartbeat,
            toolchains,
            None if isinstance(builder, RemoteBuilder) else lambda: builder.workers,
            settings.toolchain_cache_size,
            host.free,
            began,
        )
        for part in (
            watch(registry, "server", site, lambda: identity.expires, reactor),
            monitor_port(settings.metrics.address, metrics.expose, lambda: unready(core, heartbeat), reactor, listen),
        ):
            part.setServiceParent(service)
    quotas = PeriodicService(QUOTA_SECS, lambda: changing.follow_quotas(reload.settings), reactor)
    for child in (
        writer,
        OnSignal("SIGHUP", writer.reopen, reactor),
        Listener(settings.bind_address, over_tls(identity, site, reactor, turns), listen),
        PeriodicService(EXPIRY_SECS, runner.expire, reactor),
        PeriodicService(DISK_SECS, host.look_at_disks, reactor),
        PeriodicService(RENEWAL_SECS, renew, reactor),
        PeriodicService(EARLY_RENEWAL_SECS, renew_early, reactor),
        *([] if sessions is None else [PeriodicService(LOOK_SECS, sessions.look, reactor)]),
        *([] if spare is None else [spare, quotas]),
        *sharing.checks(reactor),
        AtStop(sharing.close),
        AtStop(calls.close),
        AtStop(lock.release),
        OnSignal("SIGUSR1", lambda: in_background(drain(True)), reactor),
        OnSignal("SIGUSR2", lambda: in_background(drain(False)), reactor),
    ):
        child.setServiceParent(service)
    return service


def obey(orders: Orders, runner: JobRunner, toolchains: Toolchains) -> None:
    """Do what an administrator wants, as the scheduler has told. A name that is no archive id means no toolchain."""
    for job_id in orders.kill:
        runner.kill(job_id)
    for toolchain in orders.forget:
        with suppress(DecodeError):
            toolchains.forget(archive_id(toolchain))


def unready(core: ServerCore, heartbeat: HeartbeatService) -> str:
    """Return why this server is not ready for jobs; empty if it is."""
    return core.unready or ("" if heartbeat.is_registered else "it is not registered with the scheduler")


def gateway_sessions(
    settings: ServerSettings, reactor: Any, certificate: Callable[[], bytes], changed: Callable[[], None]
) -> WorkerSessions | None:
    """Return what a gateway knows of its workers; None for any other build server."""
    if not isinstance(settings.builder, RemoteBuilderSettings):
        return None
    tokens = WorkerTokens(settings.builder.tokens)
    return WorkerSessions(tokens, settings.limits.job_secs, certificate, changed, reactor)
