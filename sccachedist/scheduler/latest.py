"""The latest of some numbers, in order, so that their median and their spread are known at any time. Pure."""

from bisect import bisect_left, insort
from collections import deque

#: The middle half of normally distributed numbers lies within so many standard deviations.
_MIDDLE_HALF = 1.35


class Latest:
    """Some numbers.

    :param most: how many of the latest are kept.
    """

    def __init__(self, most: int) -> None:
        self._most = most
        self._as_they_came: deque[float] = deque()
        self._in_order: list[float] = []

    def __len__(self) -> int:
        return len(self._in_order)

    def add(self, number: float) -> None:
        """Keep a number, in place of the oldest one if there are too many."""
        if len(self) == self._most:
            del self._in_order[bisect_left(self._in_order, self._as_they_came.popleft())]
        self._as_they_came.append(number)
        insort(self._in_order, number)

    @property
    def median(self) -> float:
        """The one in the middle, of one number or more."""
        return self._in_order[len(self) // 2]

    @property
    def spread(self) -> float:
        """Their standard deviation, as the middle half of them has it: a few that lie far out do not count."""
        return (self._in_order[len(self) * 3 // 4] - self._in_order[len(self) // 4]) / _MIDDLE_HALF
