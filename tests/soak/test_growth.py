"""What counts as growth in a soak."""

from tests.soak.growth import beginning_and_end, grown


def test_warming_up_is_no_growth() -> None:
    """What is taken in the first rounds and kept is not held against a daemon."""
    assert grown([{"memory": value} for value in (10, 90, 100, 100, 100, 100, 100, 100, 100, 100)]) == {}


def test_slow_growth_is_seen() -> None:
    """A little in each round is more than 5 % in the end."""
    assert grown([{"memory": 100 + value, "files": 3} for value in range(20)]) == {"memory": (105.5, 117.5)}


def test_where_there_was_nothing_nothing_may_be() -> None:
    """One entry that stays is growth."""
    assert grown([{"jobs": 0}, {"jobs": 0}, {"jobs": 1}]) == {"jobs": (0, 1)}


def test_one_odd_reading_is_not_the_end() -> None:
    """The beginning and the end are medians of several readings."""
    readings = [{"memory": 100}] * 28 + [{"memory": 200}, {"memory": 100}]
    assert beginning_and_end(readings) == ({"memory": 100}, {"memory": 100})
