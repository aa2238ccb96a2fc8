"""Alarms for jobs, in a heap: the due ones are found without a look at all jobs.

Pure: the time is an argument. :mod:`sccachedist.scheduler.jobs` knows what an alarm is for.
"""

import heapq
from collections.abc import Callable

from sccachedist.wire.messages import JobId


class Alarms:
    """At most one alarm of a job counts: the one that ``alarm_of`` gives. Others are outdated and skipped.

    :param alarm_of: when to look at a job; infinity if there is no such job or no need.
    :param most: how many jobs are due at a time, so that no request waits long for what is done with them.
    """

    def __init__(self, alarm_of: Callable[[JobId], float], most: int) -> None:
        self._alarm_of, self._most = alarm_of, most
        self._heap: list[tuple[float, JobId]] = []

    def set(self, job_id: JobId, when: float, jobs: int) -> None:
        """Look at a job at time ``when``.

        :param jobs: how many there are. It bounds the heap: outdated alarms never take much more room than others.
        """
        heapq.heappush(self._heap, (when, job_id))
        if len(self._heap) > 2 * jobs + 64:
            self._heap = [alarm for alarm in self._heap if self._counts(alarm)]
            heapq.heapify(self._heap)

    def due(self, now: float) -> list[JobId]:
        """The jobs to look at now, each once, some at a time. Their alarms are removed."""
        found: dict[JobId, None] = {}
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

    def _counts(self, alarm: tuple[float, JobId]) -> bool:
        return self._alarm_of(alarm[1]) == alarm[0]
