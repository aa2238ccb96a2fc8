"""When a scheduler begins and stops to lead: by what the store of the lock says, or by how long it has said nothing.

Pure: all times are arguments, in seconds by a clock that only grows, on one host. It asks no store itself.

To have a leader goes before having only one: build servers decide what they run, so that two leaders cost a little
order, and none costs every compile. Hence:

- A leader steps down when the store says that another one has the lock, and when it resigns at its end. The store's
  silence does not make it step down.
- A candidate that hears neither of the store nor of a leader leads without the lock. Its patience is one TTL, and one
  more for each candidate before it, so that those that start together without a store do not all lead.
- Time in which the process did not run is no silence: several questions have to be without an answer.
- An answer counts from before its question. One that is a TTL old by then says nothing, nor does one that an answer to
  a question no older has overtaken.
"""

import math
from collections.abc import Sequence

from sccachedist.cluster.leadership import Candidate, Following, Leadership, Leading
from sccachedist.cluster.lock import Holder

#: How far one time in office is above the one before at least. Numbers are microseconds since 1970 where no clock is
#: behind, and a job takes one, see :mod:`sccachedist.scheduler.job_ids`: a leader gives out fewer ids than these in an
#: hour, and an hour is how far clocks may be apart.
STEP = 60_000_000
#: How many questions in a row have to be without an answer before the store is taken for silent.
UNANSWERED = 3


class ElectionCore:
    """What one candidate knows of the election.

    :param me: the candidate.
    :param ttl: seconds after which a lock lapses that is not taken again.
    :param schedulers: the URLs of all, in the order in which they lead where there is no store. No other one is
        followed, whatever the store says.
    """

    def __init__(self, me: Candidate, schedulers: Sequence[str], ttl: float, now: float) -> None:
        self.current: Leadership = Following()
        self._me, self._schedulers = me, schedulers
        self._ttl, self._patience = ttl, ttl * (1 + schedulers.index(me.url))
        self._heard, self._answered, self._claimed = now, -math.inf, -math.inf
        self._unanswered = 0
        self._seen = 0
        self._resigned = False

    def least_number(self, unix_time: float) -> int:
        """The least number for a time in office that begins now; a leader's own one, as long as it leads."""
        if isinstance(self.current, Leading):
            return self.current.number
        return max(int(unix_time * 1_000_000), self._seen + STEP if self._seen else 0)

    def may_take(self, now: float) -> bool:
        """Whether it may take a lock that is free.

        When a store has lost everything and is back, a leader that has gone on meanwhile is to have it again.
        """
        return isinstance(self.current, Leading) or now - self._claimed >= self._ttl

    def answered(self, holder: Holder | None, asked: float, now: float) -> None:
        """The store has said who has the lock.

        :param asked: when it was asked.
        """
        if now - asked >= self._ttl or asked <= self._answered:
            return
        self._answered = asked
        self._hear(asked)
        if holder is None:
            if self._resigned:
                self.current = Following()
            return
        before, self._seen = self._seen, max(self._seen, holder.number)
        if holder.candidate.incarnation != self._me.incarnation:
            self.current = self._following(holder.candidate)
        elif not self._resigned and (not before or holder.number == before or holder.number >= before + STEP):
            self.current = Leading(holder.number)
        # Else a question of before has taken it, in a store that has lost the numbers since: the next one mends that.

    def unanswered(self, now: float, unix_time: float) -> None:
        """The store has not answered a question."""
        self._unanswered += 1
        silent = self._unanswered >= UNANSWERED and now - self._heard >= self._patience
        if silent and isinstance(self.current, Following) and not self._resigned:
            self._seen = self.least_number(unix_time)
            self.current = Leading(self._seen)

    def claimed(self, leader: Candidate, asked: float, now: float) -> None:
        """A scheduler has said that it leads. That says less than the store, and nothing to a leader.

        A leader that was heard of a moment ago is not exchanged for another one.

        :param asked: when it was asked.
        """
        if isinstance(self.current, Leading) or now - asked >= self._ttl or asked < self._heard:
            return
        known = self.current.leader
        if known is None or known.url == leader.url or now - self._heard >= self._ttl / 2:
            self._hear(asked)
            self._claimed = asked
            if known is None or not known.may_be(leader):
                self.current = self._following(leader)

    def resign(self) -> None:
        """Lead no longer, and never again: this run of the scheduler ends."""
        self._resigned = True
        self.current = Following()

    def _hear(self, asked: float) -> None:
        self._heard, self._unanswered = max(self._heard, asked), 0

    def _following(self, leader: Candidate) -> Following:
        """Follow another one; an earlier run at this address is gone."""
        return Following(leader if leader.url in self._schedulers and leader.url != self._me.url else None)
