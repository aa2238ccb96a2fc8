"""Has a question answered by the scheduler that leads, whichever that is, and for as long as it takes to find it.

If the leader goes away before any of its answer has gone on, the question is asked again, of the same or of the next
one. A leader that has been silent for long is not waited for: another one would lead by now if one could, and who asks
had better do without. What a question means, and what becomes of it if this scheduler leads, is not known here.
"""

import math
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from typing import cast
from weakref import WeakKeyDictionary

import attrs
from twisted.internet import defer
from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.interfaces import IReactorTime
from twisted.internet.task import LoopingCall

from sccachedist.cluster.leader_calls import LeaderAway, LeaderCalls, PassedRequest
from sccachedist.cluster.leadership import Candidate, Election, Following, Leadership, Leading
from sccachedist.cluster.relayed import RelayedBody, relayed
from sccachedist.errors import NoLeader
from sccachedist.waiters import Waiters
from sccachedist.web.responses import FOLLOWS, Response, StreamResponse

#: Seconds from one attempt to the next, and how many attempts all questions together may make in a second while there
#: are many: they are not what keeps a leader from coming back.
PAUSE_SECS, ATTEMPTS_PER_SEC = 0.1, 200
#: Seconds for which a leader is looked for, if a question has no time of its own.
PATIENCE_SECS = 10.0
#: Seconds that a leader has to begin its answer.
ANSWER_SECS = 30.0
#: Seconds from one look at the silence of leaders that owe an answer to the next.
LOOK_SECS = 1.0
#: Seconds for which a scheduler that stops waits for the answers that others owe it.
LAST_SECS = 10.0


@attrs.define(eq=False)
class _Attempt:
    leader: Candidate
    may_repeat: bool
    asking: "Deferred[Response | StreamResponse]"
    is_given_up: bool = False


def _always_heard(_url: str) -> float:
    return 0.0


