"""Budgets: what many parties hold together is bounded, and a party that holds little does not notice the others."""

import pytest
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, consumes, invariant, rule

from sccachedist.budgets import Budget, Hold, Party
from sccachedist.errors import LimitExceeded

GREEDY, OTHER = Party("greedy"), Party("other")
TOTAL = 60


def filled(budget: Budget, party: Party) -> list[Hold]:
    """All that a party can get, one piece at a time."""
    holds = []
    while budget.has_room_for(party):
        holds.append(budget.open(party, 1))
    return holds


def test_one_party_gets_half() -> None:
    """The other half is for others, and the error names the key."""
    budget = Budget("spool_bytes", TOTAL)
    assert len(filled(budget, GREEDY)) == TOTAL // 2
    with pytest.raises(LimitExceeded, match=r"30 of 60 are in use, 30 by this client \(limit: spool_bytes\)") as caught:
        budget.open(GREEDY, 1)
    assert (caught.value.limit, budget.refused, budget.used) == ("spool_bytes", 1, 30)


def test_something_is_left_for_the_next() -> None:
    """However many take all they can get, a newcomer gets something too."""
    budget = Budget("spool_bytes", TOTAL)
    for number in range(4):
        assert filled(budget, Party(f"greedy {number}"))
    assert budget.open(OTHER, 1).amount == 1


def test_what_is_given_back_is_free_again() -> None:
    """By pieces or all at once; a second close is no error."""
    budget = Budget("spool_bytes", TOTAL)
    with budget.open(GREEDY, 20) as hold:
        hold.shrink(5)
        hold.grow(2)
        assert (budget.used, budget.held(GREEDY), hold.amount) == (17, 17, 17)
    hold.close()
    assert (budget.used, budget.held(GREEDY), hold.amount) == (0, 0, 0)
    assert repr(budget) == "<Budget spool_bytes: 0 of 60, 0 parties, 0 refused>"


def test_a_refused_piece_changes_nothing() -> None:
    """What was held before is still held."""
    budget = Budget("spool_bytes", TOTAL)
    hold = budget.open(GREEDY, 30)
    with pytest.raises(LimitExceeded):
        hold.grow(1)
    assert (budget.used, hold.amount) == (30, 30)


class Walk(RuleBasedStateMachine):
    """Parties take and give back in any order."""

    holds = Bundle("holds")

    def __init__(self) -> None:
        super().__init__()
        self.budget, self.open = Budget("spool_bytes", TOTAL), list[tuple[Party, Hold]]()

    @rule(target=holds, party=st.sampled_from([GREEDY, OTHER, Party("third")]), amount=st.integers(0, 40))
    def take(self, party: Party, amount: int) -> Hold:
        room = self.budget.has_room_for(party, amount)
        hold = Hold(self.budget, party)
        self.open.append((party, hold))
        try:
            hold.grow(amount)
        except LimitExceeded:
            assert not room
        else:
            assert room or not amount
        return hold

    @rule(hold=holds, amount=st.integers(0, 40))
    def shrink(self, hold: Hold, amount: int) -> None:
        hold.shrink(min(amount, hold.amount))

    @rule(hold=consumes(holds))
    def close(self, hold: Hold) -> None:
        hold.close()
        hold.close()

    @invariant()
    def adds_up(self) -> None:
        assert self.budget.used == sum(hold.amount for _, hold in self.open) <= TOTAL
        for party in (GREEDY, OTHER):
            held = sum(hold.amount for owner, hold in self.open if owner == party)
            assert self.budget.held(party) == held <= TOTAL // 2


TestWalk = Walk.TestCase
