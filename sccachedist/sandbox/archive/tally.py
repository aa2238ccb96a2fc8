"""What an archive becomes, counted as it is unpacked: its entries, their depth, and what they take on a disk.

Directories that an archive makes without naming them count as those that it names. Synchronous; where the files are is
not known here.
"""

import attrs

from sccachedist.builders.worker_protocol import NOTHING, Grown, Size, unheard
from sccachedist.errors import LimitExceeded

#: What a file system gives to a file or a directory at a time.
DISK_BLOCK = 4096
#: How much more there is each time that somebody is told.
STEP_BYTES, STEP_INODES = 16 * 1024 * 1024, 4096


@attrs.frozen
class MemberLimits:
    """What an archive's members may be.

    :param key: the key under ``[limits]`` for their number.
    :param most: how many there may be, with the directories that are made for them.
    :param path_bytes: how long a name or a link's target may be.
    :param path_depth: in how many directories something may lie.
    """

    key: str
    most: int
    path_bytes: int
    path_depth: int = 256


class Tally:
    """Counts one archive.

    :param grown: told now and then how large it has become.
    """

    def __init__(self, limits: MemberLimits, grown: Grown = unheard) -> None:
        self._limits, self._grown = limits, grown
        self._bytes = self._inodes = 0
        self._told = NOTHING

    @property
    def size(self) -> Size:
        """All of it, up to now."""
        return Size(self._bytes, self._inodes)

    def name(self, length: int) -> None:
        """A member's name, or where it points, has so many bytes.

        :raises LimitExceeded: they are too many.
        """
        if length > self._limits.path_bytes:
            raise LimitExceeded("path_bytes", f"an archive has a path of more than {self._limits.path_bytes} bytes")

    def entry(self) -> None:
        """Something else than a directory is made.

        :raises LimitExceeded: there are too many.
        """
        self._inodes += 1
        if self._inodes > self._limits.most:
            raise LimitExceeded(self._limits.key, f"an archive makes more than {self._limits.most} files")
        if self._inodes - self._told.inodes >= STEP_INODES:
            self._tell()

    def directory(self, depth: int) -> None:
        """A directory has been made, in ``depth`` - 1 others.

        :raises LimitExceeded: there are too many, or in too many others.
        """
        if depth > self._limits.path_depth:
            raise LimitExceeded("path_depth", f"an archive makes more than {self._limits.path_depth} directories deep")
        self._bytes += DISK_BLOCK
        self.entry()

    def written(self, size: int) -> None:
        """So many more bytes are in a file."""
        self._bytes += size
        if self._bytes - self._told.bytes >= STEP_BYTES:
            self._tell()

    def _tell(self) -> None:
        self._told = self.size
        self._grown(self._told)
