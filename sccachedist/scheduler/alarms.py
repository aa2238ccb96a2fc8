"""Alarms for jobs or build servers, in a heap: the due ones are found without a look at all others.

Pure: the time is an argument. What an alarm is for, :mod:`sccachedist.scheduler.jobs` and
:mod:`sccachedist.scheduler.fleet` know.
"""

import heapq
from collections.abc import Callable
from typing import Generic, TypeVar

from sccachedist.wire.addresses import ServerId
from sccachedist.wire.messages import JobId

K = TypeVar("K", JobId, ServerId)


class Alarms(Generic[K]):
    """At most one alarm of a key counts: the one that ``alarm_of`` gives. Others are outdated and skipped.

    :param alarm_of: when to look at a key; infinity if it is not there any more, or there is no need.
    :param most: how many are due at a time, so that no request waits long for what is done with them.
    """

    def __init__(self, alarm_of: Callable[[K], float], most: int) -> None:
        self._alarm_of: Callable[[K], float] = alarm_of
        self._most = most
        self._heap: list[tuple[float, K]] = []

    def set(self, key: K, when: float, keys: int) -> None:
        """Look at a key at time ``when``.

        :param keys: how many there are. It bounds the heap: outdated alarms never take much more room than others.
        """
        heapq.heappush(self._heap, (when, key))
        if len(self._heap) > 2 * keys + 64:
            self._heap = [alarm for alarm in self._heap if self._counts(alarm)]
            heapq.heapify(self._heap)

    def due(self, now: float) -> list[K]:
        """The keys to look at now, each once, some at a time. Their alarms are removed."""
        found: dict[K, None] = {}
        while self._heap and self._heap[0][0] <= now and len(found) < self._most:
            alarm = heapq.heappop(self._heap)
            if self._counts(alarm):
                found[alarm[1]] = None
        return list(found)

    @property
    def first(self) -> float | None:
        """When the next alarm is due; None if there is none."""
        while self._heap and not self._counts(self._heap[0]):
            heapq.heappop(self._heap)
        return self._heap[0][0] if self._heap else None

    def _counts(self, alarm: tuple[float, K]) -> bool:
        return self._alarm_of(alarm[1]) == alarm[0]
