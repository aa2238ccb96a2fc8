"""Which waiting client gets the next slot: first come, first served within a client; in turns between clients.

One client fills half of the queue at most (:mod:`sccachedist.budgets`), so there is always room for others.

Pure: it knows who waits and in which order. It knows neither for what nor how a client is told.
"""

from collections import OrderedDict
from collections.abc import Callable
from typing import Generic, TypeVar

from sccachedist.budgets import Budget, Party

T = TypeVar("T")

#: The most clients that one call asks whether they may have their turn.
MOST_ASKED = 64


class Queue(Generic[T]):
    """The tickets of clients that wait.

    :param most: how many tickets may wait at a time.
    """

    def __init__(self, most: int) -> None:
        self._places = Budget("queue.max_waiting", most + 1)  # a budget never gives its last piece
        self._tickets: OrderedDict[Party, OrderedDict[T, None]] = OrderedDict()

    def __len__(self) -> int:
        return self._places.used

    @property
    def waiting(self) -> dict[Party, int]:
        """How many tickets of each client wait."""
        return {client: len(tickets) for client, tickets in self._tickets.items()}

    @property
    def firsts(self) -> list[T]:
        """The ticket of each client that has waited longest."""
        return [next(iter(tickets)) for tickets in self._tickets.values()]

    def enter(self, client: Party, ticket: T) -> None:
        """Add a ticket behind the client's others.

        :raises LimitExceeded: too many wait, or too many of this client.
        """
        self._places.take(client, 1)
        self._tickets.setdefault(client, OrderedDict())[ticket] = None

    def leave(self, client: Party, ticket: T) -> None:
        """Remove a ticket. Its turn may have come already; then it is not there."""
        mine = self._tickets.get(client, OrderedDict())
        if ticket in mine:
            self._remove(client, ticket)

    def next(self, may: Callable[[Party], bool] = lambda _: True) -> T | None:
        """Remove and return the ticket whose turn it is; None if none waits, or no client that was asked may go on.

        :param may: whether a client may have its turn now. One that may not is asked again after all others.
        """
        for _ in range(min(len(self._tickets), MOST_ASKED)):
            client, mine = next(iter(self._tickets.items()))
            self._tickets.move_to_end(client)
            if may(client):
                ticket = next(iter(mine))
                self._remove(client, ticket)
                return ticket
        return None

    def _remove(self, client: Party, ticket: T) -> None:
        del self._tickets[client][ticket]
        self._places.give_back(client, 1)
        if not self._tickets[client]:
            del self._tickets[client]
