"""Who gets the next slot when all are taken: within a client first come, first served; between clients in turns.

One client may fill half of the queue at most, and always leaves some of it to others.

Pure: it knows who waits and in which order, not for what nor how they are told.
"""

from collections import OrderedDict
from collections.abc import Callable
from typing import Generic, TypeVar

from sccachedist.budgets import Budget, Party

T = TypeVar("T")

#: How many clients are asked at a time whether they may have their turn.
MOST_ASKED = 64


class Queue(Generic[T]):
    """Tickets of those who wait.

    :param most: how many may wait at a time.
    """

    def __init__(self, most: int) -> None:
        self._places = Budget("queue.max_waiting", most + 1)  # one more than can ever be taken
        self._tickets: OrderedDict[Party, OrderedDict[T, None]] = OrderedDict()

    def __len__(self) -> int:
        return self._places.used

    def enter(self, client: Party, ticket: T) -> None:
        """Wait behind all of one's own who wait already.

        :raises LimitExceeded: too many wait, or too many of this client.
        """
        self._places.take(client, 1)
        self._tickets.setdefault(client, OrderedDict())[ticket] = None

    def leave(self, client: Party, ticket: T) -> None:
        """Wait no more; it may have been one's turn already."""
        mine = self._tickets.get(client, OrderedDict())
        if ticket in mine:
            self._remove(client, ticket)

    def next(self, may: Callable[[Party], bool] = lambda _: True) -> T | None:
        """Whose turn it is, who waits no more then; None where nobody waits, or none of those who were asked may.

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
