"""A daemon that looks at its host."""

from pathlib import Path

import attrs
import pytest
from twisted.internet.task import Clock

from sccachedist.config import CapacitySettings, DockerBuilderSettings, ServerSettings
from sccachedist.errors import ConfigError
from sccachedist.memory import FreeMemory, host_memory
from sccachedist.outcomes import Lack, Outcome
from sccachedist.server import spare_capacity as spare_capacity_module
from sccachedist.server.host_usage import HostUsage
from sccachedist.server.idle_cpus import IDLE_SECS
from sccachedist.server.memory_room import LEAST_JOBS, LOOKS
from sccachedist.server.spare import GRACE_SECS, CpuUse, Spare
from sccachedist.server.spare_capacity import LOOK_SECS, SpareCapacity, spare_capacity
from sccachedist.wire.abilities import Offer
from sccachedist.wire.job_summary import JobSummary
from sccachedist.wire.messages import job_capacity
from tests.server.test_service import settings

GIB = 1 << 30


class StandIn(HostUsage):
    """A host that is as a test wants it; counts how often it was asked for the memory of jobs."""

    def __init__(self) -> None:
        super().__init__(frozenset())
        self.use, self.asked, self.pressed = CpuUse(0.0), 0, False

    def cpu_use(self, secs: float) -> CpuUse | None:
        return self.use if secs else None

    def is_pressed(self, secs: float) -> bool:
        return self.pressed

    def held_bytes(self) -> int:
        self.asked += 1
        return 0


@attrs.define
class Daemon:
    """What looks, and what it has told."""

    idle_only: bool = False
    free: int = 100 * GIB
    running: int = 0
    clock: Clock = attrs.field(factory=Clock)
    usage: StandIn = attrs.field(factory=StandIn)
    offers: list[Offer] = attrs.field(factory=list)
    over: list[float] = attrs.field(factory=list)
    spare: SpareCapacity = attrs.field(init=False)

    def __attrs_post_init__(self) -> None:
        self.spare = SpareCapacity(
            Spare(2, 0, 2),
            self.usage,
            lambda: FreeMemory(self.free, "this host"),
            lambda: self.running,
            self.offers.append,
            lambda: self.over.append(self.clock.seconds()),
            self.clock,
            idle_only=self.idle_only,
        )
        self.spare.startService()

    def wait(self, seconds: float) -> None:
        self.clock.pump([LOOK_SECS] * round(seconds / LOOK_SECS))


def test_nothing_is_lacking() -> None:
    """Then nothing is told, and no process is looked at."""
    daemon = Daemon()
    daemon.usage.use = CpuUse(2.0)
    daemon.wait(100)
    assert (daemon.offers, daemon.usage.asked) == ([], 0)
    daemon.spare.stopService()
    assert not daemon.clock.getDelayedCalls()


def test_the_first_look() -> None:
    """It comes before the first job: a daemon that has just started takes no more than there is memory for."""
    assert Daemon(free=2 * GIB + 1).offers == [Offer(2, Lack.NO_MEMORY.word)]


def test_idle_cpus_are_not_known_at_once() -> None:
    """A second is needed to see what others use: until then no job is taken."""
    daemon = Daemon(idle_only=True)
    assert daemon.offers == [Offer(0, Lack.BUSY.word)]
    daemon.wait(1)
    assert daemon.offers[1:] == [Offer(3)]


def test_busy_and_idle_again() -> None:
    """Each change is told once; what still runs after a while is to go home."""
    daemon = Daemon(idle_only=True)
    daemon.wait(5)
    daemon.offers.clear()
    daemon.usage.use = CpuUse(2.0)
    daemon.wait(2)
    assert daemon.offers == [Offer(0, Lack.BUSY.word)]
    daemon.wait(GRACE_SECS - 1)
    assert not daemon.over
    daemon.wait(1)
    assert daemon.over == [pytest.approx(7 + GRACE_SECS)]
    daemon.usage.use = CpuUse(0.0)
    daemon.wait(IDLE_SECS + 2)
    assert daemon.offers[1:] == [Offer(3)]


