"""Disks that are full, broken, read-only or gone: one error for all that the system reports, and a look beforehand."""

import errno
import os
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from sccachedist.errors import DiskError, DiskFull

_FULL = (errno.ENOSPC, errno.EDQUOT)
#: A disk with less room than that, in bytes and files, is full: hardly a job has less.
LEAST_BYTES, LEAST_FILES = 4 << 20, 64
#: Bytes that a test writes to each disk.
TRIAL_BYTES = 1 << 20


@contextmanager
def on_disk(*places: Path) -> Iterator[None]:
    """Turn the ``OSError`` of a block that works with files into a :class:`DiskError`.

    :param places: where the files are, in the words that a reader of the log knows.
    :raises DiskFull: there is no room.
    :raises DiskError: the system refuses for another reason.
    """
    try:
        yield
    except OSError as error:
        kind = DiskFull if error.errno in _FULL else DiskError
        raise kind(f"the disk of {' or '.join(map(str, places))}: {error.strerror or error}") from error


def disks_of(directories: Iterable[Path]) -> list[Path]:
    """One of some directories for each file system that they lie on. Those that are not there are passed over.

    :raises DiskError: a disk does not answer.
    """
    found: dict[int, Path] = {}
    for directory in directories:
        with on_disk(directory), suppress(FileNotFoundError):
            found.setdefault(directory.stat().st_dev, directory)
    return list(found.values())


def complaint_about(directories: Iterable[Path]) -> str:
    """Say which disk has no room or does not answer; empty if all have room. A file system may not count files."""
    try:
        for disk in disks_of(directories):
            with on_disk(disk):
                state = os.statvfs(disk)
            if state.f_bavail * state.f_frsize < LEAST_BYTES:
                return f"the disk of {disk}: less than {LEAST_BYTES >> 20} MiB are free"
            if state.f_files and state.f_favail < LEAST_FILES:
                return f"the disk of {disk}: there is room for fewer than {LEAST_FILES} more files"
    except DiskError as error:
        return str(error)
    return ""


def free_bytes(directory: Path) -> int | None:
    """How many bytes are left for this process where a directory lies; None if that cannot be told."""
    try:
        state = os.statvfs(directory)
    except OSError:
        return None
    return state.f_bavail * state.f_frsize


def write_to(directory: Path) -> None:
    """Write a file and remove it.

    :raises DiskError: the disk does not take it.
    """
    with on_disk(directory), tempfile.TemporaryFile(dir=directory) as trial:
        trial.write(bytes(TRIAL_BYTES))
        trial.flush()