class LeaderSearch:
    """Finds out who leads, and asks.

    :param election: says who leads; it has to call :meth:`changed` after each change.
    :param silent_secs: for how long the scheduler at a URL has not answered any question of this one.
    :param patience: seconds of silence for which a leader is waited for, from when it came to lead, and for which it
        may be unknown who leads.

    ``count`` says how many questions there are now, and ``outcomes`` how many had which end.
    """

    def __init__(
        self,
        election: Election,
        calls: LeaderCalls,
        clock: IReactorTime,
        silent_secs: Callable[[str], float] = _always_heard,
        patience: float = math.inf,
    ) -> None:
        self._election, self._calls, self._clock = election, calls, clock
        self._silent_secs, self._patience = silent_secs, patience
        self._changed_at = clock.seconds()
        self._looking = LoopingCall(self._look)
        self._looking.clock = clock
        self._attempts: set[_Attempt] = set()
        self._streams: WeakKeyDictionary[RelayedBody, str] = WeakKeyDictionary()
        self._news, self._done = Waiters(), Waiters()
        self._stops = self._has_stopped = False
        self.count = 0
        self.outcomes = Counter[str]()

    @property
    def leads(self) -> bool:
        """Whether this scheduler decides."""
        return isinstance(self._leadership, Leading)

    @property
    def _leadership(self) -> Leadership:
        current = self._election.current
        return Following() if self._stops and isinstance(current, Leading) else current

    async def answer(self, passed: PassedRequest, *, may_go_on: bool, secs: float) -> Response | StreamResponse | None:
        """The leader's answer; None if this scheduler leads.

        :param may_go_on: whether another scheduler may be asked.
        :param secs: for how long a leader is looked for, and how long the answer may take beyond ``ANSWER_SECS``.
        :raises NoLeader: none is found in time.
        """
        outcome = "sender_gone"
        self.count += 1
        try:
            answer = await self._answer(passed, may_go_on=may_go_on, secs=secs)
            outcome = "here" if answer is None else "answered"
            return answer
        except NoLeader:
            outcome = "no_leader"
            raise
        finally:
            self.outcomes[outcome] += 1
            self.count -= 1
            if not self.count:  # the scheduler may end then: not before this answer was written
                self._clock.callLater(0, self._done.wake)

    def changed(self) -> None:
        """Another one leads: what the one before has not answered is asked again, and what it still says is ended."""
        self._changed_at = self._clock.seconds()
        leadership = self._leadership
        leader = leadership.leader if isinstance(leadership, Following) else None
        for attempt in list(self._attempts):
            if attempt.may_repeat and not attempt.leader.may_be(leader):
                attempt.is_given_up = True
                attempt.asking.cancel()
        if leadership != Following():
            for stream in [each for each, url in self._streams.items() if leader is None or url != leader.url]:
                stream.end()
        self._news.wake()

    def leave(self) -> None:
        """Lead no longer, whatever the election says."""
        self._stops = True

    async def stop(self) -> None:
        """Wait a while for the answers that are still to come, then look for no leader any more."""
        if self.count:
            with suppress(defer.TimeoutError):
                await self._done.wait().addTimeout(LAST_SECS, self._clock)
        self._has_stopped = True
        if self._looking.running:
            self._looking.stop()
        self._news.wake()
        await self._calls.close()

    async def _answer(self, passed: PassedRequest, *, may_go_on: bool, secs: float) -> Response | StreamResponse | None:
        until = self._clock.seconds() + secs
        while not isinstance(leadership := self._leadership, Leading):
            if not may_go_on:
                raise NoLeader("this scheduler follows another one")
            why = "no scheduler is known to lead"
            is_lost = self._is_lost(leadership.leader)
            if leadership.leader is not None and is_lost:
                why = f"the leader at {leadership.leader.url} has not answered for long"
            elif leadership.leader is not None:
                try:
                    return await self._ask(leadership.leader, passed, secs)
                except LeaderAway as error:
                    why = f"the leader at {leadership.leader.url} does not answer: {error}"
                    if not (passed.may_repeat or error.is_unheard):
                        raise NoLeader(why) from error
            if is_lost or self._clock.seconds() >= until or self._has_stopped:
                raise NoLeader(why)
            if self._leadership == leadership:
                await self._news_or_pause()
        return None

    async def _ask(self, leader: Candidate, passed: PassedRequest, secs: float) -> Response | StreamResponse:
        """Ask once.

        :raises LeaderAway: it does not answer, or says that it does not lead, or leads no longer.
        """
        asking = Deferred.fromCoroutine(self._over(leader.url, passed))
        attempt = _Attempt(leader, passed.may_repeat, asking)
        self._attempts.add(attempt)
        if not self._looking.running:
            self._looking.start(LOOK_SECS, now=False)
        try:
            return await asking.addTimeout(secs + ANSWER_SECS, self._clock)
        except defer.TimeoutError as error:
            raise LeaderAway("no answer in time", is_unheard=False) from error
        except CancelledError as error:
            if not attempt.is_given_up:
                raise
            raise LeaderAway("another one leads now, or it is silent", is_unheard=False) from error
        finally:
            self._attempts.discard(attempt)

    async def _over(self, url: str, passed: PassedRequest) -> Response | StreamResponse:
        response = await self._calls.ask(url, passed)
        answer = await relayed(response)
        if isinstance(answer, Response) and response.headers.hasHeader(FOLLOWS[0]):
            raise LeaderAway("it says that it does not lead", is_unheard=True)
        if isinstance(answer, StreamResponse):
            self._streams[cast(RelayedBody, answer.source)] = url
        return answer

    def _is_lost(self, leader: Candidate | None) -> bool:
        """Whether it is of no use to wait for an answer. One that has just come to lead has shown that it lives."""
        since_change = self._clock.seconds() - self._changed_at
        silent = since_change if leader is None else min(since_change, self._silent_secs(leader.url))
        return silent >= self._patience

    def _look(self) -> None:
        """Wait no longer for those that have fallen silent."""
        for attempt in list(self._attempts):
            if self._is_lost(attempt.leader):
                attempt.is_given_up = True
                attempt.asking.cancel()
        if not self._attempts:
            self._looking.stop()

    async def _news_or_pause(self) -> None:
        pause = max(PAUSE_SECS, self.count / ATTEMPTS_PER_SEC)
        with suppress(defer.TimeoutError):
            await self._news.wait().addTimeout(pause, self._clock)
