"""What a farm holds at rest: memory, descriptors, processes, entries, as an operator can read them."""

from pathlib import Path

from farmkit.farm import Farm
from farmkit.processes import Daemon, wait_until
from sccachedist.peers.connection_pool import KEPT_PER_PEER
from tests.faults.traces import Process, processes
from tests.soak.growth import Reading
from tests.support.processes import opened

#: A slot that was allocated and never claimed is free again after so many seconds, and a little more.
_REST_SECS = 180

_LISTEN = "0A"  # of the kernel's table

# What of a build server's directories jobs come and go in.
_JOBS_PLACES = ("spool", "scratch")


def read(farm: Farm) -> Reading:
    """Wait until no job is in progress and no connection is left but those that the daemons keep, and look.

    How many of these there are depends on the last burst; they are no part of what is read.

    :raises TimeoutError: the scheduler goes on counting jobs when none can be left, or connections are left.
    """
    wait_until(lambda: farm.status().in_progress == 0, _REST_SECS, "no job is in progress")
    for daemon in (farm.scheduler, farm.server):
        pid = daemon.process.pid
        wait_until(lambda pid=pid: len(_connections(pid)) <= KEPT_PER_PEER, _REST_SECS, "no other connection is left")  # type: ignore[misc]
    everything = list(processes())
    return {
        **_of_daemon("scheduler", farm.scheduler, everything),
        **_of_daemon("server", farm.server, everything),
        "server: files of jobs": sum(path.parent.name in _JOBS_PLACES for path in farm.server_folder.rglob("*")),
    }


def _of_daemon(name: str, daemon: Daemon, everything: list[Process]) -> Reading:
    pid = daemon.process.pid
    children = [each.pid for each in everything if each.parent == pid]
    family = [pid, *children, *(each.pid for each in everything if each.parent in children)]
    return {
        f"{name}: RSS in KiB": _kibibytes(pid, "status", "VmRSS"),
        f"{name}: PSS in KiB, with workers": sum(_kibibytes(each, "smaps_rollup", "Pss") for each in family),
        f"{name}: descriptors": len(opened(pid)) - len(_connections(pid)),
        f"{name}: processes": len(family),
    }


def _connections(pid: int) -> list[str]:
    """Which descriptors of a process are connections."""
    lines = Path(f"/proc/{pid}/net/tcp").read_text().splitlines()[1:]
    sockets = ((state, inode) for _, _, _, state, _, _, _, _, _, inode, *_ in map(str.split, lines))
    connected = {f"socket:[{inode}]" for state, inode in sockets if state != _LISTEN}
    return [name for name in opened(pid) if name in connected]


def _kibibytes(pid: int, file: str, key: str) -> int:
    lines = Path(f"/proc/{pid}/{file}").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith(f"{key}:"))
