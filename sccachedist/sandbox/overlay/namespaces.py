"""Namespaces of a sandbox worker and mounts in them, by calls of the C library: Linux only.

Root and other users take the same path: a user namespace in which the caller is uid 0, and in it namespaces for mounts,
network and processes. All of it ends with its first process, which is the worker. It does not know what is mounted
for a job: :mod:`sccachedist.sandbox.overlay.job` does.
"""

import contextlib
import ctypes
import errno
import fcntl
import os
import select
import signal
import socket
import stat
import struct
import time
from collections.abc import Iterator
from pathlib import Path

from sccachedist.errors import BuildError
from sccachedist.outcomes import SentLocal

_CLONE_NEWNS, _CLONE_NEWUSER, _CLONE_NEWPID, _CLONE_NEWNET = 0x00020000, 0x10000000, 0x20000000, 0x40000000
_CLONE_NEWIPC = 0x08000000  # held_memory enters a job's and can come back only to one of this user namespace
_MS_RDONLY, _MS_NOSUID, _MS_NODEV, _MS_NOEXEC, _MS_REMOUNT, _MS_BIND = 0x1, 0x2, 0x4, 0x8, 0x20, 0x1000
_MS_REC, _MS_PRIVATE = 0x4000, 0x40000
_MNT_DETACH = 2
_PR_SET_PDEATHSIG, _PR_SET_NO_NEW_PRIVS = 1, 38
_DEVICES = ("null", "zero", "full", "random", "urandom", "tty")
_DEVICE_LINKS = {"fd": "", "stdin": "/0", "stdout": "/1", "stderr": "/2"}
_DEVICES_OPTIONS = "size=64k,mode=755"
_MOST_INODES = 1_000_000  # each takes about a kilobyte of memory beside the size
_SIOCSIFFLAGS, _IFF_UP = 0x8914, 0x1
_BUSY_TRIES, _BUSY_PAUSE_S = 1000, 0.001

_NAMESPACES_ADVICE = "sccachedist doctor says which sysctl, filter, profile or mask forbids them"
_OVERLAY_ADVICE = "overlayfs in a user namespace needs Linux 5.11 or newer, and the overlay module"

_libc = ctypes.CDLL(None, use_errno=True)


def enter() -> None:
    """Continue in new namespaces, as a process that is killed when its parent ends.

    Another process continues, the first of its PID namespace: when it ends, the kernel kills all that it has started.
    The process that called this only waits for its end.

    :raises BuildError: the system refuses; the text says what would mend it.
    """
    uid, gid = os.geteuid(), os.getegid()
    _leave_sysfs()
    try:
        _checked(_libc.unshare(_CLONE_NEWUSER | _CLONE_NEWNS | _CLONE_NEWNET | _CLONE_NEWPID | _CLONE_NEWIPC))
        Path("/proc/self/setgroups").write_text("deny", encoding="utf-8")  # else only root may write gid_map
        Path("/proc/self/uid_map").write_text(f"0 {uid} 1", encoding="utf-8")
        Path("/proc/self/gid_map").write_text(f"0 {gid} 1", encoding="utf-8")
        _mount(None, "/", None, _MS_REC | _MS_PRIVATE, None)
        _raise_loopback()
        _checked(_libc.prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0))
        _bind_fate()
        _go_on_as_first()
        _mount("proc", "/proc", "proc", _MS_NOSUID | _MS_NODEV | _MS_NOEXEC, None)
    except OSError as error:
        raise BuildError(
            SentLocal.SANDBOX, f"no namespaces for a sandbox: {error.strerror}; {_NAMESPACES_ADVICE}"
        ) from error


def _leave_sysfs() -> None:
    """Unmount ``/sys``, which no sandbox needs, if allowed: bubblewrap reads the table of mounts again and again."""
    with contextlib.suppress(OSError):  # later, in a user namespace, mounts from outside cannot be unmounted
        _checked(_libc.unshare(_CLONE_NEWNS))
        _mount(None, "/", None, _MS_REC | _MS_PRIVATE, None)
        unmount("/sys")


