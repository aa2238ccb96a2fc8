"""Whose turn it is among clients with weights: of the turns of all that wait, each gets its weight's part.

This is "earliest eligible virtual deadline first" (Stoica and Abdel-Wahab, 1995), with one turn as the quantum. Virtual
time advances by ``1 / weight of all that wait`` with each turn. A client's next turn begins, in virtual time, where its
last one ended, and lasts ``1 / weight``. Of those turns that have begun, the one that ends first is given. So no client
that waits all along is ever a whole turn ahead of its part or behind it. Plain stride scheduling keeps that promise
between any two clients only: a heavy one takes many turns in a row beside many light ones.

Clients of equal weight are in a circle: each goes to its end after its turn, and who comes begins there. So where all
weights are equal, there is one circle, and virtual time does not matter.

Pure: it knows neither for what clients wait nor which of them may go on.
"""

from collections import Counter, OrderedDict

#: Sums of fractions that should be equal differ by less.
_NEXT_TO_NOTHING = 1e-9


class WeightedTurns:
    """Clients that wait, each with its weight and the virtual time at which its next turn begins."""

    def __init__(self) -> None:
        self._circles: dict[float, OrderedDict[str, float]] = {}
        self._now = 0.0

    def __bool__(self) -> bool:
        return bool(self._circles)

    def enter(self, client: str, weight: float, *, first: bool = False) -> None:
        """Let a client wait, behind all of its weight.

        :param first: in front of all of its weight: it was there, and could not go on.
        """
        circle = self._circles.setdefault(weight, OrderedDict())
        circle[client] = next(iter(circle.values()), self._now) if first else max(self._now, _last(circle))
        circle.move_to_end(client, last=not first)

    def leave(self, client: str, weight: float) -> None:
        """Forget a client."""
        circle = self._circles[weight]
        del circle[client]
        if not circle:
            del self._circles[weight]
        if not self._circles:
            self._now = 0.0

    def first(self, refused: Counter[float], most: int) -> str | None:
        """The client whose turn it is; None if there is none.

        :param refused: for each weight, how many of its clients could not go on, so that others come first.
        :param most: after so many of a weight, no more of it are asked.
        """
        if not self._circles:
            return None
        firsts = {weight: next(iter(circle.values())) for weight, circle in self._circles.items()}
        self._now = max(self._now, min(firsts.values()))
        begun = self._now + _NEXT_TO_NOTHING
        weights = [weight for weight in firsts if refused[weight] < min(most, len(self._circles[weight]))]
        if not weights:
            return None
        chosen = min(weights, key=lambda weight: (firsts[weight] > begun, firsts[weight] + 1 / weight))
        return next(iter(self._circles[chosen]))

    def take(self, client: str, weight: float) -> None:
        """Give a client its turn: its next one comes after those of all others of its weight."""
        self._move(client, weight, 1 / weight)
        self._now += 1 / sum(each * len(circle) for each, circle in self._circles.items())

    def pass_over(self, client: str, weight: float) -> None:
        """Let a client wait until all others of its weight have been asked: it could not go on."""
        self._move(client, weight, 0)

    def _move(self, client: str, weight: float, later: float) -> None:
        circle = self._circles[weight]
        circle[client] = max(circle[client] + later, _last(circle))
        circle.move_to_end(client)


def _last(circle: OrderedDict[str, float]) -> float:
    return next(reversed(circle.values()), 0.0)
