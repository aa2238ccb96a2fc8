"""The latest records of a scheduler, so many and no more.

Pure. A record is kept as a tuple of plain values: the collector does not track it, and it takes a third of the memory
of objects. What a build server told stays in bytes, and is read when a record is shown (:func:`record_of`).
"""

import sys
from collections import deque
from collections.abc import Sequence
from itertools import islice
from typing import Final

from sccachedist.errors import DecodeError
from sccachedist.outcomes import Outcome, Refusal, SentLocal
from sccachedist.records.record import JobRecord
from sccachedist.wire.job_summary import unpacked
from sccachedist.wire.messages import JobId

#: A record: id, asked, ended, client, server, toolchain, numbers of outcome and reason, detail, seconds of wait and
#: assignment, summary, who led; :class:`~sccachedist.records.record.JobRecord` says what they are. :data:`REASONS` has
#: the words of the number of a reason, which is -1 if there is none.
Entry = tuple[
    int | None,
    float,
    float,
    str | None,
    str | None,
    str,
    int,
    int,
    str,
    float,
    float,
    bytes,
    tuple[str, int] | None,
]
ID: Final = 0
ASKED: Final = 1
ENDED: Final = 2
CLIENT: Final = 3
SERVER: Final = 4
TOOLCHAIN: Final = 5
OUTCOME: Final = 6
REASON: Final = 7
DETAIL: Final = 8
WAIT: Final = 9
SUMMARY: Final = 11

OUTCOMES = tuple(Outcome)
_NUMBERS = {word: number for kind in (Outcome, Refusal, SentLocal) for number, word in enumerate(kind)}
_WORDS: dict[Outcome, Sequence[Refusal | SentLocal]] = {
    Outcome.REFUSED: tuple(Refusal),
    Outcome.SENT_LOCAL: tuple(SentLocal),
}
REASONS = tuple(_WORDS.get(outcome, ()) for outcome in Outcome)


def entry_of(
    job_id: JobId | None,
    asked: float,
    ended: float,
    client: str | None,
    server: str | None,
    toolchain: str,
    outcome: Outcome,
    reason: Refusal | SentLocal | None = None,
    detail: str = "",
    wait_secs: float = 0.0,
    assign_secs: float = 0.0,
    summary: bytes = b"",
    led_by: tuple[str, int] | None = None,
) -> Entry:
    """Make an entry. Texts that come again and again are kept once.

    :param summary: in bytes; empty if there is none.
    """
    return (
        job_id,
        asked,
        ended,
        client and sys.intern(client),
        server and sys.intern(server),
        sys.intern(toolchain),
        _NUMBERS[outcome],
        -1 if reason is None else _NUMBERS[reason],
        detail,
        wait_secs,
        assign_secs,
        summary,
        led_by,
    )


def reason_of(entry: Entry) -> Refusal | SentLocal | None:
    """Why there was no slot, or no result."""
    return None if entry[REASON] < 0 else REASONS[entry[OUTCOME]][entry[REASON]]


def record_of(entry: Entry) -> JobRecord:
    """The record of an entry. A summary that cannot be read, perhaps of a later release, is as none."""
    job_id, asked, ended, client, server, toolchain, outcome, _, detail, wait, assign, octets, led_by = entry
    reason = reason_of(entry)
    try:
        summary = unpacked(octets) if octets else None
    except DecodeError:
        summary = None
    return JobRecord(
        job_id=None if job_id is None else JobId(job_id),
        asked=asked,
        ended=ended,
        client=client,
        server=server,
        toolchain=toolchain,
        outcome=OUTCOMES[outcome],
        refusal=reason if isinstance(reason, Refusal) else None,
        detail=detail,
        wait_secs=wait,
        assign_secs=assign,
        summary=summary,
        led_by=led_by,
    )


class Ring:
    """Entries, the oldest of which make room for new ones.

    :param keep: how many.
    :param since: from when on it has all that happened, in seconds since 1970.
    :ivar added: how many have been added so far.
    """

    def __init__(self, keep: int, since: float) -> None:
        self._keep, self.since, self.added = keep, since, 0
        self._entries: deque[Entry] = deque()
        self._by_id: dict[int, Entry] = {}

    def __len__(self) -> int:
        return len(self._entries)

    def hold(self, keep: int) -> None:
        """Keep so many from now on."""
        self._keep = keep
        while len(self._entries) > keep:
            self._drop_oldest()

    def add(self, entry: Entry) -> None:
        """Add the entry of a request that has ended now."""
        self.added += 1
        if len(self._entries) >= self._keep:
            if not self._keep:
                self.since = entry[ENDED]
                return
            self._drop_oldest()
        self._entries.append(entry)
        if entry[ID] is not None:
            self._by_id[entry[ID]] = entry

    def latest_first(self) -> list[Entry]:
        """All entries: a copy, which takes 0.1 ms for 20,000."""
        return list(reversed(self._entries))

    def latest(self, count: int) -> list[Entry]:
        """The last ``count`` entries, as far as they are kept, the oldest first."""
        return list(islice(reversed(self._entries), count))[::-1]

    def get(self, job_id: int) -> Entry | None:
        """The entry of a job."""
        return self._by_id.get(job_id)

    def ending_with(self, digits: str) -> list[Entry]:
        """The entries of jobs whose numbers end so."""
        end, size = int(digits), 10 ** len(digits)
        return [entry for job_id, entry in self._by_id.items() if job_id % size == end]

    def _drop_oldest(self) -> None:
        oldest = self._entries.popleft()
        self.since = oldest[ENDED]
        if oldest[ID] is not None and self._by_id.get(oldest[ID]) is oldest:
            del self._by_id[oldest[ID]]
