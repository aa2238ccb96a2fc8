"""Farms in simulated time: what clients of several weights have of a full one, and what a batch client costs others."""

import pytest

from bench.simulated_shares import beside_batch, jain, weighted_fairness


def test_jain() -> None:
    """One if all have the same, and little if one has nearly all."""
    assert jain([2.0, 2.0, 2.0]) == pytest.approx(1)
    assert jain([1.0, 0.0, 0.0, 0.0]) == pytest.approx(1 / 4)


def test_weights() -> None:
    """Slot-seconds are shared by weight: of compiles of all lengths, with uploads."""
    assert weighted_fairness(servers=10, clients=8, compiles=3000, seed=1) >= 0.95


def test_a_batch_client() -> None:
    """Two fifths of all demand: interactive clients have their objects hardly later, though the farm is full by it."""
    assert beside_batch(servers=20, clients=100, seconds=200, seed=1).cost <= 0.05
