"""Composes the worker from configuration: ``twistd sccache-worker``.

Only this module knows all parts. A worker is drained by signal, as a build server is.
"""

import random
import socket
from collections import Counter
from collections.abc import Iterator
from functools import partial
from typing import Any

import attrs
from twisted.application.service import IService
from twisted.internet.defer import Deferred
from twisted.internet.threads import deferToThreadPool

from sccachedist import __version__
from sccachedist.budgets import Budget
from sccachedist.builders.cgroups import own_and_above
from sccachedist.builders.worker_builder import WorkerBuilder
from sccachedist.config import WorkerSettings, load_worker_settings
from sccachedist.daemon.background import in_background
from sccachedist.daemon.logs import Logger
from sccachedist.daemon.periodic import PeriodicService
from sccachedist.daemon.reload import Commit, Part, PreparedPart, Reload
from sccachedist.daemon.signals import OnSignal, end_at_once_when_told_again
from sccachedist.daemon.startup import AtStop, RoleOptions, make_role
from sccachedist.memory import least_free_memory
from sccachedist.metrics.both_roles import monitor_port, watch_reloads
from sccachedist.metrics.lag import LoopLag
from sccachedist.metrics.registry import Registry
from sccachedist.metrics.worker_series import WORKER
from sccachedist.peers.streams import streams
from sccachedist.peers.trust import CertificatePolicy
from sccachedist.policy import OnFailure
from sccachedist.server.cache_lock import CACHE_DIRECTORIES, IDENTITY, CacheLock
from sccachedist.server.host import DISK_SECS, Host
from sccachedist.server.inputs import open_spool
from sccachedist.server.sandbox_service import SandboxParts
from sccachedist.server.sandboxes import account_of, check_directories, directories_of, make_builder, take_up
from sccachedist.server.self_description import job_slots, machines, machines_run, offered_cpus
from sccachedist.server.self_test import SelfTest
from sccachedist.server.spare_capacity import QUOTA_SECS, SpareCapacity, check_reserve, follow_quotas, spare_capacity
from sccachedist.toolchains.cache import Toolchains
from sccachedist.toolchains.fetching import Fetching
from sccachedist.web.listener import Listen, listening_with
from sccachedist.wire.abilities import Offer
from sccachedist.wire.archive_id import ArchiveId
from sccachedist.wire.gateway import WorkerHello, WorkerState
from sccachedist.worker.dialling import Diallers
from sccachedist.worker.gateway_calls import GatewayCalls
from sccachedist.worker.gateway_source import GatewaySource
from sccachedist.worker.lifecycle import WorkerService
from sccachedist.worker.metrics import WorkerMetrics
from sccachedist.worker.openness import WorkerOpenness
from sccachedist.worker.runs import Runs
from sccachedist.worker.session import Desk, GatewaySession
from sccachedist.worker.slots import PlaceState, SlotBudget
from sccachedist.worker.trusted import DIRECTORY, TrustedCertificates

log = Logger()

Options = RoleOptions

#: How many toolchains a gateway is told of: those that were used last.
MOST_TOLD = 256
#: Idle connections to a gateway that are kept, beside one for each slot.
MORE_KEPT = 4


def makeService(options: RoleOptions) -> IService:
    """Return the worker that a configuration file describes."""
    return make_role("worker", options, load_worker_settings, worker_service)


