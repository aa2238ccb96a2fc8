"""The queue: first come, first served within a client, in turns between clients."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sccachedist.budgets import Party
from sccachedist.errors import LimitExceeded
from sccachedist.scheduler.queue import MOST_ASKED, Queue

A, B, C = (Party(name) for name in "ABC")


def queue(*entries: str) -> Queue[str]:
    """Tickets such as ``A1``, entered in this order by the clients that they begin with."""
    entered: Queue[str] = Queue(most=100)
    for ticket in entries:
        entered.enter(Party(ticket[0]), ticket)
    return entered


def order(entered: Queue[str]) -> list[str]:
    """Whose turn it is, until nobody waits."""
    return [ticket for ticket in iter(entered.next, None) if ticket is not None]


@pytest.mark.parametrize(
    ("entries", "turns"),
    [
        ("", ""),
        ("A1 A2 A3", "A1 A2 A3"),
        ("A1 A2 A3 B1", "A1 B1 A2 A3"),
        ("A1 A2 B1 B2 C1", "A1 B1 C1 A2 B2"),
    ],
)
def test_turns(entries: str, turns: str) -> None:
    """Who wants much waits for itself, not others for it."""
    assert order(queue(*entries.split())) == turns.split()


def test_a_turn_ago() -> None:
    """Who has just had a turn comes behind those who have not, also when it enters again."""
    entered = queue("A1", "B1", "B2")
    assert entered.next() == "A1"
    entered.enter(A, "A2")
    assert order(entered) == ["B1", "A2", "B2"]


def test_leaving() -> None:
    """Who leaves is not called; who leaves after its turn, or twice, changes nothing."""
    entered = queue("A1", "A2", "B1")
    entered.leave(A, "A1")
    entered.leave(A, "A1")
    assert entered.next() == "A2"
    entered.leave(A, "A2")
    assert order(entered) == ["B1"]


def test_the_oldest() -> None:
    """The one that has waited longest, whosever turn it is; who is dismissed goes in this order."""
    entered = queue("A1", "B1", "A2", "C1")
    assert (entered.oldest, entered.next(), entered.oldest) == ("A1", "A1", "B1")
    assert (entered.waiting_of("A"), entered.waiting_of("D")) == (1, 0)
    assert [entered.dismiss() for _ in range(4)] == ["B1", "A2", "C1", None]
    assert entered.oldest is None


def test_too_many() -> None:
    """One more than may wait is refused, and has taken nobody's place."""
    entered: Queue[str] = Queue(most=1)
    entered.enter(A, "A1")
    with pytest.raises(LimitExceeded, match="max_waiting"):
        entered.enter(B, "B1")
    assert order(entered) == ["A1"]
    entered.enter(B, "B1")
    assert len(entered) == 1


def test_one_client_does_not_fill_it() -> None:
    """It has half of the places at most; however many fill the others, all are places that there are."""
    entered: Queue[str] = Queue(most=10)
    for client, places in (("A", 5), ("B", 3), ("C", 1), ("D", 1), ("E", 0)):
        for number in range(places):
            entered.enter(Party(client), f"{client}{number}")
        with pytest.raises(LimitExceeded, match="max_waiting"):
            entered.enter(Party(client), "one too many")
    assert (len(entered), order(entered)[:4]) == (10, ["A0", "B0", "C0", "D0"])


def test_some_may_not() -> None:
    """Who may not have its turn is passed over, comes after the others, and keeps its place among its own."""
    entered = queue("A1", "A2", "B1", "C1")
    assert entered.next(lambda client: client == B) == "B1"
    assert entered.next(lambda client: client == B) is None
    assert order(entered) == ["C1", "A1", "A2"]


def test_some_of_very_many_may_not() -> None:
    """Not all are asked at a time; who may has its turn before long all the same."""
    entered: Queue[str] = Queue(most=1000)
    for number in range(3 * MOST_ASKED):
        entered.enter(Party(str(number)), str(number))
    last = str(3 * MOST_ASKED - 1)
    asked: list[Party] = []

    def may(client: Party) -> bool:
        asked.append(client)
        return client == last

    assert [entered.next(may) for _ in range(4)] == [None, None, last, None]
    assert len(asked) == 4 * MOST_ASKED


@given(st.lists(st.sampled_from(["enter A", "enter B", "enter C", "leave", "next"])))
def test_every_history(steps: list[str]) -> None:
    """Nobody is lost, called twice, or overtaken by a later ticket of the same client."""
    entered: Queue[int] = Queue(most=100)
    waiting: dict[int, Party] = {}
    for ticket, step in enumerate(steps):
        if step.startswith("enter"):
            waiting[ticket] = Party(step[-1])
            entered.enter(waiting[ticket], ticket)
        elif step == "leave" and waiting:
            left = max(waiting)
            entered.leave(waiting.pop(left), left)
        elif step == "next":
            called = entered.next()
            assert (called is None) == (not waiting)
            if called is not None:
                client = waiting.pop(called)
                assert all(called < other for other, whose in waiting.items() if whose == client)
        assert len(entered) == len(waiting)


def test_who_waits() -> None:
    """It tells how many tickets of each client wait, and nothing of a client whose tickets are gone."""
    entered = queue("A1", "A2", "B1")
    assert entered.waiting == {A: 2, B: 1}
    entered.leave(B, "B1")
    assert entered.waiting == {A: 2}


def test_fewer_places() -> None:
    """Those that wait may stay when fewer may; no other comes until there is room again."""
    entered = queue("A1", "B1", "C1")
    entered.hold_at_most(2)
    with pytest.raises(LimitExceeded):
        entered.enter(A, "A2")
    assert order(entered) == ["A1", "B1", "C1"]
    entered.enter(A, "A2")
    assert order(entered) == ["A2"]
