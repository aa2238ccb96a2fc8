"""Measures the memory of a job, for a sandbox worker without a control group for memory: synchronous, Linux only.

The kernel's own limit holds for one process and its private memory: not for many together, not for what they share, nor
for memory that no process has mapped. So this adds up, from ``/proc``, every process below the worker, files in memory,
System V's objects, and the job's temporary file system. Memory in the kernel, such as buffers of sockets, is not
counted. :mod:`sccachedist.sandbox.overlay.resource_limits` asks; :mod:`sccachedist.sandbox.processes` says how often.
"""

import contextlib
import ctypes
import os
from collections.abc import Iterable, Iterator
from pathlib import Path

import attrs

_CLONE_NEWIPC = 0x08000000
_KILOBYTE = 1024
_BLOCK = 512  # of st_blocks
#: How the kernel names files in memory, and memory that processes share without a file.
_IN_MEMORY = ("/memfd:", "/dev/zero (deleted)", "/anon_hugepage")
#: Bytes that a semaphore takes.
_SEMAPHORE = 64

_libc = ctypes.CDLL(None, use_errno=True)


@attrs.frozen
class HeldMemory:
    """Limits the memory of a job by measuring it now and then.

    :param most: bytes.
    :param scratch: where the job's temporary file system is mounted.
    """

    most: int
    scratch: str
    limit: str = attrs.field(default="job_memory_bytes", init=False)

    @property
    def reason(self) -> str:
        """The error's text for a job that holds more."""
        return f"a compile took more than {self.most} bytes of memory"

    def rises(self) -> bool:
        """Whether the job holds more than it may."""
        threads = {pid: tuple(_numbers(f"/proc/{pid}/task")) for pid in _others()}
        shared = _used(self.scratch) + _in_memory(threads) + _system_v(threads)
        # First the fast sum, which counts pages that processes share since a fork for each of them; only if that is
        # too much, the exact and slow one.
        return shared + _private(threads, "status") > self.most < shared + _private(threads, "smaps_rollup")


Threads = dict[str, tuple[str, ...]]


def _others() -> Iterator[str]:
    own = os.getpid()
    return (pid for pid in _numbers("/proc") if int(pid) != own)


def _numbers(directory: str) -> Iterable[str]:
    """Return the process or thread ids that a directory lists; none if the process has ended."""
    with contextlib.suppress(OSError):
        return [name for name in os.listdir(directory) if name.isdigit()]
    return []


def _used(directory: str) -> int:
    system = os.statvfs(directory)
    return (system.f_blocks - system.f_bfree) * system.f_frsize


def _private(threads: Threads, file: str) -> int:
    """Return the bytes of processes' private memory, swapped out or not."""
    return sum(_of_process(pid, tids, file) for pid, tids in threads.items())


def _of_process(pid: str, tids: Iterable[str], file: str) -> int:
    names = {"status": ("RssAnon:", "VmSwap:"), "smaps_rollup": ("Pss_Anon:", "SwapPss:")}[file]
    for tid in (pid, *tids):  # if the first thread has ended, its file is empty, though others may run
        lines = (line.split() for line in _text(f"/proc/{pid}/task/{tid}/{file}").splitlines())
        found = [int(words[1]) for words in lines if words[0] in names]
        if found:
            return sum(found) * _KILOBYTE
    return 0


def _in_memory(threads: Threads) -> int:
    """Return the bytes of files in memory, open or mapped, each counted once."""
    mapped: dict[tuple[int, int], int] = {}
    opened: dict[tuple[int, int], int] = {}
    for pid, tids in threads.items():
        for key, size in _mapped(pid, tids):
            mapped[key] = max(mapped.get(key, 0), size)
        for tid in tids:  # each may have descriptors of its own
            opened.update(_opened(f"/proc/{pid}/task/{tid}/fd"))
    return sum((mapped | opened).values())


def _opened(directory: str) -> Iterator[tuple[tuple[int, int], int]]:
    for number in _numbers(directory):
        with contextlib.suppress(OSError):
            if os.readlink(f"{directory}/{number}").startswith(_IN_MEMORY):
                found = os.stat(f"{directory}/{number}")
                yield (found.st_dev, found.st_ino), found.st_blocks * _BLOCK


def _mapped(pid: str, tids: Iterable[str]) -> Iterator[tuple[tuple[int, int], int]]:
    """Yield files in memory, and how far they are mapped: ``/proc`` does not tell how much of that is in use."""
    text = next(filter(None, (_text(f"/proc/{pid}/task/{tid}/maps") for tid in (pid, *tids))), "")
    for line in text.splitlines():
        addresses, rights, offset, device, inode, *name = line.split(maxsplit=5)
        if rights.endswith("s") and name and name[0].startswith(_IN_MEMORY):
            start, end = (int(address, 16) for address in addresses.split("-"))
            major, minor = (int(number, 16) for number in device.split(":"))
            yield (os.makedev(major, minor), int(inode)), int(offset, 16) + end - start


def _system_v(threads: Threads) -> int:
    """Return the bytes of System V's shared memory, semaphores and messages in the job's namespace."""
    own = "/proc/self/ns/ipc"
    others = (f"/proc/{pid}/ns/ipc" for pid in threads)
    inside = next((path for path in others if _inode(path) not in (0, _inode(own))), None)
    if inside is None:
        return 0
    with contextlib.suppress(OSError), _within(own) as back, _within(inside) as there:
        _checked(_libc.setns(there, _CLONE_NEWIPC))
        try:
            return sum(_objects())
        finally:
            _checked(_libc.setns(back, _CLONE_NEWIPC))
    return 0


def _objects() -> Iterator[int]:
    # The columns of each file with sizes; of shared memory, what is resident and what is swapped out.
    for file, columns, size in (("shm", (14, 15), 1), ("sem", (3,), _SEMAPHORE), ("msg", (3,), 1)):
        for line in _text(f"/proc/sysvipc/{file}").splitlines()[1:]:
            words = line.split()
            yield sum(int(words[column]) for column in columns) * size


@contextlib.contextmanager
def _within(path: str) -> Iterator[int]:
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        yield descriptor
    finally:
        os.close(descriptor)


def _inode(path: str) -> int:
    with contextlib.suppress(OSError):
        return os.stat(path).st_ino
    return 0


def _text(path: str) -> str:
    with contextlib.suppress(OSError):
        return Path(path).read_text("utf-8", "surrogateescape")
    return ""


def _checked(result: int) -> None:
    if result < 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))
