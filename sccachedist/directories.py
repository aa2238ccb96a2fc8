"""Directories that no other user of this host can change, and the files in them.

A directory is trusted if two things hold for it and for every directory and symbolic link on the path to it: root or
this process's user owns it, and no other user can write to it. A directory with the sticky bit, such as ``/tmp``, may
lie on the path: every user can make entries in it, but only an entry's owner can replace that entry. The path is walked
by descriptors, one component at a time, so that nothing can be swapped between a check and its use. After the walk no
other user can put something else at the path, so it may be used from then on.

A directory that is private to this process gets mode 0700 under every umask. Its own name is never a symbolic link.
This module does not know what the directories hold.
"""

import errno
import fcntl
import functools
import grp
import os
import pwd
import stat
import uuid
from collections.abc import Collection, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from sccachedist.errors import UntrustedPath

_PRIVATE = 0o700
_MOST_LINKS = 40  # as the kernel
_FLAGS = os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
#: The flags that open a directory on the path, which this process may not be allowed to list.
_ON_THE_WAY = getattr(os, "O_PATH", os.O_RDONLY) | _FLAGS
_ACL = "system.posix_acl_access"


def trusted(*more: int) -> frozenset[int]:
    """The users whose directories are trusted: root, this process's user, and ``more``."""
    return frozenset({0, os.geteuid(), *more})


def open_private(path: Path, owners: Collection[int] = ()) -> int:
    """Open a directory that is private to this process and return its descriptor; make it if it is missing.

    If other users could read it, its mode is changed so that they no longer can.

    :param owners: the users who are trusted, instead of those of :func:`trusted`.
    :raises UntrustedPath: another user could have made it or could replace it.
    :raises OSError: it cannot be made or opened.
    """
    owners = owners or trusted()
    parent = _walk(path.absolute().parent, owners, make=True)
    try:
        return _private_in(parent, path.name, path, owners)
    finally:
        os.close(parent)


def make_private(path: Path) -> None:
    """Make a private directory if it is missing. See :func:`open_private`."""
    os.close(open_private(path))


def open_inner(directory: int, name: str) -> int:
    """Open a directory inside a private one that other users may have been able to write to before it became private.

    :raises UntrustedPath: another user made it.
    """
    descriptor = os.open(name, os.O_RDONLY | _FLAGS, dir_fd=directory)
    try:
        entry = os.fstat(descriptor)
        if entry.st_uid not in trusted():
            raise UntrustedPath(f"it belongs to {_user(entry.st_uid)}")
        _close_to_others(descriptor, entry)
    except BaseException:
        os.close(descriptor)
        raise
    return descriptor


def check_way(path: Path, owners: Collection[int] = ()) -> tuple[Path, frozenset[int]]:
    """Check a directory whose last components may be missing.

    Returns the part of the path that exists, and the owners of that part's components.

    :raises UntrustedPath: another user could change what is there, or what will be there.
    """
    while True:
        users: set[int] = set()
        try:
            os.close(_walk(path, owners or trusted(), make=False, users=users))
        except FileNotFoundError:
            path = path.parent
        else:
            return path, frozenset(users)


def read_private(directory: int, name: str, most: int) -> bytes:
    """Read a file that only this process's user or root can have written.

    :param most: the most bytes that it may have.
    :raises UntrustedPath: another user could have written it, or it is no regular file, or it is longer than ``most``.
    :raises OSError: it cannot be read.
    """
    try:
        descriptor = os.open(name, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC, dir_fd=directory)
    except OSError as error:
        if error.errno in (errno.ELOOP, errno.EMLINK, errno.ENXIO):  # a link (EMLINK: on FreeBSD), a socket
            raise UntrustedPath("it is no regular file") from error
        raise
    with open(descriptor, "rb") as file:
        _check_alone(os.fstat(descriptor))
        with suppress(PermissionError):  # the file is root's, and only root can change its mode
            os.fchmod(descriptor, 0o600)
        content = file.read(most + 1)
    if len(content) > most:
        raise UntrustedPath(f"it has more than {most} bytes")
    return content


def check_file(entry: os.stat_result) -> None:
    """Check that only this process's user or root can have written a file.

    :raises UntrustedPath: another user could have written it, or it is not a regular file.
    """
    if not stat.S_ISREG(entry.st_mode):
        raise UntrustedPath("it is no regular file")
    if entry.st_uid not in trusted():
        raise UntrustedPath(f"it belongs to {_user(entry.st_uid)}")
    if entry.st_mode & 0o022:
        raise UntrustedPath(f"others can write to it (mode {_mode(entry)})")