def _go_on_as_first() -> None:
    """Continue as the first process of the PID namespace; the process that called this waits for its end."""
    alive, held = os.pipe()
    if first := os.fork():
        _, status = os.waitpid(first, 0)
        os._exit(os.waitstatus_to_exitcode(status) & 0xFF)
    os.close(held)
    _bind_fate()
    if select.select([alive], [], [], 0)[0]:  # the parent had ended before _bind_fate()
        os._exit(1)
    os.close(alive)


def _bind_fate() -> None:
    """Have the kernel kill this process when its parent ends; a change of credentials undoes that."""
    _checked(_libc.prctl(_PR_SET_PDEATHSIG, int(signal.SIGKILL), 0, 0, 0))


def make_devices(directory: str) -> None:
    """Make device files in a directory, for the ``/dev`` of all jobs of this process: before :func:`enter`, as root.

    Without that right, :func:`bind_devices` shows the host's devices. With own device files, jobs of two workers cannot
    signal each other by locks or watches on a device, and a job has fewer mounts.
    """
    with contextlib.suppress(OSError):
        _checked(_libc.unshare(_CLONE_NEWNS))
        _mount(None, "/", None, _MS_REC | _MS_PRIVATE, None)
        _mount("tmpfs", directory, "tmpfs", _MS_NOSUID | _MS_NOEXEC, _DEVICES_OPTIONS)
        try:
            for name in _DEVICES:
                os.mknod(f"{directory}/{name}", stat.S_IFCHR | 0o666, os.stat(f"/dev/{name}").st_rdev)
                os.chmod(f"{directory}/{name}", 0o666)  # noqa: S103
            with open(f"{directory}/null", "wb"):  # some containers may make devices but not open them
                pass
            _finish_devices(directory, _MS_REMOUNT)
        except OSError:
            unmount(directory)


def bind_devices(directory: str) -> None:
    """Show the host's devices in that directory, unless :func:`make_devices` has made some.

    :raises OSError: the system refuses.
    """
    if os.path.exists(f"{directory}/{_DEVICES[0]}"):
        return
    _mount("tmpfs", directory, "tmpfs", _MS_NOSUID | _MS_NOEXEC, _DEVICES_OPTIONS)
    for name in _DEVICES:
        Path(directory, name).touch()
        _bind_read_only(f"/dev/{name}", f"{directory}/{name}")
    _finish_devices(directory, _MS_REMOUNT | _MS_BIND)


def _finish_devices(directory: str, remount: int) -> None:
    """Add links and a mount point for ``shm``, then make the directory read-only."""
    for name, descriptor in _DEVICE_LINKS.items():
        os.symlink(f"/proc/self/fd{descriptor}", f"{directory}/{name}")
    os.mkdir(f"{directory}/shm")
    _mount(None, directory, None, remount | _MS_RDONLY | _MS_NOSUID | _MS_NOEXEC, None)


def bind(source: str, target: str) -> None:
    """Show a directory, with what is mounted in it, at ``target`` too."""
    _mount(source, target, None, _MS_BIND | _MS_REC, None)


def _bind_read_only(source: str, target: str) -> None:
    """Show a device file at ``target`` read-only: the device can be written to, its mode and times cannot change."""
    _mount(source, target, None, _MS_BIND, None)
    kept = os.statvfs(target).f_flag & (_MS_NOSUID | _MS_NODEV | _MS_NOEXEC)  # flags from outside must stay set
    _remount_read_only(target, kept)


def cover(source: str, target: str) -> None:
    """Show a file or directory at ``target``, read-only, so that no file can be put there; a device is closed."""
    _mount(source, target, None, _MS_BIND, None)
    make_read_only(target)


def make_read_only(target: str) -> None:
    """Make a mount read-only, without devices or programs.

    :raises OSError: the system refuses, or a process goes on writing there.
    """
    _remount_read_only(target, _MS_NODEV)


