"""``python -m bench.stragglers``: whether a job should run a second time elsewhere when its worker has become slow.

A gateway with 50 workers in simulated time, each of which now and then becomes eight times as slow for some minutes.
Builds come by themselves and want 16 files at a time. A job that is late is run once more where a CPU is idle, and the
first answer counts; which jobs are late is what the rules differ in. What the network adds is left out, which favours
a second run.
"""

import argparse
import heapq
import statistics
import sys
from collections.abc import Callable, Iterator
from functools import partial
from itertools import count
from pathlib import Path
from random import Random

import attrs

from bench.quantities import percentile
from farmkit.launch import CHECKOUT
from sccachedist.wire.messages import job_capacity

#: The farm: workers, their CPUs, seconds until one becomes slow, for how many it is, and how slow, on average.
WORKERS, CPUS, STEADY_SECS, SLOW_SECS, SLOW_SPEED = 50, 4, 1200.0, 180.0, 1 / 8
#: A build: its files, and how many at a time.
FILES, AT_A_TIME = 200, 16
#: A job is late after so many times of what is expected, and some seconds; how far off what is known of a file is.
LATE_TIMES, LATE_SECS, GUESS = 3.0, 2.0, 0.2
#: How much is wanted, in times of what the farm can do.
LOADS = (0.3, 0.6, 0.9)

_HEAD = """\
.. list-table::
   :header-rows: 1

   * - Wanted
     - Late is a job
     - Jobs three times as long
     - Run twice
     - p99 of a job
     - Median of a build
     - p90 of a build
"""

Late = Callable[["Job", float], bool]


@attrs.define(eq=False)
class Job:
    """A file: its length on an idle CPU, and what was known of that before."""

    build: "Build"
    work: float
    known: float
    asked: float = 0.0
    began: float = -1.0
    ended: float = -1.0
    at: list["Worker"] = attrs.field(factory=list)


@attrs.define(eq=False)
class Build:
    """The files of a build that are not asked for yet, and how many have not ended."""

    began: float
    files: list[Job] = attrs.field(factory=list)
    left: int = FILES
    ended: float = -1.0


@attrs.define(eq=False)
class Worker:
    """What is left of its jobs as of a time; its CPUs are shared in equal parts."""

    speed: float = 1.0
    left: dict[Job, float] = attrs.field(factory=dict)
    at: float = 0.0
    turn: int = 0

    def advance(self, now: float) -> None:
        """Let it work up to a time."""
        done = (now - self.at) * self.rate
        self.left = {job: left - done for job, left in self.left.items()}
        self.at = now

    @property
    def rate(self) -> float:
        """The work that each job does in a second."""
        return self.speed * min(1.0, CPUS / max(1, len(self.left)))


