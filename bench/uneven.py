"""``python -m bench.uneven``: a large farm of uneven build servers under several rules of placement, as a table.

1,000 build servers and 100,000 compiles in simulated time; the scheduler's own rules are those of its core. In one farm
more is wanted at any time than there are slots. In the others compiles come by themselves.
"""

import argparse
import sys
from collections.abc import Iterator, Sequence
from itertools import accumulate
from pathlib import Path
from random import Random

import attrs

from bench.quantities import percentile
from bench.uneven_farm import ByFleet, Host, Rule, Simulated, TwoChoices, UnevenFarm, uneven_hosts
from farmkit.launch import CHECKOUT
from sccachedist.policy import PlacementRule
from sccachedist.wire.messages import job_capacity

#: The CPUs of each server.
CPUS = 4
#: How many compiles are wanted at a time, in times of all slots; and how many for each CPU of the clients.
WANTED, FOR_HOME_CPU = 1.25, 8
#: How much comes by itself, in times of what the farm can do.
LOADS = (0.5, 0.8)

_TABLE_HEAD = """\
.. list-table::
   :header-rows: 1

   * - Farm
     - Rule
     - Busy
     - At home
     - p50
     - p99
     - Makespan
"""


@attrs.frozen
class Outcome:
    """What comes of a farm.

    :param busy: the work that servers did until the last compile was asked for, as a part of what they could do.
    :param at_home: the part of compiles that had no server.
    :param p50: seconds from a request to its end; ``p99`` likewise.
    :param makespan: seconds until the last end, in times of what is needed at least.
    """

    busy: float
    at_home: float
    p50: float
    p99: float
    makespan: float


def rules(hosts: Sequence[Host], seed: int) -> Iterator[Rule]:
    """All that are compared."""
    yield ByFleet("published", hosts, PlacementRule.LEAST_LOADED, waits=False)
    yield TwoChoices(hosts, Random(seed))  # noqa: S311 - the same numbers each time
    yield ByFleet("least loaded", hosts, PlacementRule.LEAST_LOADED)
    yield ByFleet("fastest, published build servers", hosts, PlacementRule.FASTEST, tells=False)
    yield ByFleet("fastest", hosts, PlacementRule.FASTEST)


def lengths(random: Random, compiles: int) -> list[float]:
    """Seconds of compiles on a usual CPU: half are below five, one in a hundred is above eighty."""
    return [min(600.0, random.lognormvariate(1.6, 1.2)) for _ in range(compiles)]


def full(hosts: Sequence[Host], rule: Rule, work: Sequence[float]) -> Outcome:
    """More is wanted at any time than there are slots."""
    wanted = round(WANTED * sum(job_capacity(host.cpus) for host in hosts))
    farm = UnevenFarm(hosts, rule, work, at_a_time=wanted, home_cpus=max(1, wanted // FOR_HOME_CPU))
    return outcome(hosts, farm.run(), farm.done_at_last)


def coming(hosts: Sequence[Host], rule: Rule, work: Sequence[float], load: float, seed: int) -> Outcome:
    """Compiles come by themselves."""
    random = Random(seed)  # noqa: S311
    rate = load * sum(host.capacity for host in hosts) / (sum(work) / len(work))
    arrivals = list(accumulate(random.expovariate(rate) for _ in work))
    farm = UnevenFarm(hosts, rule, work, arrivals, home_cpus=max(1, round(rate / FOR_HOME_CPU)))
    return outcome(hosts, farm.run(), farm.done_at_last)


def outcome(hosts: Sequence[Host], jobs: Sequence[Simulated], done: float) -> Outcome:
    """The numbers of jobs that have all ended.

    :param done: the work that servers had done when the last of them was asked for.
    """
    capacity = sum(host.capacity for host in hosts)
    last = max(job.asked for job in jobs)
    least = max(sum(job.work for job in jobs) / capacity, last)
    took = [job.ended - job.asked for job in jobs]
    return Outcome(
        busy=done / (capacity * last) if last else 0.0,
        at_home=sum(job.at is None for job in jobs) / len(jobs),
        p50=percentile(took, 0.5),
        p99=percentile(took, 0.99),
        makespan=max(job.ended for job in jobs) / least,
    )


def _row(farm: str, rule: Rule, found: Outcome) -> str:
    columns = (
        farm,
        rule.name,
        f"{found.busy:.0%}",
        f"{found.at_home:.0%}",
        f"{found.p50:.1f} s",
        f"{found.p99:.0f} s",
        f"{found.makespan:.2f}",
    )
    return "\n".join(line.rstrip() for line in ("   * - " + "\n     - ".join(columns)).split("\n")) + "\n"


def main() -> None:
    """Simulate, print, and write the table."""
    parser = argparse.ArgumentParser(prog="python -m bench.uneven")
    parser.add_argument("--servers", type=int, default=1_000)
    parser.add_argument("--compiles", type=int, default=100_000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--into", type=Path, default=CHECKOUT / "doc" / "performance" / "uneven.rst")
    arguments = parser.parse_args()
    random = Random(arguments.seed)  # noqa: S311
    hosts = tuple(uneven_hosts(random, arguments.servers, CPUS))
    work, text = lengths(random, arguments.compiles), _TABLE_HEAD
    for load in (None, *LOADS):
        farm = "full" if load is None else f"{load:.0%} wanted"
        for rule in rules(hosts, arguments.seed):
            found = full(hosts, rule, work) if load is None else coming(hosts, rule, work, load, arguments.seed)
            sys.stdout.write(f"{farm}, {rule.name}: {found}\n")
            sys.stdout.flush()
            text += _row(farm, rule, found)
    arguments.into.write_text(text)


if __name__ == "__main__":
    main()
