"""The namespaces of a sandbox worker and the mounts in them, by the C library: Linux only.

Root and anybody else take the same path: a user namespace in which the caller is uid 0, and in it mounts, a network
and processes of the worker's own. All of it is gone with the first of these processes, which is the worker.
"""

import contextlib
import ctypes
import fcntl
import os
import select
import signal
import socket
import stat
import struct
from pathlib import Path

from sccachedist.errors import BuildError

_CLONE_NEWNS, _CLONE_NEWUSER, _CLONE_NEWPID, _CLONE_NEWNET = 0x00020000, 0x10000000, 0x20000000, 0x40000000
_CLONE_NEWIPC = 0x08000000  # to be able to come back from a job's
_MS_RDONLY, _MS_NOSUID, _MS_NODEV, _MS_NOEXEC, _MS_REMOUNT, _MS_BIND = 0x1, 0x2, 0x4, 0x8, 0x20, 0x1000
_MS_REC, _MS_PRIVATE = 0x4000, 0x40000
_MNT_DETACH = 2
_PR_SET_PDEATHSIG, _PR_SET_NO_NEW_PRIVS = 1, 38
_DEVICES = ("null", "zero", "full", "random", "urandom", "tty")
_DEVICE_LINKS = {"fd": "", "stdin": "/0", "stdout": "/1", "stderr": "/2"}
_DEVICES_OPTIONS = "size=64k,mode=755"
_MOST_INODES = 1_000_000  # each takes about a kilobyte of memory beside the size
_SIOCSIFFLAGS, _IFF_UP = 0x8914, 0x1

_NAMESPACES_ADVICE = (
    "allow user namespaces: user.max_user_namespaces above 0, on Ubuntu "
    "kernel.apparmor_restrict_unprivileged_userns=0, in a container a profile that permits unshare and mount"
)
_OVERLAY_ADVICE = "overlayfs in a user namespace needs Linux 5.11 or newer, and the overlay module"

_libc = ctypes.CDLL(None, use_errno=True)


def enter() -> None:
    """Go on in namespaces of its own, to be killed when its parent ends.

    It is another process that goes on, the first of its PID namespace, so that the kernel ends with it whatever it has
    started. This one waits for its end.

    :raises BuildError: the system does not let it; the text says what would.
    """
    uid, gid = os.geteuid(), os.getegid()
    _leave_sysfs()
    try:
        _checked(_libc.unshare(_CLONE_NEWUSER | _CLONE_NEWNS | _CLONE_NEWNET | _CLONE_NEWPID | _CLONE_NEWIPC))
        Path("/proc/self/setgroups").write_text("deny", encoding="utf-8")  # else gid_map is root's alone
        Path("/proc/self/uid_map").write_text(f"0 {uid} 1", encoding="utf-8")
        Path("/proc/self/gid_map").write_text(f"0 {gid} 1", encoding="utf-8")
        _mount(None, "/", None, _MS_REC | _MS_PRIVATE, None)
        _raise_loopback()
        _checked(_libc.prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0))
        _bind_fate()
        _go_on_as_first()
        _mount("proc", "/proc", "proc", _MS_NOSUID | _MS_NODEV | _MS_NOEXEC, None)
    except OSError as error:
        raise BuildError(f"no namespaces for a sandbox: {error.strerror}; {_NAMESPACES_ADVICE}") from error


def _leave_sysfs() -> None:
    """Unmount what no sandbox needs, if the system lets it: bubblewrap reads the table of mounts again and again."""
    with contextlib.suppress(OSError):  # in a user namespace, mounts from outside can be unmounted no more
        _checked(_libc.unshare(_CLONE_NEWNS))
        _mount(None, "/", None, _MS_REC | _MS_PRIVATE, None)
        unmount("/sys")


def _go_on_as_first() -> None:
    """Go on as the first process of the PID namespace; the one that called this waits for its end."""
    alive, held = os.pipe()
    if first := os.fork():
        _, status = os.waitpid(first, 0)
        os._exit(os.waitstatus_to_exitcode(status) & 0xFF)
    os.close(held)
    _bind_fate()
    if select.select([alive], [], [], 0)[0]:  # the parent was gone before
        os._exit(1)
    os.close(alive)


def _bind_fate() -> None:
    """End with the parent; a change of credentials undoes it."""
    _checked(_libc.prctl(_PR_SET_PDEATHSIG, int(signal.SIGKILL), 0, 0, 0))


