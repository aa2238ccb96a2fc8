"""Counts an archive while it is unpacked, and enforces its limits: entries, depth, and size on a disk.

A directory counts whether the archive names it or not. Where the files are is not known here.
"""

import attrs

from sccachedist.builders.worker_protocol import NOTHING, Grown, Size, Unpacked, unheard
from sccachedist.errors import LimitExceeded
from sccachedist.sandbox.archive.elf import program_machine
from sccachedist.wire.machines import needed_by

#: Bytes of a file system's block: the size of each file and directory is rounded up to it.
DISK_BLOCK = 4096
#: How much the size grows between two calls of ``grown``.
STEP_BYTES, STEP_INODES = 16 * 1024 * 1024, 4096


@attrs.frozen
class MemberLimits:
    """The limits of an archive's members.

    :param key: the key under ``[limits]`` for their number.
    :param most: how many there may be, counting the directories that are made for them.
    :param path_bytes: how long a name or a link's target may be.
    :param path_depth: how many directories deep a member may lie.
    """

    key: str
    most: int
    path_bytes: int
    path_depth: int = 256


class Tally:
    """Counts one archive.

    :param grown: called now and then with the size so far.
    """

    def __init__(self, limits: MemberLimits, grown: Grown = unheard) -> None:
        self._limits, self._grown = limits, grown
        self._bytes = self._inodes = 0
        self._told = NOTHING
        #: The machines that programs of the archive are for.
        self.machines: set[int] = set()

    @property
    def size(self) -> Size:
        """The size so far."""
        return Size(self._bytes, self._inodes)

    @property
    def unpacked(self) -> Unpacked:
        """What there is to say of the archive as a toolchain."""
        return Unpacked(self.size, needed_by(self.machines))

    def name(self, length: int) -> None:
        """Check the length of a member's name or link target, in bytes.

        :raises LimitExceeded: it is too long.
        """
        if length > self._limits.path_bytes:
            raise LimitExceeded("path_bytes", f"an archive has a path of more than {self._limits.path_bytes} bytes")

    def entry(self) -> None:
        """Count a new file or link.

        :raises LimitExceeded: there are too many.
        """
        self._inodes += 1
        if self._inodes > self._limits.most:
            raise LimitExceeded(self._limits.key, f"an archive makes more than {self._limits.most} files")
        if self._inodes - self._told.inodes >= STEP_INODES:
            self._tell()

    def directory(self, depth: int) -> None:
        """Count a new directory, the ``depth``-th below the root.

        :raises LimitExceeded: there are too many entries, or it is too deep.
        """
        if depth > self._limits.path_depth:
            raise LimitExceeded("path_depth", f"an archive makes more than {self._limits.path_depth} directories deep")
        self._bytes += DISK_BLOCK
        self.entry()

    def written(self, size: int) -> None:
        """Count bytes that were written to a file."""
        self._bytes += size
        if self._bytes - self._told.bytes >= STEP_BYTES:
            self._tell()

    def executable(self, head: bytes) -> None:
        """Look at the beginning of an executable file."""
        if (machine := program_machine(head)) is not None:
            self.machines.add(machine)

    def _tell(self) -> None:
        self._told = self.size
        self._grown(self._told)
