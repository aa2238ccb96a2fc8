"""The queue: first come, first served within a client, in turns between clients."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sccachedist.budgets import Party
from sccachedist.errors import LimitExceeded
from sccachedist.scheduler.queue import Queue

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


def test_too_many() -> None:
    """One more than may wait is refused, and has taken nobody's place."""
    entered: Queue[str] = Queue(most=1)
    entered.enter(A, "A1")
    with pytest.raises(LimitExceeded, match="max_waiting"):
        entered.enter(B, "B1")
    assert order(entered) == ["A1"]
    entered.enter(B, "B1")
    assert len(entered) == 1


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
