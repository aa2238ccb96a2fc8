"""Opens files beneath a root directory; no name and no symbolic link leads out of it.

A :class:`Root` is a directory's descriptor. Names mean what they mean to a process chrooted there: an absolute name or
link begins at the root, a symlink never leads out. Besides, a name with ``..`` that climbs above the root is an error:
no honest client sends one. If the kernel has ``openat2`` (Linux 5.6), it resolves the name. Else a walk opens one
component at a time, never through a symlink, and reads the links itself. Only the walk makes missing directories.
No other process may change the tree meanwhile: the job's processes have ended by then. Which files are opened is not
known here: :mod:`sccachedist.sandbox.job_root` and :mod:`sccachedist.sandbox.archive.unpack` name them.
"""

import contextlib
import ctypes
import errno
import functools
import os
import stat
import sys
from collections.abc import Callable, Iterator

from sccachedist.errors import BuildError, DecodeError
from sccachedist.outcomes import SentLocal

Lookup = Callable[[int, bytes, int], int]
"""Open a name below a root: ``(root, path, flags) -> descriptor``, symlinks followed inside the root."""

Made = Callable[[int], None]
"""Told of each directory that is made, in how many it lies, itself included; it may raise."""

_MOST_LINKS = 40  # the limit of the kernel
_LONGEST = 4096  # the limit of the kernel, which counts the NUL at the end
#: The flags that open a directory so that names can be resolved in it.
DIRECTORY = getattr(os, "O_PATH", os.O_RDONLY) | os.O_DIRECTORY | os.O_CLOEXEC
_SYS_OPENAT2 = 437  # the same on every Linux architecture
_RESOLVE_NO_MAGICLINKS = 0x02
_RESOLVE_IN_ROOT = 0x10


def uncounted(_: int) -> None:
    """Count nothing."""


class Root:
    """A root directory. Paths are bytes; errors of the file system come as ``OSError``."""

    def __init__(self, descriptor: int, lookup: Lookup | None = None) -> None:
        self._root = descriptor
        self._open = lookup or best_lookup()

    @contextlib.contextmanager
    def parent(self, path: bytes, made: Made = uncounted) -> Iterator[tuple[int, bytes]]:
        """Give the directory that holds ``path``, made if it is missing, and the path's last name, not resolved.

        :param made: called for each directory that is made.
        :raises DecodeError: the path climbs above the root or names no entry.
        """
        names = components(path)
        if not names or names[-1] == b"..":
            raise DecodeError(f"not the name of a file: {path[:200]!r}")
        directory = self._made(b"/".join(names[:-1]), made)
        try:
            yield directory, names[-1]
        finally:
            os.close(directory)

    def make_directories(self, path: bytes, mode: int | None = None, made: Made = uncounted) -> None:
        """Make a directory and its missing parents; then set ``mode`` on the last one."""
        directory = self._made(path, made)
        try:
            if mode is not None:
                os.chmod(b".", mode, dir_fd=directory)
        finally:
            os.close(directory)

    def open_regular(self, path: bytes) -> int:
        """Open a regular file for reading, without blocking, e.g. on a FIFO.

        :raises BuildError: it is no regular file.
        """
        name = b"/".join(components(path)) or b"."
        descriptor = self._open(self._root, name, os.O_RDONLY | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC)
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            os.close(descriptor)
            raise BuildError(SentLocal.NO_OUTPUT, f"not a regular file: {path[:200]!r}")
        return descriptor

    def _made(self, path: bytes, made: Made) -> int:
        name = b"/".join(components(path)) or b"."
        try:
            return self._open(self._root, name, DIRECTORY)
        except FileNotFoundError:
            return walk(self._root, name, DIRECTORY, made)


def components(path: bytes) -> list[bytes]:
    """Split a path into its names.

    :raises DecodeError: some ``..`` climbs above the root, or no file can have this path.
    """
    names = _split(path)
    depth = 0
    for name in names:
        depth += -1 if name == b".." else 1
        if depth < 0:
            raise DecodeError(f"a path leads out of its root: {path[:200]!r}")
    if b"\0" in path or len(path) >= _LONGEST:
        raise DecodeError(f"a path holds NUL or is too long: {path[:200]!r}")
    return names


