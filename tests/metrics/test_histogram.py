"""Values by size."""

from math import inf

from hypothesis import given
from hypothesis import strategies as st

from sccachedist.metrics.histogram import Histogram

BOUNDS = (0.5, 1.0, 10.0)


@given(st.lists(st.one_of(st.floats(0, 20), st.sampled_from(BOUNDS))))
def test_buckets(values: list[float]) -> None:
    """Each bucket has all values up to its bound, that included."""
    histogram = Histogram(BOUNDS)
    for value in values:
        histogram.observe(value)
    assert list(histogram.buckets) == [(bound, sum(value <= bound for value in values)) for bound in (*BOUNDS, inf)]
    assert abs(histogram.sum - sum(values)) < 1e-6
