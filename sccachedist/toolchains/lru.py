"""Decides which archives a build server evicts: the least recently used first, never one in use.

Each step takes constant time, but for skipping archives in use. Pure: :mod:`sccachedist.toolchains.cache` moves
the files. Unpacked toolchains have another limit, in :mod:`sccachedist.builders.disk_room`.
"""

from collections import Counter, OrderedDict
from collections.abc import Iterator
from itertools import islice

from sccachedist.errors import ToolchainError
from sccachedist.toolchains.changes import ToolchainLog
from sccachedist.wire.archive_id import ArchiveId
from sccachedist.wire.machines import UNKNOWN


class ToolchainIndex:
    """The sizes of the toolchains that are here, least recently used first.

    :param capacity: how many bytes the archives may take together.
    :param most: how many toolchains there may be.
    """

    def __init__(self, capacity: int, most: int) -> None:
        self._capacity, self.most = capacity, most
        self._sizes: OrderedDict[ArchiveId, int] = OrderedDict()
        self._uses: Counter[ArchiveId] = Counter()
        self.size = 0
        """The bytes of all archives together."""
        self._machines: dict[ArchiveId, int] = {}
        self.log = ToolchainLog(lambda: reversed(self._sizes), self._sizes.__getitem__, self.machine_of)
        """What has come and gone."""

    def __contains__(self, toolchain: ArchiveId) -> bool:
        return toolchain in self._sizes

    def __iter__(self) -> Iterator[ArchiveId]:
        return iter(self._sizes)

    def __len__(self) -> int:
        return len(self._sizes)

    def recent(self, most: int) -> tuple[ArchiveId, ...]:
        """The toolchains that are here, most recently used first, as many as that."""
        return tuple(islice(reversed(self._sizes), most))

    def add(self, toolchain: ArchiveId, size: int) -> tuple[ArchiveId, ...]:
        """Add a toolchain that is not here; returns those that are evicted for it.

        :raises ToolchainError: it does not fit, even without all that are not in use; then nothing has changed.
        """
        evicted: list[ArchiveId] = []
        bytes_over, over = self.size + size - self._capacity, len(self) + 1 - self.most
        for other in self._sizes:
            if bytes_over <= 0 and over <= 0:
                break
            if not self._uses[other]:
                evicted.append(other)
                bytes_over, over = bytes_over - self._sizes[other], over - 1
        if bytes_over > 0:
            raise ToolchainError(f"no room for a toolchain of {size} bytes (toolchain_cache_size: {self._capacity})")
        if over > 0:
            raise ToolchainError(f"no room for one more toolchain (limit: toolchains: {self.most})")
        for other in evicted:
            self.remove(other)
        self._sizes[toolchain] = size
        self.size += size
        self.log.came(toolchain)
        return tuple(evicted)

    def machine_of(self, toolchain: ArchiveId) -> int:
        """Which machine a toolchain needs, see :mod:`sccachedist.wire.machines`."""
        return self._machines.get(toolchain, UNKNOWN)

    def looked_at(self, toolchain: ArchiveId, machine: int) -> bool:
        """Note which machine a toolchain needs; returns whether that is news of one that is here."""
        if toolchain not in self._sizes or machine == self.machine_of(toolchain):
            return False
        self._machines[toolchain] = machine
        self.log.came(toolchain)
        return True

    def remove(self, toolchain: ArchiveId) -> None:
        """Remove a toolchain, if it is here."""
        self._machines.pop(toolchain, None)
        if toolchain in self._sizes:
            self.size -= self._sizes.pop(toolchain)
            self.log.went(toolchain)

    def is_used(self, toolchain: ArchiveId) -> bool:
        """Whether a job uses a toolchain."""
        return toolchain in self._uses

    def acquire(self, toolchain: ArchiveId) -> None:
        """Count a job that uses a toolchain, which is not evicted until :meth:`release`.

        :raises ToolchainError: it is not here (any more).
        """
        if toolchain not in self._sizes:
            raise ToolchainError(f"toolchain {toolchain} is not here")
        self._sizes.move_to_end(toolchain)
        self._uses[toolchain] += 1

    def release(self, toolchain: ArchiveId) -> None:
        """End one use of a toolchain."""
        self._uses[toolchain] -= 1
        if not self._uses[toolchain]:
            del self._uses[toolchain]