def _check_alone(entry: os.stat_result) -> None:
    check_file(entry)
    if entry.st_nlink > 1:  # perhaps a hard link to our file elsewhere, whose content another user chose
        raise UntrustedPath("it has another name elsewhere")


def lock_file(directory: int, name: str) -> int:
    """Lock a file in a private directory until its descriptor is closed; make the file if it is missing.

    :raises BlockingIOError: another process has locked it.
    :raises UntrustedPath: another user could have made it.
    """
    try:
        return _locked(
            directory, name, os.O_RDONLY
        )  # a disk with a file that is open for writing cannot become read-only
    except OSError as error:
        if error.errno != errno.EBADF:
            raise
        return _locked(directory, name, os.O_RDWR)  # NFS locks only what is open for writing


def _locked(directory: int, name: str, access: int) -> int:
    flags = access | os.O_CREAT | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
    descriptor = os.open(name, flags, 0o600, dir_fd=directory)
    try:
        _check_alone(os.fstat(descriptor))
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BaseException as error:
        os.close(descriptor)
        if isinstance(error, UntrustedPath):
            raise UntrustedPath(f"{name} in it: {error}") from error
        raise
    return descriptor


def clear(directory: int) -> None:
    """Remove everything in a directory, however deep. No link is followed."""
    pending = _emptied(directory, directory)
    for name in pending:
        inner = os.open(name, os.O_RDONLY | _FLAGS, dir_fd=directory)
        try:
            with suppress(PermissionError):  # then it can be emptied with its present mode, or not at all
                os.fchmod(inner, _PRIVATE)
            pending += _emptied(inner, directory)
        finally:
            os.close(inner)
        os.rmdir(name, dir_fd=directory)


def _emptied(directory: int, top: int) -> list[str]:
    """Remove all entries but directories; move those to ``top`` and return their new names there."""
    directories = []
    with os.scandir(directory) as entries:
        for entry in list(entries):
            if entry.is_dir(follow_symlinks=False):
                directories.append(name := f"gone-{uuid.uuid4().hex}")
                os.rename(entry.name, name, src_dir_fd=directory, dst_dir_fd=top)
            else:
                os.unlink(entry.name, dir_fd=directory)
    return directories


def held(path: Path) -> int:
    """The descriptor of a private directory, kept open. The caller must not close it.

    The directory is opened and checked once, and again when something else is at its path. See :func:`open_private`.
    """
    return _held(path).descriptor()


class _Held:
    """A directory that is used often."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._descriptor: int | None = None

    def descriptor(self) -> int:
        with suppress(OSError):
            if self._descriptor is not None and os.path.samestat(os.lstat(self._path), os.fstat(self._descriptor)):
                return self._descriptor
        self._close()
        self._descriptor = open_private(self._path)
        return self._descriptor

    def _close(self) -> None:
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None

    def __del__(self) -> None:
        self._close()


_held = functools.lru_cache(maxsize=16)(_Held)


def _private_in(parent: int, name: str, path: Path, owners: Collection[int]) -> int:
    """Open a private directory in ``parent``; make it if it is missing."""
    with _naming(path):
        if stat.S_ISLNK(_entry(parent, name, make=True).st_mode):
            raise UntrustedPath(
                f"{path} is a symbolic link, and has to be a directory: name another, or remove the link"
            )
        descriptor = os.open(name, os.O_RDONLY | _FLAGS, dir_fd=parent)
    try:
        entry = os.fstat(descriptor)
        _check(entry, descriptor, path, owners, private=True)
        with _naming(path):
            _close_to_others(descriptor, entry)
    except BaseException:
        os.close(descriptor)
        raise
    return descriptor


def _walk(path: Path, owners: Collection[int], *, make: bool, users: set[int] | None = None) -> int:
    """Open a directory on the path, one component at a time.

    :param make: whether to make what is missing, private.
    :param users: the owners of all components are added to it.
    """
    pending, links = [*reversed(path.absolute().parts[1:])], 0
    here, where = os.open("/", _ON_THE_WAY), Path("/")
    try:
        _check(os.fstat(here), here, where, owners, private=False)
        while pending:
            name = pending.pop()
            with _naming(where / name):
                entry = _entry(here, name, make=make)
                if users is not None:
                    users.add(entry.st_uid)
                if stat.S_ISLNK(entry.st_mode):
                    links += 1
                    _check_link(entry, links, where / name, owners)
                    target = os.readlink(name, dir_fd=here)
                    pending += reversed(Path(target).parts)
                    continue
                there = os.open(name, _ON_THE_WAY, dir_fd=here)  # the name "/" starts at the root again
            os.close(here)
            here, where = there, where / name
            _check(os.fstat(here), here, where, owners, private=False)
    except BaseException:
        os.close(here)
        raise
    return here


def _entry(directory: int, name: str, *, make: bool) -> os.stat_result:
    """The status of what bears a name in a directory; with ``make``, a private directory is made if nothing does."""
    with suppress(FileNotFoundError):
        return os.lstat(name, dir_fd=directory)
    if make:
        with suppress(FileExistsError):
            os.mkdir(name, _PRIVATE, dir_fd=directory)
    return os.lstat(name, dir_fd=directory)


def _close_to_others(descriptor: int, entry: os.stat_result) -> None:
    if entry.st_mode & 0o077:
        os.fchmod(descriptor, stat.S_IMODE(entry.st_mode) & ~0o077 | _PRIVATE)


@contextmanager
def _naming(path: Path) -> Iterator[None]:
    """Make the system's errors name the whole path."""
    try:
        yield
    except UntrustedPath:
        raise
    except OSError as error:
        raise OSError(error.errno, error.strerror, str(path)) from error


