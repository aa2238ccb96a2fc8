"""The object store as a source of toolchains, and as the place where those are kept that clients bring.

An object's name is the toolchain's archive id. What comes is verified by :mod:`sccachedist.toolchains.fetching`, so
nothing wrong that lies there is used. A store that fails is left alone for a while, in which clients bring toolchains;
the log says why, and so does each heartbeat. How requests travel is not known here: :mod:`sccachedist.objects.store`
does that.
"""

import math
import random
from collections import Counter
from collections.abc import Awaitable, Callable
from functools import partial
from typing import TypeVar

from twisted.internet.defer import CancelledError, Deferred, DeferredSemaphore
from twisted.internet.interfaces import IReactorTime
from twisted.internet.task import deferLater
from twisted.logger import LogLevel

from sccachedist.bounded import remember
from sccachedist.daemon.background import in_background
from sccachedist.daemon.logs import Logger, QuietLog
from sccachedist.errors import LimitExceeded, PeerError, SccachedistError, ToolchainError
from sccachedist.objects.refusals import MISSING, is_passing
from sccachedist.objects.store import ObjectStore
from sccachedist.singleflight import SingleFlight
from sccachedist.toolchains.cache import Toolchains
from sccachedist.toolchains.fetching import Sink, Take
from sccachedist.toolchains.pace import paced
from sccachedist.wire.abilities import ObjectStoreFacts
from sccachedist.wire.archive_id import NO_TOOLCHAIN, ArchiveId

log = Logger()
T = TypeVar("T")

#: The most seconds that a client waits while it is looked whether a toolchain is there.
LOOK_SECS = 5.0
#: Seconds for which a store that is busy is asked again; until the next try at first, doubled each time.
PATIENCE_SECS, FIRST_PAUSE_SECS = 10.0, 0.2
#: Seconds for which nothing is looked for in a store that has failed; between two looks at whether it works.
REST_SECS, CHECK_SECS = 10.0, 60.0
#: Seconds for which what was wrong in the store is not fetched again: others may have put the right one there.
WRONG_SECS = 60.0
#: How many toolchains are put there at a time, and how many may wait for that.
MOST_PUTS, MOST_WAITING = 2, 64
#: How many toolchains are remembered that are there, were wrong there, or are still to be kept there.
_MOST_NOTED = 1000
_READING, _KEEPING = "reading", "keeping"


