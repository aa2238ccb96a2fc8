"""Small jobs whose toolchain is already there: the time of one job, how many at full capacity, and what they cost."""

from collections.abc import Callable
from pathlib import Path

from bench.jobs import Work, copying
from bench.load import Ran, compiled, run_jobs
from bench.meters import Stopwatch
from bench.quantities import Bar, Quantity, Rounds, by_turns, percentile
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
        rounds = by_the_load(run, latency, run.scaled(100, 25))
        return [
            rounds.quantity("p50", "ms", Bar(0.5)),
            *(() if run.quick else (rounds.quantity("p99", "ms", Bar(0.55)),)),  # of few jobs, it would be the slowest
            rounds.quantity("CPU of daemons and children for a job", "ms", Bar(0.65)),
            rounds.quantity("CPU of the load for a job", "ms"),
        ]


class JobThroughput:
    """As many jobs at a time as there is capacity for."""

    name = "job-throughput"
    title = "the same jobs at full capacity"
    is_quick = True

    def measure(self, run: Run) -> list[Quantity]:
        """Jobs per second and their CPU."""
        rounds = by_the_load(run, throughput, run.scaled(240, 60))
        return [
            rounds.quantity("jobs per second", "1/s", Bar(1.5, reached=True)),
            rounds.quantity("CPU of daemons and children for a job", "ms", Bar(0.65)),
            rounds.quantity("CPU of the load for a job", "ms"),
        ]


#: One round of a side: its work, how many jobs, and the program that sends them.
Measured = Callable[[Side, Work, int, Path], dict[str, float]]


def by_the_load(run: Run, measure: Measured, jobs: int) -> Rounds:
    """Rounds of jobs whose toolchain is already there."""
    work, program = copying(run.folder, BYTES), compiled(run.folder)
    with both(run.other) as (published, ours):
        for side in (published, ours):
            side.client.first_compile(work.archive, work.toolchain, work.request, work.inputs)
        return by_turns(run.scaled(15, 4), published, ours, lambda side: measure(side, work, jobs, program))


def latency(side: Side, work: Work, jobs: int, program: Path) -> dict[str, float]:
    """Times and CPU of jobs, one after the other."""
    with Stopwatch(side.meter) as watch:
        ran = run_jobs(program, side, work, jobs, 1)
    p50, p99 = (percentile(ran.seconds, share) * 1000 for share in (0.5, 0.99))
    return {"p50": p50, "p99": p99, **_cost(watch, ran)}


def throughput(side: Side, work: Work, jobs: int, program: Path) -> dict[str, float]:
    """Jobs per second and their CPU, at full capacity."""
    with Stopwatch(side.meter) as watch:
        ran = run_jobs(program, side, work, jobs, job_capacity(usable_cpus()))
    return {"jobs per second": jobs / ran.wall, **_cost(watch, ran)}


def _cost(watch: Stopwatch, ran: Ran) -> dict[str, float]:
    jobs = len(ran.seconds)
    return {
        "CPU of daemons and children for a job": watch.cpu / jobs * 1000,
        "CPU of the load for a job": ran.cpu / jobs * 1000,
    }
