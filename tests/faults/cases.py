"""What befalls schedulers, and what has the lock of their leader, in builds of 200 files, and the bar of each. Pure."""

import math
from collections.abc import Iterator

import attrs

from tests.faults.build import FILES, PARALLEL, Outcome
from tests.faults.schedule import Fault, Kind
from tests.faults.setups import STORE

#: What faults befall: the scheduler that leads when they are due, all schedulers one after the other, and what the
#: leader sends to the store, or to clients and what stands before schedulers.
LEADER, EACH, LEADER_TO_STORE, LEADER_TO_CLIENTS = "leader", "each", "leader to store", "leader to clients"

#: With published build servers, so many compiles may be local.
_PUBLISHED_GIVEN_BACK = 4


@attrs.frozen
class Case:
    """A build, and its bar.

    :param parallel: how many files are compiled at once; ``cpus``: what each build server offers, by default all.
    :param asked: the scheduler that is asked; by default, a balancer before them.
    :param given_back: how many compiles may be local, ``longest``: seconds that one may take, ``times``: how much
        longer than without faults the build may take.
    """

    faults: tuple[Fault, ...]
    parallel: int = PARALLEL
    cpus: int | None = None
    asked: str | None = None
    has_sentinel: bool = False
    given_back: int = 0
    longest: float = 10
    times: float = math.inf


@attrs.frozen
class Times:
    """What a build of a case took, in seconds.

    :param faultless: the same build without faults.
    :param rest: what it took then until all was at rest.
    """

    seconds: float
    faultless: float
    rest: float


def shortcomings(case: Case, outcome: Outcome, times: Times, *, is_published: bool) -> Iterator[str]:
    """What does not reach the bar.

    :param is_published: whether build servers are published ones.
    """
    yield from outcome.wrong
    yield from (f"too late: {fault}" for fault in outcome.late)
    most = max(case.given_back, _PUBLISHED_GIVEN_BACK * is_published)
    if outcome.given_back > most or outcome.remote < FILES - most:
        yield f"{most} may be given back"
    if outcome.longest > case.longest:
        yield f"a compile may take {case.longest} s"
    if times.seconds > case.times * times.faultless:
        yield f"it may take {case.times} times as long as without faults"


_KILLS = tuple(Fault(after, LEADER, Kind.KILL, 1.0) for after in (15, 45, 75, 105, 135))
_FULL = Case(_KILLS, parallel=24, cpus=1, longest=math.inf, times=5)
_SPLIT = Case((), given_back=2, longest=math.inf)
_STOPS = tuple(Fault(after, LEADER, Kind.STOP, 6.0) for after in (30, 110))

CASES = {
    "leader-killed": Case(_KILLS),
    "leader-killed-full": _FULL,
    "first-asked": Case(_KILLS, asked="scheduler-1"),
    "first-asked-full": attrs.evolve(_FULL, asked="scheduler-1"),
    "second-asked": Case(_KILLS, asked="scheduler-2"),
    "second-asked-full": attrs.evolve(_FULL, asked="scheduler-2"),
    "store-killed": Case((Fault(30, STORE, Kind.KILL, math.inf),)),
    "store-emptied": Case((Fault(30, STORE, Kind.LOSE, 2.0), Fault(100, STORE, Kind.LOSE, 2.0))),
    "store-stopped": Case((Fault(30, STORE, Kind.STOP, 3.0),)),
    "master-killed": Case((Fault(30, STORE, Kind.KILL, math.inf),), has_sentinel=True, longest=8),
    "leader-stopped": attrs.evolve(_SPLIT, faults=_STOPS),
    "leader-without-store": attrs.evolve(_SPLIT, faults=(Fault(30, LEADER_TO_STORE, Kind.PARTED, 6.0),)),
    "leader-without-clients": attrs.evolve(_SPLIT, faults=(Fault(30, LEADER_TO_CLIENTS, Kind.PARTED, 6.0),)),
    "rolling-update": Case((Fault(20, EACH, Kind.TERM, 0.0),), parallel=24, cpus=1, longest=math.inf),
}
