"""Small jobs whose toolchain is already there: the time of one job, how many at full capacity, and what they cost."""

import time
from concurrent.futures import ThreadPoolExecutor

from bench.jobs import Work, copying
from bench.meters import Stopwatch
from bench.quantities import Bar, Quantity, by_turns, percentile
from bench.run import Run
from bench.sides import Side, both
from sccachedist.builders.cpus import usable_cpus
from sccachedist.wire.messages import job_capacity

#: What a job copies.
BYTES = 200_000


class JobLatency:
    """Jobs one after the other."""

    name = "job-latency"
    title = "a job that copies 200 KB, one after the other"
    is_quick = True

    def measure(self, run: Run) -> list[Quantity]:
        """Times and CPU of jobs."""
        work = copying(run.folder, BYTES)
        jobs = run.scaled(100, 25)
        with both(run.other) as (published, ours):
            for side in (published, ours):
                side.client.first_compile(work.archive, work.toolchain, work.request, work.inputs)
            rounds = by_turns(run.scaled(15, 4), published, ours, lambda side: latency(side, work, jobs))
        return [
            rounds.quantity("p50", "ms", Bar(0.75)),
            *(() if run.quick else (rounds.quantity("p99", "ms", Bar(0.75)),)),  # of few jobs, it would be the slowest
            rounds.quantity("CPU of daemons and children for a job", "ms", Bar(0.9)),
            rounds.quantity("CPU of the load for a job", "ms"),
        ]


class JobThroughput:
    """As many jobs at a time as there is capacity for."""

    name = "job-throughput"
    title = "the same jobs at full capacity"
    is_quick = True

    def measure(self, run: Run) -> list[Quantity]:
        """Jobs per second and their CPU."""
        work = copying(run.folder, BYTES)
        jobs = run.scaled(240, 60)
        with both(run.other) as (published, ours):
            for side in (published, ours):
                side.client.first_compile(work.archive, work.toolchain, work.request, work.inputs)
            rounds = by_turns(run.scaled(15, 4), published, ours, lambda side: throughput(side, work, jobs))
        return [
            rounds.quantity("jobs per second", "1/s", Bar(1.3, reached=True)),
            rounds.quantity("CPU of daemons and children for a job", "ms", Bar(0.9)),
            rounds.quantity("CPU of the load for a job", "ms"),
        ]


def latency(side: Side, work: Work, jobs: int) -> dict[str, float]:
    """Times and CPU of jobs, one after the other."""

    def timed() -> float:
        began = time.perf_counter()
        side.client.compile(work.toolchain, work.request, work.inputs)
        return time.perf_counter() - began

    with Stopwatch(side.meter) as watch:
        seconds = [timed() for _ in range(jobs)]
    return {"p50": percentile(seconds, 0.5) * 1000, "p99": percentile(seconds, 0.99) * 1000, **_cost(watch, jobs)}


def throughput(side: Side, work: Work, jobs: int) -> dict[str, float]:
    """Jobs per second and their CPU, at full capacity."""

    def one(_: int) -> None:
        side.client.compile(work.toolchain, work.request, work.inputs)

    with ThreadPoolExecutor(job_capacity(usable_cpus())) as clients, Stopwatch(side.meter) as watch:
        for _ in clients.map(one, range(jobs)):
            pass
    return {"jobs per second": jobs / watch.wall, **_cost(watch, jobs)}


def _cost(watch: Stopwatch, jobs: int) -> dict[str, float]:
    return {
        "CPU of daemons and children for a job": watch.cpu / jobs * 1000,
        "CPU of the load for a job": watch.own / jobs * 1000,
    }