def test_pressure() -> None:
    """It counts where memory is short; else a neighbour stands still at a limit of its own, and jobs go on coming."""
    short, ample = Daemon(free=5 * GIB // 2), Daemon()
    for daemon in (short, ample):
        daemon.usage.pressed = True
        daemon.wait(1)
    assert short.offers[-1] == Offer(0, Lack.NO_MEMORY.word)
    assert ample.offers == []


def test_jobs_teach_what_they_take() -> None:
    """Large ones first: then there is memory for few, and the jobs that run are looked at."""
    daemon = Daemon(free=2 * GIB + 1)
    assert daemon.offers == [Offer(2, Lack.NO_MEMORY.word)]
    assert daemon.usage.asked == 1
    for _ in range(LEAST_JOBS):
        daemon.spare.ended(None, "", JobSummary(Outcome.COMPILED, peak_memory_bytes=GIB // 10), b"")
    daemon.wait(LOOKS)
    assert daemon.offers[1:] == [Offer(3)]


@pytest.mark.parametrize("knows_held", [False, True])
def test_whose_memory_is_known(knows_held: bool, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Containers are not the daemon's processes, and some kernels do not tell which processes those are."""
    monkeypatch.setattr(HostUsage, "knows_own", knows_held)
    containers = settings(tmp_path, builder=DockerBuilderSettings())
    assert not of(containers)._knows_held
    assert of(settings(tmp_path))._knows_held is knows_held
    daemon = Daemon(free=3 * GIB + 1)
    daemon.spare._knows_held = knows_held
    daemon.running, daemon.free = 2, 2 * GIB + 1
    daemon.wait(LOOKS)
    assert daemon.usage.asked == (LOOKS if knows_held else 0)
    assert daemon.offers[-1:] == [Offer(2, Lack.NO_MEMORY.word)] if knows_held else daemon.offers == []


def of(settings: ServerSettings) -> SpareCapacity:
    return spare_capacity(settings, lambda: None, lambda: 0, lambda _: None, lambda: None, Clock())


def test_a_kernel_that_tells_too_little(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Then the key is refused, and without it all is well."""
    monkeypatch.setattr(HostUsage, "knows_own", False)
    of(settings(tmp_path))
    with pytest.raises(ConfigError, match=r"capacity\.idle_only: this kernel"):
        of(settings(tmp_path, capacity=CapacitySettings(idle_only=True)))


@pytest.mark.parametrize("of_group", [False, True])
def test_more_than_there_is(of_group: bool, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A reserve that leaves nothing for jobs is refused, at a start and at a reload."""
    (tmp_path / "memory.max").write_text(f"{GIB}\n")
    groups = ((2, str(tmp_path)),) if of_group else ()
    monkeypatch.setattr(spare_capacity_module, "own_and_above", lambda _: groups)
    whole, whose = (GIB, f"the control group {tmp_path}") if of_group else (host_memory()[1] or 0, "this host")
    of(settings(tmp_path, capacity=CapacitySettings(reserve_memory_bytes=whole - 1)))
    with pytest.raises(ConfigError, match=rf"^capacity\.reserve_memory_bytes: {whose} has {whole} bytes"):
        of(settings(tmp_path, capacity=CapacitySettings(reserve_memory_bytes=whole)))


def test_other_settings(tmp_path: Path) -> None:
    """They hold from now on."""
    spare = of(settings(tmp_path, capacity=CapacitySettings(cpus=2, idle_only=True)))
    spare.take(settings(tmp_path, capacity=CapacitySettings(cpus=6, reserve_memory_bytes=GIB)))
    assert spare.spare.most == job_capacity(6)
    assert spare.spare.memory.reserve == GIB
