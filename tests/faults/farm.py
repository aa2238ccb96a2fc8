"""A scheduler and two build servers, each on a host of its own, and faults that befall them."""

import contextlib
import os
import signal
import time
from collections.abc import Iterator, Mapping
from pathlib import Path

import attrs

from farmkit.farm import Farm
from farmkit.launch import OUR_SCHEDULER, OUR_SERVER, PUBLISHED_SCHEDULER, PUBLISHED_SERVER, Launch
from farmkit.processes import Daemon, wait_until
from tests.faults.network import Host, ethernet
from tests.faults.schedule import Fault, Kind

SCHEDULER = "scheduler"
SERVERS = ("server-1", "server-2")

#: Seconds that a daemon has for its end after SIGTERM: its running jobs' own time, on a busy machine.
_END_SECS = 120
_START_SECS = 120

_ALL = tuple(Kind)


@attrs.frozen
class Setup:
    """Whose daemons a farm has, and which faults each of them bears.

    :param patience_secs: how long a compile may take at most, and then the farm to be as it was before.
    """

    scheduler: Launch
    server: Launch
    patience_secs: float
    scheduler_bears: tuple[Kind, ...] = _ALL
    servers_bear: tuple[Kind, ...] = _ALL

    @property
    def targets(self) -> Mapping[str, tuple[Kind, ...]]:
        """What a schedule is made for."""
        return {SCHEDULER: self.scheduler_bears, **dict.fromkeys(SERVERS, self.servers_bear)}


# Why the published daemons are spared some of them, and need more time, stands in doc/faults.rst.
SETUPS = {
    "ours": Setup(OUR_SCHEDULER, OUR_SERVER, 40),
    "published_server": Setup(
        OUR_SCHEDULER,
        PUBLISHED_SERVER,
        150,
        scheduler_bears=(Kind.KILL, Kind.TERM, Kind.STOP),
        servers_bear=(Kind.STOP,),
    ),
    "published_scheduler": Setup(PUBLISHED_SCHEDULER, OUR_SERVER, 150, servers_bear=(Kind.STOP, Kind.CUT, Kind.PARTED)),
}


@attrs.frozen
class Member:
    """One daemon of the farm: where it runs, and its part of the farm's configuration."""

    name: str
    host: Host
    farm: Farm

    @property
    def daemon(self) -> Daemon:
        """The process, another one after each restart."""
        return self.farm.scheduler if self.name == SCHEDULER else self.farm.server

    def launch(self) -> None:
        """Start it, and wait for nothing."""
        if self.name == SCHEDULER:
            self.farm.launch_only_scheduler()
        else:
            self.farm.launch_only_server()


@attrs.frozen
class FaultyFarm:
    """The farm; its members by name."""

    members: Mapping[str, Member]
    patience_secs: float

    @property
    def scheduler(self) -> Farm:
        """The farm as clients see it."""
        return self.members[SCHEDULER].farm

    @property
    def holders(self) -> tuple[int, ...]:
        """The processes that hold the hosts."""
        return tuple(member.host.holder for member in self.members.values())

    def wait_until_whole(self) -> None:
        """Return when the scheduler knows every build server.

        :raises TimeoutError: it does not come to that.
        """
        wait_until(self._whole, _START_SECS, "the scheduler knows every build server")

    def befall(self, fault: Fault) -> None:
        """Let a fault happen, and end; a daemon that was ended has been started again when this returns."""
        member = self.members[fault.target]
        match fault.kind:
            case Kind.KILL:
                member.daemon.kill()
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
        time.sleep(after)
        member.launch()

    def _whole(self) -> bool:
        with contextlib.suppress(OSError):
            return self.scheduler.status().num_servers == len(SERVERS)
        return False


@contextlib.contextmanager
def running(setup: Setup, folder: Path) -> Iterator[FaultyFarm]:
    """A farm of a set-up, whole; for a process with a network namespace of its own."""
    with ethernet() as connected, contextlib.ExitStack() as farms:
        host = connected(SCHEDULER)
        launch = host.launching(setup.scheduler)
        first = Farm(_made(folder / SCHEDULER), launch, scheduler_host=host.address)
        members = {SCHEDULER: Member(SCHEDULER, host, first)}
        for name in SERVERS:
            host = connected(name)
            farm = first.beside(_made(folder / name), host.launching(setup.server), host.address)
            members[name] = Member(name, host, farm)
        for member in members.values():
            farms.callback(member.farm.stop)
        first.start_scheduler()
        for name in SERVERS:
            members[name].launch()
        faulty = FaultyFarm(members, setup.patience_secs)
        faulty.wait_until_whole()
        yield faulty


def _made(folder: Path) -> Path:
    os.makedirs(folder)
    return folder
