"""For how many jobs a host has memory, so that it takes no more before the kernel has to kill one.

What a job takes is not known before it ends. So one of the jobs is expected to take as much as the largest of the
latest ones, and each other as much as all but a tenth of those. What the jobs that run have already counts for them;
where that is not told, as with containers, it is what is missing since none ran. A single job may be of any size. A
host on which jobs took more than there will ever be beside its reserve tries again now and then: the next jobs may be
smaller.

Pure: the time is an argument. What is free, :mod:`sccachedist.memory` knows, and what jobs hold,
:mod:`sccachedist.server.host_usage`.
"""

from collections import deque

import attrs

#: Bytes that a job is expected to take as long as fewer jobs than this have told.
PRESUMED_BYTES, LEAST_JOBS = 1 << 30, 5
#: The latest jobs that count; which part of them an ordinary job takes no less memory than.
MOST_JOBS, ORDINARY_PART = 100, 0.9
#: Looks of which the least counts: as soon as there is less, and not as soon as there is more.
LOOKS = 3
#: Seconds without memory for a single job, after which what jobs took is forgotten.
FORGET_SECS = 600.0


@attrs.frozen
class JobMemory:
    """What is seen of the memory at one time.

    :param free: bytes that processes can still get; None if that cannot be told.
    :param held: bytes that the jobs have which run; None if that cannot be told. ``running``: how many these are.
    :param is_pressed: whether processes stood still for lack of memory.
    """

    free: int | None
    held: int | None
    running: int
    is_pressed: bool = False


class MemoryRoom:
    """For how many jobs there is memory.

    :param reserve: bytes that are to stay free.
    """

    def __init__(self, reserve: int) -> None:
        self.reserve = reserve
        self._peaks: deque[int] = deque(maxlen=MOST_JOBS)
        self._looks: deque[int] = deque(maxlen=LOOKS)
        self._largest = self._ordinary = PRESUMED_BYTES
        self._lacking: float | None = None  # since when there is none for a job like the latest
        self._free_alone = 0  # when no job ran

    def ended(self, peak: int) -> None:
        """Note how many bytes a job had at most; 0 if that is not known."""
        if not peak:
            return
        self._peaks.append(peak)
        ranked = sorted(self._peaks)
        self._largest, self._ordinary = ranked[-1], ranked[int(ORDINARY_PART * (len(ranked) - 1))]
        if len(ranked) < LEAST_JOBS:
            self._largest = self._ordinary = max(PRESUMED_BYTES, self._largest)

    def is_ample(self, free: int | None, jobs: int) -> bool:
        """Whether there is memory for so many jobs even if those that run have none of theirs yet."""
        return free is None or free - self.reserve >= self._need(jobs)

    def looked(self, seen: JobMemory, most: int, now: float) -> int:
        """Note a look; returns how many jobs there is memory for, those that run included.

        :param most: jobs that are of interest.
        """
        self._looks.append(min(most, self._jobs(seen, most, now)))
        return min(self._looks)

    def _jobs(self, seen: JobMemory, most: int, now: float) -> int:
        since, self._lacking = self._lacking, None
        if seen.is_pressed:
            return seen.running
        if seen.free is None:
            return most
        if not seen.running:
            self._free_alone = seen.free
        held = max(0, self._free_alone - seen.free) if seen.held is None else seen.held
        due = max(0, self._need(seen.running) - held)
        left = seen.free - self.reserve - due
        if seen.running:
            return seen.running + max(0, left // self._ordinary)
        if left < self._ordinary:
            if left <= 0:
                return 0
            self._lacking = now if since is None else since
            if now - self._lacking >= FORGET_SECS:
                self._peaks.clear()
                self._largest = self._ordinary = PRESUMED_BYTES
            return int(len(self._peaks) < LEAST_JOBS)  # nothing is learned without a job
        return 1 + max(0, left - self._largest) // self._ordinary

    def _need(self, jobs: int) -> int:
        """The bytes that so many jobs are expected to take together."""
        return self._largest + (jobs - 1) * self._ordinary if jobs else 0
