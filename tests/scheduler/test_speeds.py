"""How fast build servers are, as the ends of their jobs tell."""

import math
from collections.abc import Sequence
from random import Random

import attrs
import pytest

from sccachedist.budgets import Party
from sccachedist.outcomes import SERVER_PHASES, Outcome, TimedPhase
from sccachedist.scheduler import speeds as speeds_module
from sccachedist.scheduler.speeds import (
    ARRIVAL_SECS,
    LEAST_STRETCH,
    LEAST_WORK,
    MOST_KINDS,
    MOST_STRETCH,
    MOST_TIMES,
    STALE_SECS,
    STALE_WORK_SECS,
    ServerSpeed,
    Speeds,
    Took,
    took_of,
)
from sccachedist.wire.addresses import ServerId
from sccachedist.wire.job_summary import JobSummary, packed
from tests.scheduler.farms import CLANG, GCC, A, B, C

ANN, BOB = Party("ann"), Party("bob")


@attrs.define
class Compared:
    """Some servers whose jobs end by turns, a second apart; a job's length is drawn from a wide range.

    ``work`` and ``stretch`` are those of each server, in times of what is usual.
    """

    servers: Sequence[ServerId] = (A, B, C)
    tells_cpu: bool = True
    now: float = 0.0
    speeds: Speeds = attrs.field(factory=Speeds)
    random: Random = attrs.field(factory=lambda: Random(3))
    of: dict[ServerId, ServerSpeed] = attrs.field(factory=dict)
    work: dict[ServerId, float] = attrs.field(factory=dict)
    stretch: dict[ServerId, float] = attrs.field(factory=dict)

    def end(self, server: ServerId, toolchain: str = GCC, client: Party = ANN, crowd: float = 1.0) -> None:
        """A job ends."""
        cpu = self.random.lognormvariate(0, 1.2) * self.work.get(server, 1.0)
        seconds = cpu * self.stretch.get(server, 1.0) * self.random.uniform(1.0, 1.1) * crowd
        took = Took(seconds, cpu if self.tells_cpu else 0.0, crowd)
        self.speeds.ended(server, self.of.setdefault(server, ServerSpeed()), toolchain, client, took, self.now)

    def rounds(self, count: int) -> None:
        """Each server ends a job, and so on."""
        for _ in range(count):
            self.now += 1.0
            for server in self.servers:
                self.end(server)

    def slowness(self, server: ServerId, later: float = 0.0, *, is_idle: bool = False) -> float:
        return self.of[server].slowness(self.now + later, is_idle=is_idle)


def test_equal_servers() -> None:
    """However much jobs differ, servers that do not are never taken for very different."""
    farm = Compared()
    for _ in range(200):
        farm.rounds(1)
        assert all(0.75 < farm.slowness(server) < 1.33 for server in farm.servers)


def test_few_jobs_say_nothing() -> None:
    """A server that is new is taken for a usual one."""
    farm = Compared(stretch={C: 8.0})
    farm.rounds(LEAST_STRETCH - 1)
    assert farm.slowness(C) == 1


def test_a_slow_cpu() -> None:
    """A server whose CPUs need twice as long is found out by many jobs, and that is remembered for long."""
    farm = Compared(work={C: 2.0})
    farm.rounds(200)
    assert 1.25 < farm.slowness(C) < 2.5
    assert farm.slowness(C, later=10 * STALE_SECS, is_idle=True) == pytest.approx(farm.slowness(C), rel=0.1)


def test_a_cpu_that_was_slow() -> None:
    """A server without jobs for an hour gets some to find out whether its CPUs are as quick as others by now."""
    farm = Compared(work={C: 4.0})
    farm.rounds(200)
    assert farm.slowness(C, later=STALE_WORK_SECS, is_idle=True) > 2
    assert farm.slowness(C, later=STALE_WORK_SECS + 1, is_idle=True) == 1
    assert farm.slowness(C, later=STALE_WORK_SECS + 1) > 2, "it has jobs, and they will tell"
    farm.now += STALE_WORK_SECS + 1
    farm.work[C] = 1.0
    farm.rounds(LEAST_WORK)
    assert farm.slowness(C) < 1.33


