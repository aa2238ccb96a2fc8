"""Schedules of faults: a seed's are always the same, and many seeds leave nothing out."""

from itertools import pairwise

import pytest

from tests.faults.build import FILES
from tests.faults.schedule import FEWEST, MOST, STOP_SECS, Fault, Kind, schedule
from tests.faults.setups import SETUPS

TARGETS = SETUPS["ours"].targets
SEEDS = range(1, 31)


def test_a_seed_gives_its_faults_again() -> None:
    """What is printed with a failed build is enough to repeat it."""
    assert schedule(2, TARGETS, FILES) == (
        Fault(64, "server-2", Kind.STOP, 5.0),
        Fault(92, "scheduler", Kind.KILL, 2.5),
        Fault(155, "server-2", Kind.TERM, 0.1),
    )


def test_seeds_differ() -> None:
    """No two of the suite's builds meet the same faults."""
    assert len({schedule(seed, TARGETS, FILES) for seed in SEEDS}) == len(SEEDS)


@pytest.mark.parametrize("setup", ["ours", "two_schedulers", "gateway"])
def test_the_suite_leaves_nothing_out(setup: str) -> None:
    """Every daemon meets every kind of fault in the thirty builds."""
    targets = SETUPS[setup].targets
    met = {(fault.target, fault.kind) for seed in SEEDS for fault in schedule(seed, targets, FILES)}
    assert met == {(target, kind) for target in targets for kind in targets[target]}


@pytest.mark.parametrize("setup", SETUPS)
@pytest.mark.parametrize("seed", SEEDS)
def test_a_schedule(seed: int, setup: str) -> None:
    """In order, within the build, of a few faults that the daemons bear and that end before anybody gives up."""
    targets = SETUPS[setup].targets
    faults = schedule(seed, targets, FILES)
    assert FEWEST <= len(faults) <= MOST
    assert all(earlier.after <= later.after for earlier, later in pairwise(faults))
    for fault in faults:
        assert 0 <= fault.after < FILES
        assert fault.kind in targets[fault.target]
        assert 0 <= fault.secs <= 6
        assert fault.kind is not Kind.STOP or fault.secs == STOP_SECS
