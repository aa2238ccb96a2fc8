"""Which daemons a farm has, how each is started on a host of its own, and which faults it bears."""

import contextlib
import os
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import attrs

from farmkit.farm import Farm
from farmkit.gateway_farm import GatewayFarm
from farmkit.launch import OUR_SCHEDULER, OUR_SERVER, PUBLISHED_SCHEDULER, PUBLISHED_SERVER, Launch, adding
from farmkit.processes import free_port
from tests.faults.balancer import balancing
from tests.faults.farm import FaultyFarm, Member, Scheduler, Server, Store, Worker
from tests.faults.network import Host, ethernet, ethernet_behind
from tests.faults.schedule import Kind
from tests.support.redis_servers import RedisServer

SERVERS, WORKERS = ("server-1", "server-2"), ("worker-1", "worker-2")
GATEWAY = "gateway"
STORE, REPLICA, SENTINEL, BALANCER = "store", "replica", "sentinel", "balancer"

_ALL = (Kind.KILL, Kind.TERM, Kind.STOP, Kind.CUT, Kind.PARTED)
#: Sentinels' name for the store.
_MASTER = "farm"


@attrs.frozen
class Setup:
    """Whose daemons a farm has, and which faults each of them bears.

    :param patience_secs: how long a compile may take at most, and then the farm to be as it was before.
    :param schedulers: their names. Several have the lock of their leader in a store.
    :param workers: their names. If there are some, each build server is a gateway, and they are behind it.
    :param asked: the scheduler that clients and build servers ask; of several, by default, a balancer before them.
    """

    scheduler: Launch
    server: Launch
    patience_secs: float
    scheduler_bears: tuple[Kind, ...] = _ALL
    servers_bear: tuple[Kind, ...] = _ALL
    store_bears: tuple[Kind, ...] = ()
    schedulers: tuple[str, ...] = ("scheduler",)
    servers: tuple[str, ...] = SERVERS
    workers: tuple[str, ...] = ()
    asked: str | None = None
    has_sentinel: bool = False

    @property
    def targets(self) -> Mapping[str, tuple[Kind, ...]]:
        """What a schedule is made for."""
        return {
            **dict.fromkeys(self.schedulers, self.scheduler_bears),
            **({STORE: self.store_bears} if self.store_bears else {}),
            **dict.fromkeys((*self.servers, *self.workers), self.servers_bear),
        }


# Why the published daemons are spared some of them, and need more time, stands in doc/faults.rst.
SETUPS = {
    "ours": Setup(OUR_SCHEDULER, OUR_SERVER, 40),
    "two_schedulers": Setup(
        OUR_SCHEDULER,
        OUR_SERVER,
        40,
        store_bears=(Kind.KILL, Kind.LOSE, Kind.STOP, Kind.CUT, Kind.PARTED),
        schedulers=("scheduler-1", "scheduler-2"),
    ),
    "gateway": Setup(OUR_SCHEDULER, OUR_SERVER, 40, servers=(GATEWAY,), workers=WORKERS),
    "published_server": Setup(
        OUR_SCHEDULER,
        PUBLISHED_SERVER,
        150,
        scheduler_bears=(Kind.KILL, Kind.TERM, Kind.STOP),
        servers_bear=(Kind.STOP,),
    ),
    "published_scheduler": Setup(PUBLISHED_SCHEDULER, OUR_SERVER, 150, servers_bear=(Kind.STOP, Kind.CUT, Kind.PARTED)),
}


@contextlib.contextmanager
def running(setup: Setup, folder: Path) -> Iterator[FaultyFarm]:
    """A farm of a set-up, whole; for a process with a network namespace of its own."""
    _made(folder)
    with ethernet() as connect, contextlib.ExitStack() as daemons:
        making = _Making(setup, folder, connect, daemons)
        asked = making.start_schedulers()
        making.launch_servers(asked)
        farm = FaultyFarm(making.members, asked, setup.patience_secs, tuple(making.others))
        farm.wait_until_whole()
        yield farm


