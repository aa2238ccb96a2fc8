"""What holds a sandbox worker and all that it starts within the memory and the processes of one job.

Set once, before the worker enters its namespaces: a control group of its own where it can have one, the kernel's
limits on a process always. A process's address space is not among those: compilers reserve more of it than they ever
use. Without a group for memory, :mod:`sccachedist.sandbox.overlay.held_memory` looks now and then how much is held.
"""

import contextlib
import os
import resource
from collections.abc import Collection
from pathlib import Path
from typing import Protocol

import attrs

from sccachedist.errors import LimitExceeded
from sccachedist.sandbox.overlay.filters import open_filter
from sccachedist.sandbox.overlay.held_memory import HeldMemory
from sccachedist.sandbox.overlay.worker_groups import WORKER, sweep

#: The worker's two processes, bubblewrap's, and the first one of the sandbox.
_OURS = 4
_DESCRIPTORS = 4096
_SOONER_THAN_DAEMONS = "500"  # when the memory of the machine ends
_SWAP_V1, _SWAP_V2 = "memory.memsw.limit_in_bytes", "memory.swap.max"


@attrs.frozen
class Bounds:
    """The most that a job may take.

    :param memory: bytes, of its processes and of what it writes.
    :param processes: processes and threads at one time.
    """

    memory: int
    processes: int

    def scratch(self, size: int) -> int:
        """What is left for files of a file system in memory: who fills it shall find it full, not be killed."""
        return min(size, max(self.memory - 64 * 2**20, self.memory // 2))


@attrs.define
class _Counter:
    """How often a limit was hit in the worker's group."""

    limit: str
    reason: str
    file: int
    key: bytes
    seen: int = 0

    def rises(self) -> bool:
        """Whether it was since this was last asked."""
        before, self.seen = self.seen, _number(os.pread(self.file, 4096, 0), self.key)
        return self.seen > before


class Sign(Protocol):
    """Something that shows that a job hit a limit."""

    @property
    def limit(self) -> str:
        """The limit, as the configuration calls it."""

    @property
    def reason(self) -> str:
        """What is said of the job."""

    def rises(self) -> bool:
        """Whether the job hit it since this was last asked."""


class ResourceLimits:
    """The limits in force on this process and its children.

    :param filter_fd: what compiles may not ask of the kernel, for bubblewrap.
    """

    def __init__(self, bounds: Bounds, counters: Collection[Sign], filter_fd: int) -> None:
        self._bounds, self._counters, self.filter_fd = bounds, counters, filter_fd

    def scratch(self, size: int) -> int:
        """How large a job's temporary file system may be."""
        return self._bounds.scratch(size)

    def check(self) -> None:
        """See whether the job hit a limit.

        :raises LimitExceeded: it did, since the last look.
        """
        hit = [counter for counter in self._counters if counter.rises()]
        if hit:
            raise LimitExceeded(hit[0].limit, hit[0].reason)


def apply_limits(bounds: Bounds, parents: Collection[str], scratch: str) -> ResourceLimits:
    """Set the limits.

    :param parents: where groups can be made; what fails there is left to the kernel's other limits.
    :param scratch: where the job's temporary file system will be.
    :raises BuildError: there is no seccomp filter for this machine.
    """
    counters: list[Sign] = [counter for parent in parents for counter in _joined(parent, bounds)]
    _set(resource.RLIMIT_CORE, 0)
    _set(resource.RLIMIT_NOFILE, _DESCRIPTORS)
    _set(resource.RLIMIT_NPROC, bounds.processes + _OURS)
    if not any(counter.limit == "job_memory_bytes" for counter in counters):
        _set(resource.RLIMIT_DATA, bounds.memory)
        counters.append(HeldMemory(bounds.memory, scratch))
    with contextlib.suppress(OSError):
        Path("/proc/self/oom_score_adj").write_text(_SOONER_THAN_DAEMONS)
    with contextlib.suppress(OSError):  # it takes long turns, and daemons go first
        os.sched_setscheduler(0, os.SCHED_BATCH, os.sched_param(0))
    return ResourceLimits(bounds, counters, open_filter())


def _set(limit: int, most: int) -> None:
    """Lower a limit, for good; a lower one stays."""
    _, hard = resource.getrlimit(limit)
    value = most if hard == resource.RLIM_INFINITY else min(most, hard)
    resource.setrlimit(limit, (value, value))


def _joined(parent: str, bounds: Bounds) -> list[_Counter]:
    """Make this process's own group, and move there."""
    group = Path(parent, f"{WORKER}{os.getpid()}")
    try:
        sweep(parent)
        group.mkdir()
        counters = _limited(group, bounds)
        (group / "cgroup.procs").write_text("0")
    except OSError:
        with contextlib.suppress(OSError):
            group.rmdir()
        return []
    return counters


def _limited(group: Path, bounds: Bounds) -> list[_Counter]:
    """Write the limits that the group knows: version 1 and version 2 call them by other names."""
    counters = []
    for limit, swap, swap_most, events in (
        ("memory.limit_in_bytes", _SWAP_V1, bounds.memory, "memory.oom_control"),
        ("memory.max", _SWAP_V2, 0, "memory.events"),
    ):
        if (group / limit).exists():
            (group / limit).write_text(str(bounds.memory))
            if (group / swap).exists():
                (group / swap).write_text(str(swap_most))
            text = f"a compile took more than {bounds.memory} bytes of memory"
            counters.append(_Counter("job_memory_bytes", text, _opened(group / events), b"oom_kill"))
    if (group / "pids.max").exists():
        (group / "pids.max").write_text(str(bounds.processes + _OURS))
        text = f"a compile had more than {bounds.processes} processes"
        counters.append(_Counter("job_processes", text, _opened(group / "pids.events"), b"max"))
    return counters


def _opened(path: Path) -> int:
    return os.open(path, os.O_RDONLY | os.O_CLOEXEC)


def _number(text: bytes, key: bytes) -> int:
    return next((int(line.split()[1]) for line in text.splitlines() if line.split()[:1] == [key]), 0)
