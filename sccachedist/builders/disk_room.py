"""The room that unpacked toolchains share, in bytes and inodes: it evicts the least recently used, never one in use.

Pure: it counts and decides. :mod:`sccachedist.builders.unpacked_toolchains` has them unpacked and removed.
"""

import os
from collections import OrderedDict
from collections.abc import Callable
from pathlib import Path

from sccachedist.builders.worker_protocol import Size
from sccachedist.config import WorkerLimits
from sccachedist.errors import LimitExceeded
from sccachedist.wire.archive_id import ArchiveId

#: How many times larger unpacked toolchains are than their archives, with some reserve.
UNPACKED_RATIO = 6
#: Inodes for all of them, unless the configuration sets a number.
INODES = 4_000_000
#: The part of a disk that they may take, unless the configuration sets a size. Removed toolchains and those that are
#: being unpacked need the rest.
_OF_DISK = 1, 2

UNBOUNDED = Size(2**63, 2**63)


def room_for(limits: WorkerLimits, cache_bytes: int, place: Path | None) -> Size:
    """Return the room for all unpacked toolchains.

    :param cache_bytes: what their archives may take.
    :param place: the directory where they are unpacked; None if this process cannot see that disk.
    """
    size, inodes = UNPACKED_RATIO * cache_bytes, INODES
    if place is not None:
        while not place.exists():
            place = place.parent
        disk, (part, whole) = os.statvfs(place), _OF_DISK
        size = min(size, disk.f_blocks * disk.f_frsize * part // whole)
        inodes = min(inodes, disk.f_files * part // whole or inodes)  # some file systems do not count them
    return Size(
        size if limits.toolchains_unpacked_bytes is None else limits.toolchains_unpacked_bytes,
        inodes if limits.toolchains_unpacked_inodes is None else limits.toolchains_unpacked_inodes,
    )


class Room:
    """The size of each unpacked toolchain, least recently used first.

    :param most: the size that all may have together.
    """

    def __init__(self, most: Size) -> None:
        self._most = most
        self._sizes: OrderedDict[ArchiveId, Size] = OrderedDict()
        self._bytes = self._inodes = 0
        self.unswept = Size()
        """What was removed and the disk may not have got back yet."""

    def __contains__(self, toolchain: ArchiveId) -> bool:
        return toolchain in self._sizes

    @property
    def used(self) -> Size:
        """The size of all together."""
        return Size(self._bytes, self._inodes)

    @property
    def is_empty(self) -> bool:
        """Whether there is no toolchain, nor anything of one that was removed."""
        return not self._sizes and not self.unswept.bytes

    @property
    def is_clogged(self) -> bool:
        """Whether a sweep should come before the next unpacking: more than a quarter of the room is unswept."""
        return self.unswept.bytes * 4 > self._most.bytes or self.unswept.inodes * 4 > self._most.inodes

    def swept(self, size: Size) -> None:
        """Note that a sweep has freed ``size``."""
        self.unswept = Size(max(0, self.unswept.bytes - size.bytes), max(0, self.unswept.inodes - size.inodes))

    def use(self, toolchain: ArchiveId) -> None:
        """Make a toolchain the most recently used."""
        if toolchain in self._sizes:
            self._sizes.move_to_end(toolchain)

    def grow(self, toolchain: ArchiveId, size: Size, is_idle: Callable[[ArchiveId], bool]) -> tuple[ArchiveId, ...]:
        """Set the size of a toolchain; returns those to remove for it, which no longer count.

        :raises LimitExceeded: there is not enough room beside those in use; then nothing has changed.
        """
        before = self._sizes.get(toolchain, Size())
        over_bytes = self._bytes - before.bytes + size.bytes - self._most.bytes
        over_inodes = self._inodes - before.inodes + size.inodes - self._most.inodes
        going = []
        for other, taken in self._sizes.items():
            if over_bytes <= 0 and over_inodes <= 0:
                break
            if other != toolchain and is_idle(other):
                going.append(other)
                over_bytes, over_inodes = over_bytes - taken.bytes, over_inodes - taken.inodes
        if over_bytes > 0:
            raise LimitExceeded("toolchains_unpacked_bytes", f"no room for an unpacked toolchain of {size.bytes} bytes")
        if over_inodes > 0:
            reason = f"no room for an unpacked toolchain of {size.inodes} files and directories"
            raise LimitExceeded("toolchains_unpacked_inodes", reason)
        for other in going:
            self.remove(other)
        self._sizes[toolchain] = size
        self._sizes.move_to_end(toolchain)
        self._bytes, self._inodes = self._bytes - before.bytes, self._inodes - before.inodes
        self._bytes, self._inodes = self._bytes + size.bytes, self._inodes + size.inodes
        return tuple(going)

    def idle(self, is_idle: Callable[[ArchiveId], bool]) -> tuple[ArchiveId, ...]:
        """Those that may be removed."""
        return tuple(toolchain for toolchain in self._sizes if is_idle(toolchain))

    def remove(self, toolchain: ArchiveId) -> None:
        """No longer count a toolchain; its size is unswept now."""
        taken = self._sizes.pop(toolchain, Size())
        self._bytes, self._inodes = self._bytes - taken.bytes, self._inodes - taken.inodes
        self.unswept = Size(self.unswept.bytes + taken.bytes, self.unswept.inodes + taken.inodes)

    def clear(self) -> None:
        """Forget all toolchains, and what is unswept."""
        self._sizes.clear()
        self._bytes = self._inodes = 0
        self.unswept = Size()
