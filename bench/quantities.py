"""What a case measures: a quantity of both sides, round by round, and the bar that it has to pass. Pure."""

import statistics
from collections.abc import Callable, Iterable
from typing import TypeVar

import attrs

T = TypeVar("T")


@attrs.frozen
class Bar:
    """A limit for ours ÷ published, or for ours alone.

    :param reached: whether the value must reach the limit (more is better) or must not exceed it.
    """

    limit: float
    reached: bool = False
    of_ours: bool = False

    def holds(self, value: float, slack: float = 1.0) -> bool:
        """Whether a value passes; ``slack`` widens the limit."""
        return value >= self.limit / slack if self.reached else value <= self.limit * slack

    def __str__(self) -> str:
        return f"{'≥' if self.reached else '≤'} {self.limit:g}"


@attrs.frozen
class Quantity:
    """One row of the table: a value of each side for each round."""

    name: str
    unit: str
    published: tuple[float, ...]
    ours: tuple[float, ...]
    bar: Bar | None = None

    @property
    def value(self) -> float:
        """The value that the bar judges: the ratio of the medians, or our median."""
        ours = statistics.median(self.ours)
        if self.bar is not None and self.bar.of_ours:
            return ours
        return ours / statistics.median(self.published) if self.published else float("nan")

    def named(self, name: str) -> "Quantity":
        """The same quantity under another name."""
        return attrs.evolve(self, name=name)

    def passes(self, slack: float = 1.0) -> bool:
        """Whether it passes its bar; true if it has none."""
        return self.bar is None or self.bar.holds(self.value, slack)


def no_worse(row: Quantity) -> Quantity:
    """The row with a bar for another version of ours: 3 % worse at most. One without a bar for a ratio stays so."""
    if row.bar is None or row.bar.of_ours:
        return row
    return attrs.evolve(row, bar=Bar(0.97, reached=True) if row.bar.reached else Bar(1.03))


def percentile(values: Iterable[float], share: float) -> float:
    """The value below which a share of the values lies: 0.5 gives the median."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))]


@attrs.frozen
class Rounds:
    """The values of both sides, measured alternately."""

    published: tuple[dict[str, float], ...]
    ours: tuple[dict[str, float], ...]

    def quantity(self, name: str, unit: str, bar: Bar | None = None) -> Quantity:
        """One of the values of each round, as a row."""
        return Quantity(
            name, unit, tuple(each[name] for each in self.published), tuple(each[name] for each in self.ours), bar
        )


def by_turns(
    rounds: int, published: T, ours: T, measure: Callable[[T], dict[str, float]], *, warm_up: bool = True
) -> Rounds:
    """Measure published, ours, published, ours ... for ``rounds`` rounds. A first round to warm up is not kept."""
    for side in (published, ours) if warm_up else ():
        measure(side)
    turns = [(measure(published), measure(ours)) for _ in range(rounds)]
    return Rounds(tuple(turn[0] for turn in turns), tuple(turn[1] for turn in turns))
