"""The queue of named clients: weights, addresses, classes and maxima."""

from collections import Counter, OrderedDict
from collections.abc import Callable

import attrs
from hypothesis import assume, given
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from sccachedist.auth.clients import account_of
from sccachedist.budgets import Party
from sccachedist.scheduler.queue import BATCH_SHARE, Queue
from sccachedist.scheduler.standings import Standing


@attrs.define
class Clients:
    """What the clients' file says; a test may change it."""

    standings: dict[str, Standing]

    @classmethod
    def of(cls, **clients: Standing) -> "Clients":
        return cls({name: attrs.evolve(standing, client=name) for name, standing in clients.items()})

    def standing(self, party: Party) -> Standing:
        return self.standings.get(account_of(party)) or Standing(party)


def client(weight: float = 1.0, max_slots: int | None = None, *, batch: bool = False) -> Standing:
    return Standing("", weight, max_slots, batch)


def queue(clients: Clients, *entries: str) -> Queue[str]:
    """Tickets such as ``ann@1 x``, entered in this order by the parties that they begin with."""
    entered: Queue[str] = Queue(1000, clients.standing)
    for ticket in entries:
        entered.enter(Party(ticket.split()[0]), ticket)
    return entered


def names(entered: Queue[str], count: int, **held: int) -> str:
    """The first letters of those who have the next turns."""
    found = (entered.next(held=lambda name: held.get(name, 0)) for _ in range(count))
    return "".join("-" if ticket is None else ticket[0] for ticket in found)


def many(party: str, count: int) -> list[str]:
    return [f"{party} {number}" for number in range(count)]


def test_weights() -> None:
    """A client of weight 3 has three slots to one of another client; one without a name has the weight 1."""
    entered = queue(Clients.of(ann=client(3)), *many("ann@1", 30), *many("#b@1", 30))
    assert Counter(names(entered, 40)) == {"a": 30, "#": 10}


def test_the_addresses_of_a_client() -> None:
    """A client has one part at however many addresses, and they have it in turns; nameless ones have one each."""
    clients = Clients.of(ann=client())
    named = queue(clients, *many("ann@1", 9), *many("ann@2", 2), *many("bob@1", 9))
    assert [named.next() for _ in range(8)] == [
        *("ann@1 0", "bob@1 0", "ann@2 0", "bob@1 1", "ann@1 1", "bob@1 2", "ann@2 1", "bob@1 3")
    ]
    nameless = queue(clients, *many("#a@1", 9), *many("#a@2", 2), *many("#b@1", 9))
    assert [nameless.next() for _ in range(4)] == ["#a@1 0", "#a@2 0", "#b@1 0", "#a@1 1"]


def test_an_address_may_not() -> None:
    """Then another one of the client has its turn."""
    entered = queue(Clients.of(ann=client()), "ann@1 x", "ann@2 x", "bob@1 x")
    assert entered.next(lambda party: party != "ann@1") == "ann@2 x"
    assert entered.next(lambda party: party != "ann@1") == "bob@1 x"
    assert entered.next(lambda party: party != "ann@1") is None
    assert entered.next() == "ann@1 x"


def test_batch() -> None:
    """It gets one slot in ten beside interactive clients, and all that they leave."""
    entered = queue(Clients.of(ci=client(batch=True)), *many("ci@1", 20), *many("ann@1", 20))
    order = names(entered, 40)
    assert order == 2 * ("a" * (BATCH_SHARE - 1) + "c") + "aa" + "c" * 18


def test_batch_gets_what_no_interactive_client_can_have() -> None:
    """One that is at its maximum, or may not now, does not keep batch clients waiting."""
    clients = Clients.of(ci=client(batch=True), ann=client(max_slots=2))
    assert names(queue(clients, *many("ann@1", 3), *many("ci@1", 3)), 4, ann=2) == "ccc-"
    entered = queue(clients, *many("bob@1", 3), *many("ci@1", 3))
    assert entered.next(lambda party: party == "ci@1") == "ci@1 0"