def _remount_read_only(target: str, flags: int) -> None:
    """Make a mount read-only, without programs.

    Who only follows a link counts as a writer for a moment, in which the kernel refuses: it notes the time of access.
    """
    flags |= _MS_REMOUNT | _MS_BIND | _MS_RDONLY | _MS_NOSUID | _MS_NOEXEC
    for left in reversed(range(_BUSY_TRIES)):
        try:
            _mount(None, target, None, flags, None)
            return
        except OSError as error:
            if error.errno != errno.EBUSY or not left:
                raise
        time.sleep(_BUSY_PAUSE_S)


@contextlib.contextmanager
def among(mounts: int) -> Iterator[None]:
    """Be among the mounts of another process, which runs nothing from outside yet; afterwards, be here again.

    :param mounts: a descriptor of them.
    :raises OSError: the system refuses.
    """
    with contextlib.ExitStack() as opened:

        def open_until_then(path: str, flags: int) -> int:
            descriptor = os.open(path, flags | os.O_CLOEXEC)
            opened.callback(os.close, descriptor)
            return descriptor

        here = open_until_then(".", os.O_PATH | os.O_DIRECTORY)
        own = open_until_then("/proc/self/ns/mnt", os.O_RDONLY)
        _checked(_libc.setns(mounts, _CLONE_NEWNS))
        try:
            yield
        finally:
            try:
                _checked(_libc.setns(own, _CLONE_NEWNS))
                os.fchdir(here)
            except OSError:
                os._exit(1)  # a worker must not serve from there


def mount_scratch(directory: str, size: int) -> None:
    """Mount an empty file system of at most ``size`` bytes."""
    _mount("tmpfs", directory, "tmpfs", _MS_NOSUID | _MS_NODEV, f"size={size},nr_inodes={_MOST_INODES},mode=755")


def hidden_file(directory: str, content: bytes) -> int:
    """Return a descriptor of an executable file in a read-only file system that is mounted nowhere afterwards.

    :param directory: where it is mounted for a moment.
    :raises OSError: the system refuses.
    """
    mount_scratch(directory, len(content))
    try:
        file = Path(directory, "file")
        file.write_bytes(content)
        file.chmod(0o555)
        # Read-only, also for the open descriptor: each job has the uid of the file's owner.
        _mount(None, directory, None, _MS_REMOUNT | _MS_RDONLY | _MS_NOSUID | _MS_NODEV, None)
        return os.open(file, os.O_RDONLY | os.O_CLOEXEC)
    finally:
        unmount(directory)


def unmount(directory: str) -> None:
    """Unmount a file system, with all that is mounted in it."""
    _checked(_libc.umount2(directory.encode(), _MNT_DETACH))


def mount_overlay(target: str, lower: str, upper: str, work: str) -> None:
    """Show ``lower`` at ``target``; all writes go to ``upper``. No name may hold a comma or a colon.

    :raises BuildError: the kernel does not mount it.
    """
    options = f"lowerdir={lower},upperdir={upper},workdir={work},userxattr"
    try:
        _mount("overlay", target, "overlay", _MS_NOSUID | _MS_NODEV, options)
    except OSError as error:
        raise BuildError(SentLocal.SANDBOX, f"cannot mount an overlay: {error.strerror}; {_OVERLAY_ADVICE}") from error


def _mount(source: str | None, target: str, kind: str | None, flags: int, options: str | None) -> None:
    def c(text: str | None) -> bytes | None:
        return None if text is None else text.encode()

    _checked(_libc.mount(c(source), c(target), c(kind), ctypes.c_ulong(flags), c(options)))


def _raise_loopback() -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as any_socket:
        fcntl.ioctl(any_socket, _SIOCSIFFLAGS, struct.pack("16sh", b"lo", _IFF_UP))


def _checked(result: int) -> None:
    if result < 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))
