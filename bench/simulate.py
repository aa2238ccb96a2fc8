"""``python -m bench.simulate``: the scheduling of a large farm under the published policy and ours, as a table.

10,000 build servers, 1,000 clients and 100,000 compiles on the real scheduler core, in simulated time.
"""

import argparse
import statistics
import sys
from collections.abc import Sequence
from pathlib import Path
from random import Random

import attrs

from bench.quantities import percentile
from bench.simulated import OURS, PUBLISHED, Compile, Policy, SimulatedFarm, demands
from bench.simulated_shares import beside_batch, weighted_fairness
from farmkit.launch import CHECKOUT

_TABLE_HEAD = """\
.. list-table::
   :header-rows: 1

   * - Farm
     - Policy
     - Busy slots
     - Remote
     - Wait p50
     - Wait p99
     - Slowest client
     - Fairness
     - Uploads
"""
#: Busy slots are counted until this share of the compiles has ended: the last compiles end one by one.
_BUSY_UNTIL = 0.8


@attrs.frozen
class Scenario:
    """A farm and its clients.

    :param cpus: of each build server.
    :param clients: for each client, how many compiles it does at a time.
    :param arrival_secs: the time within which all clients begin.
    """

    name: str
    cpus: tuple[int, ...]
    clients: tuple[int, ...]
    compiles: int
    arrival_secs: float


@attrs.frozen
class Outcome:
    """What a scenario gave under a policy; times in seconds, shares of 1.

    :param busy: the share of slots in which a compile ran, from the first allocation until most compiles had ended.
    :param remote: the share of compiles that ran on a build server.
    :param slowest: the longest build, as a multiple of what its client would need without any wait.
    :param fairness: Jain's index of the clients' builds in that measure: 1 means that all are equal.
    :param uploaded: bytes.
    """

    busy: float
    remote: float
    wait_p50: float
    wait_p99: float
    slowest: float
    fairness: float
    uploaded: int


def scenarios(servers: int, clients: int, compiles: int) -> tuple[Scenario, ...]:
    """A farm with room for every client, and one in which a few greedy clients want as much as all others."""
    greedy = clients // 50
    crowd = (500,) * greedy + (28,) * (clients - greedy)
    return (
        Scenario("room for all", (4,) * servers, (16,) * clients, compiles, 60),
        Scenario("fewer slots than wanted", (1,) * servers, crowd, compiles, 10),
    )


def simulate(scenario: Scenario, policy: Policy, seed: int) -> Outcome:
    """Run a scenario under a policy; the load is the same for each policy."""
    random = Random(seed)  # noqa: S311 - the same numbers each time
    load = tuple(demands(random, scenario.clients, scenario.compiles, scenario.arrival_secs))
    farm = SimulatedFarm(policy, scenario.cpus, load)
    farm.run()
    return outcome(farm.compiles, farm.capacity, farm.uploaded.total())


def outcome(compiles: Sequence[Compile], capacity: int, uploaded: int) -> Outcome:
    """The numbers of compiles that have all ended."""
    waits = [each.started - each.asked for each in compiles]
    slowdowns = _slowdowns(compiles)
    return Outcome(
        busy=_busy(compiles, capacity),
        remote=statistics.mean(each.is_remote for each in compiles),
        wait_p50=percentile(waits, 0.5),
        wait_p99=percentile(waits, 0.99),
        slowest=max(slowdowns),
        fairness=sum(slowdowns) ** 2 / (len(slowdowns) * sum(each**2 for each in slowdowns)),
        uploaded=uploaded,
    )


def _busy(compiles: Sequence[Compile], capacity: int) -> float:
    end = percentile((each.ended for each in compiles), _BUSY_UNTIL)
    begin = min(each.asked for each in compiles)
    remote = (each for each in compiles if each.is_remote)
    ran = sum(max(0.0, min(each.ended, end) - min(each.started, end)) for each in remote)
    return ran / (capacity * (end - begin))


def _slowdowns(compiles: Sequence[Compile]) -> list[float]:
    """The time of each client's build, as a multiple of what it takes without any wait."""
    builds: dict[str, list[Compile]] = {}
    for each in compiles:
        builds.setdefault(each.demand.client, []).append(each)
    return [_wall(build) / _ideal(build) for build in builds.values()]


def _wall(build: Sequence[Compile]) -> float:
    return max(each.ended for each in build) - min(each.asked for each in build)


def _ideal(build: Sequence[Compile]) -> float:
    seconds = [each.seconds for each in build]
    return max(max(seconds), sum(seconds) / build[0].demand.at_a_time)


def _row(scenario: Scenario, policy: Policy, found: Outcome) -> str:
    columns = (
        scenario.name if policy is PUBLISHED else "",
        policy.name,
        f"{found.busy:.0%}",
        f"{found.remote:.1%}",
        f"{found.wait_p50:.2f} s",
        f"{found.wait_p99:.1f} s",
        f"{found.slowest:.1f} times",
        f"{found.fairness:.2f}",
        f"{found.uploaded / 1e9:,.0f} GB",
    )
    return "\n".join(line.rstrip() for line in ("   * - " + "\n     - ".join(columns)).split("\n")) + "\n"


def main() -> None:
    """Simulate, print, and write the table."""
    parser = argparse.ArgumentParser(prog="python -m bench.simulate")
    parser.add_argument("--servers", type=int, default=10_000)
    parser.add_argument("--clients", type=int, default=1_000)
    parser.add_argument("--compiles", type=int, default=100_000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--into", type=Path, default=CHECKOUT / "doc" / "performance" / "simulation.rst")
    arguments = parser.parse_args()
    text = _TABLE_HEAD
    for scenario in scenarios(arguments.servers, arguments.clients, arguments.compiles):
        for policy in (PUBLISHED, OURS):
            found = simulate(scenario, policy, arguments.seed)
            sys.stdout.write(f"{scenario.name}, {policy.name}: {found}\n")
            text += _row(scenario, policy, found)
    arguments.into.write_text(text)
    fairness, beside = weighted_fairness(20, 12, 10_000, arguments.seed), beside_batch(100, 500, 200, arguments.seed)
    sys.stdout.write(f"weights: fairness {fairness:.3f}; batch: {beside}, which costs {beside.cost:.1%}\n")


if __name__ == "__main__":
    main()
