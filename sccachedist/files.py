"""Files for a while, on a disk that may be full, broken, read-only or gone: a directory that has vanished is made anew.

What is in the files is not known here.
"""

import errno
import os
from contextlib import suppress
from functools import partial
from io import FileIO
from pathlib import Path
from uuid import uuid4

from sccachedist.daemon.logs import Logger
from sccachedist.directories import held
from sccachedist.disks import on_disk

log = Logger()


def remove_file(path: Path) -> None:
    """Remove a file, if it is there; where the disk does not let it, the next start does."""
    try:
        path.unlink(missing_ok=True)
    except OSError as error:
        log.warn("{path} stays until the next start: {reason}", path=str(path), reason=error.strerror)


def settle(path: Path) -> None:
    """Bring a file to the disk for good, unless it has been removed; blocks.

    :raises DiskError: the disk does not take it.
    """
    with on_disk(path), suppress(FileNotFoundError):
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


class NewFile:
    """A file for its owner alone, written piece by piece; each method but :meth:`discard` raises :class:`DiskError`.

    :param directory: a private one, made where it is missing.
    """

    def __init__(self, directory: Path, *, prefix: str = "", suffix: str = "") -> None:
        self._directory = directory
        self.path = Path(directory, f"{prefix}{uuid4().hex}{suffix}")
        with on_disk(directory):
            opener = partial(os.open, mode=0o600, dir_fd=held(directory))
            self._file = FileIO(self.path.name, "x+b", opener=opener)

    @property
    def closed(self) -> bool:
        """Whether nothing more is written."""
        return self._file.closed

    def write(self, data: bytes) -> None:
        """Write all of it."""
        with on_disk(self._directory):
            if self._file.write(data) < len(data):  # it took a part, and would refuse the next
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    def read_at(self, offset: int, size: int) -> bytes:
        """What stands at an offset, at most so many bytes."""
        with on_disk(self._directory):
            return os.pread(self._file.fileno(), size, offset)

    def seek(self, offset: int) -> None:
        """Write from there on."""
        with on_disk(self._directory):
            self._file.seek(offset)

    def truncate(self, size: int) -> None:
        """Keep so many bytes."""
        with on_disk(self._directory):
            self._file.truncate(size)

    def descriptor(self) -> int:
        """A descriptor of it, which who gets it closes."""
        with on_disk(self._directory):
            return os.dup(self._file.fileno())

    def close(self) -> None:
        """Write nothing more."""
        with on_disk(self._directory):
            self._file.close()

    def discard(self) -> None:
        """Remove it, unless it has gone elsewhere."""
        with suppress(OSError):
            self._file.close()
        remove_file(self.path)
