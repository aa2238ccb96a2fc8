"""The toolchains that are unpacked for jobs: each made once, removed when there is no more room for it.

How one is made and removed is its builder's business.
"""

import contextlib
from collections import Counter
from collections.abc import Callable, Coroutine, Iterator
from typing import Any

from twisted.internet.defer import Deferred, gatherResults

from sccachedist.builders.disk_room import Room
from sccachedist.builders.worker_protocol import Size
from sccachedist.daemon.logs import Logger
from sccachedist.singleflight import SingleFlight
from sccachedist.wire.archive_id import ArchiveId

log = Logger()

Unpack = Callable[[], Coroutine[Deferred[Any], Any, bool]]
Remove = Callable[[ArchiveId], Coroutine[Deferred[Any], Any, None]]


class UnpackedToolchains:
    """Which toolchains are unpacked, what they take, and how many jobs use each.

    :param room: for all of them.
    :param remove: removes one.
    """

    def __init__(self, room: Room, remove: Remove) -> None:
        self._room, self._remove = room, remove
        self._unpacked: set[ArchiveId] = set()
        self._users: Counter[ArchiveId] = Counter()
        self._waiting: dict[ArchiveId, list[Deferred[None]]] = {}
        self._work: SingleFlight[ArchiveId] = SingleFlight()

    @contextlib.contextmanager
    def using(self, toolchain: ArchiveId) -> Iterator[None]:
        """Keep a toolchain, there or not, from being removed."""
        self._users[toolchain] += 1
        self._room.use(toolchain)
        try:
            yield
        finally:
            self._users[toolchain] -= 1
            if not self._users[toolchain]:
                del self._users[toolchain]
                for waiter in self._waiting.pop(toolchain, []):
                    waiter.callback(None)

    async def prepare(self, toolchain: ArchiveId, unpack: Unpack) -> None:
        """Unpack a toolchain that is used, unless it is there; one piece of work for all who want it.

        :param unpack: does so, tells :meth:`grown` what it takes, and returns True.
        """

        async def unpack_used() -> None:
            with self.using(toolchain):  # also when every job that wanted it has gone
                await self._made(toolchain, unpack)

        # Not "if": the work that was waited for may have been a removal.
        while toolchain not in self._unpacked:
            await self._work.do(toolchain, unpack_used)

    async def prepare_early(self, toolchain: ArchiveId, unpack: Unpack) -> None:
        """Unpack a toolchain that nobody uses yet, unless something is being done about it.

        :param unpack: as for :meth:`prepare`; it returns False where it could not, and the first job that uses the
            toolchain has it unpacked.
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
        """A toolchain that is being unpacked takes so much by now: others go, if they have to.

        :raises LimitExceeded: there is not as much room.
        """
        for other in self._room.grow(toolchain, size, self._is_idle):
            log.info("unpacked toolchain {toolchain} makes room", toolchain=other)
            self._evict(other)

    async def make_room(self) -> None:
        """Have all go that are not in use: the disk has less room than was thought."""
        await gatherResults([self._evict(toolchain) for toolchain in self._room.idle(self._is_idle)])

    async def discard(self, toolchain: ArchiveId) -> None:
        """Remove a toolchain as soon as nobody uses it."""
        removed = False

        async def remove_unused() -> None:
            nonlocal removed
            removed = True
            self._unpacked.discard(toolchain)
            self._room.remove(toolchain)
            await self._remove(toolchain)

        while not removed:  # the work that is waited for may have been an unpacking
            await self._unused(toolchain)
            if toolchain not in self._room:
                return
            await self._work.do(toolchain, remove_unused)

    def _evict(self, toolchain: ArchiveId) -> Deferred[None]:
        """Remove what is idle; its next job, should it come meanwhile, waits for that."""
        self._unpacked.discard(toolchain)
        self._room.remove(toolchain)
        removing = Deferred.fromCoroutine(self._work.do(toolchain, lambda: self._remove(toolchain)))
        return removing.addErrback(lambda failure: log.failure("an unpacked toolchain is not removed", failure))

    def _is_idle(self, toolchain: ArchiveId) -> bool:
        return toolchain not in self._users and toolchain not in self._work

    async def _unused(self, toolchain: ArchiveId) -> None:
        """Wait until nobody uses a toolchain."""
        while toolchain in self._users:
            waiter: Deferred[None] = Deferred()
            self._waiting.setdefault(toolchain, []).append(waiter)
            await waiter

    def forget(self, toolchain: ArchiveId) -> None:
        """It has to be unpacked again; what there is of it makes way then, or for another."""
        self._unpacked.discard(toolchain)

    def forget_all(self) -> None:
        """They have all been removed."""
        self._unpacked.clear()
        self._room.clear()
