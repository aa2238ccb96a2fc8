"""Who gets the next slot when all are taken: within a client first come, first served; between clients in turns.

Pure: it knows who waits and in which order, not for what nor how they are told.
"""

from collections import OrderedDict
from typing import Generic, TypeVar

from sccachedist.budgets import Party
from sccachedist.errors import LimitExceeded

T = TypeVar("T")


class Queue(Generic[T]):
    """Tickets of those who wait.

    :param most: how many may wait at a time.
    """

    def __init__(self, most: int) -> None:
        self._most, self._waiting = most, 0
        self._tickets: OrderedDict[Party, OrderedDict[T, None]] = OrderedDict()

    def __len__(self) -> int:
        return self._waiting

    def enter(self, client: Party, ticket: T) -> None:
        """Wait behind all of one's own who wait already.

        :raises LimitExceeded: too many wait.
        """
        if self._waiting == self._most:
            raise LimitExceeded("queue.max_waiting", f"{self._waiting} clients wait for a slot already")
        self._tickets.setdefault(client, OrderedDict())[ticket] = None
        self._waiting += 1

    def leave(self, client: Party, ticket: T) -> None:
        """Wait no more; it may have been one's turn already."""
        mine = self._tickets.get(client, OrderedDict())
        if ticket in mine:
            self._remove(client, ticket)

    def next(self) -> T | None:
        """Whose turn it is, who waits no more then; None where nobody waits."""
        for client, mine in self._tickets.items():
            ticket = next(iter(mine))
            self._tickets.move_to_end(client)
            self._remove(client, ticket)
            return ticket
        return None

    def _remove(self, client: Party, ticket: T) -> None:
        del self._tickets[client][ticket]
        self._waiting -= 1
        if not self._tickets[client]:
            del self._tickets[client]