def test_weights_of_batch_clients() -> None:
    """They count among batch clients."""
    clients = Clients.of(ci=client(3, batch=True), nightly=client(1, batch=True))
    assert Counter(names(queue(clients, *many("ci@1", 9), *many("nightly@1", 9)), 12)) == {"c": 9, "n": 3}


def test_maximum() -> None:
    """A client at its maximum waits, and goes first when one of its jobs has ended; others do not wait for it."""
    clients = Clients.of(ann=client(max_slots=2))
    entered = queue(clients, *many("ann@1", 3), *many("bob@1", 3))
    assert names(entered, 2, ann=1) == "ab"
    assert entered.is_crowded
    assert names(entered, 3, ann=2) == "bb-"
    assert not entered.is_crowded
    assert entered.waiting == {"ann@1": 2}
    assert names(entered, 1, ann=1) == "-", "it is not looked at before it is recalled"
    entered.enter(Party("bob@1"), "bob@1 y")
    entered.recall(Party("bob@1"))
    entered.recall(Party("ann@7"))
    assert names(entered, 2, ann=1) == "ab"


def test_leaving_at_the_maximum() -> None:
    """A client that leaves is forgotten, and begins again like others."""
    entered = queue(Clients.of(ann=client(max_slots=1)), "ann@1 x")
    assert names(entered, 1, ann=1) == "-"
    entered.leave(Party("ann@1"), "ann@1 x")
    assert len(entered) == 0
    entered.recall(Party("ann@1"))
    entered.enter(Party("ann@1"), "ann@1 y")
    assert names(entered, 2) == "a-"


def test_all_are_dismissed() -> None:
    """Also those at their maximum."""
    entered = queue(Clients.of(ann=client(max_slots=1)), "ann@1 x", "bob@1 x", "ann@2 x", "ann@1 y")
    assert names(entered, 2, ann=1) == "b-"
    assert {entered.dismiss() for _ in range(3)} == {"ann@1 x", "ann@1 y", "ann@2 x"}
    assert entered.dismiss() is None
    assert len(entered) == 0


def test_other_standings() -> None:
    """Weights, classes and maxima that have changed hold for those who wait already."""
    clients = Clients.of(ann=client(max_slots=1), bob=client(), ci=client())
    entered = queue(clients, *many("ann@1", 20), *many("bob@1", 20), *many("ci@1", 20))
    assert names(entered, 3, ann=1) == "bcb"
    clients.standings = Clients.of(ann=client(3, max_slots=2), bob=client(), ci=client(batch=True)).standings
    entered.renew()
    assert Counter(names(entered, 10, ann=1)) == {"a": 7, "b": 2, "c": 1}


class _InTurns:
    """The queue as it was before there were names: in turns between parties."""

    def __init__(self) -> None:
        self.tickets: OrderedDict[Party, list[int]] = OrderedDict()

    def enter(self, party: Party, ticket: int) -> None:
        self.tickets.setdefault(party, []).append(ticket)

    def leave(self, party: Party, ticket: int) -> None:
        self.tickets[party].remove(ticket)
        if not self.tickets[party]:
            del self.tickets[party]

    def next(self, may: Callable[[Party], bool]) -> int | None:
        for _ in range(len(self.tickets)):
            party = next(iter(self.tickets))
            self.tickets.move_to_end(party)
            if may(party):
                ticket = self.tickets[party][0]
                self.leave(party, ticket)
                return ticket
        return None


PARTIES = st.sampled_from([Party(f"#{name}@1") for name in "ABCDE"])


