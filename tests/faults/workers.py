"""``python -m tests.faults.workers CASE...``: builds on workers behind a gateway, to which no other host has a way.

A line for each case says what became of it; status 0 says that all reached their bars. doc/faults.rst says what the
cases show. For root.
"""

import argparse
import shutil
import signal
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path

import attrs

from demo.__main__ import Demo
from farmkit import program
from farmkit.busybox_jobs import BUSYBOX, write_toolchain
from farmkit.farm import Farm
from farmkit.processes import Daemon, wait_until
from farmkit.published_client import Client, Override
from tests.faults.alone import be_alone
from tests.faults.build import FILES, Build
from tests.faults.farm import FaultyFarm, Worker
from tests.faults.run import warm, with_toolchains
from tests.faults.schedule import Fault, Kind
from tests.faults.setups import SETUPS, WORKERS, running
from tests.support.processes import running as processes_with
from tests.support.processes import stat_fields

#: Seconds that a compile may take while workers are killed, and while a cable is pulled.
KILLED_SECS, PULLED_SECS = 3, 15
#: Seconds after which nothing is left of a compile that was interrupted.
INTERRUPTED_SECS = 2
#: How many workers a job may take with it.
TRIES = 3

_KILLS = tuple(Fault(20 + 35 * n, WORKERS[n % 2], Kind.KILL, 0.0) for n in range(5))
_PULLED = (Fault(60, WORKERS[0], Kind.CUT, 20.0),)
#: Shorter than a worker may be silent: both sides live on, and what was under way does not get through.
_LOOSE = tuple(Fault(20 + 35 * n, WORKERS[n % 2], Kind.CUT, 4.0) for n in range(5))
_BEGIN_SECS = 60
_LOG_LINES = 20


@attrs.frozen
class Place:
    """Where a case happens."""

    farm: FaultyFarm
    client: Client
    build: Build
    folder: Path

    def stubborn(self, marker: str) -> Client:
        """A client whose compiler never ends on a farm; its processes have the marker in their command line."""
        slow = f"/bin/{marker}"
        archive = write_toolchain(self.folder / f"{marker}.tar.gz", {slow: f"{BUSYBOX} sleep 300; :"})
        compiler, asked = Override(Path(shutil.which("gcc") or ""), archive, slow), self.farm.asked
        return Client(
            self.folder / marker, asked.scheduler_url, asked.client_token, self.folder / "stubborn", [compiler]
        )


def main(arguments: Sequence[str]) -> int:
    """Run them; the result is the exit status."""
    parser = argparse.ArgumentParser(prog="python -m tests.faults.workers")
    parser.add_argument("cases", nargs="+", choices=CASES, metavar="CASE", help=", ".join(CASES))
    with_toolchains(parser)
    options = parser.parse_args(arguments)
    be_alone("tests.faults.workers", arguments)
    failed = 0
    with tempfile.TemporaryDirectory(prefix="sccachedist-faults-", ignore_cleanup_errors=True) as name:
        folder = Path(name)
        build = Build.prepared(folder / "project")
        toolchains = options.toolchains or folder / "toolchains"
        with running(SETUPS["gateway"], folder / "farm") as farm, _client(farm.asked, folder, toolchains) as client:
            warm(client, build)
            for case in options.cases:
                farm.wait_until_whole()
                failed += _try(case, Place(farm, client, build, folder))
    return 1 if failed else 0


def _client(farm: Farm, folder: Path, toolchains: Path) -> Client:
    return Client(folder / "client", farm.scheduler_url, farm.client_token, toolchains)


def _try(case: str, place: Place) -> bool:
    """Run a case, and say what became of it: whether it did not reach its bar."""
    measured, *trouble = CASES[case](place)
    verdict = "; ".join(("FAILED", *trouble)) if trouble else "good"
    _say(f"{case:<12} {measured}: {verdict}")
    if trouble:
        for member in place.farm.members.values():
            _say(f"--- {member.name}", member.daemon.tail(_LOG_LINES))
    return bool(trouble)


