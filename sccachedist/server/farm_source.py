"""Fetches toolchains from other build servers: the scheduler says which have one, and with which token they give it.

A server that is busy, has gone or sends something else is passed over; while one is busy, or a client is bringing the
toolchain to one, it is asked again. What is kept is not known here: :mod:`sccachedist.toolchains.fetching` verifies it.
"""

import random
from collections.abc import Awaitable, Callable
from functools import partial

from twisted.internet.interfaces import IReactorTime
from twisted.internet.task import deferLater
from twisted.logger import LogLevel

from sccachedist.daemon.logs import Logger, QuietLog
from sccachedist.errors import PeerError, ToolchainError
from sccachedist.peers.pins import Pins
from sccachedist.peers.streams import Sink, Streams
from sccachedist.toolchains.fetching import Take
from sccachedist.toolchains.pace import paced
from sccachedist.wire.archive_id import ArchiveId
from sccachedist.wire.holders import Holders, ToolchainHolder

log = Logger()

#: Seconds in which nothing comes, after which another server is tried.
IDLE_SECS = 5.0
#: Seconds for which a server is looked for that is not busy, or until the toolchain is somewhere.
SEARCH_SECS = 30.0
#: Seconds until the scheduler is asked again: at first, and at most; they double from one time to the next.
FIRST_PAUSE_SECS, MOST_PAUSE_SECS = 0.2, 2.0
#: How many servers may send something else, before no other is tried: perhaps the fault is not theirs.
MOST_WRONG = 2
_BUSY = 503


async def nowhere(_: ArchiveId) -> bool:
    """That no other source has a toolchain."""
    return False


class FarmSource:
    """The other build servers of the farm.

    :param ask: asks the scheduler who has a toolchain; raises a PeerError if it does not say.
    :param pins: are those of ``streams``.
    :param limit: returns how many bytes an archive may have.
    :param chance: returns a random number from 0 to 1.
    :param is_elsewhere: whether another source has a toolchain: then servers that are busy are not waited for.
    """

    name = "servers"

    def __init__(
        self,
        ask: Callable[[ArchiveId], Awaitable[Holders]],
        streams: Streams,
        pins: Pins,
        limit: Callable[[], int],
        clock: IReactorTime,
        chance: Callable[[], float] = random.random,
        is_elsewhere: Callable[[ArchiveId], Awaitable[bool]] = nowhere,
    ) -> None:
        self._ask, self._streams, self._pins, self._limit = ask, streams, pins, limit
        self._clock, self._chance, self._is_elsewhere = clock, chance, is_elsewhere
        self._quiet_log = QuietLog(clock.seconds)

    async def fetch(self, toolchain: ArchiveId, take: Take) -> None:
        """Let a toolchain be taken from a server that has it.

        :raises PeerError: none has it, or gives it.
        :raises ToolchainError: what they have is something else, or there is no room for it.
        """
        deadline, pause, wrong = self._clock.seconds() + SEARCH_SECS, FIRST_PAUSE_SECS, 0
        while True:
            where = await self._ask(toolchain)
            is_hopeful = where.coming
            for holder in where.holders:
                try:
                    return await take(partial(self._bring, holder, toolchain))
                except PeerError as error:
                    is_hopeful |= error.status == _BUSY
                    if error.status != _BUSY:
                        self._tell(holder, toolchain, error)
                except ToolchainError as error:
                    self._tell(holder, toolchain, error)
                    wrong += 1
                    if wrong >= MOST_WRONG:
                        raise
            is_waited_for = is_hopeful and (where.coming or not await self._is_elsewhere(toolchain))
            if not is_waited_for or self._clock.seconds() + pause > deadline:
                raise PeerError(f"{len(where.holders)} build servers have it, and none of them gives it")
            await deferLater(self._clock, pause * (0.5 + 0.5 * self._chance()))
            pause = min(2 * pause, MOST_PAUSE_SECS)

    async def _bring(self, holder: ToolchainHolder, toolchain: ArchiveId, sink: Sink) -> None:
        self._pins.set(holder.server_id, holder.cert_digest)
        url = f"https://{holder.server_id}/api/v1/distserver/toolchain/{toolchain}"
        paced_sink = paced(sink, self._clock)
        await self._streams.download(url, paced_sink, token=holder.token, idle=IDLE_SECS, limit=self._limit())

    def _tell(self, holder: ToolchainHolder, toolchain: ArchiveId, error: PeerError | ToolchainError) -> None:
        server, why = str(holder.server_id), str(error)
        form = "build server {server} does not give toolchain {toolchain}: {error}"
        fields = {"server": server, "toolchain": toolchain, "error": why}
        self._quiet_log.tell(log, LogLevel.warn, "fetch", form, by=server, why=why.replace(toolchain, ""), **fields)
