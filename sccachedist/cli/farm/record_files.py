"""Files of records, as a scheduler writes them: a JSON object a line, perhaps packed by gzip.

From them come the same documents as from a scheduler, without one. They need not fit into the memory.
"""

import gzip
import heapq
import io
import json
import zlib
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

import attrs

from sccachedist.client.shapes import checked
from sccachedist.errors import ConfigError, DecodeError, PeerError
from sccachedist.outcomes import Outcome
from sccachedist.records.documents import JobDocument, JobRow, JobsDocument, RefusalCount, WhyDocument
from sccachedist.records.selection import Selection

_GZIP = b"\x1f\x8b"
_LONGEST_LINE = 1 << 20
#: What records of earlier releases lack.
_LATER = {"scheduler": None, "term": None}
#: The most records that ``why`` names.
_MOST_ANSWERS = 10


@attrs.define
class RecordFile:
    """A file of records. Lines that are none are passed over and counted: one may have been cut by a full disk."""

    path: Path
    passed_over: int = 0

    def rows(self) -> Iterator[JobRow]:
        """Its records, in the order of the file.

        :raises ConfigError: it cannot be read.
        """
        self.passed_over = 0
        try:
            with self.path.open("rb") as file:
                packed = file.peek(2)[:2] == _GZIP
                with gzip.open(file) if packed else file as lines:
                    yield from self._rows(lines)
        except (OSError, EOFError, zlib.error) as error:
            reason = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
            raise ConfigError(f"{self.path}: cannot be read: {reason}") from error

    def _rows(self, lines: io.BufferedReader | gzip.GzipFile) -> Iterator[JobRow]:
        while line := lines.readline(_LONGEST_LINE):
            try:
                row = json.loads(line)
                yield checked(_LATER | row if type(row) is dict else row, JobRow)
            except (ValueError, RecursionError, DecodeError):
                self.passed_over += 1


def jobs_of(rows: Iterable[JobRow], limit: int) -> JobsDocument:
    """The latest of some records, the latest first."""
    latest = heapq.nlargest(limit, rows, key=lambda row: row["ended"])
    return JobsDocument(v=1, since=latest[-1]["ended"] if latest else 0.0, jobs=latest, running=[], next=None)


def job_of(rows: Iterable[JobRow], end: str, path: Path) -> JobDocument:
    """The one job whose number ends so.

    :raises PeerError: there is none, or there are several.
    """
    found = {str(row["id"]): row for row in rows if (row["id"] or "").endswith(end)}
    if len(found) != 1:
        said = f"{len(found)} jobs end in {end}: give more digits" if found else f"no job ends in {end}"
        raise PeerError(f"{path}: {said}")
    return JobDocument(v=1, job=found.popitem()[1], running=None)


def why_of(rows: Callable[[], Iterable[JobRow]], since: float, name: str) -> WhyDocument:
    """The latest records of a file, and how the same clients were refused.

    :param rows: gives the records; it is called twice.
    """
    named = Selection(since=since, output=name)
    jobs = heapq.nlargest(_MOST_ANSWERS, filter(named.wants, rows()), key=lambda row: row["ended"])
    clients = {row["client"] for row in jobs}
    refusals: dict[str, RefusalCount] = {}
    for row in filter(Selection(since=since).wants, rows()):
        lost = row["outcome"] == Outcome.SERVER_LOST.word
        reason, ended = row["outcome"] if lost else row["reason"], row["ended"]
        if reason is None or row["client"] not in clients or not (lost or row["outcome"] == Outcome.REFUSED.word):
            continue
        count = refusals.setdefault(
            reason, RefusalCount(reason=reason, count=0, first=ended, last=ended, detail=row["detail"])
        )
        count["count"] += 1
        count["first"], count["last"] = min(count["first"], ended), max(count["last"], ended)
    return WhyDocument(v=1, since=since, jobs=jobs, refusals=list(refusals.values()))
