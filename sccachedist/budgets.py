"""Shares of a resource that many parties want: how much is used, and how much more each party may take.

A limit bounds one request; a budget bounds all of them together. A party may take more only if it then holds no more
than what is still free: the "dynamic threshold" of Choudhury and Hahne (1998) for shared buffers.
One greedy party gets half at most, two get a third each, and something is always left for the next. So a party that
holds little never notices the others, and no share has to be configured.

Pure: it counts. It knows neither what is counted nor what happens to a refused request.
"""

from types import TracebackType
from typing import NewType, Self

from sccachedist.errors import LimitExceeded

#: One that shares: a client, known by its token and its address; without a token, by its address alone.
Party = NewType("Party", str)


class Budget:
    """One resource of this process.

    :param key: the configuration key of ``total``; :class:`LimitExceeded` names it.
    :param total: how much there is, in bytes or in pieces.
    """

    def __init__(self, key: str, total: int) -> None:
        self.key, self.total = key, total
        self.used = self.refused = 0
        self._held: dict[Party, int] = {}

    def __repr__(self) -> str:
        return f"<Budget {self.key}: {self.used} of {self.total}, {len(self._held)} parties, {self.refused} refused>"

    def held(self, party: Party) -> int:
        """How much a party holds."""
        return self._held.get(party, 0)

    def has_room_for(self, party: Party, amount: int = 1) -> bool:
        """Whether a party may take ``amount`` more now."""
        return self.held(party) + amount <= self.total - self.used - amount

    def open(self, party: Party, amount: int = 0) -> "Hold":
        """Begin a hold, and take ``amount`` for it at once.

        :raises LimitExceeded: the party holds too much already.
        """
        hold = Hold(self, party)
        hold.grow(amount)
        return hold

    def take(self, party: Party, amount: int) -> None:
        """Count what a party takes. For :class:`Hold`, which gives it back.

        :raises LimitExceeded: the party holds too much already; then nothing is taken.
        """
        if amount and not self.has_room_for(party, amount):
            self.refused += 1
            raise LimitExceeded(self.key, f"{self.used} of {self.total} are in use, {self.held(party)} by this client")
        self._change(party, amount)

    def give_back(self, party: Party, amount: int) -> None:
        """Count what a party returns."""
        self._change(party, -amount)

    def _change(self, party: Party, amount: int) -> None:
        self.used += amount
        if held := self.held(party) + amount:
            self._held[party] = held
        else:
            self._held.pop(party, None)


class Hold:
    """What one request, upload or job of a party holds of a budget, until it is closed."""

    def __init__(self, budget: Budget, party: Party) -> None:
        self._budget, self._party, self.amount = budget, party, 0

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def grow(self, amount: int) -> None:
        """Take ``amount`` more.

        :raises LimitExceeded: the party holds too much already; this hold keeps what it had.
        """
        self._budget.take(self._party, amount)
        self.amount += amount

    def shrink(self, amount: int) -> None:
        """Give ``amount`` back."""
        self._budget.give_back(self._party, amount)
        self.amount -= amount

    def close(self) -> None:
        """Give everything back. Closing twice is no error."""
        self.shrink(self.amount)
