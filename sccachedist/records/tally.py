"""Counts requests by what became of them. Pure."""

from collections import Counter
from typing import TypeVar

from sccachedist.outcomes import Outcome, Refusal, SentLocal
from sccachedist.records.documents import Recent
from sccachedist.records.ring import ASKED, ENDED, OUTCOME, OUTCOMES, REASON, REASONS, SERVER, WAIT, Entry

T = TypeVar("T")


class RequestTally:
    """The counts of some requests.

    :ivar slot_secs: for how long they had slots, all together.
    """

    def __init__(self) -> None:
        self._counts: Counter[tuple[int, int]] = Counter()
        self.slot_secs = 0.0

    def add(self, entry: Entry, times: int = 1) -> None:
        """Count one; ``times`` -1: no longer."""
        self._counts[entry[OUTCOME], entry[REASON]] += times
        if entry[SERVER] is not None:
            self.slot_secs += times * max(0.0, entry[ENDED] - entry[ASKED] - entry[WAIT])

    @property
    def total(self) -> int:
        """How many."""
        return self._counts.total()

    def outcomes(self) -> dict[Outcome, int]:
        """By outcome, the most frequent first."""
        found: Counter[Outcome] = Counter()
        for (outcome, _), count in self._counts.items():
            found[OUTCOMES[outcome]] += count
        return _there(found)

    def reasons(self) -> dict[Refusal | SentLocal, int]:
        """By reason, the most frequent first; those without a reason are not there."""
        found = ((REASONS[outcome][reason], count) for (outcome, reason), count in self._counts.items() if reason >= 0)
        return _there(Counter(dict(found)))

    def recent(self, secs: float) -> Recent:
        """As documents show it.

        :param secs: how far back it looks.
        """
        reasons = self.reasons().items()
        return Recent(
            secs=round(secs, 3),
            outcomes={outcome.word: count for outcome, count in self.outcomes().items()},
            refusals={reason.word: count for reason, count in reasons if isinstance(reason, Refusal)},
            sent_local={reason.word: count for reason, count in reasons if isinstance(reason, SentLocal)},
        )


def _there(counts: Counter[T]) -> dict[T, int]:
    """Those that were counted, the most frequent first."""
    return {key: count for key, count in counts.most_common() if count}