def _building(faults: Sequence[Fault], most_secs: float) -> Callable[[Place], Iterator[str]]:
    """The two hundred files with faults: all are compiled by workers, and none takes longer than so many seconds."""

    def build(place: Place) -> Iterator[str]:
        began = time.monotonic()
        outcome = place.build.run(place.client, faults, place.farm.befall)
        took = time.monotonic() - began
        yield (
            f"{outcome.remote} remote, {outcome.given_back} given back, slowest {outcome.longest:.1f} s, "
            f"{took:.1f} s for all"
        )
        yield from outcome.wrong
        yield from (f"too late: {fault}" for fault in outcome.late)
        if outcome.remote < FILES or outcome.given_back:
            yield "nothing may be given back"
        if outcome.longest > most_secs:
            yield f"a compile may take {most_secs} s"

    return build


def _demo(place: Place) -> Iterator[str]:
    """The projects of ``make demo``."""
    demo, before = Demo(place.folder / "demo", place.client), place.client.statistics()
    demo.folder.mkdir()
    demo.run()
    after = place.client.statistics()
    yield f"{after.total_remote - before.total_remote} remote, {after.errors - before.errors} given back"
    if not demo.good:
        yield "not all of it was as it should be"


def _deadly(place: Place) -> Iterator[str]:
    """A job whose worker is killed each time that it has begun: it ends at home after a few tries."""
    marker, ended, killed = "deadly-compiler", threading.Event(), list[str]()

    def kill_workers() -> None:
        while not ended.is_set():
            for worker in place.farm.all_of(Worker):
                if _runs(worker, marker):
                    killed.append(worker.name)
                    place.farm.befall(Fault(0, worker.name, Kind.KILL, 0.0))
            ended.wait(0.05)

    watch = threading.Thread(target=kill_workers)
    with place.stubborn(marker) as client:
        watch.start()
        try:
            began = time.monotonic()
            wrong = place.build.compile_one(client)
            took = time.monotonic() - began
        finally:
            ended.set()
            watch.join()
        statistics = client.statistics()
    yield f"{len(killed)} workers killed, {statistics.errors} given back after {took:.1f} s"
    if wrong is not None:
        yield wrong
    if len(killed) != TRIES or statistics.errors != 1 or statistics.total_remote:
        yield f"it may kill {TRIES}, and then compiles at home"


def _interrupted(place: Place) -> Iterator[str]:
    """A compile and its client are interrupted: nothing of it is left at a worker soon after."""
    marker, project = "endless-compiler", place.build.project
    with place.stubborn(marker) as client:
        compiling = Daemon.start(
            client.compiling(project.compile_command(project.sources[0]), project.folder),
            place.folder / "interrupted.log",
        )
        compiling.wait_until(lambda: processes_with(marker) != [], _BEGIN_SECS, "it runs at a worker")
        for process in (compiling, client.daemon):
            process.process.send_signal(signal.SIGINT)
        began = time.monotonic()
        wait_until(lambda: processes_with(marker) == [], _BEGIN_SECS, "nothing of it runs")
        took = time.monotonic() - began
    yield f"nothing left after {took:.1f} s"
    if took > INTERRUPTED_SECS:
        yield f"it may take {INTERRUPTED_SECS} s"


def _runs(worker: Worker, marker: str) -> bool:
    """Whether a process with this text in its command line descends from a worker."""
    ours = worker.daemon.process.pid
    return any(ours in _line(pid) for pid in processes_with(marker))


def _line(pid: int) -> Iterator[int]:
    """A process, its parent, and so on, as long as they last."""
    while pid > 1:
        yield pid
        try:
            pid = int(stat_fields(pid)[1])
        except OSError:
            return


def _say(*lines: str) -> None:
    sys.stdout.writelines(f"{line}\n" for line in lines)
    sys.stdout.flush()


CASES: Mapping[str, Callable[[Place], Iterator[str]]] = {
    "killed": _building(_KILLS, KILLED_SECS),
    "pulled": _building(_PULLED, PULLED_SECS),
    "loose": _building(_LOOSE, PULLED_SECS),
    "deadly": _deadly,
    "interrupted": _interrupted,
    "demo": _demo,
}


if __name__ == "__main__":
    program.run(partial(main, sys.argv[1:]))
