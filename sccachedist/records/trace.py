"""Records as a Chrome trace, which ui.perfetto.dev and chrome://tracing open.

Pure. A process is a build server, a thread of it a lane: as many as it had jobs at a time. A span is a job, from its
slot to its end by the scheduler's clock; inside it is a span for each phase, as long as the build server told.
Waits for a slot are a process of their own; counters show how many wait and how many slots are taken.
"""

import heapq
from collections import defaultdict
from collections.abc import Iterable, Iterator
from itertools import accumulate, count, groupby
from typing import Any

import attrs

from sccachedist.outcomes import TimedPhase
from sccachedist.records.documents import JobRow, TraceDocument

TIME_UNIT = "ms"
_QUEUE = 1
_SERVERS = 2
_INSIDE = tuple(phase.word for phase in TimedPhase if phase is not TimedPhase.QUEUE_WAIT)
_TOLD = (
    "id",
    "client",
    "outcome",
    "reason",
    "kind",
    "output",
    "compiler",
    "toolchain",
    "slot",
    "in",
    "out",
    "uploaded",
)


@attrs.frozen
class _Span:
    """A job in a slot, or a request in the queue, in microseconds since 1970."""

    begin: int
    end: int
    row: JobRow


def chrome_trace(rows: Iterable[JobRow]) -> TraceDocument:
    """The trace of all records that are given, in any order."""
    trace = TraceEvents()
    for row in rows:
        trace.add(row)
    return TraceDocument(traceEvents=list(trace.events()), displayTimeUnit=TIME_UNIT)


class TraceEvents:
    """The events of that trace, of records that come one by one."""

    def __init__(self) -> None:
        self._waits: list[_Span] = []
        self._jobs: defaultdict[str, list[_Span]] = defaultdict(list)
        self._waiting: list[tuple[int, int]] = []
        self._slots: list[tuple[int, int]] = []

    def add(self, row: JobRow) -> None:
        """Add a record. A clock that was set back makes no job that ends before it begins."""
        asked, wait = row["asked"], row["phases"].get(TimedPhase.QUEUE_WAIT.word, 0.0)
        begin = _micros(asked + wait)
        if wait > 0:
            self._waits.append(_Span(_micros(asked), begin, row))
            self._waiting += (_micros(asked), 1), (begin, -1)
        if row["server"] is not None:
            span = _Span(begin, max(begin, _micros(row["ended"])), row)
            self._jobs[row["server"]].append(span)
            self._slots += (begin, 1), (span.end, -1)

    def events(self) -> Iterator[dict[str, Any]]:
        """All of them."""
        servers = {server: pid for pid, server in enumerate(sorted(self._jobs), _SERVERS)}
        yield _named("process_name", _QUEUE, 0, "queue")
        yield from (_named("process_name", pid, 0, server) for server, pid in servers.items())
        for lane, wait in _in_lanes(self._waits):
            yield _event("wait", _QUEUE, lane, wait.begin, wait.end, wait.row)
        for server, pid in servers.items():
            for lane, job in _in_lanes(self._jobs[server]):
                yield _event(_name(job.row), pid, lane, job.begin, job.end, job.row)
                yield from _phases(job, pid, lane)
        yield from _counter("waiting", self._waiting)
        yield from _counter("slots", self._slots)


def _in_lanes(spans: list[_Span]) -> Iterator[tuple[int, _Span]]:
    """Each span with the lowest lane that is free when it begins, in the order of their beginnings."""
    free: list[int] = []
    busy: list[tuple[int, int]] = []
    new = count(1)
    for span in sorted(spans, key=lambda span: span.begin):
        while busy and busy[0][0] <= span.begin:
            heapq.heappush(free, heapq.heappop(busy)[1])
        lane = heapq.heappop(free) if free else next(new)
        heapq.heappush(busy, (span.end, lane))
        yield lane, span


def _phases(job: _Span, pid: int, lane: int) -> Iterator[dict[str, Any]]:
    """The phases one after the other, none beyond the end of the job: the clocks of two hosts differ."""
    told = [(word, job.row["phases"][word]) for word in _INSIDE if job.row["phases"].get(word, 0.0) > 0]
    ends = accumulate((_micros(secs) for _, secs in told), initial=job.begin)
    borders = [min(end, job.end) for end in ends]
    for (word, _), begin, end in zip(told, borders, borders[1:], strict=False):
        yield _event(word, pid, lane, begin, end)


def _counter(name: str, steps: list[tuple[int, int]]) -> Iterator[dict[str, Any]]:
    value = 0
    for at, changes in groupby(sorted(steps), key=lambda step: step[0]):
        value += sum(change for _, change in changes)
        yield {"ph": "C", "name": name, "pid": _QUEUE, "ts": at, "args": {name: value}}


def _event(name: str, pid: int, lane: int, begin: int, end: int, row: JobRow | None = None) -> dict[str, Any]:
    told = {} if row is None else {key: row[key] for key in _TOLD if row[key] is not None}  # type: ignore[literal-required]
    return {"ph": "X", "name": name, "pid": pid, "tid": lane, "ts": begin, "dur": end - begin, "args": told}


def _named(what: str, pid: int, tid: int, name: str) -> dict[str, Any]:
    return {"ph": "M", "name": what, "pid": pid, "tid": tid, "args": {"name": name}}


def _name(row: JobRow) -> str:
    return row["output"] or row["compiler"] or row["outcome"]


def _micros(secs: float) -> int:
    return round(secs * 1e6)
