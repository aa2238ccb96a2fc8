"""A store of the lock that is too simple to be wrong, in memory."""

import math

import attrs

from sccachedist.cluster.election import STEP
from sccachedist.cluster.leadership import Candidate
from sccachedist.cluster.lock import Holder


@attrs.define
class MemoryStore:
    """Who has the lock and until when, and who had it last. Times are the store's own."""

    held: Holder | None = None
    until: float = -math.inf
    last: Holder | None = None

    def take(self, candidate: Candidate, least: int, ttl: float, now: float) -> Holder:
        """As :meth:`sccachedist.cluster.lock.Lock.take` says."""
        held = self.holder(now)
        if held is not None and held.candidate.incarnation != candidate.incarnation:
            return held
        if self.last is not None and self.last.candidate.incarnation != candidate.incarnation:
            least = max(least, self.last.number + STEP)
        elif self.last is not None:
            least = max(least, self.last.number)
        self.held = self.last = Holder(candidate, least)
        self.until = now + ttl
        return self.held

    def holder(self, now: float) -> Holder | None:
        """Who has it."""
        return self.held if now < self.until else None

    def release(self, candidate: Candidate) -> None:
        """Give it up."""
        if self.held is not None and self.held.candidate.incarnation == candidate.incarnation:
            self.held, self.until = None, -math.inf

    def empty(self) -> None:
        """Lose everything."""
        self.held, self.until, self.last = None, -math.inf, None
