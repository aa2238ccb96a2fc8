"""Which waiting request gets the next slot.

Clients have slots by their weights (:mod:`sccachedist.scheduler.weighted_turns`), the addresses of a client in turns,
the requests of an address first come, first served. Clients of the class *batch* get what no client of the class
*interactive* can have, and one slot in ten. A client that holds as many slots as it may hold waits for a job of its own
to end, though slots are free. With no weights, classes and maxima, all are served in turns.

One address of a client fills half of the queue at most (:mod:`sccachedist.budgets`): there is always room for others.

Pure: it knows who waits and in which order. It knows neither for what nor how a client is told.
"""

from collections import Counter, OrderedDict
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from itertools import islice
from operator import itemgetter
from typing import Generic, TypeVar

import attrs

from sccachedist.budgets import Budget, Party
from sccachedist.scheduler.standings import Standing, Standings
from sccachedist.scheduler.weighted_turns import WeightedTurns

T = TypeVar("T")

#: The most clients of one weight, and addresses of one client, that one call asks whether they may have their turn.
MOST_ASKED = 64
#: One slot in so many is for a batch client, if one waits.
BATCH_SHARE = 10
#: The standing of each party, if no client is named.
ALL_ALIKE = Standings({}).of


def is_full(standing: Standing, held: Callable[[str], int]) -> bool:
    """Whether a client holds as many slots as it may hold.

    :param held: how many a client holds, by :attr:`~sccachedist.scheduler.standings.Standing.client`.
    """
    return standing.max_slots is not None and held(standing.client) >= standing.max_slots


def is_over(standing: Standing, held: Callable[[str], int]) -> bool:
    """Whether a client holds more slots than it may hold."""
    return standing.max_slots is not None and held(standing.client) > standing.max_slots


@attrs.define(eq=False)
class _Line(Generic[T]):
    """The tickets of an address by what each is for, with numbers that grow from ticket to ticket."""

    kinds: dict[str, OrderedDict[T, int]] = attrs.field(factory=dict)
    _next: int = 0

    def __len__(self) -> int:
        return sum(map(len, self.kinds.values()))

    def add(self, ticket: T, kind: str) -> None:
        """Add one behind all others."""
        self.kinds.setdefault(kind, OrderedDict())[ticket] = self._next
        self._next += 1

    def has(self, ticket: T, kind: str) -> bool:
        """Whether a ticket is there."""
        return ticket in self.kinds.get(kind, ())

    def remove(self, ticket: T, kind: str) -> None:
        """Remove one that is there."""
        del self.kinds[kind][ticket]
        if not self.kinds[kind]:
            del self.kinds[kind]

    def first(self, fits: Callable[[str], bool]) -> tuple[T, str] | None:
        """The first ticket of all that fit, and what it is for; only so many kinds are asked for."""
        fitting = (kind for kind in islice(self.kinds, MOST_ASKED) if fits(kind))
        found = min(self._firsts(fitting), key=itemgetter(0), default=None)
        return None if found is None else found[1:]

    def _firsts(self, kinds: Iterable[str]) -> Iterator[tuple[int, T, str]]:
        for kind in kinds:
            ticket, number = next(iter(self.kinds[kind].items()))
            yield number, ticket, kind


@attrs.define(eq=False)
class _Waiting(Generic[T]):
    """A client that waits: the tickets of each of its addresses."""

    name: str
    standing: Standing
    tickets: OrderedDict[Party, _Line[T]] = attrs.field(factory=OrderedDict)

    def first(self, may: Callable[[Party], bool], fits: Callable[[Party, str], bool]) -> tuple[Party, T, str] | None:
        """A ticket of the first address that may have its turn. One that was asked is asked again after all others."""
        for _ in range(min(len(self.tickets), MOST_ASKED)):
            party = next(iter(self.tickets))
            self.tickets.move_to_end(party)
            if may(party) and (found := self.tickets[party].first(partial(fits, party))) is not None:
                return party, *found
        return None


