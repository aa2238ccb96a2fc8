"""Unpacks a client's tar stream below a directory, for toolchains and for inputs.

Files, directories, symlinks and hard links come out with their permission bits; setuid, setgid and sticky
bits, owners and devices do not. Nothing outside the directory is read or changed: a symlink may point anywhere, but
is followed only inside. :mod:`sccachedist.sandbox.beneath` decides which names are refused, and keeps the others
inside. A later member replaces an earlier one of the same name, but no directory that is not empty. Who sent the
stream is not known here.
"""

import errno
import os
from typing import BinaryIO

from sccachedist.builders.worker_protocol import Grown, unheard
from sccachedist.errors import DecodeError
from sccachedist.sandbox.archive.tally import DISK_BLOCK, MemberLimits, Tally
from sccachedist.sandbox.archive.tar import Content, Member, MemberKind, read_archive
from sccachedist.sandbox.beneath import Root

# Errors of the file system for names that contradict each other or are too long: the archive's fault. Any other error,
# above all a full disk, is this host's fault and passes through.
_ARCHIVES_FAULT = frozenset(
    {
        errno.EEXIST,
        errno.EILSEQ,
        errno.EINVAL,
        errno.EISDIR,
        errno.ELOOP,
        errno.EMLINK,
        errno.ENAMETOOLONG,
        errno.ENOENT,
        errno.ENOTDIR,
        errno.ENOTEMPTY,
        errno.EPERM,  # a hard link to a directory
    }
)
#: The years 1901 and 2514; every file system takes what is between.
EARLIEST_MTIME, LATEST_MTIME = -(2**31), 2**34


def unpack(stream: BinaryIO, root: Root, limits: MemberLimits, grown: Grown = unheard) -> Tally:
    """Unpack the whole archive below ``root``; returns its tally, to which the caller adds what else it makes there.

    :param grown: called now and then with the size so far.
    :raises DecodeError: the archive is damaged, or holds what may not be unpacked.
    :raises LimitExceeded: it is larger than allowed.
    """
    tally = Tally(limits, grown)
    for member, content in read_archive(stream):
        tally.name(max(len(member.name), len(member.link)))
        try:
            _unpack_member(root, member, content, tally)
        except OSError as error:
            if error.errno not in _ARCHIVES_FAULT:
                raise
            raise DecodeError(f"cannot unpack {member.name[:200]!r}: {error.strerror}") from error
    return tally


def _unpack_member(root: Root, member: Member, content: Content, tally: Tally) -> None:
    if member.kind is MemberKind.DIRECTORY:
        before = tally.size
        # The owner has all rights: else this process could not unpack into it, nor remove it.
        root.make_directories(member.name, member.mode & 0o777 | 0o700, tally.directory)
        if tally.size == before:  # it existed; it still counts: each time that it is named costs time
            tally.entry()
        return
    tally.entry()
    if member.kind is MemberKind.NOTHING:
        return
    with root.parent(member.name, tally.directory) as (directory, name):
        if member.kind is MemberKind.HARD_LINK:
            _hard_link(root, member.link, directory, name, tally)
            return
        _clear(directory, name)
        if member.kind is MemberKind.SYMLINK:
            os.symlink(member.link, name, dir_fd=directory)
        else:
            _file(directory, name, member, content, tally)


def _file(directory: int, name: bytes, member: Member, content: Content, tally: Tally) -> None:
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
    with open(os.open(name, flags, 0o600, dir_fd=directory), "wb") as file:
        for number, piece in enumerate(content):
            if not number and member.mode & 0o111:
                tally.executable(piece)
            tally.written(file.write(piece))
        tally.written(-member.size % DISK_BLOCK)
        file.flush()
        os.fchmod(file.fileno(), member.mode & 0o777)
        # Precompiled headers compare the times of the files that they were made from.
        mtime = usual_time(member.mtime)
        os.utime(file.fileno(), (mtime, mtime))


def usual_time(mtime: int) -> int:
    """A time that every file system and archive takes."""
    return max(EARLIEST_MTIME, min(mtime, LATEST_MTIME))


def _hard_link(root: Root, target: bytes, directory: int, name: bytes, tally: Tally) -> None:
    with root.parent(target, tally.directory) as (target_directory, target_name):
        _clear(directory, name)
        os.link(target_name, name, src_dir_fd=target_directory, dst_dir_fd=directory, follow_symlinks=False)


def _clear(directory: int, name: bytes) -> None:
    """Remove what an earlier member left under this name."""
    try:
        os.unlink(name, dir_fd=directory)
    except FileNotFoundError:
        pass
    except OSError as error:
        if error.errno not in (errno.EISDIR, errno.EPERM):  # Linux and POSIX for a directory
            raise
        os.rmdir(name, dir_fd=directory)
