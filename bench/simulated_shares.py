"""Fair shares of a full farm in simulated time: clients of several weights, and a batch client beside interactive ones.

All of it is pure; :mod:`bench.simulate` prints what comes of it.
"""

import statistics
from collections.abc import Sequence
from random import Random

import attrs

from bench.simulated import OURS, Compile, Demand, SimulatedFarm, demands
from sccachedist.budgets import Party

#: The weights of the clients, in turns.
WEIGHTS = (1.0, 2.0, 3.0, 4.0)
#: The part of all compiles that the batch client wants.
BATCH_DEMAND = 0.4
#: What the interactive clients want, as a part of what the farm can do.
INTERACTIVE_LOAD = 0.6
#: The mean length of a compile of :func:`bench.simulated.demands`.
MEAN_SECS = 10.2


@attrs.frozen
class Beside:
    """The seconds from a request of an interactive client to its object, on average: alone, and beside a batch one."""

    alone: float
    beside: float

    @property
    def cost(self) -> float:
        """How much longer it is beside it, as a part of what it is alone."""
        return self.beside / self.alone - 1


def weighted_fairness(servers: int, clients: int, compiles: int, seed: int) -> float:
    """Jain's index of the slot-seconds of clients, each divided by its weight, while all of them wait for slots.

    Each wants all slots of the farm at a time. The first one gets them, alone for a moment: so it is counted in the
    second half of that time.

    :param compiles: of all clients.
    """
    random = Random(seed)  # noqa: S311 - the same numbers each time
    slots = 5 * servers
    load = tuple(
        attrs.evolve(demand, weight=WEIGHTS[number % len(WEIGHTS)], arrives=0.0)
        for number, demand in enumerate(demands(random, (slots,) * clients, compiles, 1.0))
    )
    farm = SimulatedFarm(OURS, (4,) * servers, load)
    farm.run()
    return jain([seconds / demand.weight for demand, seconds in _slot_seconds(farm.compiles, load)])


def beside_batch(servers: int, clients: int, seconds: float, seed: int) -> Beside:
    """What a batch client costs that wants :data:`BATCH_DEMAND` of all compiles, and all slots at a time.

    The interactive clients come one after the other within ``seconds``, each with four compiles at a time.
    """
    random = Random(seed)  # noqa: S311 - the same numbers each time
    slots = 5 * servers
    compiles = int(INTERACTIVE_LOAD * slots * seconds / MEAN_SECS)
    interactive = tuple(demands(random, (4,) * clients, compiles, seconds))
    rest = int(compiles * BATCH_DEMAND / (1 - BATCH_DEMAND))
    (batch,) = (attrs.evolve(each, client=Party("batch"), is_batch=True) for each in demands(random, (slots,), rest, 1))
    return Beside(*(_mean_secs(servers, load) for load in (interactive, (*interactive, batch))))


def _mean_secs(servers: int, load: Sequence[Demand]) -> float:
    farm = SimulatedFarm(OURS, (4,) * servers, load)
    farm.run()
    return statistics.mean(each.ended - each.asked for each in farm.compiles if not each.demand.is_batch)


def jain(shares: Sequence[float]) -> float:
    """Jain's index: 1 if all are equal, 1/n if one has all."""
    return sum(shares) ** 2 / (len(shares) * sum(share**2 for share in shares))


def _slot_seconds(compiles: Sequence[Compile], load: Sequence[Demand]) -> list[tuple[Demand, float]]:
    """The slot-seconds of each client, in the second half of the time until one of them asks for its last compile."""
    end = min(max(each.asked for each in compiles if each.demand is demand) for demand in load)
    used = dict.fromkeys((demand.client for demand in load), 0.0)
    for each in compiles:
        if each.is_remote:
            used[each.demand.client] += max(0.0, min(each.ended, end) - max(each.started, end / 2))
    return [(demand, used[demand.client]) for demand in load]
