"""Which toolchains a build server keeps: least recently used ones go first, those in use stay.

Each step takes the same time however many there are, but for looking past those in use. Pure: it decides,
:mod:`sccachedist.server.toolchain_cache` moves the files.
"""

from collections import Counter, OrderedDict
from collections.abc import Iterator

from sccachedist.errors import ToolchainError
from sccachedist.server.toolchain_log import ToolchainLog
from sccachedist.wire.archive_id import ArchiveId


class ToolchainIndex:
    """The sizes of the toolchains that are here, least recently used first.

    :param capacity: how many bytes the archives may take together.
    :param most: how many toolchains there may be.
    """

    def __init__(self, capacity: int, most: int) -> None:
        self._capacity, self._most = capacity, most
        self._sizes: OrderedDict[ArchiveId, int] = OrderedDict()
        self._uses: Counter[ArchiveId] = Counter()
        self.size = 0
        """The bytes of all archives together."""
        self.log = ToolchainLog(lambda: reversed(self._sizes))
        """What has come and gone."""

    def __contains__(self, toolchain: ArchiveId) -> bool:
        return toolchain in self._sizes

    def __iter__(self) -> Iterator[ArchiveId]:
        return iter(self._sizes)

    def __len__(self) -> int:
        return len(self._sizes)

    def add(self, toolchain: ArchiveId, size: int) -> tuple[ArchiveId, ...]:
        """Make room for a toolchain that is not here and enter it; returns those that have to go.

        :raises ToolchainError: it does not fit, whatever goes; nothing has changed then.
        """
        evicted: list[ArchiveId] = []
        bytes_over, over = self.size + size - self._capacity, len(self) + 1 - self._most
        for other in self._sizes:
            if bytes_over <= 0 and over <= 0:
                break
            if not self._uses[other]:
                evicted.append(other)
                bytes_over, over = bytes_over - self._sizes[other], over - 1
        if bytes_over > 0:
            raise ToolchainError(f"no room for a toolchain of {size} bytes (toolchain_cache_size: {self._capacity})")
        if over > 0:
            raise ToolchainError(f"no room for one more toolchain (limit: toolchains: {self._most})")
        for other in evicted:
            self.remove(other)
        self._sizes[toolchain] = size
        self.size += size
        self.log.came(toolchain)
        return tuple(evicted)

    def remove(self, toolchain: ArchiveId) -> None:
        """A toolchain is gone."""
        if toolchain in self._sizes:
            self.size -= self._sizes.pop(toolchain)
            self.log.went(toolchain)

    def acquire(self, toolchain: ArchiveId) -> None:
        """A job begins to use a toolchain: it stays until :meth:`release`.

        :raises ToolchainError: it is not here (any more).
        """
        if toolchain not in self._sizes:
            raise ToolchainError(f"toolchain {toolchain} is not here")
        self._sizes.move_to_end(toolchain)
        self._uses[toolchain] += 1

    def release(self, toolchain: ArchiveId) -> None:
        """A job has ended with a toolchain."""
        self._uses[toolchain] -= 1
        if not self._uses[toolchain]:
            del self._uses[toolchain]