def best_lookup() -> Lookup:
    """Return :func:`openat2` if this system has it, else :func:`walk`."""
    return openat2 if _has_openat2() else walk


def walk(root: int, path: bytes, flags: int, made: Made | None = None) -> int:
    """Open ``path`` one component at a time; with ``made``, make missing directories, the last one too."""
    here, name = _resolve(root, path, made)
    try:
        return os.open(name, flags | os.O_NOFOLLOW, dir_fd=here)
    finally:
        os.close(here)


def _resolve(root: int, path: bytes, made: Made | None) -> tuple[int, bytes]:
    """Follow every symlink; returns a directory's descriptor, and a last name that is no symlink."""
    pending = _split(path)[::-1]
    here, depth, links = _step(root, b"."), 0, 0
    try:
        while pending:
            name = pending.pop()
            if (target := _link_target(here, name)) is not None:
                links += 1
                if links > _MOST_LINKS:
                    raise OSError(errno.ELOOP, os.strerror(errno.ELOOP))
                if target.startswith(b"/"):
                    here, depth = _replaced(here, root, b"."), 0
                pending += _split(target)[::-1]
                continue
            if made is not None and name != b"..":
                with contextlib.suppress(FileExistsError):
                    os.mkdir(name, 0o755, dir_fd=here)
                    made(depth + 1)
            if not pending and name != b"..":
                return here, name
            if name != b".." or depth:  # ".." at the root stays there
                here, depth = _replaced(here, here, name), depth + (-1 if name == b".." else 1)
    except BaseException:
        os.close(here)
        raise
    return here, b"."


def _step(directory: int, name: bytes) -> int:
    return os.open(name, DIRECTORY | os.O_NOFOLLOW, dir_fd=directory)


def _replaced(old: int, directory: int, name: bytes) -> int:
    new = _step(directory, name)
    os.close(old)
    return new


def _link_target(directory: int, name: bytes) -> bytes | None:
    try:
        return os.readlink(name, dir_fd=directory)
    except OSError as error:
        if error.errno in (errno.EINVAL, errno.ENOENT):  # no link, or missing: opening it fails then
            return None
        raise


def _split(path: bytes) -> list[bytes]:
    return [name for name in path.split(b"/") if name not in (b"", b".")]


class _OpenHow(ctypes.Structure):
    _fields_ = (("flags", ctypes.c_uint64), ("mode", ctypes.c_uint64), ("resolve", ctypes.c_uint64))


def openat2(root: int, path: bytes, flags: int) -> int:
    """Have the kernel open ``path`` as if ``root`` were ``/``."""
    how = _OpenHow(flags, 0, _RESOLVE_IN_ROOT | _RESOLVE_NO_MAGICLINKS)
    while True:
        descriptor = _syscall()(
            ctypes.c_long(_SYS_OPENAT2),
            ctypes.c_int(root),
            ctypes.c_char_p(path),
            ctypes.byref(how),
            ctypes.c_size_t(ctypes.sizeof(how)),
        )
        if descriptor >= 0:
            return int(descriptor)
        # EAGAIN: something was renamed or mounted somewhere on the machine while the kernel looked at "..".
        if (number := ctypes.get_errno()) not in (errno.EINTR, errno.EAGAIN):
            raise OSError(number, os.strerror(number), os.fsdecode(path))


@functools.cache
def _syscall() -> Callable[..., int]:
    function = ctypes.CDLL(None, use_errno=True).syscall
    function.restype = ctypes.c_long
    return function


@functools.cache
def _has_openat2() -> bool:
    if not sys.platform.startswith("linux"):
        return False
    here = os.open(".", DIRECTORY)
    try:
        os.close(openat2(here, b".", DIRECTORY))
    except OSError:  # ENOSYS before Linux 5.6, EPERM from a seccomp filter that does not know it
        return False
    finally:
        os.close(here)
    return True
