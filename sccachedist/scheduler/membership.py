"""What makes a scheduler one of several: its candidate for the election, and a look at the others.

The store's library is loaded only here, and only if the configuration has ``[cluster]``.
"""

import secrets
from collections.abc import Callable
from contextlib import suppress
from typing import Any

import attrs
from twisted.internet.defer import Deferred, FailureGroup, TimeoutError, race  # noqa: A004
from twisted.logger import LogLevel

from sccachedist.cluster.agreement import PROOFS
from sccachedist.cluster.candidate_service import CandidateService
from sccachedist.cluster.hop import PASSED_ON
from sccachedist.cluster.leader_calls import LeaderAway, LeaderCalls, PassedRequest
from sccachedist.cluster.leadership import Candidate, Leading
from sccachedist.cluster.relayed import relayed
from sccachedist.cluster.roll import Roll, SchedulerAccount
from sccachedist.config import ClusterSettings
from sccachedist.daemon.logs import Logger, QuietLog
from sccachedist.daemon.periodic import PeriodicService
from sccachedist.errors import DecodeError
from sccachedist.peers.bodies import read_body
from sccachedist.records.documents import SchedulerRow
from sccachedist.scheduler.job_ids import JobIds, ids_of_term, ids_since
from sccachedist.web.responses import FOLLOWS, StreamResponse

log = Logger()

#: A request that changes nothing, and that only a leader answers.
_QUESTION = PassedRequest("GET", "/api/v1/scheduler/status", [(PASSED_ON, "1")], b"", may_repeat=True)
_SUCCESS, _MOST_BYTES = 200, 1 << 16
#: What each answers for itself.
_ACCOUNT = PassedRequest("GET", "/api/v1/scheduler/account", [], b"", may_repeat=True)
#: Seconds from one look at the others to the next.
LOOK_SECS = 2.0
#: How many questions to the store, one after the other, take a TTL if none is answered.
_QUESTIONS = 3


class Membership:
    """One scheduler among several.

    :param settings: with an address.
    :param unix_time: the time, in seconds since 1970.
    :param proofs: returns what shows another scheduler whether its configuration differs.
    :raises ConfigError: the authorities of the store's certificate cannot be read, or the store's library is missing.
    """

    def __init__(
        self, settings: ClusterSettings, reactor: Any, unix_time: Callable[[], float], proofs: Callable[[], str]
    ) -> None:
        from sccachedist.cluster.redis_board import RedisBoard
        from sccachedist.cluster.redis_lock import RedisLock
        from sccachedist.cluster.redis_store import RedisStore, authorities

        self._me, self._unix_time = Candidate(settings.address or "", secrets.token_hex(8)), unix_time
        ttl = float(settings.ttl_secs)
        within = answer_secs(settings)
        trusted = authorities(settings.lock_ca)
        # Two connections: no question of the election waits for what is written to the board.
        stores = [RedisStore(settings.lock, settings.lock_password, trusted, within, reactor) for _ in range(2)]
        lock, self.board = RedisLock(stores[0]), RedisBoard(stores[1], self._me.incarnation)
        self._others = Others([url for url in settings.schedulers if url != self._me.url], within, proofs, reactor)
        schedulers = sorted(settings.schedulers)
        self._roll = Roll(schedulers, unix_time())
        self._looking = PeriodicService(LOOK_SECS, self._look, reactor)
        self.candidate = CandidateService(self._me, schedulers, lock, ttl, self._others.leader, reactor, unix_time)

    def job_ids(self) -> JobIds:
        """The ids of a term that begins now."""
        leadership = self.candidate.current
        if isinstance(leadership, Leading):
            return ids_of_term(leadership.number, self._me.incarnation)
        return ids_since(self._unix_time())  # no job is asked for before this one leads

    def schedulers(self, own: SchedulerAccount) -> list[SchedulerRow]:
        """All of them.

        :param own: how this one stands.
        """
        self._roll.answered(self._me.url, own, self._unix_time())
        return self._roll.rows()

    def silent_secs(self, url: str) -> float:
        """For how long another scheduler has not answered this one."""
        return self._roll.silent_secs(url, self._unix_time())

    async def start(self) -> None:
        """Ask who leads and how the others stand, again and again."""
        self.candidate.startService()
        self._looking.startService()
        self._look()

    async def stop(self) -> None:
        """Ask no more."""
        self._looking.stopService()
        await self.candidate.stopService()
        await self._others.close()

    def _look(self) -> None:
        self._others.look(self._roll, self._unix_time)


