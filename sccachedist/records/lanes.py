"""Jobs as spans of time, and the lanes in which those lie that run side by side.

Pure. A lane is no slot of a build server: a job is in it from its allocation to its end, as the scheduler saw them.
"""

import heapq
from collections.abc import Iterable, Iterator
from itertools import count

import attrs

from sccachedist.outcomes import TimedPhase
from sccachedist.records.documents import JobRow


@attrs.frozen
class Span:
    """A job in a slot, or a request in the queue, in microseconds since 1970."""

    begin: int
    end: int
    row: JobRow


def wait_of(row: JobRow) -> Span | None:
    """The wait for a slot; None if there was none."""
    wait = row["phases"].get(TimedPhase.QUEUE_WAIT.word, 0.0)
    return Span(micros(row["asked"]), micros(row["asked"] + wait), row) if wait > 0 else None


def job_of(row: JobRow) -> Span | None:
    """The time in a slot; None if it got none. A clock that was set back makes no job that ends before it begins."""
    if row["server"] is None:
        return None
    begin = micros(row["asked"] + max(0.0, row["phases"].get(TimedPhase.QUEUE_WAIT.word, 0.0)))
    return Span(begin, max(begin, micros(row["ended"])), row)


def in_lanes(spans: Iterable[Span]) -> Iterator[tuple[int, Span]]:
    """Each span with the lowest lane, from 1 on, that is free when it begins, in the order of their beginnings."""
    free: list[int] = []
    busy: list[tuple[int, int]] = []
    new = count(1)
    for span in sorted(spans, key=lambda span: span.begin):
        while busy and busy[0][0] <= span.begin:
            heapq.heappush(free, heapq.heappop(busy)[1])
        lane = heapq.heappop(free) if free else next(new)
        heapq.heappush(busy, (span.end, lane))
        yield lane, span


def micros(secs: float) -> int:
    """Seconds as whole microseconds."""
    return round(secs * 1e6)
