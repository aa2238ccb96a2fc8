"""What a build was like, added up from its records: what ran when, what took longest, what went home and why.

Pure. How it is shown is not known here. Times are microseconds since 1970, as in :mod:`sccachedist.records.lanes`.
"""

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Sequence
from heapq import nlargest
from itertools import groupby, pairwise

import attrs

from sccachedist.outcomes import AT_HOME, TimedPhase
from sccachedist.records.documents import JobRow, UsageRow
from sccachedist.records.lanes import Span, in_lanes, job_of, micros, wait_of
from sccachedist.records.usage import usage_of

#: How many rows a list has at most.
MOST_SLOW, MOST_STILL, MOST_NAMES = 50, 20, 50
#: Into how many equal parts the time is divided, for what is drawn over time.
PARTS = 250
#: Stretches in which less than two jobs ran are told from this length on, in microseconds.
_LEAST_STILL = 100_000
_HOME = {outcome.word for outcome in AT_HOME}


@attrs.frozen
class ServerLanes:
    """A build server, and the jobs that ran there: those of a lane come one after the other."""

    server: str
    lanes: Sequence[Sequence[Span]]


@attrs.frozen
class HomeGroup:
    """Requests that went home for one reason.

    :param rows: all of them, the latest first.
    """

    outcome: str
    reason: str | None
    kind: str | None
    rows: Sequence[JobRow]


@attrs.frozen
class Stretch:
    """A time in which no job was in a slot, or the one that is named was there alone."""

    begin: int
    end: int
    row: JobRow | None


@attrs.frozen
class BuildReport:
    """All that is told of a build. Its time goes from the first request to the last end.

    :param rows: its records, the first that was asked for first.
    :param outcomes: how many requests ended so, by word.
    :param phases: seconds of all jobs together, by word, in the order of the phases.
    :param slots: how many slots were in use on average, in each of :data:`PARTS`; ``waiting`` likewise.
    :param most_slots: how many were in use at a time.
    :param idle_secs: for how long no job was in a slot; ``alone_secs``: a single one was.
    :param still: the longest of these times, in their order.
    :param slowest: the requests that took longest, the longest first.
    :param home: why requests went home, the most frequent reason first.
    :param led_by: how many requests ended while which of several schedulers led, by its URL and the number of its term,
        the first term first.
    """

    rows: Sequence[JobRow]
    begin: int
    end: int
    outcomes: dict[str, int]
    phases: dict[str, float]
    slots: Sequence[float]
    waiting: Sequence[float]
    most_slots: int
    idle_secs: float
    alone_secs: float
    still: Sequence[Stretch]
    servers: Sequence[ServerLanes]
    slowest: Sequence[JobRow]
    home: Sequence[HomeGroup]
    by_client: Sequence[UsageRow]
    by_server: Sequence[UsageRow]
    led_by: dict[tuple[str, int], int]

    @property
    def secs(self) -> float:
        """How long it took."""
        return (self.end - self.begin) / 1e6


def report_of(rows: Iterable[JobRow]) -> BuildReport:
    """Add all records up that are given, in any order."""
    ordered = sorted(rows, key=lambda row: row["asked"])
    jobs = [span for row in ordered if (span := job_of(row)) is not None]
    waits = [span for row in ordered if (span := wait_of(row)) is not None]
    begin = micros(ordered[0]["asked"]) if ordered else 0
    end = max((micros(row["ended"]) for row in ordered), default=0)
    end = max([end, begin, *(span.end for span in (*jobs, *waits))])
    still = list(_still(jobs, begin, end))
    longest = nlargest(MOST_STILL, still, key=lambda each: each.end - each.begin)
    return BuildReport(
        rows=ordered,
        begin=begin,
        end=end,
        outcomes=dict(Counter(row["outcome"] for row in ordered).most_common()),
        phases=_phases(ordered),
        slots=_over_time(jobs, begin, end),
        waiting=_over_time(waits, begin, end),
        most_slots=max((lane for lane, _ in in_lanes(jobs)), default=0),
        idle_secs=_secs(each for each in still if each.row is None),
        alone_secs=_secs(each for each in still if each.row is not None),
        still=sorted((each for each in longest if each.end - each.begin >= _LEAST_STILL), key=lambda each: each.begin),
        servers=_lanes(jobs),
        slowest=nlargest(MOST_SLOW, ordered, key=total_secs),
        home=_home(ordered),
        by_client=usage_of(ordered, "client")[:MOST_NAMES],
        by_server=usage_of((span.row for span in jobs), "server")[:MOST_NAMES],
        led_by=_led_by(ordered),
    )


