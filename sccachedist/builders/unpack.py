"""Unpack a tar stream below a directory, for toolchains and for inputs; the stream is a stranger's.

Files, directories, symlinks and hard links come out with their permission bits; setuid, setgid and sticky
bits, owners and devices do not. Nothing outside the directory is read, written or changed, whatever the names
and links are: a symlink may point anywhere, it is only ever followed inside. A later member replaces an
earlier one of the same name, but no directory that holds something.
"""

import errno
import os
from collections.abc import Iterator
from typing import BinaryIO

import attrs

from sccachedist.builders.confine import Root
from sccachedist.builders.tar import Content, Kind, Member, read_archive
from sccachedist.errors import DecodeError, LimitExceeded

# What the file system says of names that contradict each other or are too long: the archive's fault. Anything
# else, a full disk above all, is ours and passes through.
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
LATEST_MTIME = 2**34  # the year 2514; every file system takes it


@attrs.frozen
class MemberLimits:
    """What an archive's members may be.

    :param key: the key under ``[limits]`` for their number.
    :param most: how many there may be.
    :param path_bytes: how long a name or a link's target may be.
    """

    key: str
    most: int
    path_bytes: int


def members_within(stream: BinaryIO, limits: MemberLimits) -> Iterator[tuple[Member, Content]]:
    """Yield an archive's members as :func:`~sccachedist.builders.tar.read_archive` does, as long as they are allowed.

    :raises DecodeError: the archive is damaged or holds what cannot be unpacked.
    :raises LimitExceeded: it has more or longer members than allowed, or the stream says that it is too long.
    """
    for count, (member, content) in enumerate(read_archive(stream), start=1):
        if count > limits.most:
            raise LimitExceeded(limits.key, f"an archive has more than {limits.most} members")
        if max(len(member.name), len(member.link)) > limits.path_bytes:
            raise LimitExceeded("path_bytes", f"an archive has a path of more than {limits.path_bytes} bytes")
        yield member, content


def unpack(stream: BinaryIO, root: Root, limits: MemberLimits) -> None:
    """Unpack the whole archive below ``root``.

    :raises DecodeError: the archive is not one that may be unpacked.
    :raises LimitExceeded: it is larger than allowed.
    """
    for member, content in members_within(stream, limits):
        try:
            _unpack_member(root, member, content)
        except OSError as error:
            if error.errno not in _ARCHIVES_FAULT:
                raise
            raise DecodeError(f"cannot unpack {member.name[:200]!r}: {error.strerror}") from error


def _unpack_member(root: Root, member: Member, content: Content) -> None:
    if member.kind is Kind.DIRECTORY:
        # The owner keeps its rights: else nobody could unpack into it, nor remove it.
        root.make_directories(member.name, member.mode & 0o777 | 0o700)
        return
    with root.parent(member.name) as (directory, name):
        if member.kind is Kind.HARD_LINK:
            _hard_link(root, member.link, directory, name)
            return
        _clear(directory, name)
        if member.kind is Kind.SYMLINK:
            os.symlink(member.link, name, dir_fd=directory)
        else:
            _file(directory, name, member, content)


def _file(directory: int, name: bytes, member: Member, content: Content) -> None:
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
    with open(os.open(name, flags, 0o600, dir_fd=directory), "wb") as file:
        file.writelines(content)
        file.flush()
        os.fchmod(file.fileno(), member.mode & 0o777)
        # Precompiled headers compare the times of the files that they were made from.
        mtime = min(member.mtime, LATEST_MTIME)
        os.utime(file.fileno(), (mtime, mtime))


def _hard_link(root: Root, target: bytes, directory: int, name: bytes) -> None:
    with root.parent(target) as (target_directory, target_name):
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
