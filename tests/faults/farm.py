"""The daemons of a farm, each on a host of its own, and faults that befall them."""

import contextlib
import math
import signal
import time
from collections.abc import Mapping
from pathlib import Path
from typing import TypeAlias, TypeVar
from urllib.request import Request, urlopen

import attrs

from farmkit.farm import Farm
from farmkit.gateway_farm import GatewayFarm
from farmkit.processes import Daemon, wait_until
from sccachedist.cluster.hop import PASSED_ON
from tests.faults.network import Host
from tests.faults.schedule import Fault, Kind
from tests.support.redis_servers import RedisServer

T = TypeVar("T", "Scheduler", "Server", "Worker", "Store")

#: Seconds that a daemon has for its end after SIGTERM: its running jobs' own time, on a busy machine.
_END_SECS = 120
_START_SECS = 120
_ANSWER_SECS = 10
_WORKERS = "sccachedist_gateway_workers "


@attrs.frozen
class _OfFarm:
    """A daemon of the farm: where it runs, and its part of the farm's configuration."""

    name: str
    host: Host
    farm: Farm

    @property
    def folder(self) -> Path:
        """All that it writes."""
        return self.farm.folder


@attrs.frozen
class Scheduler(_OfFarm):
    """A scheduler."""

    @property
    def daemon(self) -> Daemon:
        """The process, another one after each restart."""
        return self.farm.scheduler

    def launch(self) -> None:
        """Start it, and wait for nothing."""
        self.farm.launch_only_scheduler()

    @property
    def leads(self) -> bool:
        """Whether it decides itself: one that follows another passes nothing on that was passed on to it."""
        url = f"{self.farm.scheduler_url}/api/v1/scheduler/status"
        with contextlib.suppress(OSError), urlopen(Request(url, headers={PASSED_ON: "1"}), timeout=_ANSWER_SECS):
            return True
        return False


@attrs.frozen
class Server(_OfFarm):
    """A build server."""

    @property
    def daemon(self) -> Daemon:
        """The process, another one after each restart."""
        return self.farm.server

    def launch(self) -> None:
        """Start it, and wait for nothing."""
        self.farm.launch_only_server()


@attrs.frozen
class Worker:
    """A worker of a gateway.

    :param metrics: the address of the gateway's metrics.
    """

    name: str
    host: Host
    farm: GatewayFarm
    metrics: str

    @property
    def folder(self) -> Path:
        """All that it writes."""
        return self.farm.worker_folder(self.name)

    @property
    def daemon(self) -> Daemon:
        """The process, another one after each restart."""
        return self.farm.workers[self.name]

    def launch(self) -> None:
        """Start it, and wait for nothing."""
        self.farm.launch_only_worker(self.name, launch=self.host.launching(self.farm.launch_worker))

    @property
    def companions(self) -> int:
        """How many workers its gateway has.

        :raises OSError: the gateway does not answer.
        """
        with urlopen(f"http://{self.metrics}/metrics", timeout=_ANSWER_SECS) as answer:
            lines = answer.read().decode().splitlines()
        return sum(int(float(line.removeprefix(_WORKERS))) for line in lines if line.startswith(_WORKERS))


@attrs.frozen
class Store:
    """What has the lock of several schedulers, or knows where that is."""

    name: str
    host: Host
    redis: RedisServer

    @property
    def folder(self) -> Path:
        """All that it writes."""
        return self.redis.folder

    @property
    def daemon(self) -> Daemon:
        """The process, another one after each restart."""
        return self.redis.daemon

    def launch(self) -> None:
        """Start it, and wait for nothing."""
        self.redis.launch()


Member: TypeAlias = Scheduler | Server | Worker | Store


@attrs.frozen
class FaultyFarm:
    """The farm; its members by name.

    :param asked: the farm as clients and build servers see it.
    :param patience_secs: how long a compile may take at most, and then the farm to be as it was before.
    :param others: processes that it needs and that no fault befalls.
    """

    members: Mapping[str, Member]
    asked: Farm
    patience_secs: float
    others: tuple[int, ...]

    def all_of(self, kind: type[T]) -> list[T]:
        """The members of a kind."""
        return [member for member in self.members.values() if isinstance(member, kind)]

    @property
    def leaders(self) -> list[Scheduler]:
        """The schedulers that decide: one, as a rule."""
        return [scheduler for scheduler in self.all_of(Scheduler) if scheduler.leads]

    @property
    def is_whole(self) -> bool:
        """Whether one scheduler decides, each knows every build server, and gateways all of their workers."""
        servers, workers = len(self.all_of(Server)), self.all_of(Worker)
        with contextlib.suppress(OSError):
            if not all(worker.companions == len(workers) for worker in workers[:1]):
                return False
            known = [scheduler.farm.status().num_servers for scheduler in self.all_of(Scheduler)]
            return known == [servers] * len(known) and len(self.leaders) == 1
        return False

    def wait_until_whole(self) -> None:
        """Return when one scheduler decides, each knows every build server, and gateways all of their workers.

        :raises TimeoutError: it does not come to that.
        """
        wait_until(lambda: self.is_whole, _START_SECS, "one scheduler decides, and all is known")

    def befall(self, fault: Fault) -> None:
        """Let a fault happen, and end; a daemon that was ended has been started again when this returns."""
        member = self.members[fault.target]
        match fault.kind:
            case Kind.KILL:
                member.daemon.kill()
                self._restart(member, fault.secs)
            case Kind.LOSE:
                assert isinstance(member, Store)
                member.daemon.kill()
                member.redis.lose()
                self._restart(member, fault.secs)
            case Kind.TERM:
                member.daemon.stop(_END_SECS)
                self._restart(member, fault.secs)
            case Kind.STOP:
                member.daemon.process.send_signal(signal.SIGSTOP)
                time.sleep(fault.secs)
                member.daemon.process.send_signal(signal.SIGCONT)
            case Kind.CUT:
                with member.host.unplugged():
                    time.sleep(fault.secs)
            case Kind.PARTED:
                others = (other.host.address for other in self.members.values() if other is not member)
                with member.host.parted_from(others):
                    time.sleep(fault.secs)

    def _restart(self, member: Member, after: float) -> None:
        if after < math.inf:
            time.sleep(after)
            member.launch()
