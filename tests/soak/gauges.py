"""What a farm holds at rest: memory, descriptors, processes, entries, as an operator can read them."""

from pathlib import Path

from demo.farm import Farm
from demo.processes import Daemon, wait_until
from tests.faults.traces import Process, processes
from tests.soak.growth import Reading

#: A slot that was allocated and never claimed is free again after so many seconds, and a little more.
_REST_SECS = 180

#: By how much the descriptors of a daemon differ between two moments at rest: connections between the daemons are kept
#: for a minute after a burst.
KEPT_CONNECTIONS = {"scheduler: descriptors": 2, "server: descriptors": 2}

# What of a build server's directories jobs come and go in.
_JOBS_PLACES = ("spool", "scratch")


def read(farm: Farm) -> Reading:
    """Wait until no job is in progress, and look.

    :raises TimeoutError: the scheduler goes on counting jobs when none can be left.
    """
    wait_until(lambda: farm.status().in_progress == 0, _REST_SECS, "no job is in progress")
    everything = list(processes())
    return {
        **_of_daemon("scheduler", farm.scheduler, everything),
        **_of_daemon("server", farm.server, everything),
        "server: files of jobs": sum(path.parent.name in _JOBS_PLACES for path in farm.server_folder.rglob("*")),
    }


def _of_daemon(name: str, daemon: Daemon, everything: list[Process]) -> Reading:
    pid = daemon.process.pid
    family = [pid, *(each.pid for each in everything if each.parent == pid)]
    return {
        f"{name}: RSS in KiB": _kibibytes(pid, "status", "VmRSS"),
        f"{name}: PSS in KiB, with workers": sum(_kibibytes(each, "smaps_rollup", "Pss") for each in family),
        f"{name}: descriptors": len(list(Path(f"/proc/{pid}/fd").iterdir())),
        f"{name}: processes": len(family),
    }


def _kibibytes(pid: int, file: str, key: str) -> int:
    lines = Path(f"/proc/{pid}/{file}").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith(f"{key}:"))
