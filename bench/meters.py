"""What daemons cost: the CPU time of all processes that they ever started, and the memory of those that run.

A control group of their own, version 1 or 2, counts the processes if it can be made (by root), because a sandbox's
processes have other parents than the daemon. Otherwise they are found by their parents. What the daemons do is not
known here.
"""

import contextlib
import os
import secrets
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Protocol

import attrs

from farmkit.launch import Launch
from farmkit.processes import Command, wait_until

_V1, _V2 = Path("/sys/fs/cgroup/cpuacct"), Path("/sys/fs/cgroup")
_TICKS = os.sysconf("SC_CLK_TCK")

# A process's times in its ``stat``: its own, and its own with those of the children that it has waited for.
_OWN, _WITH_CHILDREN = slice(11, 13), slice(11, 15)


class Meter(Protocol):
    """Counts the processes that it has launched."""

    def metered(self, launch: Launch) -> Launch:
        """The same launch, counted here."""

    def cpu_secs(self) -> float:
        """CPU seconds since the beginning, including those of processes that have ended."""

    def processes(self) -> list[int]:
        """The processes that run."""


@attrs.frozen
class GroupMeter:
    """A control group. ``usage`` is the file that counts, in units of 1/``unit`` seconds."""

    group: Path
    usage: str
    unit: float

    def metered(self, launch: Launch) -> Launch:
        """The same launch, but the process enters the group before it becomes the daemon."""
        join = f'echo $$ > {self.group}/cgroup.procs; exec "$0" "$@"'

        def launched(config: Path) -> Command:
            command = launch(config)
            return attrs.evolve(command, arguments=("/bin/sh", "-c", join, *command.arguments))

        return launched

    def cpu_secs(self) -> float:
        """The CPU seconds that the group has used."""
        first, *rest = (self.group / self.usage).read_text().split()
        return int(rest[0] if rest else first) / self.unit

    def processes(self) -> list[int]:
        """The processes in the group."""
        return [int(pid) for pid in (self.group / "cgroup.procs").read_text().split()]

    def close(self) -> None:
        """Remove the group once its last process has ended."""
        wait_until(lambda: not self.processes(), 20, "the daemons' processes are gone")
        self.group.rmdir()


@attrs.define
class FamilyMeter:
    """Counts the daemons, the children that they have waited for, and their living descendants."""

    _configs: list[str] = attrs.field(factory=list)

    def metered(self, launch: Launch) -> Launch:
        """The same launch, and its configuration is remembered."""

        def launched(config: Path) -> Command:
            self._configs.append(str(config))
            return launch(config)

        return launched

    def cpu_secs(self) -> float:
        """The processes' own time and that of the children that they waited for."""
        return _cpu_secs(self, _WITH_CHILDREN)

    def processes(self) -> list[int]:
        """The processes whose command line names one of our configurations, and all their descendants."""
        parents = {int(entry.name): int(_stat(int(entry.name))[1]) for entry in Path("/proc").glob("[0-9]*")}
        found = {pid for pid in parents if self._is_daemon(pid)}
        while more := {pid for pid, parent in parents.items() if parent in found} - found:
            found |= more
        return sorted(found)

    def close(self) -> None:
        """Do nothing: there is nothing to remove."""

    def _is_daemon(self, pid: int) -> bool:
        with contextlib.suppress(OSError):
            words = Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
            return any(config.encode() in words for config in self._configs)
        return False


@contextlib.contextmanager
def meter() -> Iterator[GroupMeter | FamilyMeter]:
    """The best meter that this machine allows."""
    made = _group_meter()
    try:
        yield made
    finally:
        made.close()


def _group_meter() -> GroupMeter | FamilyMeter:
    name = f"sccachedist-bench-{secrets.token_hex(4)}"
    for parent, usage, unit in ((_V1, "cpuacct.usage", 1e9), (_V2, "cpu.stat", 1e6)):
        group = parent / name
        if (parent / "cgroup.procs").exists():
            with contextlib.suppress(OSError):
                group.mkdir()
                return GroupMeter(group, usage, unit)
    return FamilyMeter()


def _stat(pid: int) -> list[str]:
    """The fields of a process's ``stat`` behind its name."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return ["0"] * 52


def own_cpu_secs(meter: Meter) -> float:
    """CPU seconds of the processes that run, without those of their children."""
    return _cpu_secs(meter, _OWN)


def cpu_secs_of(pid: int) -> float:
    """CPU seconds of one process and of the children that it has waited for."""
    return _process_secs(pid, _WITH_CHILDREN)


def _cpu_secs(meter: Meter, times: slice) -> float:
    return sum(_process_secs(pid, times) for pid in meter.processes())


def _process_secs(pid: int, times: slice) -> float:
    return sum(map(int, _stat(pid)[times])) / _TICKS


@attrs.frozen
class Memory:
    """Memory of a side's processes, in MiB. ``peak`` is the sum of their largest sizes; shared pages count in each."""

    pss: float
    peak: float


def memory(meter: Meter) -> Memory:
    """The memory that the daemons use now."""
    pss = sum(_kilobytes(pid, "smaps_rollup", "Pss:") for pid in meter.processes())
    peak = sum(_kilobytes(pid, "status", "VmHWM:") for pid in meter.processes())
    return Memory(pss / 1024, peak / 1024)


def _kilobytes(pid: int, file: str, field: str) -> int:
    with contextlib.suppress(OSError):
        for line in Path(f"/proc/{pid}/{file}").read_text().splitlines():
            if line.startswith(field):
                return int(line.split()[1])
    return 0


@attrs.define
class Stopwatch:
    """Wall and CPU seconds of a side, and CPU seconds of this process, between two moments."""

    meter: Meter
    wall: float = attrs.field(init=False, default=0.0)
    cpu: float = attrs.field(init=False, default=0.0)
    own: float = attrs.field(init=False, default=0.0)

    def __enter__(self) -> "Stopwatch":
        self.wall, self.cpu, self.own = time.perf_counter(), self.meter.cpu_secs(), time.process_time()
        return self

    def __exit__(self, *_: object) -> None:
        self.wall = time.perf_counter() - self.wall
        self.cpu = self.meter.cpu_secs() - self.cpu
        self.own = time.process_time() - self.own
