"""Records as a Chrome trace, which ui.perfetto.dev and chrome://tracing open.

Pure. A process is a build server, a thread of it a lane: as many as it had jobs at a time. A span is a job, from its
slot to its end by the scheduler's clock; inside it is a span for each phase, as long as the build server told.
Waits for a slot are a process of their own; counters show how many wait and how many slots are taken.
"""

import heapq
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
    return TraceDocument(traceEvents=list(trace_events(rows)), displayTimeUnit=TIME_UNIT)


def trace_events(rows: Iterable[JobRow]) -> Iterator[dict[str, Any]]:
    """The events of that trace."""
    known = sorted(rows, key=lambda row: row["asked"])
    waits, jobs = _waits(known), _jobs(known)
    servers = {server: pid for pid, server in enumerate(sorted({str(job.row["server"]) for job in jobs}), _SERVERS)}
    yield _named("process_name", _QUEUE, 0, "queue")
    yield from (_named("process_name", pid, 0, server) for server, pid in servers.items())
    for lane, wait in _in_lanes(waits):
        yield _event("wait", _QUEUE, lane, wait.begin, wait.end, wait.row)
    for server, pid in servers.items():
        for lane, job in _in_lanes(each for each in jobs if each.row["server"] == server):
            yield _event(_name(job.row), pid, lane, job.begin, job.end, job.row)
            yield from _phases(job, pid, lane)
    yield from _counter("waiting", waits)
    yield from _counter("slots", jobs)


def _waits(rows: list[JobRow]) -> list[_Span]:
    word = TimedPhase.QUEUE_WAIT.word
    return [
        _Span(_micros(row["asked"]), _micros(row["asked"] + row["phases"][word]), row)
        for row in rows
        if row["phases"].get(word, 0.0) > 0
    ]


def _jobs(rows: list[JobRow]) -> list[_Span]:
    """Those with a slot. A clock that was set back makes no job that ends before it begins."""
    found = []
    for row in rows:
        if row["server"] is not None:
            begin = _micros(row["asked"] + row["phases"].get(TimedPhase.QUEUE_WAIT.word, 0.0))
            found.append(_Span(begin, max(begin, _micros(row["ended"])), row))
    return sorted(found, key=lambda span: span.begin)


def _in_lanes(spans: Iterable[_Span]) -> Iterator[tuple[int, _Span]]:
    """Each span with the lowest lane that is free when it begins; they come in the order of their beginnings."""
    free: list[int] = []
    busy: list[tuple[int, int]] = []
    new = count(1)
    for span in spans:
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


def _counter(name: str, spans: list[_Span]) -> Iterator[dict[str, Any]]:
    steps = sorted([(span.begin, 1) for span in spans] + [(span.end, -1) for span in spans])
    value = 0
    for at, changes in groupby(steps, key=lambda step: step[0]):
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