def test_a_cpu_that_is_still_slow() -> None:
    """A few jobs tell that nothing has changed."""
    farm = Compared(work={C: 4.0})
    farm.rounds(200)
    farm.now += STALE_WORK_SECS + 1
    farm.rounds(2 * LEAST_WORK)
    assert farm.slowness(C) > 1.5


def test_a_quota_or_foreign_load() -> None:
    """A server that lets its jobs wait for CPUs is found out by a few of them, and so is that it no longer does."""
    farm = Compared(stretch={C: 4.0})
    farm.rounds(MOST_STRETCH)
    assert 3.3 < farm.slowness(C) < 4.4
    farm.stretch[C] = 1.0
    farm.rounds(MOST_STRETCH)
    assert farm.slowness(C) < 1.2


def test_one_job_finds_out() -> None:
    """What passes is forgotten after a while, but by a server without jobs alone: it gets one to find out."""
    farm = Compared(stretch={C: 4.0})
    farm.rounds(20)
    before = farm.slowness(C)
    assert farm.slowness(C, later=STALE_SECS, is_idle=True) == before
    assert farm.slowness(C, later=STALE_SECS + 1, is_idle=True) < before / 3
    assert farm.slowness(C, later=STALE_SECS + 1) == before


def test_after_a_rest() -> None:
    """The jobs of before a rest do not count any more when the next one ends."""
    farm = Compared(stretch={C: 4.0})
    farm.rounds(20)
    farm.now += STALE_SECS + 1
    farm.stretch[C] = 1.0
    farm.rounds(LEAST_STRETCH)
    assert farm.slowness(C) < 1.2


def test_still_slow_after_a_rest() -> None:
    """The one job that finds out is enough if it took as long as the others did; also once it is no longer so."""
    farm = Compared(stretch={B: 0.25, C: 4.0})
    farm.rounds(20)
    for _ in range(5):
        farm.now += STALE_SECS + 1
        farm.end(C)
        farm.end(B)
        assert farm.slowness(C, is_idle=True) > 3
        assert farm.slowness(B, is_idle=True) < 0.5
    farm.now += STALE_SECS + 1
    farm.stretch[C] = 1.0
    farm.end(C)
    assert farm.slowness(C) < 1.2


def test_its_own_jobs_are_no_fault() -> None:
    """A server whose CPUs are shared by jobs of the farm is not slower for that."""
    farm = Compared()
    for _ in range(20):
        for server, crowd in ((A, 1.0), (B, 1.0), (C, 2.5)):
            farm.end(server, crowd=crowd)
    assert farm.slowness(C) < 1.2


def test_a_published_server() -> None:
    """Without CPU times more jobs are needed, and a server has to be very slow to be found out."""
    farm = Compared(tells_cpu=False, stretch={C: 8.0})
    farm.rounds(40)
    assert farm.slowness(C) > 1.5
    assert farm.slowness(A) < 1.5


@pytest.mark.parametrize(("slow", "is_ours"), [(C, False), (A, True)])
def test_a_published_server_beside_ours(slow: ServerId, is_ours: bool) -> None:
    """The only one that tells no CPU time is compared with those that do, and they with one another."""
    ours = (A, B) if slow is C else (A,)
    farm = Compared(stretch={slow: 8.0})
    for _ in range(60):
        farm.now += 1.0
        for server in (*ours, C):
            farm.tells_cpu = server in ours
            farm.end(server)
    assert farm.slowness(C) < 0.6 if is_ours else farm.slowness(C) > 1.5
    assert all(farm.of[server].slowness(farm.now, is_idle=False) < 1.2 for server in ours)


def test_what_only_published_servers_count() -> None:
    """Of their jobs the time before and behind the compiler counts, too: so it does where it is compared with ours."""
    farm, published = Speeds(), ServerSpeed()
    for number in range(40):
        seconds = 0.1 + number % 7 / 70
        farm.ended(A, ServerSpeed(), GCC, ANN, Took(seconds, seconds, whole=seconds + 0.3), 0.0)
        farm.ended(C, published, GCC, ANN, Took(seconds + 0.3, 0.0), 0.0)
    assert published.slowness(0.0, is_idle=False) == pytest.approx(1.0, abs=0.1)