def worker_service(
    settings: WorkerSettings,
    reactor: Any,
    listen: Listen | None = None,
    reload: Reload[WorkerSettings] | None = None,
) -> WorkerService:
    """Return a worker that is not started yet.

    :param listen: opens the port for metrics; by default the reactor does.
    :param reload: changes the settings later; by default they stay.
    :raises ConfigError: the settings cannot be met on this host.
    """
    reload = reload or Reload(settings, lambda: settings, reactor.seconds)
    account = account_of(settings)
    check_directories(settings, account)
    cache, limits = settings.cache_dir, settings.limits
    file = settings.gateway.certificate_file
    trusted = TrustedCertificates(file, cache / IDENTITY / DIRECTORY) if file is not None else None
    lock, builder = CacheLock(cache), make_builder(settings, reactor)
    disk = Budget("spool_bytes", limits.spool_bytes)
    in_thread = partial(deferToThreadPool, reactor, reactor.getThreadPool())

    def evicted(toolchain: ArchiveId) -> Deferred[None]:
        return in_background(builder.discard(toolchain))

    def looked(toolchain: ArchiveId, machine: int) -> None:
        toolchains.looked_at(toolchain, machine)

    builder.machines.looked = looked
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
    facts = host.facts()
    fetching = Fetching(toolchains, [GatewaySource(lambda: desk.sessions, reactor)])
    slots: SlotBudget[GatewaySession] = SlotBudget(job_slots(settings))
    ended: Counter[str] = Counter()

    def changed() -> None:
        slots.closed = openness.unready
        desk.follow()

    def state() -> WorkerState:
        return WorkerState(
            min(offered_cpus(reload.settings), slots.offered), slots.offered, toolchains.recent(MOST_TOLD)
        )

    def hello(nonce: int, way: int) -> WorkerHello:
        now = state()
        return WorkerHello(
            facts.name,
            nonce,
            now.cpus,
            now.slots,
            machines(reload.settings, facts.machine),
            reload.settings.capacity.labels,
            __version__,
            now.toolchains,
            way,
        )

    def unready() -> str:
        return openness.unready or ("" if desk.sessions else "no gateway answers")

    openness = WorkerOpenness(changed=changed)
    free_memory = partial(least_free_memory, own_and_above("memory"))
    self_test = SelfTest(
        builder,
        [cache / name for name in CACHE_DIRECTORIES],
        free_memory,
        lambda unfit: openness.change(unfit=unfit),
        reactor,
    )

    def offers(offered: Offer) -> None:
        slots.spare = offered.slots if offered.lack else None
        openness.change(is_busy=not offered.slots)

    spare = spare_capacity(
        settings, free_memory, lambda: slots.counts[PlaceState.RUNNING], offers, lambda: desk.give_back(), reactor
    )
    desk = Desk(
        slots,
        Runs(builder, toolchains, fetching, self_test.succeeded, self_test.failed, spare.spare.memory.ended),
        cache / "spool",
        lambda: reload.settings.limits,
        disk,
        state,
        trusted.add if trusted is not None else _unneeded,
        lambda word: ended.update((word,)),
        reactor,
    )

    def calls(url: str, name: str) -> GatewayCalls:
        policy = trusted.policy(name) if trusted is not None else CertificatePolicy(None, name)
        kept = streams(reactor, policy, float("inf"), job_slots(settings) + MORE_KEPT)
        return GatewayCalls(
            url, kept, lambda: reload.settings.gateway.token, lambda: reload.settings.limits.toolchain_bytes
        )

    async def lookup(name: str, port: int) -> list[str]:
        pool = reactor.getThreadPool()
        return await deferToThreadPool(reactor, pool, addresses_of, name, port)

    diallers = Diallers(settings.gateway.urls, lookup, calls, hello, desk, random.random, reactor)
    service = WorkerService(
        SandboxParts(
            opening=(
                partial(take_up, account, settings, builder, lock),
                toolchains.open,
                partial(open_spool, cache / "spool"),
                *([trusted.load] if trusted is not None else []),
            ),
            builder=builder,
            self_test=self_test,
            stopping=end_at_once_when_told_again,
            grace_secs=settings.shutdown.grace_secs,
            clock=reactor,
            status=lambda: f"{unready() or 'open'}, {slots.counts[PlaceState.RUNNING]} of {slots.most} slots taken",
        ),
        diallers=diallers,
        desk=desk,
        openness=openness,
    )
    parts = _Parts(service, builder, toolchains, disk, desk, host.machine, spare)
    parts.run_machines(settings)
    reload.add(*parts.parts())

    def drain(drained: bool) -> None:
        openness.change(is_drained=drained)
        log.info("drained: no new jobs" if drained else "not drained any more: new jobs are welcome")

    if settings.metrics.address is not None:
        registry = Registry(WORKER)
        watch_reloads(registry, reload)
        metrics = WorkerMetrics(
            registry, desk, openness, diallers, toolchains, fetching, lambda: builder.workers, host.free, ended
        )
        lag = LoopLag(registry.histogram("sccachedist_event_loop_lag_seconds").observe, reactor)
        port = monitor_port(
            settings.metrics.address,
            metrics.expose,
            unready,
            reactor,
            listen or listening_with(reactor),
        )
        for part in (lag, port):
            part.setServiceParent(service)
    for child in (
        PeriodicService(DISK_SECS, host.look_at_disks, reactor),
        PeriodicService(QUOTA_SECS, lambda: parts.follow_quotas(reload.settings), reactor),
        spare,
        AtStop(fetching.stop),
        AtStop(lock.release),
        OnSignal("SIGUSR1", lambda: drain(True), reactor),
        OnSignal("SIGUSR2", lambda: drain(False), reactor),
    ):
        child.setServiceParent(service)
    return service


@attrs.frozen
class _Parts:
    """What of a worker takes other settings while it runs."""

    service: WorkerService
    builder: WorkerBuilder
    toolchains: Toolchains
    disk: Budget
    desk: Desk
    machine: int
    spare: SpareCapacity

    def run_machines(self, settings: WorkerSettings) -> None:
        """Let toolchains of the machines run that the settings name."""
        self.builder.machines.here = machines_run(settings, self.machine)

    def parts(self) -> Iterator[Part[WorkerSettings] | PreparedPart[WorkerSettings]]:
        """All of them, with their keys. A token and limits of receiving are looked up when they are needed."""
        yield Part(("limits",), self._take_limits)
        yield PreparedPart(("capacity",), self._capacity)
        yield Part(("shutdown",), self._take_grace)

    def _take_limits(self, settings: WorkerSettings) -> None:
        limits = settings.limits
        self.disk.total = limits.spool_bytes
        self.toolchains.take_limits(limits.toolchains, limits.toolchain_bytes)
        self.builder.take_policy(limits, OnFailure.VERIFY)

    def _capacity(self, settings: WorkerSettings) -> Commit:
        check_reserve(settings)
        return partial(self._take_cpus, settings)

    def _take_cpus(self, settings: WorkerSettings) -> None:
        self.desk.slots.most = job_slots(settings)
        self.builder.allow(self.desk.slots.most)
        self.spare.take(settings)
        self.run_machines(settings)
        self.desk.follow()

    def follow_quotas(self, settings: WorkerSettings) -> None:
        """See :func:`~sccachedist.server.spare_capacity.follow_quotas`."""
        follow_quotas(self.desk.slots.most, settings, self._take_cpus)

    def _take_grace(self, settings: WorkerSettings) -> None:
        self.service.grace_secs = settings.shutdown.grace_secs


def addresses_of(name: str, port: int) -> list[str]:
    """The addresses of a name, of one IP version: a gateway that has addresses of both is still one; blocks.

    :raises OSError: it has none, or that cannot be found out.
    """
    found = socket.getaddrinfo(name, port, type=socket.SOCK_STREAM)
    first = found[0][0]
    return [str(address[0]) for family, *_, address in found if family == first]


def _unneeded(_gateway: str, _certificate: bytes) -> None:
    """Leave it to the platform's authorities who a gateway is."""
