"""Seats: how many a party has, who is next, and that each one comes back."""

from collections.abc import Callable

import pytest
from twisted.internet.defer import CancelledError, Deferred

from farmkit.deferreds import outcome
from sccachedist.web.seats import Seats

Taking = Deferred[Callable[[], None]]


@pytest.fixture
def seats() -> Seats:
    return Seats(total=3, per_party=2)


def ask(seats: Seats, party: str) -> Taking:
    return Deferred.fromCoroutine(seats.take(party))


def leave(taking: Taking) -> None:
    outcome(taking)()


def test_shares(seats: Seats) -> None:
    """A party has no more than its part, and all together no more than there are."""
    greedy = [ask(seats, "a") for _ in range(4)]
    other = [ask(seats, "b") for _ in range(2)]
    assert [taking.called for taking in greedy + other] == [True, True, False, False, True, False]


def test_in_turn(seats: Seats) -> None:
    """A seat that comes free goes to the party that has waited longest for its turn, not to the one that asks most."""
    greedy, other = [ask(seats, "a") for _ in range(9)], [ask(seats, "b") for _ in range(3)]
    leave(greedy[0])
    leave(greedy[1])
    assert (sum(taking.called for taking in greedy), sum(taking.called for taking in other)) == (3, 2)


def test_given_up(seats: Seats) -> None:
    """One that waits and goes is passed over."""
    first, second, third, fourth = (ask(seats, "a") for _ in range(4))
    third.cancel()
    outcome(third.addErrback(lambda failure: failure.trap(CancelledError) and None))
    leave(first)
    assert fourth.called
    fifth = ask(seats, "a")
    fifth.cancel()
    fifth.addErrback(lambda _: None)
    leave(second)
    leave(fourth)
    assert all(ask(seats, party).called for party in "aab")
