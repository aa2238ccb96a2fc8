"""What a benchmark says of numbers that were measured."""

import pytest

from bench.quantities import Bar, Quantity, by_turns, no_worse, percentile


def quantity(published: tuple[float, ...], ours: tuple[float, ...], bar: Bar | None = None) -> Quantity:
    return Quantity("wall time", "s", published, ours, bar)


def test_the_bar_is_about_the_ratio_of_the_medians() -> None:
    """One slow round of either side changes nothing."""
    row = quantity((2.0, 2.0, 90.0), (1.0, 1.0, 50.0), Bar(0.5))
    assert row.value == 0.5
    assert row.passes()


def test_a_bar_may_be_about_ours_alone() -> None:
    """How much memory an upload takes is not measured by what the published one wastes."""
    assert not quantity((500.0,), (33.0,), Bar(32, of_ours=True)).passes()


@pytest.mark.parametrize(("ours", "passes", "nearly"), [(1.3, True, True), (1.0, False, True), (0.8, False, False)])
def test_a_bar_that_has_to_be_reached(ours: float, passes: bool, nearly: bool) -> None:
    """A check forgives up to a half."""
    row = quantity((1.0,), (ours,), Bar(1.3, reached=True))
    assert row.passes() is passes
    assert row.passes(slack=1.5) is nearly


@pytest.mark.parametrize(
    ("bar", "ours", "passes"),
    [
        (Bar(0.5), 1.02, True),
        (Bar(2.0), 1.05, False),
        (Bar(1.3, reached=True), 0.98, True),
        (Bar(1, True), 0.95, False),
    ],
)
def test_another_version_of_ours_is_no_worse_by_three_percent(bar: Bar, ours: float, passes: bool) -> None:
    """Whatever the bar for the published daemons is."""
    assert no_worse(quantity((1.0,), (ours,), bar)).passes() is passes


def test_a_row_without_a_ratio_stays_as_it_is() -> None:
    """It is there for information, or its bar is about ours alone."""
    assert no_worse(quantity((1.0,), (9.0,))).passes()
    assert no_worse(quantity((), (1.2,), Bar(1.3, of_ours=True))).passes()


def test_rounds_alternate_and_the_first_turn_only_warms_up() -> None:
    """What else the machine does meets both sides alike."""
    turns: list[str] = []

    def measure(side: str) -> dict[str, float]:
        turns.append(side)
        return {"turn": len(turns)}

    rounds = by_turns(2, "published", "ours", measure)
    assert turns == ["published", "ours"] * 3
    assert rounds.quantity("turn", "").published == (3, 5)
    assert rounds.quantity("turn", "").ours == (4, 6)


def test_percentiles() -> None:
    """The 99th of a hundred values is the largest, the median the one in the middle."""
    values = range(1, 101)
    assert percentile(values, 0.99) == 100
    assert percentile(values, 0.5) == 51
