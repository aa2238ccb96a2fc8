"""Has the other schedulers hear what a build server has told this one, and what was meant for another leader.

While two lead, a balancer brings a report to either, and its sender says it once. What it says is not known here, nor
whether another one leads: one that follows refuses it, and that is all.
"""

from collections.abc import Iterable

import attrs
from twisted.internet.defer import CancelledError, Deferred, DeferredSemaphore, TimeoutError  # noqa: A004
from twisted.internet.interfaces import IReactorTime

from sccachedist.cluster.hop import FOR_INFORMATION, PASSED_ON, Hop, target
from sccachedist.cluster.leader_calls import LeaderAway, LeaderCalls, PassedRequest
from sccachedist.cluster.relayed import relayed
from sccachedist.daemon.logs import Logger
from sccachedist.web.request_head import Head
from sccachedist.web.responses import StreamResponse

log = Logger()

#: How many requests one scheduler is told at a time, and how many there are at most: it does not hear of further ones.
AT_ONCE, MOST = 16, 1000
#: Seconds that it has for each.
ANSWER_SECS = 5.0


@attrs.define(eq=False)
class _Other:
    url: str
    turns: DeferredSemaphore = attrs.field(factory=lambda: DeferredSemaphore(AT_ONCE))
    untold: int = 0


class OtherLeaders:
    """The other schedulers, each of which may lead, too.

    :param urls: of all but this one.
    :param hop: the way to them.
    """

    def __init__(self, urls: Iterable[str], calls: LeaderCalls, hop: Hop, clock: IReactorTime) -> None:
        self._others = [_Other(url) for url in urls]
        self._calls, self._hop, self._clock = calls, hop, clock
        self._telling: set[Deferred[None]] = set()

    def tell(self, head: Head, octets: bytes) -> None:
        """Let them hear a request, in the background. What one of them has told this one, they know.

        :param octets: the body.
        """
        if head.headers.get(PASSED_ON) == FOR_INFORMATION:
            return
        headers = self._hop.outward(head, FOR_INFORMATION)
        passed = PassedRequest(head.method, target(head), headers, octets, may_repeat=True)
        for other in self._others:
            if other.untold < MOST:
                other.untold += 1
                telling = Deferred.fromCoroutine(self._tell(other, passed))
                self._telling.add(telling)
                telling.addBoth(self._told, telling)

    async def close(self) -> None:
        """Tell no more, and keep no connections."""
        for telling in tuple(self._telling):
            telling.cancel()
        await self._calls.close()

    def _told(self, _: object, telling: Deferred[None]) -> None:
        self._telling.discard(telling)

    async def _tell(self, other: _Other, passed: PassedRequest) -> None:
        try:
            await other.turns.acquire()
            try:
                await Deferred.fromCoroutine(self._ask(other.url, passed)).addTimeout(ANSWER_SECS, self._clock)
            finally:
                other.turns.release()
        except (LeaderAway, TimeoutError, CancelledError) as error:
            log.debug("{url} has not heard {target}: {error}", url=other.url, target=passed.target, error=str(error))
        finally:
            other.untold -= 1

    async def _ask(self, url: str, passed: PassedRequest) -> None:
        answer = await relayed(await self._calls.ask(url, passed))
        if isinstance(answer, StreamResponse):  # none that a scheduler gives to this
            answer.source.detach()