def _check_link(entry: os.stat_result, links: int, where: Path, owners: Collection[int]) -> None:
    if links > _MOST_LINKS:
        raise OSError(errno.ELOOP, os.strerror(errno.ELOOP))
    if entry.st_uid not in owners or entry.st_nlink > 1:  # any user could have hard-linked a link of root's
        raise UntrustedPath(
            f"{where} is a symbolic link of {_user(entry.st_uid)}: name the directory that it should be"
        )


def _check(entry: os.stat_result, descriptor: int, where: Path, owners: Collection[int], *, private: bool) -> None:
    """Check that no other user can change what is in a directory.

    :param private: whether it is the private directory itself, not only one on the path to it.
    """
    if entry.st_uid not in (owners if private else {*owners, *_unmapped()}):
        names = " or ".join(map(_user, sorted(owners)))
        raise UntrustedPath(
            f"{where} belongs to {_user(entry.st_uid)}: it has to be of {names} (chown), or name another"
        )
    if (private or not entry.st_mode & stat.S_ISVTX) and _written_by_others(entry, descriptor, owners):
        mend = (
            f"see what is in it, then chmod go-w {where}"
            if private
            else f"chmod go-w {where}, or +t where all share it"
        )
        raise UntrustedPath(f"{where} can be written by other users (mode {_mode(entry)}): {mend}")


def _written_by_others(entry: os.stat_result, descriptor: int, owners: Collection[int]) -> bool:
    if entry.st_mode & stat.S_IWOTH:
        return True
    return bool(entry.st_mode & stat.S_IWGRP) and (_has_acl(descriptor) or is_shared(entry.st_gid, owners))


def _has_acl(descriptor: int) -> bool:
    """Whether a directory has an access control list: then the group's mode bits are the list's mask."""
    with suppress(OSError, AttributeError):
        return bool(os.getxattr(f"/proc/self/fd/{descriptor}", _ACL))
    return False


def is_shared(group: int, owners: Collection[int]) -> bool:
    """Whether other users are in a group, as far as the system's user lists tell. Group 0 counts as root's alone."""
    if group == 0:
        return False
    try:
        members = grp.getgrgid(group).gr_mem
    except KeyError:  # a group without a name, such as that of a volume in a container
        members = []
    return any(
        user.pw_uid not in owners and (user.pw_gid == group or user.pw_name in members) for user in pwd.getpwall()
    )


@functools.cache
def _unmapped() -> frozenset[int]:
    """The user id that stands for all users without a mapping into this user namespace, the host's root among them."""
    with suppress(OSError, ValueError):
        overflow = int(Path("/proc/sys/kernel/overflowuid").read_text())
        ranges = [line.split() for line in Path("/proc/self/uid_map").read_text().splitlines()]
        if not any(int(first) <= overflow < int(first) + int(count) for first, _, count in ranges):
            return frozenset({overflow})
    return frozenset()


def _user(uid: int) -> str:
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return f"uid {uid}"


def _mode(entry: os.stat_result) -> str:
    return f"{stat.S_IMODE(entry.st_mode):04o}"