@given(st.lists(st.one_of(PARTIES, st.sets(PARTIES), st.integers(0, 9))))
def test_equal_weights(steps: list[Party | set[Party] | int]) -> None:
    """Without weights, classes and maxima, all goes as it went before there were any.

    A party enters; a set has its turn, but for those in it, who may not go on; a number leaves.
    """
    entered: Queue[int] = Queue(1000)
    before, waiting = _InTurns(), dict[int, Party]()
    for ticket, step in enumerate(steps):
        if isinstance(step, str):
            entered.enter(step, ticket)
            before.enter(step, ticket)
            waiting[ticket] = step
        elif isinstance(step, set):
            found = entered.next(lambda party, absent=step: party not in absent)  # type: ignore[misc]
            assert found == before.next(lambda party, absent=step: party not in absent)  # type: ignore[misc]
            waiting.pop(-1 if found is None else found, None)
        elif step < len(waiting):
            left = sorted(waiting)[step]
            for each in (entered, before):
                each.leave(waiting[left], left)
            del waiting[left]
    assert len(entered) == len(waiting)


CLIENTS = Clients.of(
    ann=client(1),
    bob=client(3),
    cleo=client(2, max_slots=2),
    dan=client(0.5, max_slots=1),
    ci=client(2, batch=True),
    nightly=client(1, 2, batch=True),
)
NAMED = st.sampled_from([Party(f"{name}@{host}") for name in CLIENTS.standings for host in (1, 2)])
#: So many turns pass at most while a client waits that could go on, if its weight is 1.
MOST_TURNS = 90


class Walk(RuleBasedStateMachine):
    """Clients come, wait, hold slots, end their jobs and go away, on a farm that always has a slot."""

    def __init__(self) -> None:
        super().__init__()
        self.queue: Queue[int] = Queue(10_000, CLIENTS.standing)
        self.tickets: dict[int, Party] = {}
        self.held: Counter[str] = Counter()
        self.jobs: list[Party] = []
        self.patience: Counter[str] = Counter()
        self.number = 0

    @rule(party=NAMED, count=st.integers(1, 5))
    def requests(self, party: Party, count: int) -> None:
        for _ in range(count):
            self.number += 1
            self.tickets[self.number] = party
            self.queue.enter(party, self.number)

    @rule(index=st.integers(0, 20))
    def one_goes_away(self, index: int) -> None:
        assume(index < len(self.tickets))
        ticket = sorted(self.tickets)[index]
        self.queue.leave(self.tickets.pop(ticket), ticket)

    @rule(index=st.integers(0, 20))
    def a_job_ends(self, index: int) -> None:
        assume(index < len(self.jobs))
        party = self.jobs.pop(index)
        self.held[account_of(party)] -= 1
        self.queue.recall(party)

    @rule(count=st.integers(1, 30))
    def slots_come_free(self, count: int) -> None:
        for _ in range(count):
            can = {name for name in map(account_of, self.tickets.values()) if not self.is_full(name)}
            ticket = self.queue.next(held=lambda name: self.held[name])
            assert (ticket is None) == (not can), "all that can go on do"
            if ticket is None:
                return
            party = self.tickets.pop(ticket)
            name = account_of(party)
            assert all(other > ticket for other, its in self.tickets.items() if its == party), (
                "first come, first served"
            )
            assert not self.is_full(name)
            if CLIENTS.standings[name].is_batch:
                assert self.patience["batch"] >= BATCH_SHARE - 1 or not any(map(self.is_interactive, can))
                self.patience["batch"] = 0
            else:
                self.patience["batch"] += 1
            self.held[name] += 1
            self.jobs.append(party)
            for each in can:
                self.patience[each] = 0 if each == name else self.patience[each] + 1
                most = MOST_TURNS / CLIENTS.standings[each].weight * (1 if self.is_interactive(each) else BATCH_SHARE)
                assert self.patience[each] < most, "nobody waits for ever"

    def is_full(self, name: str) -> bool:
        most = CLIENTS.standings[name].max_slots
        return most is not None and self.held[name] >= most

    @staticmethod
    def is_interactive(name: str) -> bool:
        return not CLIENTS.standings[name].is_batch

    @invariant()
    def all_are_counted(self) -> None:
        assert len(self.queue) == len(self.tickets)
        assert self.queue.waiting == Counter(self.tickets.values())
        assert all(not self.is_full(name) or self.held[name] == CLIENTS.standings[name].max_slots for name in self.held)


TestWalk = Walk.TestCase
