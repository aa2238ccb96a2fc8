"""Whether something grew: pure, of readings that were taken one after the other.

What was read, and of what, is not known here.
"""

from collections.abc import Mapping, Sequence
from statistics import median
from typing import TypeAlias

#: Values by their names, taken at one moment.
Reading: TypeAlias = Mapping[str, float]

#: How much more than at the beginning there may be at the end.
TOLERANCE = 0.05

#: The part of all readings that is warming up, and the parts that are the beginning and the end.
_WARMING, _PART = 0.2, 0.2


def beginning_and_end(readings: Sequence[Reading]) -> tuple[Reading, Reading]:
    """The medians of the first readings after warming up, and of the last ones.

    :param readings: three at least, with the same names.
    """
    warm = readings[max(1, int(len(readings) * _WARMING)) :]
    part = max(1, int(len(readings) * _PART))
    return _medians(warm[:part]), _medians(warm[-part:])


def grown(readings: Sequence[Reading]) -> dict[str, tuple[float, float]]:
    """What there is more of at the end than may be, with its beginning and its end."""
    first, last = beginning_and_end(readings)
    return {name: (first[name], last[name]) for name in first if last[name] > first[name] * (1 + TOLERANCE)}


def _medians(readings: Sequence[Reading]) -> Reading:
    return {name: median(reading[name] for reading in readings) for name in readings[0]}
