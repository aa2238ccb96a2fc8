"""Limits the memory, processes and CPU of a job: sets the limits on the worker and all that it starts.

They are set once, before the worker enters its namespaces: always the kernel's limits on a process, and if possible a
control group, in the parent that :mod:`sccachedist.builders.cgroups` made. Address space is not limited: compilers
reserve more of it than they ever use. Without a group for memory, :mod:`sccachedist.sandbox.overlay.held_memory`
measures. While a compile runs, :mod:`sccachedist.sandbox.processes` has each limit checked five times a second, and
kills the compile that went beyond one. What a job does is not known here.
"""

import contextlib
import errno
import os
import resource
from collections.abc import Collection, Iterator
from pathlib import Path
from typing import Protocol

import attrs

from sccachedist.builders.worker_protocol import JobLimits, Priority
from sccachedist.errors import LimitExceeded
from sccachedist.sandbox.overlay.filters import open_filter
from sccachedist.sandbox.overlay.held_memory import HeldMemory
from sccachedist.sandbox.overlay.worker_groups import WORKER, sweep

#: Processes beside the job's: the worker's two, bubblewrap's, and the first one of the sandbox.
_OURS = 4
_DESCRIPTORS = 4096
_NICEST = 19
_SOONER_THAN_DAEMONS = "500"  # the kernel kills a job first when the host is out of memory
_SWAP_V1, _SWAP_V2 = "memory.memsw.limit_in_bytes", "memory.swap.max"


def scratch_size(limits: JobLimits) -> int:
    """Return the size of a job's file system in memory: a job that fills it gets "disk full", it is not killed."""
    memory = limits.job_memory_bytes
    return min(limits.scratch_bytes, max(memory - 64 * 2**20, memory // 2))


@contextlib.contextmanager
def within_scratch(limits: JobLimits) -> Iterator[None]:
    """Turn the end of room in a job's file system, in a block that unpacks its inputs, into the limit of its size.

    :raises LimitExceeded: the inputs have no room there. It is not this host's fault, as a full disk would be.
    """
    try:
        yield
    except OSError as error:
        if error.errno != errno.ENOSPC:
            raise
        size = scratch_size(limits)
        limit = "sandbox.scratch_bytes" if size == limits.scratch_bytes else "job_memory_bytes"
        raise LimitExceeded(limit, f"the inputs have no room in the {size} bytes that a compile may write") from error


@attrs.define
class _Counter:
    """A file of the worker's group that counts how often a limit was hit."""

    limit: str
    reason: str
    file: int
    key: bytes
    seen: int = 0

    def rises(self) -> bool:
        """Whether the count has risen since the last call."""
        before, self.seen = self.seen, _number(os.pread(self.file, 4096, 0), self.key)
        return self.seen > before


class Sign(Protocol):
    """Something that shows that a job hit a limit."""

    @property
    def limit(self) -> str:
        """The key of the limit under ``[limits]``."""

    @property
    def reason(self) -> str:
        """The error's text."""

    def rises(self) -> bool:
        """Whether the job hit the limit since the last call."""


class ResourceLimits:
    """The limits in force on this process and its children.

    :param filter_fd: the seccomp filter, for bubblewrap.
    """

    def __init__(self, counters: Collection[Sign], filter_fd: int) -> None:
        self._counters, self.filter_fd = counters, filter_fd

    def check(self) -> None:
        """Check whether the job hit a limit.

        :raises LimitExceeded: it did, since the last call.
        """
        hit = [counter for counter in self._counters if counter.rises()]
        if hit:
            raise LimitExceeded(hit[0].limit, hit[0].reason)


def apply_limits(limits: JobLimits, parents: Collection[str], scratch: str, priority: Priority) -> ResourceLimits:
    """Set the limits on this process, and its priority.

    :param parents: directories in which groups can be made; if that fails, only the other limits hold.
    :param scratch: where the job's temporary file system will be mounted.
    :raises BuildError: there is no seccomp filter for this machine.
    """
    counters: list[Sign] = [counter for parent in parents for counter in _joined(parent, limits)]
    _set(resource.RLIMIT_CORE, 0)
    _set(resource.RLIMIT_NOFILE, _DESCRIPTORS)
    _set(resource.RLIMIT_NPROC, limits.job_processes + _OURS)
    if not any(counter.limit == "job_memory_bytes" for counter in counters):
        _set(resource.RLIMIT_DATA, limits.job_memory_bytes)
        counters.append(HeldMemory(limits.job_memory_bytes, scratch))
    with contextlib.suppress(OSError):
        Path("/proc/self/oom_score_adj").write_text(_SOONER_THAN_DAEMONS)
    _prioritise(priority)
    return ResourceLimits(counters, open_filter())


def _prioritise(priority: Priority) -> None:
    """Give way to daemons, and to others as far as is wanted. Where a kernel lacks a part of it, the rest holds.

    A session is a group of its own to kernels with autogroups: without a nice value of that, the processes' own have an
    effect among jobs alone.
    """
    policy = os.SCHED_IDLE if priority.yields else os.SCHED_BATCH  # longer time slices for compiles
    with contextlib.suppress(OSError):
        os.sched_setscheduler(0, policy, os.sched_param(0))
    if priority.nice:
        with contextlib.suppress(OSError):
            os.setpriority(os.PRIO_PROCESS, 0, priority.nice)
    if priority.nice or priority.yields:
        with contextlib.suppress(OSError):
            Path("/proc/self/autogroup").write_text(str(_NICEST if priority.yields else priority.nice))


def _set(limit: int, most: int) -> None:
    """Lower a limit, for good; never raise it."""
    _, hard = resource.getrlimit(limit)
    value = most if hard == resource.RLIM_INFINITY else min(most, hard)
    resource.setrlimit(limit, (value, value))


def _joined(parent: str, limits: JobLimits) -> list[_Counter]:
    """Make this process's own group, and move into it; without the right to do so, return no counters."""
    group = Path(parent, f"{WORKER}{os.getpid()}")
    try:
        sweep(parent)
        group.mkdir()
        counters = _limited(group, limits)
        (group / "cgroup.procs").write_text("0")
    except OSError:
        with contextlib.suppress(OSError):
            group.rmdir()
        return []
    return counters


def _limited(group: Path, limits: JobLimits) -> list[_Counter]:
    """Write the limits that the group has files for: their names differ in version 1 and version 2."""
    counters = []
    for limit, swap, swap_most, events in (
        ("memory.limit_in_bytes", _SWAP_V1, limits.job_memory_bytes, "memory.oom_control"),
        ("memory.max", _SWAP_V2, 0, "memory.events"),
    ):
        if (group / limit).exists():
            (group / limit).write_text(str(limits.job_memory_bytes))
            if (group / swap).exists():
                (group / swap).write_text(str(swap_most))
            text = f"a compile took more than {limits.job_memory_bytes} bytes of memory"
            counters.append(_Counter("job_memory_bytes", text, _opened(group / events), b"oom_kill"))
    if (group / "pids.max").exists():
        (group / "pids.max").write_text(str(limits.job_processes + _OURS))
        text = f"a compile had more than {limits.job_processes} processes"
        counters.append(_Counter("job_processes", text, _opened(group / "pids.events"), b"max"))
    return counters


def _opened(path: Path) -> int:
    return os.open(path, os.O_RDONLY | os.O_CLOEXEC)


def _number(text: bytes, key: bytes) -> int:
    return next((int(line.split()[1]) for line in text.splitlines() if line.split()[:1] == [key]), 0)