class Others:
    """The other schedulers, which know whether they lead.

    :param within: seconds that they have to answer.
    :param proofs: see :class:`Membership`.
    """

    def __init__(self, urls: list[str], within: float, proofs: Callable[[], str], reactor: Any) -> None:
        self._urls, self._within, self._proofs, self._reactor = urls, within, proofs, reactor
        self._quiet_log = QuietLog(reactor.seconds)
        self._calls = LeaderCalls(reactor)
        self._looked_at: set[str] = set()

    async def leader(self) -> Candidate | None:
        """The first one that says that it leads."""
        asked = [Deferred.fromCoroutine(self._leads(url)) for url in self._urls]
        with suppress(FailureGroup, TimeoutError):
            _, url = await race(asked).addTimeout(self._within, self._reactor)
            return Candidate(url, "")
        return None

    async def _leads(self, url: str) -> str:
        """Its URL.

        :raises LeaderAway: it does not lead, or does not answer.
        """
        response = await self._calls.ask(url, _QUESTION)
        await read_body(response, _MOST_BYTES)
        if response.code != _SUCCESS or response.headers.hasHeader(FOLLOWS[0]):
            raise LeaderAway("it does not lead", is_unheard=True)
        return url

    def look(self, roll: Roll, unix_time: Callable[[], float]) -> None:
        """Ask each how it stands, but for those that have not answered the question before yet."""
        for url in set(self._urls) - self._looked_at:
            self._looked_at.add(url)
            Deferred.fromCoroutine(self._look_at(url, roll, unix_time))

    async def _look_at(self, url: str, roll: Roll, unix_time: Callable[[], float]) -> None:
        asked = Deferred.fromCoroutine(account_of(self._calls, url, self._proofs()))
        try:
            account = await asked.addTimeout(self._within, self._reactor)
        except (LeaderAway, DecodeError, TimeoutError):
            roll.unanswered(url)
        else:
            roll.answered(url, account, unix_time())
            self._tell_differences(url, account.differs)
        finally:
            self._looked_at.discard(url)

    def _tell_differences(self, url: str, differs: tuple[str, ...] | None) -> None:
        if differs:
            form = "{url} has another {parts} than this scheduler: compare the configuration files"
            parts = ", ".join(differs)
            self._quiet_log.tell(log, LogLevel.warn, "differs", form, by=url, why=parts, url=url, parts=parts)
        else:
            self._quiet_log.forget("differs", url)

    async def close(self) -> None:
        """Keep no connections."""
        await self._calls.close()


def answer_secs(settings: ClusterSettings) -> float:
    """Seconds in which the store, or another scheduler, has to answer one question."""
    return settings.ttl_secs / _QUESTIONS


async def account_of(calls: LeaderCalls, url: str, proofs: str) -> SchedulerAccount:
    """What a scheduler says of itself, and of where it differs.

    :param proofs: see :mod:`sccachedist.cluster.agreement`.
    :raises LeaderAway: it does not answer.
    :raises DecodeError: it answers something else.
    """
    answer = await relayed(await calls.ask(url, attrs.evolve(_ACCOUNT, headers=[(PROOFS, proofs)])))
    if isinstance(answer, StreamResponse):
        answer.source.detach()
        raise DecodeError("a scheduler says of itself more than it should")
    return SchedulerAccount.read(answer.body)
