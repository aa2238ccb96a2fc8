"""Who used how much of a farm, from the records of what is over. Pure."""

from collections import Counter
from collections.abc import Iterable
from typing import Literal

from sccachedist.outcomes import TimedPhase
from sccachedist.records.documents import JobRow, UsageRow

#: What records can be added up by: each is a key of them.
By = Literal["client", "server", "toolchain", "compiler"]
#: The name of what a record does not tell.
UNKNOWN = "unknown"


def usage_of(rows: Iterable[JobRow], by: By) -> list[UsageRow]:
    """What each client, server, toolchain or compiler used, the one with the most time of slots first.

    A slot counts from its allocation to the end of the job, the time of its client and of the network included.
    """
    sums: dict[str, UsageRow] = {}
    outcomes: dict[str, Counter[str]] = {}
    for row in rows:
        name = row[by] or UNKNOWN
        used = sums.setdefault(
            name, UsageRow(name=name, jobs=0, outcomes={}, slot_secs=0.0, cpu_secs=0.0, wait_secs=0.0)
        )
        wait = row["phases"].get(TimedPhase.QUEUE_WAIT.word, 0.0)
        used["jobs"] += 1
        used["wait_secs"] += wait
        used["cpu_secs"] += (row["cpu_user"] or 0.0) + (row["cpu_system"] or 0.0)
        if row["id"] is not None:
            used["slot_secs"] += max(0.0, row["ended"] - row["asked"] - wait)
        outcomes.setdefault(name, Counter())[row["outcome"]] += 1
    for name, counted in outcomes.items():
        sums[name]["outcomes"] = dict(counted.most_common())
    return sorted(sums.values(), key=lambda used: (-used["slot_secs"], used["name"]))
