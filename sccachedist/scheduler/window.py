"""The requests of the last seconds, each counted once when it ends, and once more when it is too old.

Pure. So who asks again and again what became of requests lately has no records read that were read before. What is
counted is not known here.
"""

from collections import deque
from collections.abc import Iterator

from sccachedist.records.ring import ENDED, Entry
from sccachedist.scheduler.job_records import NOTHING, JobRecords


class Window:
    """The records of the last ``secs`` seconds, as far as they are kept."""

    def __init__(self, secs: float) -> None:
        self.secs, self._mark = secs, NOTHING
        self._entries: deque[Entry] = deque()

    def changes(self, records: JobRecords) -> Iterator[tuple[Entry, int]]:
        """The records that have come since the last call, each with 1, and those that have gone, with -1."""
        new, self._mark = records.added_since(self._mark)
        begin = max(records.now() - self.secs, records.since)
        for entry in new:
            if entry[ENDED] >= begin:
                self._entries.append(entry)
                yield entry, 1
        while self._entries and self._entries[0][ENDED] < begin:
            yield self._entries.popleft(), -1
