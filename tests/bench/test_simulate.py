"""Farms in simulated time: what the policies make of the same load."""

import attrs
import pytest

from bench.simulate import Scenario, scenarios, simulate
from bench.simulated import OURS, PUBLISHED, Policy

ROOM, FULL = scenarios(servers=40, clients=50, compiles=400)


@pytest.mark.parametrize("policy", [PUBLISHED, OURS], ids=lambda policy: policy.name)
def test_a_farm_with_room(policy: Policy) -> None:
    """Nothing is compiled locally, and the same load gives the same numbers again."""
    roomy = attrs.evolve(ROOM, cpus=(64,) * 40)
    found = simulate(roomy, policy, seed=3)
    assert found.remote == 1
    assert found == simulate(roomy, policy, seed=3)


def test_a_server_that_has_the_toolchain() -> None:
    """Ours uploads toolchains to fewer servers."""
    roomy = Scenario("roomy", (16,) * 40, (2,) * 20, 600, 60)
    assert simulate(roomy, OURS, seed=3).uploaded < simulate(roomy, PUBLISHED, seed=3).uploaded / 3


def test_a_full_farm() -> None:
    """Ours lets clients wait for slots, so that more is compiled there, and slots do not idle."""
    full = Scenario("full", (2,) * 40, FULL.clients, FULL.compiles, FULL.arrival_secs)
    ours, published = simulate(full, OURS, seed=3), simulate(full, PUBLISHED, seed=3)
    assert ours.remote > published.remote
    assert ours.busy > published.busy


def test_shares() -> None:
    """What is a share is one, and no client is quicker than its own compiles."""
    found = simulate(FULL, OURS, seed=3)
    assert 0 < found.busy <= 1
    assert 0 < found.fairness <= 1
    assert found.slowest >= 1