class Queue(Generic[T]):
    """The tickets of clients that wait.

    :param most: how many tickets may wait at a time.
    :param standing: what a party counts for; asked when a client begins to wait, and by :meth:`renew`.
    """

    def __init__(self, most: int, standing: Callable[[Party], Standing] = ALL_ALIKE) -> None:
        self._places = Budget("queue.max_waiting", most + 1)  # a budget never gives its last piece
        self._standing = standing
        self._clients: dict[str, _Waiting[T]] = {}
        self._whose: dict[Party, _Waiting[T]] = {}
        self._interactive, self._batch = WeightedTurns(), WeightedTurns()
        self._full: set[str] = set()  # those without turns: they hold as many slots as they may hold
        self._since_batch = 0
        self._tickets: OrderedDict[T, tuple[Party, str]] = OrderedDict()

    def __len__(self) -> int:
        return self._places.used

    @property
    def is_crowded(self) -> bool:
        """Whether others wait than those that hold as many slots as they may hold."""
        return bool(self._interactive or self._batch)

    @property
    def waiting(self) -> dict[Party, int]:
        """How many tickets of each party wait."""
        return {party: len(client.tickets[party]) for party, client in self._whose.items()}

    def waiting_of(self, client: str) -> int:
        """How many tickets of a client wait.

        :param client: see :attr:`~sccachedist.scheduler.standings.Standing.client`.
        """
        return 0 if (found := self._clients.get(client)) is None else sum(map(len, found.tickets.values()))

    @property
    def oldest(self) -> T | None:
        """The ticket that has waited longest; None if none waits."""
        return next(iter(self._tickets), None)

    def enter(self, party: Party, ticket: T, kind: str = "") -> None:
        """Add a ticket behind the party's others.

        :param kind: what it is for, such as the name of a toolchain: not all may be to be had at the same time.
        :raises LimitExceeded: too many wait, or too many of this party.
        """
        self._places.take(party, 1)
        client = self._whose.get(party) or self._client(self._standing(party))
        self._whose[party] = client
        client.tickets.setdefault(party, _Line()).add(ticket, kind)
        self._tickets[ticket] = party, kind

    def leave(self, party: Party, ticket: T, kind: str = "") -> None:
        """Remove a ticket. Its turn may have come already; then it is not there."""
        client = self._whose.get(party)
        if client is not None and client.tickets[party].has(ticket, kind):
            self._remove(client, party, ticket, kind)

    def next(
        self,
        may: Callable[[Party], bool] = lambda _: True,
        held: Callable[[str], int] = lambda _: 0,
        fits: Callable[[Party, str], bool] = lambda *_: True,
    ) -> T | None:
        """Remove and return the ticket whose turn it is; None if none waits, or no client that was asked may go on.

        :param may: whether a party may have its turn now. One that may not is asked again after all others.
        :param held: how many slots a client holds. One that may hold no more is asked again after :meth:`recall`.
        :param fits: whether what a ticket of a party is for is to be had now.
        """
        is_batch = self._since_batch + 1 >= BATCH_SHARE
        for of_batch in (is_batch, not is_batch):
            found = self._next_of(self._batch if of_batch else self._interactive, may, held, fits)
            if found is not None:
                self._since_batch = 0 if of_batch else self._since_batch + 1
                return found
        return None

    def recall(self, party: Party) -> None:
        """Note that a job of a party has ended: its client may perhaps hold one more slot."""
        if self._full:
            self._recall(self._whose.get(party) or self._clients.get(self._standing(party).client))

    def renew(self) -> None:
        """Ask for all standings again, because they have changed."""
        for client in self._clients.values():
            self._recall(client)
            was, client.standing = client.standing, self._standing(next(iter(client.tickets)))
            self._turns(was).leave(client.name, was.weight)
            self._turns(client.standing).enter(client.name, client.standing.weight)

    def dismiss(self) -> T | None:
        """Remove and return the ticket that has waited longest; None if none waits."""
        if (ticket := self.oldest) is not None:
            party, kind = self._tickets[ticket]
            self._remove(self._whose[party], party, ticket, kind)
        return ticket

    def _next_of(
        self,
        turns: WeightedTurns,
        may: Callable[[Party], bool],
        held: Callable[[str], int],
        fits: Callable[[Party, str], bool],
    ) -> T | None:
        refused: Counter[float] = Counter()
        while (name := turns.first(refused, MOST_ASKED)) is not None:
            client = self._clients[name]
            weight = client.standing.weight
            if is_full(client.standing, held):
                turns.leave(name, weight)
                self._full.add(name)
            elif (first := client.first(may, fits)) is None:
                turns.pass_over(name, weight)
                refused[weight] += 1
            else:
                turns.take(name, weight)
                self._remove(client, *first)
                return first[1]
        return None

    def hold_at_most(self, most: int) -> None:
        """Let no more wait than so many; those that wait may stay."""
        self._places.total = most + 1

    def _turns(self, standing: Standing) -> WeightedTurns:
        return self._batch if standing.is_batch else self._interactive

    def _client(self, standing: Standing) -> _Waiting[T]:
        """The client with this standing; if it did not wait, it does now."""
        client = self._clients.get(standing.client)
        if client is None:
            client = self._clients[standing.client] = _Waiting(standing.client, standing)
            self._turns(standing).enter(standing.client, standing.weight)
        return client

    def _recall(self, client: _Waiting[T] | None) -> None:
        if client is not None and client.name in self._full:
            self._full.remove(client.name)
            self._turns(client.standing).enter(client.name, client.standing.weight, first=True)

    def _remove(self, client: _Waiting[T], party: Party, ticket: T, kind: str) -> None:
        client.tickets[party].remove(ticket, kind)
        del self._tickets[ticket]
        self._places.give_back(party, 1)
        if not client.tickets[party]:
            del client.tickets[party], self._whose[party]
        if not client.tickets:
            del self._clients[client.name]
            if client.name in self._full:
                self._full.remove(client.name)
            else:
                self._turns(client.standing).leave(client.name, client.standing.weight)
