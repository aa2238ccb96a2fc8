"""What of ``/proc`` a compile is not to read: what the kernel tells its user of the machine, and not everybody.

A job of a build server that is root has root's uid outside, and may read what only root may, without any capability. A
job of another user may not, so that little is left to hide. Which files there are depends on the kernel: they are
found, not listed.
"""

import contextlib
import functools
import os
from collections.abc import Collection, Iterator

import attrs

#: What everybody may read, though it is not for everybody: keys of the same user, traces of other processes.
_PUBLIC = ("/proc/keys", "/proc/latency_stats", "/proc/sched_debug", "/proc/timer_stats")
#: What is each process's own, and what of the kernel's settings a namespace has its own copy of.
_OWN = ("self", "thread-self", "net", "sys", "sysvipc", "mounts")
_DEPTH = 3


@attrs.frozen
class Masked:
    """Files and directories that no job is to see."""

    files: tuple[str, ...] = ()
    directories: tuple[str, ...] = ()

    def arguments(self, file: str, directory: str) -> list[str]:
        """Give the words for bubblewrap that hide them: by a file that is always empty, by a directory of the job's."""
        pairs = [(file, each) for each in self.files] + [(directory, each) for each in self.directories]
        return [word for empty, each in pairs for word in ("--ro-bind", empty, each)]


@functools.cache
def kernel_secrets() -> Masked:
    """Find what is to be hidden from jobs of this process's user, once it has no privileges but in its namespaces."""
    public = [file for file in _PUBLIC if os.path.exists(file)]
    found = list(_private("/proc", _DEPTH))
    files = [entry.path for entry in found if not entry.is_dir(follow_symlinks=False)]
    return Masked((*public, *files), tuple({entry.path for entry in found}.difference(files)))


def _private(directory: str, depth: int, own: Collection[str] = _OWN) -> Iterator[os.DirEntry[str]]:
    """What this process's user owns below a directory, may read, and not everybody may."""
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
    """Whether that takes no privilege besides: each mask costs a job a mount."""
    with contextlib.suppress(OSError):
        os.close(os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC))
        return True
    return False
