"""What Linux says in ``/proc`` of the use of a host: by all, and by this daemon and all that it has started.

A small reader: it remembers what it read last, and decides nothing. It costs some fifty microseconds for each process
of this daemon. All processes of jobs descend from the daemon with the overlay builder; with others they do not.
"""

import os
from collections.abc import Iterator
from pathlib import Path

import attrs

from sccachedist.server.spare import CpuUse

_PROC, _OWN = Path("/proc"), "self"
#: The part of the time in which tasks stand still that counts as contention of CPUs, and as pressure on memory.
CONTENDED_PART, PRESSED_PART = 0.5, 0.1
#: With so many CPUs idle, those who wait for one are kept to some of the CPUs, or to a quota: more would not help them.
IDLE_CPUS = 0.5
#: Of a line of ``/proc/stat``: user, nice, system, irq and softirq; and idle and iowait. To wait for a disk or a
#: hypervisor is no work.
_WORK, _IDLE = (0, 1, 2, 5, 6), (3, 4)
#: Of a process's ``stat``, behind its name: utime, stime, cutime and cstime.
_TIMES = slice(11, 15)
_MICROSECONDS = 1e6


@attrs.frozen
class Process:
    """A process, with the ticks that it has worked, and those of its children that have ended."""

    parent: str
    ticks: int


def worked(before: dict[str, Process], now: dict[str, Process]) -> int:
    """The ticks that processes of our own have worked between two looks.

    The ticks of one that has ended are its parent's now, or those of one above. Only if it was killed with its PID
    namespace, as a job is whose client has gone, they are lost: there is no sum that only grows.
    """
    grown = {pid: process.ticks for pid, process in now.items()}
    for pid, process in before.items():
        heir = pid
        while heir not in now:
            heir = before[heir].parent
        grown[heir] -= process.ticks
    return sum(max(0, ticks) for ticks in grown.values())


class HostUsage:
    """Reads it.

    :param cpus: the numbers of the CPUs that matter.
    """

    def __init__(self, cpus: frozenset[int], proc: Path = _PROC) -> None:
        self._proc, self._cpus = proc, cpus
        self._tick_secs = 1 / os.sysconf("SC_CLK_TCK")
        self._before: _CpuTimes | None = None
        self._stood_still: float | None = None

    @property
    def knows_own(self) -> bool:
        """Whether the kernel tells which processes this daemon has started."""
        return any(self._proc.glob(f"{_OWN}/task/*/children"))

    def cpu_use(self, secs: float) -> CpuUse | None:
        """How the CPUs were used; None at the first look.

        :param secs: since the last one.
        """
        before, now = self._before, _CpuTimes(*self._all_ticks(), self._own(), self._stalled_secs("cpu", b"some"))
        self._before = now
        if before is None or secs <= 0:
            return None
        foreign = (now.busy - before.busy - worked(before.own, now.own)) * self._tick_secs / secs
        idle = (now.idle - before.idle) * self._tick_secs / secs
        do_wait = now.stalled - before.stalled >= CONTENDED_PART * secs
        return CpuUse(max(0.0, foreign), do_wait and idle < IDLE_CPUS)

    def held_bytes(self) -> int:
        """The memory that the processes have which this daemon has started, and share with no file."""
        return sum(self._private_pages(pid) for pid, _ in self._family() if pid != _OWN) * os.sysconf("SC_PAGE_SIZE")

    def is_pressed(self, secs: float) -> bool:
        """Whether all processes stood still for lack of memory since the last look, for a part of the time.

        :param secs: since then.
        """
        before, self._stood_still = self._stood_still, self._stalled_secs("memory", b"full")
        return before is not None and secs > 0 and self._stood_still - before >= PRESSED_PART * secs

    def _all_ticks(self) -> tuple[int, int]:
        """The ticks that CPUs have worked since the start of the host, and those that they were idle."""
        busy = idle = 0
        for line in self._read("stat").splitlines():
            name, *numbers = line.split()
            if name.startswith(b"cpu") and name[3:].isdigit() and int(name[3:]) in self._cpus:
                busy += sum(int(numbers[place]) for place in _WORK)
                idle += sum(int(numbers[place]) for place in _IDLE)
        return busy, idle

    def _own(self) -> dict[str, Process]:
        """The daemon and all that it has started."""
        return {pid: Process(parent, self._ticks(pid)) for pid, parent in self._family()}

    def _ticks(self, pid: str) -> int:
        _, _, behind = self._read(f"{pid}/stat").rpartition(b")")
        return sum(map(int, behind.split()[_TIMES]))

    def _private_pages(self, pid: str) -> int:
        match self._read(f"{pid}/statm").split():
            case [_, resident, shared, *_]:
                return int(resident) - int(shared)
        return 0  # it has ended

    def _family(self) -> Iterator[tuple[str, str]]:
        """The daemon and all that it has started, each with its parent. A job may nest them as deeply as it wants."""
        found = [(_OWN, _OWN)]
        while found:
            pid, parent = found.pop()
            yield pid, parent
            found += ((child, pid) for child in self._children(pid))

    def _children(self, pid: str) -> Iterator[str]:
        try:
            threads = os.listdir(self._proc / pid / "task")
        except OSError:  # it has ended
            return
        for thread in threads:
            yield from self._read(f"{pid}/task/{thread}/children").decode().split()

    def _stalled_secs(self, resource: str, kind: bytes) -> float:
        """For how many seconds tasks have stood still; 0 if the kernel does not tell."""
        for line in self._read(f"pressure/{resource}").splitlines():
            if line.startswith(kind):
                return int(line.rpartition(b"total=")[2]) / _MICROSECONDS
        return 0.0

    def _read(self, file: str) -> bytes:
        try:
            return Path(self._proc, file).read_bytes()
        except OSError:  # the process has ended, or the kernel does not tell
            return b""


@attrs.frozen
class _CpuTimes:
    """Ticks of all and idle ones, processes of our own, and seconds in which tasks waited, since the host's start."""

    busy: int
    idle: int
    own: dict[str, Process]
    stalled: float
