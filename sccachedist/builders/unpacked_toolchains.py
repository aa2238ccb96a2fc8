"""The unpacked toolchains: each is made once for all jobs, and evicted when another one needs its room.

It does not know how a toolchain is unpacked or removed: the builder passes functions. Which one is evicted is in
:mod:`sccachedist.builders.disk_room`.
"""

import contextlib
from collections import Counter, defaultdict
from collections.abc import Callable, Coroutine, Iterator
from typing import Any

from twisted.internet.defer import Deferred, gatherResults

from sccachedist.builders.disk_room import Room
from sccachedist.builders.worker_protocol import Size
from sccachedist.daemon.logs import Logger
from sccachedist.singleflight import SingleFlight
from sccachedist.waiters import Waiters
from sccachedist.wire.archive_id import ArchiveId

log = Logger()

Unpack = Callable[[], Coroutine[Deferred[Any], Any, bool]]
Remove = Callable[[ArchiveId], Coroutine[Deferred[Any], Any, None]]


class UnpackedToolchains:
    """Which toolchains are unpacked, and how many jobs use each.

    :param room: that they share.
    :param remove: removes one.
    """

    def __init__(self, room: Room, remove: Remove) -> None:
        self._room, self._remove = room, remove
        self._unpacked: set[ArchiveId] = set()
        self._users: Counter[ArchiveId] = Counter()
        self._waiting: defaultdict[ArchiveId, Waiters] = defaultdict(Waiters)
        self._work: SingleFlight[ArchiveId] = SingleFlight()

    @contextlib.contextmanager
    def using(self, toolchain: ArchiveId) -> Iterator[None]:
        """Keep a toolchain from being removed, whether it is unpacked yet or not."""
        self._users[toolchain] += 1
        self._room.use(toolchain)
        try:
            yield
        finally:
            self._users[toolchain] -= 1
            if not self._users[toolchain]:
                del self._users[toolchain]
                self._waiting.pop(toolchain, Waiters()).wake()

    def __contains__(self, toolchain: ArchiveId) -> bool:
        return toolchain in self._unpacked

    async def prepare(self, toolchain: ArchiveId, unpack: Unpack) -> None:
        """Unpack a toolchain that a job uses, unless it is unpacked; jobs that need it at once share the work.

        :param unpack: does so, calls :meth:`grown` with its size, and returns True.
        """

        async def unpack_used() -> None:
            with self.using(toolchain):  # also when every job that needs it was cancelled meanwhile
                await self._made(toolchain, unpack)

        # Not "if": the work that this waits for may be a removal.
        while toolchain not in self._unpacked:
            await self._work.do(toolchain, unpack_used)

    async def prepare_early(self, toolchain: ArchiveId, unpack: Unpack) -> None:
        """Unpack a toolchain before a job uses it, unless it is being unpacked or removed.

        :param unpack: as for :meth:`prepare`; when it returns False, the first job unpacks the toolchain.
        """

        async def unpack_unused() -> None:
            with self.using(toolchain):
                await self._made(toolchain, unpack)

        if toolchain not in self._unpacked and toolchain not in self._work:
            await self._work.do(toolchain, unpack_unused)

    async def _made(self, toolchain: ArchiveId, unpack: Unpack) -> None:
        made = False
        try:
            if made := await unpack():
                self._unpacked.add(toolchain)
        finally:
            if not made:
                self._room.remove(toolchain)

    def grown(self, toolchain: ArchiveId, size: Size) -> None:
        """Note the size so far of a toolchain that is being unpacked, and evict others if it needs their room.

        :raises LimitExceeded: there is not enough room, even without all that are idle.
        """
        for other in self._room.grow(toolchain, size, self._is_idle):
            log.info("unpacked toolchain {toolchain} makes room", toolchain=other)
            self._evict(other)

    async def make_room(self) -> None:
        """Evict all idle toolchains: the disk is fuller than the configured room says."""
        await gatherResults([self._evict(toolchain) for toolchain in self._room.idle(self._is_idle)])

    async def discard(self, toolchain: ArchiveId) -> None:
        """Remove a toolchain as soon as no job uses it."""
        removed = False

        async def remove_unused() -> None:
            nonlocal removed
            removed = True
            self._unpacked.discard(toolchain)
            self._room.remove(toolchain)
            await self._remove(toolchain)

        while not removed:  # the work that this waits for may be an unpacking
            await self._unused(toolchain)
            if toolchain not in self._room:
                return
            await self._work.do(toolchain, remove_unused)

    def _evict(self, toolchain: ArchiveId) -> Deferred[None]:
        """Remove an idle toolchain; a job that needs it meanwhile waits, and has it unpacked again."""
        self._unpacked.discard(toolchain)
        self._room.remove(toolchain)
        removing = Deferred.fromCoroutine(self._work.do(toolchain, lambda: self._remove(toolchain)))
        return removing.addErrback(lambda failure: log.failure("an unpacked toolchain is not removed", failure))

    def _is_idle(self, toolchain: ArchiveId) -> bool:
        return toolchain not in self._users and toolchain not in self._work

    async def _unused(self, toolchain: ArchiveId) -> None:
        """Wait until no job uses a toolchain."""
        while toolchain in self._users:
            await self._waiting[toolchain].wait()

    def forget(self, toolchain: ArchiveId) -> None:
        """Have a toolchain unpacked again for its next job; its files stay until then, or until its room is needed."""
        self._unpacked.discard(toolchain)

    def forget_all(self) -> None:
        """Forget all toolchains: they were removed from the disk."""
        self._unpacked.clear()
        self._room.clear()
