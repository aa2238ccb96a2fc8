"""Fetches the toolchains that the farm needs most before a build server that joins says that it is ready.

It is bounded in number, bytes and seconds; if anything goes wrong, the build server joins without them.
"""

from collections.abc import Awaitable, Callable, Sequence

from twisted.internet.defer import CancelledError, Deferred, gatherResults
from twisted.internet.interfaces import IReactorTime

from sccachedist.daemon.logs import Logger
from sccachedist.errors import DecodeError, PeerError, ToolchainError
from sccachedist.toolchains.fetching import Fetching
from sccachedist.wire.archive_id import archive_id
from sccachedist.wire.holders import Popular

log = Logger()

#: The most seconds that a build server waits for these toolchains.
WARM_SECS = 20.0


class Warming:
    """Fetches toolchains in advance.

    :param ask: asks the scheduler which ones are needed most; raises a PeerError if it does not say.
    :param most: how many are fetched; none with 0.
    :param most_bytes: how many bytes they may have together.
    """

    def __init__(
        self,
        ask: Callable[[], Awaitable[Sequence[Popular]]],
        fetching: Fetching,
        most: int,
        most_bytes: int,
        clock: IReactorTime,
    ) -> None:
        self._ask, self._fetching, self._most, self._most_bytes, self._clock = ask, fetching, most, most_bytes, clock

    async def warm(self) -> None:
        """Fetch them, and wait for the end, but not for long: what is still on its way then arrives later."""
        if self._most:
            work = Deferred.fromCoroutine(self._warm())
            await work.addTimeout(WARM_SECS, self._clock, lambda *_: log.info("joining with toolchains still to come"))

    async def _warm(self) -> None:
        try:
            popular = await self._ask()
        except PeerError as error:
            log.debug("no toolchains in advance: {error}", error=str(error))
            return
        room, fetches = self._most_bytes, list[Deferred[None]]()
        for each in popular:
            if len(fetches) < self._most and each.size <= room:
                room -= each.size
                fetches.append(Deferred.fromCoroutine(self._fetch(each.toolchain)))
        await gatherResults(fetches, consumeErrors=True)

    async def _fetch(self, toolchain: str) -> None:
        try:
            await self._fetching.fetch(archive_id(toolchain))
        except (DecodeError, ToolchainError, CancelledError) as error:
            log.info("not fetched in advance: {error}", error=str(error))
