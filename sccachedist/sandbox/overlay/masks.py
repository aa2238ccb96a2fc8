"""Which files of ``/proc`` are masked in a sandbox: those about the machine that its user can read and others cannot.

A job of a build server that is root has root's uid outside: it could read files for root alone, without any
capability. For a job of another user, little is left to mask. Which such files exist depends on the kernel, so they are
found, not listed.

Bubblewrap could mask them, but reads and parses the table of mounts for each: a tenth of a millisecond, for each job.
"""

import contextlib
import functools
import os
from collections.abc import Collection, Iterator, Sequence

import attrs

from sccachedist.sandbox.overlay.namespaces import among, bind, cover, make_read_only

#: Files that every user can read and that are masked too: keys of the same user, traces of other processes.
_PUBLIC = ("/proc/keys", "/proc/latency_stats", "/proc/sched_debug", "/proc/timer_stats")
#: Names that are not searched: each process or namespace has its own.
_OWN = ("self", "thread-self", "net", "sys", "sysvipc", "mounts")
_DEPTH = 3


@attrs.frozen
class Masked:
    """Files and directories that look empty to a job."""

    files: tuple[str, ...] = ()
    directories: tuple[str, ...] = ()


def close_proc(mounts: int, masked: Masked) -> None:
    """Mask files in the ``/proc`` of a sandbox whose command has not begun, and make all of it read-only.

    The jobs of a build server that is root have root's uid outside. Root may write to the kernel's own files without
    any capability.

    :param mounts: a descriptor of all mounts of the sandbox.
    :raises OSError: something stays open; the command must not run.
    """
    with among(mounts):
        _cover_all("/dev/null", masked.files)
        _cover_all("/dev/shm", masked.directories)  # noqa: S108
        make_read_only("/proc")


def _cover_all(source: str, targets: Sequence[str]) -> None:
    """Cover files or directories. A copy of a mount has its flags: only the first has to be made read-only."""
    for target in targets[:1]:
        cover(source, target)
    for target in targets[1:]:
        bind(targets[0], target)


@functools.cache
def kernel_secrets() -> Masked:
    """Find what to mask for jobs of this process's user; call it when the process has privileges only in namespaces."""
    public = [file for file in _PUBLIC if os.path.exists(file)]
    found = list(_private("/proc", _DEPTH))
    files = [entry.path for entry in found if not entry.is_dir(follow_symlinks=False)]
    return Masked((*public, *files), tuple({entry.path for entry in found}.difference(files)))


def _private(directory: str, depth: int, own: Collection[str] = _OWN) -> Iterator[os.DirEntry[str]]:
    """Yield what this process's user owns and may read below a directory, and other users may not."""
    with os.scandir(directory) as entries:
        for entry in sorted(entries, key=lambda entry: entry.name):
            if entry.name.isdigit() or entry.name in own or entry.is_symlink():
                continue
            mode, owner = entry.stat().st_mode, entry.stat().st_uid
            if owner == os.geteuid() and mode & 0o400 and not mode & 0o004:
                if _opens(entry.path):
                    yield entry
            elif entry.is_dir(follow_symlinks=False) and depth > 1 and mode & 0o005 == 0o005:
                yield from _private(entry.path, depth - 1, ())


def _opens(path: str) -> bool:
    """Whether it opens without further privileges; else it needs no mask, which would cost each job a mount."""
    with contextlib.suppress(OSError):
        os.close(os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC))
        return True
    return False
