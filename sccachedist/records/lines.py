"""A file of records: a JSON object a line, rotated by its size.

All of it blocks, so it belongs in a thread. Other programs may rename, remove or truncate the file at any time. When
records are written is not known here.
"""

import fcntl
import gzip
import json
import os
import shutil
import stat
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

from sccachedist.disks import on_disk
from sccachedist.errors import DiskError
from sccachedist.records.ring import Entry, record_of

_READABLE_BY_GROUP = 0o640
_dumped = json.JSONEncoder(separators=(",", ":")).encode


def line_of(entry: Entry) -> bytes:
    """A record as its line, in ASCII."""
    return f"{_dumped(record_of(entry).to_json())}\n".encode()


class LineFile:
    """Writes records to the end of a file.

    :param rotate_bytes: from which size on it is put aside, packed, as ``PATH.1.gz``; older ones count up.
    :param keep_files: how many of those are kept.
    """

    def __init__(self, path: Path, rotate_bytes: int, keep_files: int) -> None:
        self._path, self._rotate_bytes, self._keep_files = path.absolute(), rotate_bytes, keep_files
        self._descriptor: int | None = None

    def write(self, lines: Iterable[bytes]) -> None:
        """Append lines, all of them or none.

        :param lines: as :func:`line_of` makes them.
        :raises DiskError: the disk does not take them.
        """
        with on_disk(self._path):
            size = self._append(b"".join(lines))
            if size >= self._rotate_bytes:
                self._rotate()

    def close(self) -> None:
        """Close the file; the next record opens it again by its name."""
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None

    def _append(self, octets: bytes) -> int:
        """Append; returns the size of the file."""
        descriptor = self._opened()
        before = os.fstat(descriptor).st_size
        rest = memoryview(octets)
        try:
            while rest:
                rest = rest[os.write(descriptor, rest) :]
        except OSError:
            with suppress(OSError):
                os.ftruncate(descriptor, before)  # no half of a line
            raise
        return before + len(octets)

    def _opened(self) -> int:
        """The descriptor of the file that has the name now.

        Anything but a file is refused: a pipe that is never read would hold this thread, and the end of the daemon. So
        is a file of another daemon: if two put it aside at once, records are lost.
        """
        if self._descriptor is not None and not self._is_current(self._descriptor):
            self.close()
        if self._descriptor is None:
            flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_NONBLOCK | os.O_CLOEXEC
            descriptor = os.open(self._path, flags, _READABLE_BY_GROUP)
            try:
                self._check(descriptor)
            except DiskError:
                os.close(descriptor)
                raise
            self._descriptor = descriptor
        return self._descriptor

    def _check(self, descriptor: int) -> None:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            raise DiskError(f"{self._path}: no file")
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise DiskError(f"{self._path}: another daemon writes its records there") from error
        except OSError:  # a file system without locks
            return

    def _is_current(self, descriptor: int) -> bool:
        try:
            return os.path.samestat(os.stat(self._path), os.fstat(descriptor))
        except FileNotFoundError:
            return False

    def _rotate(self) -> None:
        self.close()
        packed, whole = self._aside(1), self._path.with_name(f"{self._path.name}.packing")
        if not whole.exists():  # else a process has ended while it packed that; this file has its turn after it
            for number in range(self._keep_files - 1, 0, -1):
                if (aside := self._aside(number)).exists():
                    aside.replace(self._aside(number + 1))
            self._path.replace(whole)
        with whole.open("rb") as source, gzip.open(packed, "wb", compresslevel=6) as target:
            os.fchmod(target.fileno(), _READABLE_BY_GROUP)
            shutil.copyfileobj(source, target, 1 << 20)
        whole.unlink()

    def _aside(self, number: int) -> Path:
        return self._path.with_name(f"{self._path.name}.{number}.gz")
