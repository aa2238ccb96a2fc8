"""What jobs leave on the machine of a farm: processes, mounts, files, descriptors, connections, entries.

It reads what an operator can read: ``/proc``, the daemons' directories and the scheduler's status.
"""

import contextlib
from collections.abc import Iterator, Mapping, Sequence
from ipaddress import IPv4Address
from itertools import islice
from pathlib import Path

import attrs

from farmkit.processes import wait_until
from tests.faults.farm import FaultyFarm, Server
from tests.faults.network import HERE
from tests.support.processes import mounts_of_jobs, opened

_WORKER = "sccachedist.sandbox.overlay.worker"
_WORKER_PIPES = 3

# What jobs bring to a build server's directories: its toolchains stay, and its identity does.
_JOBS_PLACES = ("spool", "scratch")

_NO_INODE = "0"  # of the kernel's table: no process has the connection any more, whatever its other end does


@attrs.frozen
class Process:
    """One line of a list of processes."""

    pid: int
    parent: int
    command: str

    @property
    def is_worker(self) -> bool:
        """Whether it is one of the two of a sandbox worker; a build server keeps some for the next jobs."""
        return _WORKER in self.command


def processes() -> Iterator[Process]:
    """All processes of this process namespace, zombies too."""
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            stat = (folder / "stat").read_text()
            command = (folder / "cmdline").read_text(errors="replace").replace("\0", " ").strip()
        except OSError:  # it has ended meanwhile
            continue
        name, rest = stat[stat.index("(") + 1 : stat.rindex(")")], stat[stat.rindex(")") + 2 :].split()
        yield Process(int(folder.name), int(rest[1]), command or f"[{name}]")


@attrs.frozen
class Traces:
    """What there is of jobs at one moment.

    :param descriptors: how many each daemon has open, sockets and those of its idle sandbox workers aside.
    """

    in_progress: int
    processes: tuple[str, ...]
    mounts: tuple[str, ...]
    files: tuple[str, ...]
    connections: tuple[str, ...]
    descriptors: Mapping[str, int]

    @classmethod
    def of(cls, farm: FaultyFarm, others: Sequence[int]) -> "Traces":
        """Look now.

        :param others: processes that have nothing to do with jobs, beside the daemons.
        """
        daemons = {member.daemon.process.pid for member in farm.members.values()}
        seen = [each for each in processes() if each.pid not in daemons and each.pid not in others]
        parents = daemons | {each.pid for each in seen if each.is_worker and each.parent in daemons}
        workers = [each for each in seen if each.is_worker and each.parent in parents]
        kept = [*workers, *_waiting(seen, workers)]
        return cls(
            farm.asked.status().in_progress,
            tuple(each.command for each in seen if each not in kept),
            tuple(line for member in farm.members.values() for line in mounts_of_jobs(member.folder)),
            tuple(_jobs_files(farm)),
            tuple(line for name, member in farm.members.items() for line in _clients(name, member.daemon.process.pid)),
            {name: _descriptors(member.daemon.process.pid, workers) for name, member in farm.members.items()},
        )

    def beyond(self, descriptors: Mapping[str, int]) -> "Traces":
        """The same, without the descriptors of daemons that have no more open than these."""
        more = {name: count for name, count in self.descriptors.items() if count > descriptors.get(name, count)}
        return attrs.evolve(self, descriptors=more)


NOTHING = Traces(0, (), (), (), (), {})


def wait_for_rest(farm: FaultyFarm, others: Sequence[int], descriptors: Mapping[str, int]) -> Traces:
    """Wait until nothing is left of any job: what is left all the same.

    :param descriptors: how many each daemon has open at rest, where that is known.
    """
    left = NOTHING

    def settled() -> bool:
        nonlocal left
        left = Traces.of(farm, others).beyond(descriptors)
        return left == NOTHING

    with contextlib.suppress(TimeoutError):
        wait_until(settled, farm.patience_secs, "nothing is left")
    return left


def _waiting(seen: Sequence[Process], workers: Sequence[Process]) -> Iterator[Process]:
    """The programs that wait in workers' sandboxes for the next job, and bubblewrap's two processes around each."""
    by_pid = {each.pid: each for each in seen}
    for each in seen:
        *inside, worker = each, *islice(_ancestors(each, by_pid), 3)
        if each.command.startswith("/proc/self/fd/") and worker in workers:
            yield from inside


def _ancestors(process: Process, by_pid: Mapping[int, Process]) -> Iterator[Process]:
    while parent := by_pid.get(process.parent):
        yield parent
        process = parent


def _jobs_files(farm: FaultyFarm) -> Iterator[str]:
    for server in farm.all_of(Server):
        for path in server.folder.rglob("*"):
            if path.parent.name in _JOBS_PLACES:
                yield str(path)


def _clients(name: str, pid: int) -> Iterator[str]:
    """The connections of a daemon's host with the one that the clients are on."""
    for line in Path(f"/proc/{pid}/net/tcp").read_text().splitlines()[1:]:
        _, _, remote, state, _, _, _, _, _, inode, *_ = line.split()
        address, port = (int(part, 16) for part in remote.split(":"))
        peer = IPv4Address(address.to_bytes(4, "little"))
        if str(peer) == HERE and inode != _NO_INODE:
            yield f"{name} - {peer}:{port} in state {state}"


def _descriptors(pid: int, workers: Sequence[Process]) -> int:
    pipes = _WORKER_PIPES * sum(each.parent == pid for each in workers)
    return sum(not name.startswith("socket:") for name in opened(pid)) - pipes