class StoreSource:
    """The object store of a build server.

    :param begin: begins to fetch a toolchain, if it is not on its way.
    :param chance: returns a random number from 0 to 1.
    """

    name = "store"

    def __init__(
        self,
        store: ObjectStore,
        toolchains: Toolchains,
        begin: Callable[[ArchiveId], None],
        clock: IReactorTime,
        chance: Callable[[], float] = random.random,
    ) -> None:
        self._store, self._toolchains, self._begin = store, toolchains, begin
        self._clock, self._chance = clock, chance
        self._looks: SingleFlight[ArchiveId] = SingleFlight()
        self._there, self._wrong = dict[ArchiveId, None](), dict[ArchiveId, float]()  # the latter: since when
        self._unkept: dict[ArchiveId, None] = {}
        self._troubles: dict[str, str] = {}
        self._rests_until = 0.0
        self._places, self._puts = DeferredSemaphore(MOST_PUTS), dict[ArchiveId, Deferred[None]]()
        self._quiet_log = QuietLog(clock.seconds)
        #: Toolchains that clients brought: kept in the store, already there, or failed.
        self.results = Counter({"kept": 0, "there": 0, "failed": 0})

    @property
    def facts(self) -> ObjectStoreFacts:
        """What the scheduler is told."""
        return ObjectStoreFacts(self._store.url, "; ".join(self._troubles.values()))

    async def fetch(self, toolchain: ArchiveId, take: Take) -> None:
        """See :meth:`sccachedist.toolchains.fetching.ToolchainSource.fetch`."""
        now = self._clock.seconds()
        if now < self._wrong.get(toolchain, -math.inf) + WRONG_SECS:  # jobs would wait for as much of it again
            raise ToolchainError("what is there is something else")
        try:
            await self._tried(_READING, lambda: take(partial(self._bring, toolchain)))
        except (ToolchainError, LimitExceeded):
            remember(self._wrong, toolchain, self._clock.seconds(), _MOST_NOTED)
            raise

    async def has(self, toolchain: ArchiveId) -> bool:
        """Whether the store has a toolchain; then it is on its way."""
        is_there = await self.is_there(toolchain)
        if is_there:
            self._begin(toolchain)
        return is_there

    async def is_there(self, toolchain: ArchiveId) -> bool:
        """Whether the store has a toolchain, as far as it says so soon."""
        if self._clock.seconds() < self._rests_until or toolchain in self._wrong:
            return False
        looking = Deferred.fromCoroutine(self._looks.do(toolchain, lambda: self._look(toolchain)))
        await looking.addTimeout(LOOK_SECS, self._clock, lambda *_: None)
        return toolchain in self._there

    def keep(self, toolchain: ArchiveId) -> None:
        """Put a toolchain that a client has brought into the store, in the background."""
        if toolchain not in self._puts and len(self._puts) < MOST_WAITING:
            keeping = self._places.run(lambda: Deferred.fromCoroutine(self._keep(toolchain)))
            self._puts[toolchain] = keeping
            in_background(self._kept(toolchain, keeping))

    def check(self) -> None:
        """Look whether the store works, and then try again to keep there what it could not take for a while."""
        in_background(self._check())

    async def close(self) -> None:
        """End what is under way, and close kept connections."""
        for putting in tuple(self._puts.values()):
            putting.cancel()
        await self._store.close()

    async def _check(self) -> None:
        await self._looks.do(NO_TOOLCHAIN, lambda: self._look(NO_TOOLCHAIN))
        if _READING not in self._troubles:
            unkept, self._unkept = self._unkept, {}
            for toolchain in unkept:
                if toolchain in self._toolchains:
                    self.keep(toolchain)

    async def _bring(self, toolchain: ArchiveId, sink: Sink) -> None:
        await self._store.get(toolchain, paced(sink, self._clock))

    async def _look(self, toolchain: ArchiveId) -> None:
        self._there.pop(toolchain, None)
        try:
            is_there = await self._store.look(toolchain)
        except PeerError as error:
            self._failed(_READING, error)
        else:
            self._worked(_READING)
            if is_there:
                remember(self._there, toolchain, None, _MOST_NOTED)

    async def _keep(self, toolchain: ArchiveId) -> None:
        is_wrong = toolchain in self._wrong
        if not is_wrong and await self._tried(_READING, lambda: self._store.look(toolchain)):
            self.results["there"] += 1
            return
        async with self._toolchains.using(toolchain) as file:
            is_kept = await self._tried(_KEEPING, lambda: self._store.put(toolchain, file, replace=is_wrong))
        self._wrong.pop(toolchain, None)
        self.results["kept" if is_kept else "there"] += 1
        if is_kept:
            log.info("toolchain {toolchain} is in the object store", toolchain=toolchain)

    async def _kept(self, toolchain: ArchiveId, keeping: Deferred[None]) -> None:
        try:
            await keeping
        except CancelledError:
            pass
        except SccachedistError as error:
            self.results["failed"] += 1
            if isinstance(error, PeerError) and is_passing(error):
                remember(self._unkept, toolchain, None, _MOST_NOTED)
            log.info(
                "toolchain {toolchain} is not kept in the object store: {error}", toolchain=toolchain, error=str(error)
            )
        finally:
            del self._puts[toolchain]

    async def _tried(self, what: str, work: Callable[[], Awaitable[T]]) -> T:
        """The result of a call, which is repeated for a while if the store is busy."""
        deadline, pause = self._clock.seconds() + PATIENCE_SECS, FIRST_PAUSE_SECS
        while True:
            try:
                result = await work()
            except PeerError as error:
                if error.status == MISSING:
                    self._worked(what)
                    raise
                if not is_passing(error) or self._clock.seconds() + pause > deadline:
                    self._failed(what, error)
                    raise
            else:
                self._worked(what)
                return result
            await deferLater(self._clock, pause * (0.5 + 0.5 * self._chance()))
            pause *= 2

    def _worked(self, what: str) -> None:
        if self._troubles.pop(what, None) is not None:
            log.info("the object store {store} works again ({what})", store=self._store.url, what=what)
            self._quiet_log.forget(what)

    def _failed(self, what: str, error: PeerError) -> None:
        why = str(error)
        self._troubles[what] = why
        if what == _READING:
            self._rests_until = self._clock.seconds() + REST_SECS
        form = "the object store {store} cannot be used ({what}): {error}"
        fields = {"store": self._store.url, "what": what, "error": why}
        self._quiet_log.tell(log, LogLevel.warn, what, form, why=why, **fields)