def make_devices(directory: str) -> None:
    """Make of a directory a ``/dev`` for all jobs of this process, before it enters its namespaces; only root may.

    A lock on a device, or a watch, is no way then from a job to one of another worker, and a job has fewer mounts.
    """
    with contextlib.suppress(OSError):
        _checked(_libc.unshare(_CLONE_NEWNS))
        _mount(None, "/", None, _MS_REC | _MS_PRIVATE, None)
        _mount("tmpfs", directory, "tmpfs", _MS_NOSUID | _MS_NOEXEC, _DEVICES_OPTIONS)
        try:
            for name in _DEVICES:
                os.mknod(f"{directory}/{name}", stat.S_IFCHR | 0o666, os.stat(f"/dev/{name}").st_rdev)
                os.chmod(f"{directory}/{name}", 0o666)  # noqa: S103
            with open(f"{directory}/null", "wb"):  # a container may have them made but not used
                pass
            _finish_devices(directory, _MS_REMOUNT)
        except OSError:
            unmount(directory)


def bind_devices(directory: str) -> None:
    """Make such a directory of the host's devices, where there are none yet.

    :raises OSError: the system does not let it.
    """
    if os.path.exists(f"{directory}/{_DEVICES[0]}"):
        return
    _mount("tmpfs", directory, "tmpfs", _MS_NOSUID | _MS_NOEXEC, _DEVICES_OPTIONS)
    for name in _DEVICES:
        Path(directory, name).touch()
        _bind_read_only(f"/dev/{name}", f"{directory}/{name}")
    _finish_devices(directory, _MS_REMOUNT | _MS_BIND)


def _finish_devices(directory: str, remount: int) -> None:
    """Add links, and an empty place to mount ``shm`` at; from now on nobody can write there."""
    for name, descriptor in _DEVICE_LINKS.items():
        os.symlink(f"/proc/self/fd{descriptor}", f"{directory}/{name}")
    os.mkdir(f"{directory}/shm")
    _mount(None, directory, None, remount | _MS_RDONLY | _MS_NOSUID | _MS_NOEXEC, None)


def bind(source: str, target: str) -> None:
    """Show a directory, with what is mounted in it, in a second place too."""
    _mount(source, target, None, _MS_BIND | _MS_REC, None)


def _bind_read_only(source: str, target: str) -> None:
    """Show a file in a second place, where nobody can change it: to write to a device does not change it."""
    _mount(source, target, None, _MS_BIND, None)
    kept = os.statvfs(target).f_flag & (_MS_NOSUID | _MS_NODEV | _MS_NOEXEC)  # what is set outside stays
    _mount(None, target, None, _MS_REMOUNT | _MS_BIND | _MS_RDONLY | _MS_NOSUID | _MS_NOEXEC | kept, None)


def cover(source: str, target: str) -> None:
    """Show an empty directory in another place, so that nothing can be put there; it is to be mounted over."""
    _mount(source, target, None, _MS_BIND, None)
    _mount(None, target, None, _MS_REMOUNT | _MS_BIND | _MS_RDONLY | _MS_NOSUID | _MS_NODEV, None)


def mount_scratch(directory: str, size: int) -> None:
    """Mount an empty file system of at most ``size`` bytes."""
    _mount("tmpfs", directory, "tmpfs", _MS_NOSUID | _MS_NODEV, f"size={size},nr_inodes={_MOST_INODES},mode=755")


def hidden_file(directory: str, content: bytes) -> int:
    """Give a descriptor of an executable file that nobody can write to, in a file system that nobody else sees.

    :param directory: where it is mounted for a moment.
    :raises OSError: the system does not let it.
    """
    mount_scratch(directory, len(content))
    try:
        file = Path(directory, "file")
        file.write_bytes(content)
        file.chmod(0o555)
        # Not to be written to by its owner, who every job is, however it comes by it. It stays so for what is open.
        _mount(None, directory, None, _MS_REMOUNT | _MS_RDONLY | _MS_NOSUID | _MS_NODEV, None)
        return os.open(file, os.O_RDONLY | os.O_CLOEXEC)
    finally:
        unmount(directory)


def unmount(directory: str) -> None:
    """Unmount what is mounted there, with all that is mounted in it."""
    _checked(_libc.umount2(directory.encode(), _MNT_DETACH))


def mount_overlay(target: str, lower: str, upper: str, work: str) -> None:
    """Show ``lower`` at ``target``, all writes going to ``upper``. No name may hold a comma or a colon.

    :raises BuildError: the kernel does not mount it.
    """
    options = f"lowerdir={lower},upperdir={upper},workdir={work},userxattr"
    try:
        _mount("overlay", target, "overlay", _MS_NOSUID | _MS_NODEV, options)
    except OSError as error:
        raise BuildError(f"cannot mount an overlay: {error.strerror}; {_OVERLAY_ADVICE}") from error


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
