"""A scheduler among several: asks the store of the lock again and again, and says who leads. It knows no other work.

:class:`~sccachedist.cluster.election.ElectionCore` decides what follows from an answer, or from none.
"""

from collections.abc import Awaitable, Callable, Sequence

from twisted.application.service import Service
from twisted.internet.defer import Deferred, DeferredLock
from twisted.internet.interfaces import IReactorTime
from twisted.internet.task import LoopingCall
from twisted.logger import LogLevel

from sccachedist.cluster.election import ElectionCore
from sccachedist.cluster.leadership import Candidate, Following, Leadership, Leading
from sccachedist.cluster.lock import Holder, Lock
from sccachedist.cluster.store import StoreError
from sccachedist.daemon.logs import Logger, QuietLog

log = Logger()

#: How many questions there are in the time in which a lock lapses.
QUESTIONS = 6

#: Asks the other schedulers which of them leads, within a time limit; None if none says so, or none answers.
AskOthers = Callable[[], Awaitable[Candidate | None]]


class CandidateService(Service):
    """An :class:`~sccachedist.cluster.leadership.Election` while it runs.

    :param schedulers: the URLs of all, see :class:`~sccachedist.cluster.election.ElectionCore`.
    :param ttl: seconds after which the lock lapses.
    :param ask_others: called while the store does not answer.
    :param unix_time: the time, in seconds since 1970.

    ``unanswered`` says how often the store has not answered.
    """

    def __init__(
        self,
        me: Candidate,
        schedulers: Sequence[str],
        lock: Lock,
        ttl: float,
        ask_others: AskOthers,
        clock: IReactorTime,
        unix_time: Callable[[], float],
    ) -> None:
        self._me, self._lock, self._ttl, self._ask_others = me, lock, ttl, ask_others
        self._schedulers, self._clock, self._unix_time = schedulers, clock, unix_time
        self._core = ElectionCore(me, schedulers, ttl, clock.seconds())
        self._told = self._core.current
        self._observers: list[Callable[[Leadership], None]] = []
        self._resigned = False
        self._silent_since: float | None = None
        self.unanswered = 0
        self._one_question = DeferredLock()
        self._quiet_log = QuietLog(clock.seconds)
        self._loop = LoopingCall(self._turn)
        self._loop.clock = clock

    @property
    def current(self) -> Leadership:
        """Who leads now."""
        return self._core.current

    @property
    def silent_secs(self) -> float | None:
        """For how long the store has not answered; None if it does."""
        return None if self._silent_since is None else self._clock.seconds() - self._silent_since

    def observe(self, observer: Callable[[Leadership], None]) -> None:
        """Have a function called after each change."""
        self._observers.append(observer)

    def startService(self) -> None:
        """Ask at once, and from then on."""
        super().startService()
        self._loop.start(self._ttl / QUESTIONS, now=True)

    def stopService(self) -> Deferred[None]:
        """Give the lock up, and ask no more."""
        super().stopService()
        return Deferred.fromCoroutine(self._stop())

    async def resign(self) -> None:
        """Give the lock up. Who leads from then on is still asked for, so that those that wait can be passed on."""
        if self._resigned:
            return
        self._resigned = True
        self._core.resign()
        self._tell()
        await self._one_question.run(self._release)

    async def _stop(self) -> None:
        await self.resign()
        self._loop.stop()
        self._lock.close()

    async def _release(self) -> None:
        try:
            await self._lock.release(self._me)
        except StoreError as error:
            log.warn("the lock cannot be given up, and lapses: {error}", error=str(error))

    def _turn(self) -> Deferred[None]:
        asked = self._one_question.run(self._ask)
        return asked.addErrback(lambda failure: log.failure("the election failed for once", failure))

    async def _ask(self) -> None:
        asked = self._clock.seconds()
        try:
            holder = await self._question()
        except StoreError as error:
            self._note_silence(error, asked)
            await self._go_by_others()
        else:
            self._note_answer(holder)
            self._core.answered(holder, asked, self._clock.seconds())
        self._tell()

    async def _question(self) -> Holder | None:
        """Ask for the lock, and take it if that is this one's.

        A follower takes only what it has just seen free. A store that hangs does what it was asked when it goes on,
        also if its answer is no longer waited for: a lock that has lapsed meanwhile is to be the leader's again.
        """
        if self._resigned or not self._core.may_take(self._clock.seconds()):
            return await self._lock.holder()
        if isinstance(self.current, Following):
            holder = await self._lock.offered()
            if holder is not None and holder.candidate.incarnation != self._me.incarnation:
                return holder
        return await self._lock.take(self._me, self._core.least_number(self._unix_time()), self._ttl)

    async def _go_by_others(self) -> None:
        """Find out whether another one leads; a leader need not know."""
        if isinstance(self.current, Following):
            asked = self._clock.seconds()
            leader = await self._ask_others()
            if leader is not None:
                self._core.claimed(leader, asked, self._clock.seconds())
        self._core.unanswered(self._clock.seconds(), self._unix_time())

    def _note_silence(self, error: StoreError, asked: float) -> None:
        why = str(error)
        self.unanswered += 1
        if self._silent_since is None:
            self._silent_since = asked
        self._quiet_log.tell(log, LogLevel.warn, "lock", "cannot ask who leads: {error}", why=why, error=why)

    def _note_answer(self, holder: Holder | None) -> None:
        if holder is not None and holder.candidate.url not in self._schedulers:
            form, url = (
                "the lock has {url}, which is not in cluster.schedulers: it is not followed",
                holder.candidate.url,
            )
            self._quiet_log.tell(log, LogLevel.warn, "stranger", form, why=url, url=url)
        if self._silent_since is not None:
            self._silent_since = None
            self._quiet_log.forget("lock")
            log.info("the store of the lock answers again")

    def _tell(self) -> None:
        """Tell the log and the observers what has changed."""
        if self._core.current == self._told:
            return
        self._told = self._core.current
        match self._told:
            case Leading(number=number) if self._silent_since is not None:
                log.warn("this scheduler leads without the lock, as number {number}", number=number)
            case Leading(number=number):
                log.info("this scheduler leads, as number {number}", number=number)
            case Following(leader=leader):
                log.info("{url} leads", url="another scheduler, not known yet," if leader is None else leader.url)
        for observer in self._observers:
            with log.failuresHandled("an observer of the election failed"):
                observer(self._told)
