"""Which toolchains a build server keeps: least recently used ones go first, those in use stay.

Pure: it decides, :mod:`sccachedist.server.toolchains` moves the files.
"""

from collections import Counter
from collections.abc import Iterator

from sccachedist.errors import ToolchainError
from sccachedist.wire.archive_id import ArchiveId


class ToolchainIndex:
    """The sizes of the toolchains that are here, least recently used first.

    :param capacity: how many bytes the archives may take together.
    """

    def __init__(self, capacity: int) -> None:
        self._capacity = capacity
        self._sizes: dict[ArchiveId, int] = {}
        self._uses: Counter[ArchiveId] = Counter()

    def __contains__(self, toolchain: ArchiveId) -> bool:
        return toolchain in self._sizes

    def __iter__(self) -> Iterator[ArchiveId]:
        return iter(self._sizes)

    @property
    def size(self) -> int:
        """The bytes of all archives together."""
        return sum(self._sizes.values())

    def add(self, toolchain: ArchiveId, size: int) -> tuple[ArchiveId, ...]:
        """Make room for a toolchain and enter it; returns those that have to go.

        :raises ToolchainError: it does not fit, whatever goes; nothing has changed then.
        """
        evicted: list[ArchiveId] = []
        excess = self.size + size - self._capacity
        for other in self._sizes:
            if excess <= 0:
                break
            if not self._uses[other]:
                evicted.append(other)
                excess -= self._sizes[other]
        if excess > 0:
            raise ToolchainError(f"no room for a toolchain of {size} bytes (toolchain_cache_size: {self._capacity})")
        for other in evicted:
            self.remove(other)
        self._sizes[toolchain] = size
        return tuple(evicted)

    def remove(self, toolchain: ArchiveId) -> None:
        """A toolchain is gone."""
        self._sizes.pop(toolchain, None)

    def acquire(self, toolchain: ArchiveId) -> None:
        """A job begins to use a toolchain: it stays until :meth:`release`.

        :raises ToolchainError: it is not here (any more).
        """
        if toolchain not in self._sizes:
            raise ToolchainError(f"toolchain {toolchain} is not here")
        self._sizes[toolchain] = self._sizes.pop(toolchain)
        self._uses[toolchain] += 1

    def release(self, toolchain: ArchiveId) -> None:
        """A job has ended with a toolchain."""
        self._uses[toolchain] -= 1
        if not self._uses[toolchain]:
            del self._uses[toolchain]
