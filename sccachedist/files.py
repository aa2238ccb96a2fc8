"""Temporary files, on a disk that may be full, broken, read-only or gone. A directory that has vanished is made again.

This module does not know what the files hold.
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
    """Remove a file if it is there. If the disk refuses, the file stays until the next start removes it."""
    try:
        path.unlink(missing_ok=True)
    except OSError as error:
        log.warn("{path} stays until the next start: {reason}", path=str(path), reason=error.strerror)


def overwrite(path: Path, content: bytes) -> None:
    """Give a file that is there another content. It is not emptied first: an emptied file goes to its disk at once.

    :raises DiskError: the disk does not take it.
    """
    with on_disk(path), path.open("r+b", buffering=0) as file:
        if file.write(content) < len(content):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        file.truncate()


def settle(path: Path) -> None:
    """Write a file through to the disk, unless it has been removed; blocks.

    :raises DiskError: the disk does not take it.
    """
    with on_disk(path), suppress(FileNotFoundError):
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


class NewFile:
    """A file that only its owner can read, written piece by piece.

    Every method but :meth:`discard` raises :class:`DiskError`.

    :param directory: a private one, made if it is missing.
    """

    def __init__(self, directory: Path, *, prefix: str = "", suffix: str = "") -> None:
        self._directory = directory
        self.path = Path(directory, f"{prefix}{uuid4().hex}{suffix}")
        with on_disk(directory):
            opener = partial(os.open, mode=0o600, dir_fd=held(directory))
            self._file = FileIO(self.path.name, "x+b", opener=opener)

    @property
    def closed(self) -> bool:
        """Whether the file is closed for writing."""
        return self._file.closed

    def write(self, data: bytes) -> None:
        """Write all of ``data``."""
        with on_disk(self._directory):
            if self._file.write(data) < len(data):  # the disk took a part, and would refuse the rest
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    def read_at(self, offset: int, size: int) -> bytes:
        """At most ``size`` bytes from ``offset`` on."""
        with on_disk(self._directory):
            return os.pread(self._file.fileno(), size, offset)

    def seek(self, offset: int) -> None:
        """Write from ``offset`` on."""
        with on_disk(self._directory):
            self._file.seek(offset)

    def truncate(self, size: int) -> None:
        """Keep the first ``size`` bytes."""
        with on_disk(self._directory):
            self._file.truncate(size)

    def descriptor(self) -> int:
        """A new descriptor of the file; the caller closes it."""
        with on_disk(self._directory):
            return os.dup(self._file.fileno())

    def close(self) -> None:
        """Close the file; nothing more is written."""
        with on_disk(self._directory):
            self._file.close()

    def discard(self) -> None:
        """Close and remove the file; no error if it has been moved or removed."""
        with suppress(OSError):
            self._file.close()
        remove_file(self.path)
