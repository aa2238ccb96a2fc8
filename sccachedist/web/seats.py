"""Answers that take much memory, some at a time: each address may have a few of them made and sent, the others wait.

An answer holds its memory until its reader has taken it. Addresses are served one after the other, so one that asks a
thousand times waits for itself. What is answered is not known here.
"""

from collections import deque
from collections.abc import Callable

from twisted.internet.defer import Deferred


class Seats:
    """A few seats, which parties take and give back.

    :param total: how many there are; ``per_party``: how many of them one party may have.
    """

    def __init__(self, total: int, per_party: int) -> None:
        self._free, self._per_party = total, per_party
        self._taken: dict[str, int] = {}
        self._waiting: dict[str, deque[Deferred[None]]] = {}

    async def take(self, party: str) -> Callable[[], None]:
        """Wait for a seat.

        :return: gives it back; that is done once.
        """
        turn: Deferred[None] = Deferred(lambda turn: self._forget(party, turn))
        self._waiting.setdefault(party, deque()).append(turn)
        self._seat()
        await turn
        return lambda: self._give_back(party)

    def _give_back(self, party: str) -> None:
        self._free += 1
        self._taken[party] -= 1
        if not self._taken[party]:
            del self._taken[party]
        self._seat()

    def _seat(self) -> None:
        """Give free seats to those that may have one. The party that got one comes last the next time."""
        while self._free and (party := next(filter(self._may, self._waiting), None)) is not None:
            turns = self._waiting.pop(party)
            turn = turns.popleft()
            if turns:
                self._waiting[party] = turns
            self._free -= 1
            self._taken[party] = self._taken.get(party, 0) + 1
            turn.callback(None)

    def _may(self, party: str) -> bool:
        return self._taken.get(party, 0) < self._per_party

    def _forget(self, party: str, turn: Deferred[None]) -> None:
        """The one that waits has gone."""
        self._waiting[party].remove(turn)
        if not self._waiting[party]:
            del self._waiting[party]
