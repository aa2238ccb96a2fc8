"""Who used how much of a farm, from the records of what is over. Pure."""

from collections import Counter
from collections.abc import Iterable
from heapq import nsmallest
from typing import Literal

from sccachedist.outcomes import TimedPhase
from sccachedist.records.documents import JobRow, UsageRow

#: What records can be added up by: each is a key of them.
By = Literal["client", "server", "toolchain", "compiler"]
#: The name of what a record does not tell.
UNKNOWN = "unknown"


def usage_of(rows: Iterable[JobRow], by: By) -> list[UsageRow]:
    """What each client, server, toolchain or compiler used, see :class:`UsageSums`."""
    usage = UsageSums(by)
    for row in rows:
        usage.add(row)
    return usage.rows()


class UsageSums:
    """What each client, server, toolchain or compiler used.

    A slot counts from its allocation to the end of the job, the time of its client and of the network included.
    """

    def __init__(self, by: By) -> None:
        self._by = by
        self._sums: dict[str, UsageRow] = {}
        self._outcomes: dict[str, Counter[str]] = {}

    def add(self, row: JobRow) -> None:
        """Add what one request used."""
        name = row[self._by] or UNKNOWN
        nothing = UsageRow(name=name, jobs=0, outcomes={}, slot_secs=0.0, cpu_secs=0.0, wait_secs=0.0)
        used = self._sums.setdefault(name, nothing)
        wait = row["phases"].get(TimedPhase.QUEUE_WAIT.word, 0.0)
        used["jobs"] += 1
        used["wait_secs"] += wait
        used["cpu_secs"] += (row["cpu_user"] or 0.0) + (row["cpu_system"] or 0.0)
        if row["id"] is not None:
            used["slot_secs"] += max(0.0, row["ended"] - row["asked"] - wait)
        self._outcomes.setdefault(name, Counter())[row["outcome"]] += 1

    def rows(self, most: int | None = None) -> list[UsageRow]:
        """The ones with the most time of slots, the first of them first.

        :param most: how many of them; by default all.
        """
        count = len(self._sums) if most is None else most
        found = nsmallest(count, self._sums.values(), key=lambda used: (-used["slot_secs"], used["name"]))
        for used in found:
            used["outcomes"] = dict(self._outcomes[used["name"]].most_common())
        return found
