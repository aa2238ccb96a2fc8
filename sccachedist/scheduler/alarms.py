"""When jobs have to be looked at, so that nothing looks at all of them.

Pure: the time is an argument, and what is due then is not known here.
"""

import heapq
from collections.abc import Callable

from sccachedist.wire.messages import JobId

#: Jobs that are looked at at a time: some milliseconds, so that nobody waits for the look at all others.
MOST_AT_ONCE = 100


class Alarms:
    """At most one alarm for each job counts: the one that ``alarm_of`` names. Others are outdated and passed over.

    :param alarm_of: when a job is to be looked at; infinity where there is no such job or no need.
    """

    def __init__(self, alarm_of: Callable[[JobId], float]) -> None:
        self._alarm_of = alarm_of
        self._heap: list[tuple[float, JobId]] = []

    def set(self, job_id: JobId, when: float, jobs: int) -> None:
        """Look at a job then.

        :param jobs: how many there are: outdated alarms never take much more room than others.
        """
        heapq.heappush(self._heap, (when, job_id))
        if len(self._heap) > 2 * jobs + 64:
            self._heap = [alarm for alarm in self._heap if self._counts(alarm)]
            heapq.heapify(self._heap)

    def due(self, now: float) -> list[JobId]:
        """The jobs to look at now, each once, but not more than a few; they have no alarm any more."""
        found: dict[JobId, None] = {}
        while self._heap and self._heap[0][0] <= now and len(found) < MOST_AT_ONCE:
            alarm = heapq.heappop(self._heap)
            if self._counts(alarm):
                found[alarm[1]] = None
        return list(found)

    @property
    def first(self) -> float | None:
        """When the next look is due."""
        while self._heap and not self._counts(self._heap[0]):
            heapq.heappop(self._heap)
        return self._heap[0][0] if self._heap else None

    def _counts(self, alarm: tuple[float, JobId]) -> bool:
        return self._alarm_of(alarm[1]) == alarm[0]
