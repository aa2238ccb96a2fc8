"""The farm's numbers in the last quarter of an hour: a sample each ten seconds, also without viewers.

Pure. A sample is made of counts that the scheduler has anyway, so it costs the same in a farm of thousands.
"""

from collections import deque
from collections.abc import Mapping
from typing import TypedDict

import attrs

from sccachedist.outcomes import Outcome, Refusal, SentLocal
from sccachedist.records.documents import Rates, Sample
from sccachedist.scheduler.snapshot import Totals

#: Seconds between two samples, and how many are kept.
STEP_SECS, SAMPLES = 10.0, 90
#: So many samples are the last five minutes, of which rates tell.
LATELY = 30
#: What a build server compiled. One that does not tell the result has given one, as a rule.
_REMOTE = {Outcome.COMPILED, Outcome.COMPILE_ERROR, Outcome.UNTOLD}


class HistoryDocument(TypedDict):
    """The samples, the oldest first, each ``step`` seconds after the one before; null where there is none.

    What the columns are: :class:`~sccachedist.records.documents.Sample`.
    """

    step: float
    until: float
    remote: list[float | None]
    slots_used: list[int | None]
    waiting: list[int | None]
    compiles: list[float | None]
    sent_local: list[float | None]
    servers: list[int | None]


@attrs.frozen
class Ends:
    """How many requests have ended since the scheduler's start: all, compiled by build servers, given back by them."""

    all: int = 0
    remote: int = 0
    sent_local: int = 0

    @classmethod
    def of(cls, counts: Mapping[tuple[Outcome, Refusal | SentLocal | None], int]) -> "Ends":
        """Of the counts of records. Strangers' requests do not count."""
        found = {key: count for key, count in counts.items() if key[1] is not Refusal.UNAUTHORIZED}
        return cls(
            all=sum(found.values()),
            remote=sum(count for (outcome, _), count in found.items() if outcome in _REMOTE),
            sent_local=sum(count for (outcome, _), count in found.items() if outcome is Outcome.SENT_LOCAL),
        )

    def since(self, before: "Ends") -> "Ends":
        """Those after an earlier count."""
        return Ends(self.all - before.all, self.remote - before.remote, self.sent_local - before.sent_local)

    def part(self, count: int) -> float | None:
        """Which part of all a count is; None without any."""
        return round(count / self.all, 4) if self.all else None


class History:
    """The last samples. ``count`` says how many there have been."""

    def __init__(self) -> None:
        self._samples: deque[Sample] = deque(maxlen=SAMPLES)
        self._ends: deque[Ends] = deque([Ends()], maxlen=LATELY + 1)
        self.count = 0

    def add(self, at: float, totals: Totals, ends: Ends) -> None:
        """Add a sample, ``STEP_SECS`` after the last one.

        :param at: in seconds since 1970.
        :param ends: since the start.
        """
        since = ends.since(self._ends[-1])
        self._samples.append(
            Sample(
                until=round(at, 3),
                remote=since.part(since.remote),
                slots_used=slots_used(totals),
                waiting=totals.waiting,
                compiles=round(since.remote / STEP_SECS, 2),
                sent_local=since.part(since.sent_local),
                servers=totals.servers,
            )
        )
        self._ends.append(ends)
        self.count += 1

    @property
    def last(self) -> Sample | None:
        """The last sample."""
        return self._samples[-1] if self._samples else None

    def document(self) -> HistoryDocument:
        """All of them."""
        missing = [None] * (SAMPLES - len(self._samples))
        samples = list(self._samples)
        return HistoryDocument(
            step=STEP_SECS,
            until=samples[-1]["until"] if samples else 0.0,
            remote=[*missing, *(sample["remote"] for sample in samples)],
            slots_used=[*missing, *(sample["slots_used"] for sample in samples)],
            waiting=[*missing, *(sample["waiting"] for sample in samples)],
            compiles=[*missing, *(sample["compiles"] for sample in samples)],
            sent_local=[*missing, *(sample["sent_local"] for sample in samples)],
            servers=[*missing, *(sample["servers"] for sample in samples)],
        )

    def rates(self, totals: Totals) -> Rates:
        """The farm now."""
        lately = self._ends[-1].since(self._ends[0])
        return Rates(
            remote=lately.part(lately.remote),
            slots_used=[slots_used(totals), totals.slots],
            waiting=totals.waiting,
            compiles_per_sec=self._samples[-1]["compiles"] if self._samples else 0.0,
            sent_local_share=lately.part(lately.sent_local),
            servers=totals.by_state,
        )


def slots_used(totals: Totals) -> int:
    """How many slots are taken. A job that has lent its slot has none, and its build server has the borrower's too."""
    return min(sum(totals.phases.values()), totals.slots)
