"""Finds the archives that a toolchain cache holds at the start of a build server, laid out as ``a/b/ab…``.

It skips files that another user of this host could have written. Which machine a toolchain needs stands beside its
archive as an attribute of the file: where the file system keeps none, that is known again once it is unpacked. What is
in an archive is not known here.
"""

import os
import stat
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from sccachedist.daemon.logs import Logger
from sccachedist.directories import check_file, open_inner
from sccachedist.errors import DecodeError, UntrustedPath
from sccachedist.wire.archive_id import ArchiveId, archive_id
from sccachedist.wire.machines import ANY, UNKNOWN

log = Logger()

_MACHINE = "user.sccachedist.machine"


def found_archives(directory: int) -> list[tuple[ArchiveId, int]]:
    """Return the archives with their sizes in bytes, least recently used first.

    :raises OSError: a directory cannot be read.
    """
    found = []
    for toolchain, entry in _files(directory):
        try:
            check_file(entry)
        except UntrustedPath as error:
            log.warn("toolchain {toolchain} is passed over: {reason}", toolchain=toolchain, reason=str(error))
        else:
            found.append((entry.st_mtime, toolchain, entry.st_size))
    return [(toolchain, size) for _, toolchain, size in sorted(found)]


def kept_machine(archive: Path) -> int:
    """Which machine the toolchain of an archive needs, if that was kept."""
    if hasattr(os, "getxattr"):
        with suppress(OSError, ValueError):
            return min(max(int(os.getxattr(archive, _MACHINE, follow_symlinks=False)), UNKNOWN), ANY)
    return UNKNOWN


def keep_machine(archive: Path, machine: int) -> None:
    """Keep it for the next start, where that is possible."""
    if hasattr(os, "setxattr"):
        with suppress(OSError):
            os.setxattr(archive, _MACHINE, str(machine).encode(), follow_symlinks=False)


def _files(directory: int) -> Iterator[tuple[ArchiveId, os.stat_result]]:
    """Yield the files two levels down that have an archive id for a name."""
    for first in _directories(directory):
        for second in _directories(first):
            for name in os.listdir(second):
                with suppress(DecodeError):
                    yield archive_id(name), os.lstat(name, dir_fd=second)


def _directories(parent: int) -> Iterator[int]:
    """Yield the directories with names of one character, each open until the next is asked for."""
    for name in os.listdir(parent):
        if len(name) == 1 and stat.S_ISDIR(os.lstat(name, dir_fd=parent).st_mode):
            try:
                directory = open_inner(parent, name)
            except UntrustedPath as error:
                log.warn("{name} in the cache of toolchains is passed over: {reason}", name=name, reason=str(error))
                continue
            try:
                yield directory
            finally:
                os.close(directory)
