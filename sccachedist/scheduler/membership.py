"""What makes a scheduler one of several: its candidate for the election, with the lock in a store.

The store's library is loaded only here, and only if the configuration has ``[cluster]``.
"""

import secrets
from collections.abc import Callable
from contextlib import suppress
from typing import Any

from twisted.internet.defer import Deferred, FailureGroup, TimeoutError, race  # noqa: A004

from sccachedist.cluster.candidate_service import CandidateService
from sccachedist.cluster.hop import PASSED_ON
from sccachedist.cluster.leader_calls import LeaderAway, LeaderCalls, PassedRequest
from sccachedist.cluster.leadership import Candidate, Leading
from sccachedist.config import ClusterSettings
from sccachedist.peers.bodies import read_body
from sccachedist.scheduler.job_ids import JobIds, ids_of_term, ids_since
from sccachedist.web.responses import FOLLOWS

#: A request that changes nothing, and that only a leader answers.
_QUESTION = PassedRequest("GET", "/api/v1/scheduler/status", [(PASSED_ON, "1")], b"", may_repeat=True)
_SUCCESS, _MOST_BYTES = 200, 1 << 16
#: How many questions to the store, one after the other, take a TTL if none is answered.
_QUESTIONS = 3


class Membership:
    """One scheduler among several.

    :param settings: with an address.
    :param unix_time: the time, in seconds since 1970.
    :raises ConfigError: the authorities of the store's certificate cannot be read, or the store's library is missing.
    """

    def __init__(self, settings: ClusterSettings, reactor: Any, unix_time: Callable[[], float]) -> None:
        from sccachedist.cluster.redis_lock import RedisLock
        from sccachedist.cluster.redis_store import RedisStore, authorities

        self._me, self._unix_time = Candidate(settings.address or "", secrets.token_hex(8)), unix_time
        ttl = float(settings.ttl_secs)
        within = ttl / _QUESTIONS
        trusted = authorities(settings.lock_ca)
        lock = RedisLock(RedisStore(settings.lock, settings.lock_password, trusted, within, reactor))
        self._others = Others([url for url in settings.schedulers if url != self._me.url], within, reactor)
        schedulers = sorted(settings.schedulers)
        self.candidate = CandidateService(self._me, schedulers, lock, ttl, self._others.leader, reactor, unix_time)

    def job_ids(self) -> JobIds:
        """The ids of a term that begins now."""
        leadership = self.candidate.current
        if isinstance(leadership, Leading):
            return ids_of_term(leadership.number, self._me.incarnation)
        return ids_since(self._unix_time())  # no job is asked for before this one leads

    async def start(self) -> None:
        """Ask who leads, again and again."""
        self.candidate.startService()

    async def stop(self) -> None:
        """Ask no more."""
        await self.candidate.stopService()
        await self._others.close()


class Others:
    """The other schedulers, which know whether they lead.

    :param within: seconds that they have to answer.
    """

    def __init__(self, urls: list[str], within: float, reactor: Any) -> None:
        self._urls, self._within, self._reactor = urls, within, reactor
        self._calls = LeaderCalls(reactor)

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

    async def close(self) -> None:
        """Keep no connections."""
        await self._calls.close()