@attrs.define
class Farm:
    """The simulation.

    :param random: for builds; ``weather``: for workers, so that both are the same under each rule.
    :param late: whether a job should run once more.
    """

    random: Random
    weather: Random
    late: Late
    builds: int
    rate: float
    workers: list[Worker] = attrs.field(factory=lambda: [Worker() for _ in range(WORKERS)])
    jobs: list[Job] = attrs.field(factory=list)
    done: list[Build] = attrs.field(factory=list)
    twice: int = 0
    _waiting: list[Job] = attrs.field(factory=list)
    _events: list[tuple[float, int, Callable[[float], None]]] = attrs.field(factory=list)
    _turn: Iterator[int] = attrs.field(factory=count)

    def run(self) -> None:
        """Run until all builds have ended."""
        when = 0.0
        for _ in range(self.builds):
            when += self.random.expovariate(self.rate)
            self._at(when, self._begin_build)
        for worker in self.workers:
            self._at(self.weather.expovariate(1 / STEADY_SECS), partial(self._change, worker))
        self._at(1.0, self._look)
        while len(self.done) < self.builds:
            now, _, event = heapq.heappop(self._events)
            event(now)

    def _at(self, when: float, event: Callable[[float], None]) -> None:
        heapq.heappush(self._events, (when, next(self._turn), event))

    def _begin_build(self, now: float) -> None:
        build = Build(now)
        for _ in range(FILES):
            work = length(self.random)
            build.files.append(Job(build, work, work * self.random.lognormvariate(0, GUESS)))
        for _ in range(AT_A_TIME):
            self._ask(build, now)

    def _ask(self, build: Build, now: float) -> None:
        if build.files:
            job = build.files.pop()
            job.asked = now
            self.jobs.append(job)
            self._waiting.append(job)
            self._give(now)

    def _give(self, now: float) -> None:
        while self._waiting:
            worker = min(self.workers, key=lambda each: len(each.left))
            if len(worker.left) >= job_capacity(CPUS):
                return
            self._start(self._waiting.pop(0), worker, now)

    def _start(self, job: Job, worker: Worker, now: float) -> None:
        worker.advance(now)
        worker.left[job] = job.work
        job.began = now if job.began < 0 else job.began
        job.at.append(worker)
        self._follow(worker)

    def _follow(self, worker: Worker) -> None:
        """Wait for the next end of one of its jobs."""
        worker.turn = turn = next(self._turn)
        if worker.left:
            job, left = min(worker.left.items(), key=lambda item: item[1])
            self._at(worker.at + max(0.0, left) / worker.rate, lambda now: self._end(job, worker, turn, now))

    def _end(self, job: Job, worker: Worker, turn: int, now: float) -> None:
        if worker.turn != turn:
            return
        job.ended = now
        for each in job.at:
            each.advance(now)
            del each.left[job]
            self._follow(each)
        build = job.build
        build.left -= 1
        if not build.left:
            build.ended = now
            self.done.append(build)
        self._ask(build, now)
        self._give(now)

    def _change(self, worker: Worker, now: float) -> None:
        worker.advance(now)
        worker.speed = SLOW_SPEED if worker.speed == 1.0 else 1.0
        self._follow(worker)
        lasts = STEADY_SECS if worker.speed == 1.0 else SLOW_SECS
        self._at(now + self.weather.expovariate(1 / lasts), partial(self._change, worker))

    def _look(self, now: float) -> None:
        """Run what is late once more, as long as a CPU is idle."""
        for job in [job for worker in self.workers for job in worker.left if len(job.at) == 1 and self.late(job, now)]:
            idle = [each for each in self.workers if len(each.left) < CPUS and each not in job.at]
            if not idle:
                break
            self.twice += 1
            self._start(job, min(idle, key=lambda each: len(each.left)), now)
        self._at(now + 1.0, self._look)


def length(random: Random) -> float:
    """Seconds of a file on a usual CPU: half are below five, one in a hundred is above eighty."""
    return min(600.0, random.lognormvariate(1.6, 1.2))


def lengths(many: int) -> list[float]:
    """The same ones each time."""
    random = Random(1)  # noqa: S311
    return [length(random) for _ in range(many)]


def rules() -> Iterator[tuple[str, Late]]:
    """Which jobs are late."""
    usual = percentile(lengths(10_000), 0.99)
    yield "never", lambda job, now: False
    yield "after three times what one in a hundred takes", lambda job, now: now - job.began > LATE_TIMES * usual
    yield (
        "after three times what its file took before",
        lambda job, now: now - job.began > LATE_SECS + LATE_TIMES * job.known,
    )


def simulated(late: Late, load: float, builds: int, seed: int) -> Farm:
    """A farm of which so much is wanted."""
    mean = statistics.fmean(lengths(10_000))
    slow = SLOW_SECS / (STEADY_SECS + SLOW_SECS)
    capacity = WORKERS * CPUS * (1 - slow + slow * SLOW_SPEED)
    farm = Farm(Random(seed), Random(seed + 1), late, builds, load * capacity / (mean * FILES))  # noqa: S311
    farm.run()
    return farm


def row(load: float, name: str, farm: Farm) -> str:
    """What came of it."""
    long = sum(job.ended - job.began >= LATE_TIMES * job.work for job in farm.jobs) / len(farm.jobs)
    took = [job.ended - job.asked for job in farm.jobs]
    builds = [build.ended - build.began for build in farm.done]
    columns = (
        f"{load:.0%}",
        name,
        f"{long:.1%}",
        f"{farm.twice / len(farm.jobs):.1%}",
        f"{percentile(took, 0.99):.0f} s",
        f"{percentile(builds, 0.5):.0f} s",
        f"{percentile(builds, 0.9):.0f} s",
    )
    return "   * - " + "\n     - ".join(columns) + "\n"


def main() -> None:
    """Simulate, print, and write the table."""
    parser = argparse.ArgumentParser(prog="python -m bench.stragglers")
    parser.add_argument("--builds", type=int, default=300)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--into", type=Path, default=CHECKOUT / "doc" / "performance" / "stragglers.rst")
    arguments = parser.parse_args()
    text = _HEAD
    for load in LOADS:
        for name, late in rules():
            text += (line := row(load, name, simulated(late, load, arguments.builds, arguments.seed)))
            sys.stdout.write(line)
            sys.stdout.flush()
    arguments.into.write_text(text)


if __name__ == "__main__":
    main()