def test_a_kind_that_one_server_has() -> None:
    """What a client compiles on one server alone says nothing of it, and does not hide what others say."""
    farm = Compared(stretch={C: 4.0})
    farm.rounds(20)
    before = farm.slowness(C)
    for _ in range(20):
        farm.end(C, CLANG, BOB)
    assert farm.slowness(C) == before


def test_bounds() -> None:
    """However slow or quick a server is, or says it is, there is a limit to what is believed."""
    farm = Compared(stretch={B: 1e-9, C: 1e9})
    farm.rounds(40)
    assert farm.slowness(C) == pytest.approx(MOST_TIMES)
    assert farm.slowness(B) == pytest.approx(1 / MOST_TIMES)


def test_the_books_stay_small() -> None:
    """Clients and toolchains come and go."""
    farm = Compared()
    for number in range(MOST_KINDS + 10):
        farm.end(A, f"{number:064x}", Party(f"client {number}"))
        farm.speeds.arrived(f"{number:064x}", 1.0)
    speeds = farm.speeds
    assert len(speeds._usual) == len(speeds._lengths) == len(speeds._arrivals) == MOST_KINDS
    assert speeds.seconds(f"{0:064x}") is None
    assert speeds.arrival_secs(f"{0:064x}") == ARRIVAL_SECS


def test_what_is_used_stays() -> None:
    """Many who come once, such as the containers of a CI, do not make the farm forget those who compile all day."""
    farm = Compared()
    farm.end(A)
    for number in range(2 * MOST_KINDS):
        farm.end(A, GCC, Party(f"container {number}"))
        if not number % (MOST_KINDS // 2):
            farm.end(A)
    assert (GCC, ANN, True) in farm.speeds._usual
    assert farm.speeds.seconds(GCC) is not None


def test_lengths_and_arrivals() -> None:
    """What is usual for a toolchain: the time of a job on a CPU of its own, and the wait for the toolchain."""
    speeds = Speeds()
    for seconds, crowd in ((4.0, 2.0), (2.0, 1.0), (100.0, 1.0), (1.0, 1.0), (2.0, 1.0)):
        speeds.ended(A, ServerSpeed(), GCC, ANN, Took(seconds, 1.0, crowd), 0.0)
        speeds.arrived(GCC, seconds)
    assert speeds.seconds(GCC) == 2
    assert speeds.arrival_secs(GCC) == 2


def told(outcome: Outcome = Outcome.COMPILED, ran_us: int = 2_000_000) -> bytes:
    phases = [0] * len(SERVER_PHASES)
    phases[SERVER_PHASES.index(TimedPhase.COMPILE)] = ran_us
    return packed(JobSummary(outcome, phases_us=tuple(phases), cpu_user_us=1_000_000, cpu_system_us=500_000))


def test_what_a_summary_tells() -> None:
    """The compiler's time and its CPU; nothing, if there was no result, or if it is no summary."""
    assert took_of(told(), 1.5) == Took(2.0, 1.5, 1.5, 2.0)
    assert took_of(told(Outcome.COMPILE_ERROR), 1.0) is None
    assert took_of(told(ran_us=0), 1.0) is None
    assert took_of(b"", 1.0) is None


def test_what_is_sure(monkeypatch: pytest.MonkeyPatch) -> None:
    """A median counts by as much as it differs beyond what chance explains."""
    speed = ServerSpeed()
    for number in (0.9, 1.0, 1.1, 0.8, 1.2):
        speed.add(0.0, number, 0.0)
    assert 0.9 < math.log(speed.slowness(0.0, is_idle=False)) < 1
    monkeypatch.setattr(speeds_module, "SURE", 20.0)
    speed.add(0.0, 0.9, 0.0)
    assert speed.slowness(0.0, is_idle=False) == 1