@attrs.define
class _Making:
    """A farm that is being made.

    :param connect: connects a host by its name.
    :param daemons: ends them.
    """

    setup: Setup
    folder: Path
    connect: Callable[[str], Host]
    daemons: contextlib.ExitStack
    members: dict[str, Member] = attrs.field(factory=dict, init=False)
    others: list[int] = attrs.field(factory=list, init=False)

    def start_schedulers(self) -> Farm:
        """Start all of them, and what they need: the farm as clients and build servers see it."""
        hosts = {name: self._host(name) for name in self.setup.schedulers}
        farm, launch = Farm(self.folder, scheduler_port=free_port()), self.setup.scheduler
        balancer = self._host(BALANCER) if len(hosts) > 1 else None
        if balancer is not None:
            urls = [f"http://{host.address}:{farm.scheduler_port}" for host in hosts.values()]
            table = f'lock = "{self._start_stores()}"\nschedulers = {urls}'
            launch = adding(launch, cluster=table, network=f'trusted_proxies = ["{balancer.address}"]')
        for name, host in hosts.items():
            own = attrs.evolve(
                farm,
                folder=_made(self.folder / name),
                launch_scheduler=host.launching(launch),
                scheduler_host=host.address,
            )
            self.daemons.callback(own.stop)
            own.start_scheduler()
            self.members[name] = Scheduler(name, host, own)
        if balancer is not None and self.setup.asked is None:
            return self._start_balancer(balancer, farm, hosts)
        name = self.setup.asked or self.setup.schedulers[0]
        return attrs.evolve(farm, scheduler_host=hosts[name].address)

    def launch_servers(self, asked: Farm) -> None:
        """Start them, and wait for nothing."""
        for name in self.setup.servers:
            host = self._host(name)
            launch, folder = host.launching(self.setup.server), _made(self.folder / name)
            if self.setup.workers:
                self._launch_gateway(name, host, GatewayFarm.of(asked, folder, launch, host.address))
                continue
            own = asked.beside(folder, launch, host.address)
            self.daemons.callback(own.stop)
            own.launch_only_server()
            self.members[name] = Server(name, host, own)

    def _launch_gateway(self, name: str, host: Host, farm: GatewayFarm) -> None:
        """Start it and, behind it, its workers."""
        metrics = f"{host.address}:{free_port()}"
        farm.server_settings = f'\n[metrics]\naddress = "{metrics}"\n'
        self.daemons.callback(farm.stop)
        farm.launch_gateway()
        self.members[name] = Server(name, host, farm)
        connect = self.daemons.enter_context(ethernet_behind(host))
        for each in self.setup.workers:
            behind = connect(each)
            self.others.append(behind.holder)
            worker = self.members[each] = Worker(each, behind, farm, metrics)
            worker.launch()

    def _start_stores(self) -> str:
        """Start what several schedulers have their lock in: its URL."""
        store = self._start_store(STORE, ("appendonly yes", "appendfsync always"))
        if not self.setup.has_sentinel:
            return f"redis://{store.host}:{store.port}"
        self._start_store(REPLICA, (f"replicaof {store.host} {store.port}",))
        lines = (
            f"sentinel monitor {_MASTER} {store.host} {store.port} 1",
            f"sentinel down-after-milliseconds {_MASTER} 500",
            f"sentinel failover-timeout {_MASTER} 2000",
        )
        sentinel = self._start_store(SENTINEL, lines, "redis-sentinel")
        return f"redis+sentinel://{sentinel.host}:{sentinel.port}/{_MASTER}"

    def _start_store(self, name: str, lines: tuple[str, ...], program: str = "redis-server") -> RedisServer:
        host = self._host(name)
        redis = RedisServer(self.folder / name, lines, program, host.address, host.within)
        self.daemons.enter_context(redis.running())
        self.members[name] = Store(name, host, redis)
        return redis

    def _start_balancer(self, host: Host, farm: Farm, schedulers: Mapping[str, Host]) -> Farm:
        places = {name: f"{each.address}:{farm.scheduler_port}" for name, each in schedulers.items()}
        port, daemon = self.daemons.enter_context(balancing(host, _made(self.folder / BALANCER), places))
        self.others.append(daemon.process.pid)
        return attrs.evolve(farm, scheduler_host=host.address, scheduler_port=port)

    def _host(self, name: str) -> Host:
        host = self.connect(name)
        self.others.append(host.holder)
        return host


def _made(folder: Path) -> Path:
    os.makedirs(folder)
    return folder