def total_secs(row: JobRow) -> float:
    """From the request to its end."""
    return max(0.0, row["ended"] - row["asked"])


def _led_by(rows: Iterable[JobRow]) -> dict[tuple[str, int], int]:
    counts = Counter((row["scheduler"], row["term"]) for row in rows)
    known = ((url, term, count) for (url, term), count in counts.items() if url is not None and term is not None)
    return {(url, term): count for url, term, count in sorted(known, key=lambda each: (each[1], each[0]))}


def _secs(stretches: Iterable[Stretch]) -> float:
    return sum(each.end - each.begin for each in stretches) / 1e6


def _phases(rows: Iterable[JobRow]) -> dict[str, float]:
    sums: Counter[str] = Counter()
    for row in rows:
        sums.update(row["phases"])
    return {phase.word: sums[phase.word] for phase in TimedPhase if sums[phase.word] > 0}


def _lanes(jobs: Iterable[Span]) -> list[ServerLanes]:
    """The build servers by address, each with its lanes."""
    by_server: defaultdict[str, list[Span]] = defaultdict(list)
    for job in jobs:
        by_server[job.row["server"] or ""].append(job)
    found = []
    for server, spans in sorted(by_server.items()):
        lanes: defaultdict[int, list[Span]] = defaultdict(list)
        for lane, span in in_lanes(spans):
            lanes[lane].append(span)
        found.append(ServerLanes(server, [lanes[lane] for lane in sorted(lanes)]))
    return found


def _home(rows: Iterable[JobRow]) -> list[HomeGroup]:
    groups: defaultdict[tuple[str, str | None, str | None], list[JobRow]] = defaultdict(list)
    for row in rows:
        if row["outcome"] in _HOME:
            groups[row["outcome"], row["reason"], row["kind"]].append(row)
    found = [HomeGroup(*words, rows[::-1]) for words, rows in groups.items()]
    return sorted(found, key=lambda group: -len(group.rows))


def _steps(spans: Sequence[Span]) -> Iterator[tuple[int, list[Span], list[Span]]]:
    """The times at which something begins or ends, each with what begins and what ends."""
    changes = [(span.begin, True, span) for span in spans] + [(span.end, False, span) for span in spans]
    changes.sort(key=lambda change: change[0])
    for at, group in groupby(changes, key=lambda change: change[0]):
        begun: list[Span] = []
        over: list[Span] = []
        for _, begins, span in group:
            (begun if begins else over).append(span)
        yield at, begun, over


def _still(jobs: Sequence[Span], begin: int, end: int) -> Iterator[Stretch]:
    """The times in which less than two jobs were in slots."""
    since, running = begin, dict[int, Span]()
    for at, begun, over in (*_steps(jobs), (end, [], [])):
        if at > since and len(running) < 2:
            yield Stretch(since, at, next((span.row for span in running.values()), None))
        running |= {id(span): span for span in begun}
        for span in over:
            del running[id(span)]
        since = at


def _over_time(spans: Sequence[Span], begin: int, end: int) -> list[float]:
    """How many spans there were on average in each part of the time."""
    length = (end - begin) / PARTS
    sums = [0.0] * PARTS
    if not length:
        return sums
    count = 0
    edges = [(at, len(begun) - len(over)) for at, begun, over in _steps(spans)]
    for (at, change), (until, _) in pairwise(edges):
        count += change
        place = int((at - begin) / length)
        while count and place < PARTS and begin + place * length < until:
            overlap = min(until, begin + (place + 1) * length) - max(at, begin + place * length)
            sums[place] += count * max(0.0, overlap)
            place += 1
    return [total / length for total in sums]
