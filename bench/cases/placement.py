"""Builds on four build servers of different speeds: how long until the last result, beside what is possible.

The servers are equal but for their CPU quotas, so what is possible is known: all the CPU time that they took, given out
by quotas that are never idle. The clients of each side ask again where the scheduler has no slot, and compile nothing
themselves, so that a farm that sends much home is not the quicker one for that.
"""

import functools
import resource
import subprocess
import tempfile
import threading
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from itertools import count
from pathlib import Path
from random import Random

import attrs

from bench.jobs import Work, copying
from bench.quantities import Bar, Quantity
from bench.quotas import Quota, quota
from bench.run import Run, step
from bench.sides import OURS, PUBLISHED, Role
from farmkit.busybox_jobs import BUSYBOX, shell
from farmkit.farm import Farm
from farmkit.launch import Launch
from farmkit.load_client import LoadClient
from sccachedist.wire.messages import job_capacity

#: The quotas of the four, in times of that of the first, which is so many CPUs: two cores have to do for all, with
#: the clients and the scheduler. Equal servers have as much together.
UNEVEN, EQUAL, FIRST_CPUS = (1.0, 0.5, 0.25, 0.25), (0.5,) * 4, 0.4
#: With a quota of so many CPUs daemons start in time, and take a server for one of one CPU.
_START_CPUS = 0.95
#: The CPU seconds of a job, on average; and the deviation of the logarithms of heavy-tailed ones.
MEAN_SECS, DEVIATION = 0.15, 1.0
_START_SECS = 120
_ITERATIONS = 100_000


@attrs.frozen
class Build:
    """A build.

    :param seconds: of CPU that each job takes; ``quotas``: of the servers.
    :param is_quartered: whether the first quota is quartered when half of the jobs are done.
    :param at_a_time: how many jobs are done at a time; as a rule as many as there are slots.
    """

    name: str
    seconds: tuple[float, ...]
    quotas: tuple[float, ...] = UNEVEN
    is_quartered: bool = False
    at_a_time: int = job_capacity(1) * len(UNEVEN)

    @property
    def cpus(self) -> float:
        """The CPUs that it can use: those of the quickest servers, if there are fewer jobs at a time than servers."""
        return sum(sorted(self.quotas)[-self.at_a_time :]) * FIRST_CPUS


@attrs.frozen
class Built:
    """What a build took, and the least that it could have taken, in seconds."""

    seconds: float
    optimum: float

    @property
    def times(self) -> float:
        """How many times as long as the optimum it took."""
        return self.seconds / self.optimum


class Placement:
    """Builds whose jobs are alike, or of heavy-tailed lengths, that see the quickest server become slow, or leave room.

    With as many jobs at a time as slots there is nothing to choose, so no scheduler can be much better than another.
    """

    name = "placement"
    title = "a build on four servers with CPU quotas of 100, 50, 25 and 25 %"
    is_quick = False

    def measure(self, run: Run) -> list[Quantity]:
        """The time of each build beside the published daemons', the optimum, and the least loaded server."""
        work, rounds, rows = copying(run.folder, 1000), run.scaled(3, 1), list[Quantity]()
        jobs, few = run.scaled(200, 40), run.scaled(50, 12)
        alike, mixed = (MEAN_SECS,) * jobs, heavy_tailed(jobs)
        for build, most in (
            (Build("equal jobs", alike), 1.15),
            (Build("heavy-tailed jobs", mixed), 1.15),
            (Build("a quota quartered", alike, is_quartered=True), 1.3),
            (Build("two jobs at a time", alike[:few], at_a_time=2), 1.5),
        ):
            turns = [[_built(build, side, work) for side in _SIDES] for _ in range(rounds)]
            published, plain, fastest = zip(*turns, strict=True)
            rows += [
                Quantity(f"{build.name}: time", "s", _secs(published), _secs(fastest), Bar(0.75)),
                Quantity(
                    f"{build.name}: of the optimum",
                    "times",
                    _times(published),
                    _times(fastest),
                    Bar(most, of_ours=True),
                ),
                Quantity(f"{build.name}: of the optimum, least loaded", "times", (), _times(plain)),
            ]
        even = Build("equal servers", mixed, EQUAL)
        turns = [[_built(even, side, work) for side in _SIDES[1:]] for _ in range(rounds)]
        ratio = tuple(fastest.times / plain.times for plain, fastest in turns)
        return [*rows, Quantity("equal servers: fastest ÷ least loaded", "times", (), ratio, Bar(1.02, of_ours=True))]


