"""Requests that wait for different things, not all of which may be to be had."""

from itertools import count

from sccachedist.budgets import Party
from sccachedist.scheduler.queue import MOST_ASKED, Queue

ANN, BOB = Party("10.0.0.1"), Party("10.0.0.2")


def queue(*waiting: tuple[Party, str]) -> Queue[int]:
    """Tickets in this order, numbered from 0, each with what it is for."""
    entered: Queue[int] = Queue(most=1000)
    for number, (party, kind) in enumerate(waiting):
        entered.enter(party, number, kind)
    return entered


def served(entered: Queue[int], *kinds: str) -> list[int]:
    """The tickets whose turn it is as long as only this is to be had."""
    found: list[int] = []
    while (ticket := entered.next(fits=lambda _, kind: kind in kinds)) is not None:
        found.append(ticket)
    return found


def test_passed_over() -> None:
    """What cannot be had now is passed over and keeps its place; all that fits comes in its order."""
    entered = queue((ANN, "arm"), (ANN, "x86"), (ANN, "arm"), (ANN, "any"), (ANN, "x86"))
    assert served(entered, "x86", "any") == [1, 3, 4]
    assert served(entered, "x86") == []
    assert (len(entered), entered.oldest) == (2, 0)
    assert served(entered, "arm") == [0, 2]
    assert len(entered) == 0


def test_other_clients_go_on() -> None:
    """A client whose requests cannot be placed holds no other up."""
    entered = queue((ANN, "arm"), (BOB, "x86"), (ANN, "arm"), (BOB, "x86"))
    assert served(entered, "x86") == [1, 3]
    assert entered.waiting == {ANN: 2}


def test_first_come_first_served() -> None:
    """Of one address, the order is that in which the requests came, for all toolchains."""
    assert served(queue((ANN, "b"), (ANN, "a"), (ANN, "b"), (ANN, "a")), "a", "b") == [0, 1, 2, 3]


def test_leaves() -> None:
    """A request that is withdrawn is not served; one that was served already is not there to be withdrawn."""
    entered = queue((ANN, "arm"), (ANN, "x86"))
    entered.leave(ANN, 0, "arm")
    entered.leave(ANN, 0, "arm")
    entered.leave(ANN, 1, "arm")
    assert served(entered, "arm", "x86") == [1]
    entered.leave(ANN, 1, "x86")
    assert len(entered) == 0


def test_very_many_kinds() -> None:
    """A client that names very many toolchains costs a bounded number of looks."""
    asked, entered = count(), queue(*((ANN, f"kind {number}") for number in range(400)))
    assert entered.next(fits=lambda *_: next(asked) < 0) is None
    assert next(asked) == MOST_ASKED
    assert entered.dismiss() == 0
