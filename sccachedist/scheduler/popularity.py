"""Which toolchains were needed most in the last hour, so that a build server that joins has them before its first job.

Pure: the time is an argument. Who has a toolchain is not known here.
"""

from collections import Counter
from heapq import nlargest
from operator import itemgetter

#: How long a use counts: so many parts of an hour, each of so many seconds.
PARTS, PART_SECS = 6, 600.0
#: How many toolchains are counted in each part; the first ones, for each farm has a few that are used much.
MOST_COUNTED = 10_000
#: How many are told in their order; and the part of all uses that are new when the order is found again: a thousand
#: build servers that join at the same time find it once.
MOST_RANKED, NEWS = 512, 0.01


class Popularity:
    """Counts jobs by toolchain."""

    def __init__(self) -> None:
        self._parts: dict[int, Counter[str]] = {}
        self._all: Counter[str] = Counter()
        self._uses = self._news = 0
        self._ranked: list[str] = []

    def used(self, toolchain: str, now: float) -> None:
        """Count a job that needs a toolchain."""
        part = self._begin(now)
        counted = self._parts.setdefault(part, Counter())
        if toolchain in counted or len(counted) < MOST_COUNTED:
            counted[toolchain] += 1
            self._all[toolchain] += 1
            self._uses += 1
            self._news += 1

    def most(self, now: float) -> list[str]:
        """The toolchains of the last hour that were needed most, the first one first."""
        self._begin(now)
        if self._news > NEWS * self._uses:
            most = nlargest(MOST_RANKED, self._all.items(), key=itemgetter(1))
            self._ranked, self._news = [toolchain for toolchain, _ in most], 0
        return self._ranked

    def _begin(self, now: float) -> int:
        """The part of the hour that it is; those before the hour are forgotten."""
        part = int(now // PART_SECS)
        while self._parts and (first := next(iter(self._parts))) <= part - PARTS:
            gone = self._parts.pop(first)
            for toolchain, count in gone.items():
                self._all[toolchain] -= count
                if not self._all[toolchain]:
                    del self._all[toolchain]
            self._uses -= gone.total()
            self._news += gone.total()
        return part
