"""``python -m tests.faults.takeovers CASE...``: builds while schedulers, and what has their lock, go and come.

A line for each build says what became of it; status 0 says that all reached the bar of their case. The cases are in
:mod:`tests.faults.cases`; doc/faults.rst says what they show. For root.
"""

import argparse
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import TypeVar

import attrs

from farmkit import program
from farmkit.launch import OUR_SERVER, PUBLISHED_SERVER, adding
from farmkit.processes import Command, answers, inherited, wait_until
from farmkit.published_client import Client
from sccachedist.cluster.redis_lock import LEADER as LOCK
from tests.faults.alone import be_alone
from tests.faults.build import Build
from tests.faults.cases import CASES, EACH, LEADER, LEADER_TO_CLIENTS, LEADER_TO_STORE, Case, Times, shortcomings
from tests.faults.farm import FaultyFarm, Scheduler, Store
from tests.faults.network import HERE
from tests.faults.run import Logs, warm, with_toolchains
from tests.faults.schedule import Fault
from tests.faults.setups import SERVERS, SETUPS, Setup, running

T = TypeVar("T")

OURS, PUBLISHED = "ours", "published"
#: Seconds after a build within which one scheduler leads, knows all build servers and has no job.
_REST_SECS = 15
_LEADER_SECS = 60


def main(arguments: Sequence[str]) -> int:
    """Run them; the result is the exit status."""
    parser = argparse.ArgumentParser(prog="python -m tests.faults.takeovers")
    parser.add_argument("cases", nargs="+", choices=CASES, metavar="CASE", help=", ".join(CASES))
    parser.add_argument("--runs", type=int, default=1, help="how many builds of each case; 1 by default")
    parser.add_argument("--server", choices=(OURS, PUBLISHED), default=OURS, help="two build servers of ours, or one")
    with_toolchains(parser)
    options = parser.parse_args(arguments)
    be_alone("tests.faults.takeovers", arguments)
    trouble: list[str] = []
    with tempfile.TemporaryDirectory(prefix="sccachedist-faults-", ignore_cleanup_errors=True) as folder:
        build, toolchains = Build.prepared(Path(folder, "project")), options.toolchains or Path(folder, "toolchains")
        for name in options.cases:
            for _ in range(options.runs):
                trouble += _try(name, options.server, build, Path(folder), toolchains)
    return 1 if trouble else 0


def _try(name: str, server: str, build: Build, folder: Path, toolchains: Path) -> list[str]:
    """Build twice on a farm that is made for it: without faults, and with those of a case; then say what became of it.

    :param folder: for the farm; ``toolchains``: where the client's packed toolchains stay.
    :returns: what is not as it should be.
    """
    case = CASES[name]
    with tempfile.TemporaryDirectory(dir=folder) as own, running(_setup(case, server), Path(own, "farm")) as farm:
        asked = farm.asked
        with Client(Path(own, "client"), asked.scheduler_url, asked.client_token, toolchains) as client:
            warm(client, build)
            faultless, _ = _timed(lambda: build.run(client, (), farm.befall, case.parallel))
            logs = Logs.of(farm, client)
            seconds, outcome = _timed(lambda: build.run(client, case.faults, Troubles(farm).befall, case.parallel))
            rest, left = _timed(lambda: [*_left(farm)])
            times = Times(seconds, faultless, rest)
            trouble = [*shortcomings(case, outcome, times, is_published=server == PUBLISHED), *left]
            said = [*logs.said()] if trouble else []
    counted = f"{outcome.remote:3} remote, {outcome.given_back} given back, slowest {outcome.longest:4.1f} s"
    took = f"{seconds:4.1f} s ({faultless:4.1f} s without faults), then {rest:4.1f} s"
    verdict = "; ".join(("FAILED", *trouble)) if trouble else "good"
    for line in (f"{name:<22} {server:<9} {counted}, {took}: {verdict}", *said):
        sys.stdout.write(f"{line}\n")
    sys.stdout.flush()
    return trouble


def _setup(case: Case, server: str) -> Setup:
    more = {} if case.cpus is None else {"capacity": f"cpus = {case.cpus}"}
    return attrs.evolve(
        SETUPS["two_schedulers"],
        server=PUBLISHED_SERVER if server == PUBLISHED else adding(OUR_SERVER, **more),
        servers=SERVERS[:1] if server == PUBLISHED else SERVERS,
        asked=case.asked,
        has_sentinel=case.has_sentinel,
    )


def _timed(do: Callable[[], T]) -> tuple[float, T]:
    began = time.monotonic()
    done = do()
    return time.monotonic() - began, done


def _left(farm: FaultyFarm) -> Iterator[str]:
    """What is not at rest in time."""
    try:
        wait_until(lambda: farm.is_whole and not farm.asked.status().in_progress, _REST_SECS, "no job is in progress")
    except (OSError, TimeoutError):
        yield f"{[leader.name for leader in farm.leaders]} lead, {farm.asked.status()}"


@attrs.frozen
class Troubles:
    """What befalls the farm of a case."""

    farm: FaultyFarm

    def befall(self, fault: Fault) -> None:
        """Let a fault happen, and end; a scheduler that was ended listens again when this returns."""
        if fault.target == EACH:
            for scheduler in self.farm.all_of(Scheduler):
                self._befall(scheduler, fault)
        elif fault.target == LEADER:
            self._befall(self._leader(), fault)
        elif fault.target == LEADER_TO_STORE:
            self._part(self._leader(), [store.host.address for store in self.farm.all_of(Store)], fault.secs)
        elif fault.target == LEADER_TO_CLIENTS:
            self._part(self._leader(), [HERE, self.farm.asked.scheduler_host], fault.secs)
        else:
            self.farm.befall(fault)

    def _befall(self, scheduler: Scheduler, fault: Fault) -> None:
        self.farm.befall(attrs.evolve(fault, target=scheduler.name))
        farm = scheduler.farm
        wait_until(lambda: answers(farm.scheduler_port, farm.scheduler_host), _LEADER_SECS, "it listens again")

    def _part(self, leader: Scheduler, addresses: Sequence[str], seconds: float) -> None:
        with leader.host.parted_from(addresses):
            time.sleep(seconds)

    def _leader(self) -> Scheduler:
        """The one that leads. If that is the one that all ask, it is made to follow another one first."""
        leaders: list[Scheduler] = []

        def is_one() -> bool:
            leaders[:] = self.farm.leaders
            return len(leaders) == 1

        wait_until(is_one, _LEADER_SECS, "one scheduler leads")
        if leaders[0].farm.scheduler_host == self.farm.asked.scheduler_host:
            self._depose(leaders[0])
            wait_until(is_one, _LEADER_SECS, "another one leads")
        return leaders[0]

    def _depose(self, leader: Scheduler) -> None:
        """Let the store forget who leads, and not hear of that one until another one has asked."""
        (store,) = self.farm.all_of(Store)
        arguments = ("redis-cli", "-h", store.redis.host, "-p", str(store.redis.port), "DEL", LOCK)
        with leader.host.parted_from((store.host.address,)):
            Command((*store.host.within, *arguments), inherited(), store.folder).run()
            wait_until(lambda: len(self.farm.leaders) > 1, _LEADER_SECS, "another one has the lock")


if __name__ == "__main__":
    program.run(partial(main, sys.argv[1:]))
