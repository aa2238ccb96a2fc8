"""How many CPUs of a host other programs leave idle, for a daemon that offers no others to the farm.

What is taken is given back at once: after two looks, for one may be wrong. The two need not follow each other, for a
program may work every other second. What has become idle is offered when it was idle for a while, so that a program
which works in bursts keeps its CPU.

Pure: the time is an argument. What is seen of the host, :mod:`sccachedist.server.host_usage` reads.
"""

import math
from collections import deque
from itertools import islice

#: A CPU counts as idle if others use less than this part of it. It is given back when they use twice as much.
SLACK = 0.25
#: Seconds for which a CPU has to be idle before it is offered.
IDLE_SECS = 10.0
#: Looks of which two have to find a CPU in use before it is given back.
LATELY = 4
#: Where tasks wait for CPUs and others use so many of them, they may want more than they get beside the jobs.
CONTENDED_CPUS = 0.5


class IdleCpus:
    """The CPUs that are offered.

    :param cpus: how many jobs may use at most; ``host``: how many there are.
    :ivar offered: how many of them are idle but for jobs.
    """

    def __init__(self, cpus: int, host: int) -> None:
        self.cpus = self.offered = min(cpus, host)
        self._host = host
        self._seen: deque[tuple[float, float]] = deque()

    def looked(self, foreign: float, now: float, *, is_contended: bool = False) -> int:
        """Note a look at the host; returns what is offered.

        :param foreign: CPUs that other programs used since the last look.
        :param is_contended: whether tasks waited for a CPU for most of that time. As long as they do beside other
            programs, half as many CPUs are offered after every two looks.
        """
        free = self._host - foreign
        if is_contended and foreign >= CONTENDED_CPUS:
            free = min(free, self.offered // 2)
        self._seen.append((now, free))
        while len(self._seen) > 2 and now - self._seen[1][0] >= IDLE_SECS:
            self._seen.popleft()
        if len(self._seen) == 1:
            self.offered = self._whole(free)
        elif (lately := self._lately()) < self.offered - 2 * SLACK:
            self.offered = self._whole(lately)
        elif now - self._seen[0][0] >= IDLE_SECS:
            self.offered = max(self.offered, self._whole(min(free for _, free in self._seen)))
        return self.offered

    def _lately(self) -> float:
        """The CPUs that were free at each of the latest looks but one."""
        return sorted(free for _, free in islice(reversed(self._seen), LATELY))[1]

    def _whole(self, free: float) -> int:
        return max(0, min(self.cpus, math.floor(free + SLACK)))
