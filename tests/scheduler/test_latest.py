"""The latest of some numbers, with their median and spread."""

import statistics

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sccachedist.scheduler.latest import Latest

NUMBERS = st.lists(st.floats(-100, 100), min_size=1, max_size=40)


@given(NUMBERS, st.integers(1, 10))
def test_median_of_the_latest(numbers: list[float], most: int) -> None:
    """It is that of the last numbers alone; equal ones do not confuse it."""
    found = Latest(most)
    for number in numbers:
        found.add(number)
    assert len(found) == min(most, len(numbers))
    assert found.median == statistics.median_high(numbers[-most:])
    assert found.spread >= 0


def test_spread() -> None:
    """It is about the standard deviation, and one that lies far out does not count."""
    found = Latest(1000)
    for number in statistics.NormalDist(3.0, 2.0).samples(999, seed=1):
        found.add(number)
    assert found.spread == pytest.approx(2.0, rel=0.1)
    found.add(1e9)
    assert found.spread == pytest.approx(2.0, rel=0.1)
