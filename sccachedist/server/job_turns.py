"""Turns of jobs to run, for a build server that has memory or CPUs for fewer than have come.

Whether there is something lacking, :mod:`sccachedist.server.spare` decides. As long as nothing is, each job has its
turn at once.
"""

from collections import deque
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IReactorTime

from sccachedist.errors import NoPlace
from sccachedist.outcomes import Lack
from sccachedist.wire.abilities import Offer

#: Seconds for which a job waits for its turn, before its client compiles locally.
WAIT_SECS = 60.0


class JobTurns:
    """The turns.

    :ivar running: how many jobs have theirs.
    """

    def __init__(self, clock: IReactorTime) -> None:
        self._clock, self.running = clock, 0
        self._most: int | None = None
        self._lack: Lack | None = None
        self._waiting: deque[Deferred[None]] = deque()

    def allow(self, offer: Offer) -> None:
        """Let as many jobs run at a time as are offered; those that run go on. With none, none that waits gets a turn.

        If nothing is lacking, any number may run.
        """
        self._lack = Lack.of(offer.lack) if offer.lack else None
        self._most = None if self._lack is None else offer.slots
        if self._most == 0:
            for waits in tuple(self._waiting):
                waits.errback(NoPlace(self._why("waited"), self._lack))
        self._give()

    @asynccontextmanager
    async def turn(self) -> AsyncIterator[None]:
        """Wait for a turn, and have it.

        :raises NoPlace: there is none, or not in time.
        """
        if self._most == 0:
            raise NoPlace(self._why("came"), self._lack)
        if self._is_full or self._waiting:
            await self._wait()
        else:
            self.running += 1
        try:
            yield
        finally:
            self.running -= 1
            self._give()

    async def _wait(self) -> None:
        waits: Deferred[None] = Deferred()
        self._waiting.append(waits)
        why = f"waited for {WAIT_SECS:.0f} s"
        late = self._clock.callLater(WAIT_SECS, lambda: waits.errback(NoPlace(self._why(why), self._lack)))
        waits.addBoth(self._leave, waits)
        try:
            await waits
        finally:
            if late.active():
                late.cancel()

    def _leave(self, result: object, waits: Deferred[None]) -> object:
        if waits in self._waiting:
            self._waiting.remove(waits)
        return result

    def _give(self) -> None:
        while self._waiting and not self._is_full:
            self.running += 1
            self._waiting.popleft().callback(None)

    @property
    def _is_full(self) -> bool:
        return self._most is not None and self.running >= self._most

    def _why(self, did: str) -> str:
        means = "" if self._lack is None else f": {self._lack.clause}"
        return f"this build server has no room for a job that {did}{means}"
