"""Records as a Chrome trace, which ui.perfetto.dev and chrome://tracing open.

Pure. A process is a build server, a thread of it a lane: as many as it had jobs at a time. A span is a job, from its
slot to its end by the scheduler's clock; inside it is a span for each phase, as long as the build server told.
Waits for a slot are a process of their own; counters show how many wait and how many slots are taken.
"""

from collections import defaultdict
from collections.abc import Iterable, Iterator
from itertools import accumulate, groupby
from typing import Any

from sccachedist.outcomes import TimedPhase
from sccachedist.records.documents import JobRow, TraceDocument
from sccachedist.records.lanes import Span, in_lanes, job_of, micros, wait_of

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


def chrome_trace(rows: Iterable[JobRow]) -> TraceDocument:
    """The trace of all records that are given, in any order."""
    trace = TraceEvents()
    for row in rows:
        trace.add(row)
    return TraceDocument(traceEvents=list(trace.events()), displayTimeUnit=TIME_UNIT)


class TraceEvents:
    """The events of that trace, of records that come one by one."""

    def __init__(self) -> None:
        self._waits: list[Span] = []
        self._jobs: defaultdict[str, list[Span]] = defaultdict(list)
        self._waiting: list[tuple[int, int]] = []
        self._slots: list[tuple[int, int]] = []

    def add(self, row: JobRow) -> None:
        """Add a record."""
        if (wait := wait_of(row)) is not None:
            self._waits.append(wait)
            self._waiting += (wait.begin, 1), (wait.end, -1)
        if (job := job_of(row)) is not None:
            self._jobs[job.row["server"] or ""].append(job)
            self._slots += (job.begin, 1), (job.end, -1)

    def events(self) -> Iterator[dict[str, Any]]:
        """All of them."""
        servers = {server: pid for pid, server in enumerate(sorted(self._jobs), _SERVERS)}
        yield _named("process_name", _QUEUE, 0, "queue")
        yield from (_named("process_name", pid, 0, server) for server, pid in servers.items())
        for lane, wait in in_lanes(self._waits):
            yield _event("wait", _QUEUE, lane, wait.begin, wait.end, wait.row)
        for server, pid in servers.items():
            for lane, job in in_lanes(self._jobs[server]):
                yield _event(_name(job.row), pid, lane, job.begin, job.end, job.row)
                yield from _phases(job, pid, lane)
        yield from _counter("waiting", self._waiting)
        yield from _counter("slots", self._slots)


def _phases(job: Span, pid: int, lane: int) -> Iterator[dict[str, Any]]:
    """The phases one after the other, none beyond the end of the job: the clocks of two hosts differ."""
    told = [(word, job.row["phases"][word]) for word in _INSIDE if job.row["phases"].get(word, 0.0) > 0]
    ends = accumulate((micros(secs) for _, secs in told), initial=job.begin)
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