@attrs.frozen
class _Side:
    """The daemons, and how the scheduler is set."""

    role: Role
    name: str
    settings: str = ""


_SIDES = (
    _Side(PUBLISHED, "published"),
    _Side(OURS, "least loaded", '[policy]\nplacement = "least_loaded"\n'),
    _Side(OURS, "fastest", '[policy]\nplacement = "fastest"\n'),
)


def heavy_tailed(jobs: int) -> tuple[float, ...]:
    """Lengths with the same mean as equal ones, always the same."""
    random = Random(5)  # noqa: S311
    drawn = [random.lognormvariate(0, DEVIATION) for _ in range(jobs)]
    return tuple(each * MEAN_SECS * jobs / sum(drawn) for each in drawn)


def _secs(built: Sequence[Built]) -> tuple[float, ...]:
    return tuple(each.seconds for each in built)


def _times(built: Sequence[Built]) -> tuple[float, ...]:
    return tuple(each.times for each in built)


def _built(build: Build, side: _Side, work: Work) -> Built:
    """Build on a fresh farm, which knows nothing of its servers when the build begins."""
    with (
        step(f"{build.name}, {side.name}"),
        tempfile.TemporaryDirectory(prefix="bench-") as folder,
        ExitStack() as groups,
    ):
        quotas = [groups.enter_context(quota(_START_CPUS)) for _ in build.quotas]
        farm = Farm(Path(folder), side.role.scheduler, scheduler_settings=side.settings)
        with ExitStack() as running:
            running.callback(farm.stop)
            farm.start_scheduler()
            for number, each in enumerate(quotas):
                running.callback(_started(farm, Path(folder, str(number)), each.limited(side.role.server)).stop)
            farm.scheduler.wait_until(
                lambda: farm.status().num_servers == len(quotas), _START_SECS, "all build servers are registered"
            )
            client = LoadClient.of(farm)
            _bring(client, work, len(quotas))
            for each, cpus in zip(quotas, build.quotas, strict=True):
                each.set(cpus * FIRST_CPUS)
            return _run(build, client, quotas, work)


def _started(farm: Farm, folder: Path, launch: Launch) -> Farm:
    folder.mkdir()
    beside = farm.beside(folder, launch)
    beside.launch_only_server()
    return beside


def _bring(client: LoadClient, work: Work, servers: int) -> None:
    """Have each server run a job, so that it has the toolchain."""
    for allocated in [client.alloc(work.toolchain) for _ in range(servers)]:
        if allocated.need_toolchain:
            client.submit(allocated, work.archive)
        client.run(allocated, work.request, work.inputs)


def _run(build: Build, client: LoadClient, quotas: Sequence[Quota], work: Work) -> Built:
    """Do all jobs."""
    rate = _iterations_per_sec()
    done, lock, changed = count(1), threading.Lock(), list[tuple[float, float]]()

    def used() -> float:
        return sum(each.cpu_secs() for each in quotas) - before

    def one(seconds: float) -> None:
        request = shell(f"i={round(seconds * rate)}; while [ $i -gt 0 ]; do i=$((i-1)); done; echo 1 >/o", "/o")
        client.compile(work.toolchain, request, work.inputs)
        with lock:
            if next(done) == len(build.seconds) // 2 and build.is_quartered:
                quotas[0].set(build.quotas[0] * FIRST_CPUS / 4)
                changed.append((time.perf_counter() - began, used()))

    before = 0.0
    before, began = used(), time.perf_counter()
    with ThreadPoolExecutor(build.at_a_time) as clients:
        for _ in clients.map(one, build.seconds):
            pass
    seconds, spent = time.perf_counter() - began, used()
    if not changed:
        return Built(seconds, spent / build.cpus)
    ((at, spent_then),) = changed
    return Built(seconds, at + (spent - spent_then) / (build.cpus - build.quotas[0] * FIRST_CPUS * 3 / 4))


@functools.cache
def _iterations_per_sec() -> float:
    """How often a busybox shell counts in a second of CPU; found out once, so that all builds have the same jobs."""
    before = _children_secs()
    script = f"i={_ITERATIONS}; while [ $i -gt 0 ]; do i=$((i-1)); done"
    subprocess.run([BUSYBOX, "sh", "-c", script], check=True)
    return _ITERATIONS / (_children_secs() - before)


def _children_secs() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime
