"""One budget of slots over several gateways: no slot is promised twice, none is idle while a gateway has a job."""

from collections import Counter

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule, run_state_machine_as_test

from sccachedist.worker.slots import GatewayPlace, PlaceState, SlotBudget


def slots_of(most: int, *gateways: str) -> SlotBudget[str]:
    slots: SlotBudget[str] = SlotBudget(most)
    for gateway in gateways:
        slots.join(gateway)
    return slots


def numbers(places: tuple[GatewayPlace[str], ...]) -> Counter[str]:
    return Counter(place.gateway for place in places)


def test_each_gateway_is_asked_for_each_free_slot() -> None:
    """With two gateways and three slots, six places are open; once they are, no more."""
    slots = slots_of(3, "one", "two")
    opened = slots.to_open()
    assert numbers(opened) == {"one": 3, "two": 3}
    assert slots.is_asking
    assert len(set(opened)) == 6
    assert slots.to_open() == slots.to_withdraw() == ()


def test_a_job_takes_a_slot_of_all() -> None:
    """When a job comes, one place is withdrawn at each other gateway, and the gateway itself keeps the rest."""
    slots = slots_of(2, "one", "two")
    opened = slots.to_open()
    assert slots.take(opened[0])
    withdrawn = slots.to_withdraw()
    assert numbers(withdrawn) == {"two": 1}
    assert [slots.is_open(place) for place in opened] == [False, True, True, False]
    assert not slots.is_open(GatewayPlace("one", 99))
    assert slots.to_open() == ()
    slots.end(withdrawn[0])
    assert slots.to_open() == ()


def test_a_host_with_other_work() -> None:
    """For a while, fewer jobs are wanted than there are slots: the places that are too many are withdrawn."""
    slots = slots_of(3, "one")
    first, *_ = slots.to_open()
    slots.spare = 1
    assert (slots.offered, numbers(slots.to_withdraw())) == (1, {"one": 2})
    assert slots.take(first)
    assert slots.to_open() == ()
    slots.spare = 9
    assert slots.offered == 3
    slots.closed = "it is drained"
    assert slots.offered == 0


def test_two_at_once() -> None:
    """Of two jobs for the last slot, the second is declined, also at a place that is being withdrawn."""
    slots = slots_of(1, "one", "two")
    first, second = slots.to_open()
    assert slots.take(first)
    assert slots.to_withdraw() == (second,)
    assert not slots.is_asking
    assert not slots.take(second)
    assert not slots.is_idle
    slots.end(second)
    slots.end(first)
    assert slots.is_idle
    assert numbers(slots.to_open()) == {"one": 1, "two": 1}


def test_an_answer_takes_no_slot() -> None:
    """While an answer is on its way, the next job may come; as many answers as slots, and no more."""
    slots = slots_of(1, "one")
    answering = []
    for _ in range(2):
        (place,) = slots.to_open()
        assert slots.take(place)
        slots.ran(place)
        answering.append(place)
    assert slots.to_open() == ()
    assert slots.counts == {PlaceState.ANSWERING: 2}
    slots.end(answering[0])
    assert len(slots.to_open()) == 1


def test_one_place() -> None:
    """One may be opened at a gateway by itself, if there is to be one."""
    slots = slots_of(2, "one", "two")
    assert slots.to_open_at("one") == GatewayPlace("one", 1)
    assert slots.to_open_at("one") == GatewayPlace("one", 2)
    assert slots.to_open_at("one") is None
    assert numbers(slots.to_open()) == {"two": 2}


def test_closed() -> None:
    """A worker that wants no jobs withdraws its places; a job that comes all the same is declined."""
    slots = slots_of(1, "one")
    (place,) = slots.to_open()
    slots.closed = "drained"
    assert (slots.offered, slots.free) == (0, 0)
    assert slots.to_withdraw() == (place,)
    assert not slots.take(place)
    slots.end(place)
    slots.closed = ""
    assert len(slots.to_open()) == 1


def test_a_withdrawn_place_still_counts_at_its_gateway() -> None:
    """A gateway is asked for no more places than there are slots, withdrawn ones included."""
    slots = slots_of(1, "one")
    (place,) = slots.to_open()
    slots.closed = "drained"
    slots.to_withdraw()
    slots.closed = ""
    assert slots.to_open() == ()
    slots.end(place)
    assert len(slots.to_open()) == 1


def test_a_gateway_that_is_lost() -> None:
    """Its jobs free their slots at once; to forget one of its places later has no effect."""
    slots = slots_of(1, "one", "two")
    first, second = slots.to_open()
    slots.take(first)
    slots.end(second)
    slots.to_withdraw()
    slots.leave("one")
    slots.leave("one")
    slots.end(first)
    assert numbers(slots.to_open()) == {"two": 1}


class Walk(RuleBasedStateMachine):
    """Two gateways that give jobs as they like, and a worker that follows its slots."""

    def __init__(self) -> None:
        super().__init__()
        self.slots: SlotBudget[str] = SlotBudget(2)
        self.polls: list[GatewayPlace[str]] = []
        self.jobs: list[GatewayPlace[str]] = []
        self.answers: list[GatewayPlace[str]] = []
        self.joined: set[str] = set()

    def follow(self) -> None:
        self.slots.to_withdraw()
        self.polls += self.slots.to_open()

    @rule(gateway=st.sampled_from(["one", "two"]))
    def come_or_go(self, gateway: str) -> None:
        if gateway in self.joined:
            self.slots.leave(gateway)
            for places in (self.polls, self.jobs, self.answers):
                places[:] = [place for place in places if place.gateway != gateway]
        else:
            self.slots.join(gateway)
        self.joined ^= {gateway}
        self.follow()

    @rule(most=st.integers(1, 4), closed=st.sampled_from(["", "drained"]))
    def change(self, most: int, closed: str) -> None:
        self.slots.most, self.slots.closed = most, closed
        self.follow()

    @precondition(lambda self: self.polls)
    @rule(pick=st.integers(0), comes=st.booleans())
    def answer_a_poll(self, pick: int, comes: bool) -> None:
        place = self.polls.pop(pick % len(self.polls))
        if comes and self.slots.take(place):
            self.jobs.append(place)
            self.follow()
        else:
            self.slots.end(place)
            self.follow()

    @precondition(lambda self: self.jobs)
    @rule(pick=st.integers(0))
    def end_a_job(self, pick: int) -> None:
        place = self.jobs.pop(pick % len(self.jobs))
        self.slots.ran(place)
        self.answers.append(place)
        self.follow()

    @precondition(lambda self: self.jobs and self.joined)
    @rule(pick=st.integers(0), at=st.integers(0))
    def end_a_job_and_ask_for_the_next(self, pick: int, at: int) -> None:
        place = self.jobs.pop(pick % len(self.jobs))
        self.slots.ran(place)
        self.answers.append(place)
        if (opened := self.slots.to_open_at(sorted(self.joined)[at % len(self.joined)])) is not None:
            self.polls.append(opened)
        self.follow()

    @precondition(lambda self: self.answers)
    @rule(pick=st.integers(0))
    def end_an_answer(self, pick: int) -> None:
        self.slots.end(self.answers.pop(pick % len(self.answers)))
        self.follow()

    @invariant()
    def counts_hold(self) -> None:
        """Each place is known once; each gateway has a place open for each free slot, and never too many."""
        counts = self.slots.counts
        assert counts[PlaceState.RUNNING] == len(self.jobs)
        assert counts[PlaceState.ANSWERING] == len(self.answers)
        assert counts[PlaceState.OPEN] + counts[PlaceState.WITHDRAWN] == len(self.polls)
        for gateway in self.joined:
            known = [place.number for place in (*self.polls, *self.jobs, *self.answers) if place.gateway == gateway]
            assert sorted(self.slots.numbers(gateway)) == sorted(known)
            assert self.slots.last_number(gateway) >= max(known, default=0)
            here = numbers(tuple(self.polls))[gateway]
            assert here >= min(self.slots.free, self.slots.most)


def test_a_walk() -> None:
    """All may come in any order: the counts hold."""
    run_state_machine_as_test(Walk, settings=settings(max_examples=30, stateful_step_count=30, deadline=None))


@pytest.mark.parametrize("most", [1, 3])
def test_to_the_last_slot(most: int) -> None:
    """As many jobs are taken as there are slots."""
    slots = slots_of(most, "one", "two")
    assert sum(map(slots.take, slots.to_open())) == most
