"""The toolchains that are unpacked for jobs: each made once, removed when nobody uses it any more.

How one is made and removed is its builder's business.
"""

import contextlib
from collections import Counter
from collections.abc import Callable, Coroutine, Iterator
from typing import Any

from twisted.internet.defer import Deferred

from sccachedist.shared_work import SharedWork
from sccachedist.wire.archive_id import ArchiveId

Work = Callable[[], Coroutine[Deferred[Any], Any, None]]


class PreparedToolchains:
    """Which toolchains are unpacked, and how many jobs use each."""

    def __init__(self) -> None:
        self._unpacked: set[ArchiveId] = set()
        self._users: Counter[ArchiveId] = Counter()
        self._waiting: dict[ArchiveId, list[Deferred[None]]] = {}
        self._work: SharedWork[ArchiveId] = SharedWork()

    @contextlib.contextmanager
    def using(self, toolchain: ArchiveId) -> Iterator[None]:
        """Keep a toolchain, there or not, from being removed."""
        self._users[toolchain] += 1
        try:
            yield
        finally:
            self._users[toolchain] -= 1
            if not self._users[toolchain]:
                del self._users[toolchain]
                for waiter in self._waiting.pop(toolchain, []):
                    waiter.callback(None)

    async def prepare(self, toolchain: ArchiveId, unpack: Work) -> None:
        """Unpack a toolchain that is used, unless it is there; one piece of work for all who want it."""

        async def unpack_used() -> None:
            with self.using(toolchain):  # also when every job that wanted it has gone
                await unpack()
                self._unpacked.add(toolchain)

        # Not "if": the work that was waited for may have been a removal.
        while toolchain not in self._unpacked:
            await self._work.do(toolchain, unpack_used)

    async def prepare_early(
        self, toolchain: ArchiveId, unpack: Callable[[], Coroutine[Deferred[Any], Any, bool]]
    ) -> None:
        """Unpack a toolchain that nobody uses yet, unless something is being done about it.

        :param unpack: says whether it could be; if not, the first that uses it has it unpacked.
        """

        async def unpack_unused() -> None:
            with self.using(toolchain):
                if await unpack():
                    self._unpacked.add(toolchain)

        if toolchain not in self._unpacked and toolchain not in self._work:
            await self._work.do(toolchain, unpack_unused)

    async def discard(self, toolchain: ArchiveId, remove: Work) -> None:
        """Remove a toolchain as soon as nobody uses it."""
        removed = False

        async def remove_unused() -> None:
            nonlocal removed
            removed = True
            self._unpacked.remove(toolchain)
            await remove()

        while not removed:  # the work that is waited for may have been an unpacking
            await self._unused(toolchain)
            if toolchain not in self._unpacked:
                return
            await self._work.do(toolchain, remove_unused)

    async def _unused(self, toolchain: ArchiveId) -> None:
        """Wait until nobody uses a toolchain."""
        while toolchain in self._users:
            waiter: Deferred[None] = Deferred()
            self._waiting.setdefault(toolchain, []).append(waiter)
            await waiter

    def forget(self, toolchain: ArchiveId) -> None:
        """Somebody else has removed it."""
        self._unpacked.discard(toolchain)

    def forget_all(self) -> None:
        """They have all been removed."""
        self._unpacked.clear()
