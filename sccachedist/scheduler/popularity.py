"""Which toolchains were needed most in the last hour, so that a build server that joins has them before its first job.

Pure: the time is an argument. Who has a toolchain is not known here.
"""

from collections import Counter

#: How long a use counts: so many parts of an hour, each of so many seconds.
PARTS, PART_SECS = 6, 600.0
#: How many toolchains are counted in each part; the first ones, for each farm has a few that are used much.
MOST_COUNTED = 10_000


class Popularity:
    """Counts jobs by toolchain."""

    def __init__(self) -> None:
        self._parts: dict[int, Counter[str]] = {}

    def used(self, toolchain: str, now: float) -> None:
        """Count a job that needs a toolchain."""
        part = self._part(now)
        counted = self._parts.setdefault(part, Counter())
        if toolchain in counted or len(counted) < MOST_COUNTED:
            counted[toolchain] += 1
        for old in [each for each in self._parts if each <= part - PARTS]:
            del self._parts[old]

    def most(self, now: float) -> list[str]:
        """All toolchains of the last hour, those that were needed most first."""
        since = self._part(now) - PARTS
        total = sum((counted for part, counted in self._parts.items() if part > since), Counter[str]())
        return [toolchain for toolchain, _ in total.most_common()]

    @staticmethod
    def _part(now: float) -> int:
        return int(now // PART_SECS)
