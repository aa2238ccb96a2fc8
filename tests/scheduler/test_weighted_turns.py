"""Turns by weight: each client that waits has its part of them, to less than one turn."""

from collections import Counter
from itertools import combinations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sccachedist.scheduler.weighted_turns import WeightedTurns

#: Small and large ones, and such as have no exact fractions.
WEIGHTS = st.sampled_from([0.01, 0.1, 0.5, 1.0, 1.0, 1.0, 2.0, 3.0, 7.3, 100.0])


def entered(*weights: float) -> WeightedTurns:
    """Clients ``A``, ``B`` and so on that wait."""
    turns = WeightedTurns()
    for name, weight in zip("ABCDEFGH", weights, strict=False):
        turns.enter(name, weight)
    return turns


def taken(turns: WeightedTurns, weights: tuple[float, ...], count: int) -> str:
    """Who has the next turns, if all go on waiting."""
    order = ""
    for _ in range(count):
        name = turns.first(Counter(), most=64)
        assert name is not None
        turns.take(name, weights["ABCDEFGH".index(name)])
        order += name
    return order


@pytest.mark.parametrize(
    ("weights", "order"),
    [
        ((1, 1, 1), "ABCABC"),
        ((1, 3), "BABBBABBBABB"),
        ((3, 1, 1), "ABACAABACA"),
        ((2, 1), "ABAABAABA"),
        ((10, *(1 for _ in range(5))), "ABAACAADAAEAAFA"),
    ],
)
def test_order(weights: tuple[float, ...], order: str) -> None:
    """A heavy client has its turns between those of light ones, not all in a row."""
    assert taken(entered(*weights), weights, len(order)) == order


@given(st.lists(WEIGHTS, min_size=1, max_size=8), st.integers(1, 300))
def test_never_a_whole_turn_off(weights: list[float], count: int) -> None:
    """Whenever one looks, each client that waited all along has had its part, to less than one turn."""
    order = taken(entered(*weights), tuple(weights), count)
    for name, weight in zip("ABCDEFGH", weights, strict=False):
        part = weight / sum(weights)
        assert all(abs(order[:end].count(name) - part * end) < 1 for end in range(count + 1))


@given(st.tuples(WEIGHTS, WEIGHTS), st.integers(1, 100))
def test_any_window_of_two(weights: tuple[float, float], count: int) -> None:
    """Between any two moments, each of two clients has had its part, to less than one turn."""
    order, part = taken(entered(*weights), weights, count), weights[0] / sum(weights)
    for begin, end in combinations(range(count + 1), 2):
        assert abs(order[begin:end].count("A") - part * (end - begin)) < 1


def test_who_comes_and_who_goes() -> None:
    """Who comes is last of its weight, and has missed nothing; who goes is forgotten."""
    turns = entered(1, 1, 3)
    assert taken(turns, (1, 1, 3), 4) == "CACB"
    turns.leave("A", 1)
    turns.enter("A", 1)
    assert taken(turns, (1, 1, 3), 5) == "CCBCA"
    for name, weight in (("A", 1), ("B", 1), ("C", 3)):
        turns.leave(name, weight)
    assert not turns
    assert turns.first(Counter(), most=64) is None


def test_who_was_there_is_first() -> None:
    """One that could not go on for a while comes before all others of its weight."""
    turns = entered(1, 1, 1)
    turns.leave("C", 1)
    turns.enter("C", 1, first=True)
    assert taken(turns, (1, 1, 1), 4) == "CABC"


def test_it_has_not_saved_turns() -> None:
    """One that could not go on is not given the turns that it has missed."""
    turns = entered(1, 1, 3)
    turns.leave("A", 1)
    taken(turns, (1, 1, 3), 40)
    turns.enter("A", 1, first=True)
    assert taken(turns, (1, 1, 3), 20).count("A") in (4, 5)


def test_all_of_a_weight_cannot_go_on() -> None:
    """Then those of other weights are asked, and none of them is twice."""
    turns, refused = entered(3, 3, 1), Counter[float]()
    asked = []
    while (name := turns.first(refused, most=64)) is not None:
        weight = (3, 3, 1)["ABC".index(name)]
        asked.append(name)
        turns.pass_over(name, weight)
        refused[weight] += 1
    assert asked == ["A", "B", "C"]
    assert turns.first(Counter({3: 1}), most=1) == "C"
