"""Daemons that are killed, stopped, ended and cut off in the middle of builds: some of what ``make faults`` has."""

import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import TypeAlias

import pytest

from farmkit.launch import CHECKOUT
from farmkit.processes import Command, inherited
from farmkit.published_client import share_toolchains

pytestmark = pytest.mark.functional

_SECS = 540
#: How many builds are under way at a time: most of each is waiting, in a network of its own.
_AT_ONCE = 2

Run: TypeAlias = Callable[..., None]
Ended: TypeAlias = subprocess.CompletedProcess[str]


def ran(module: str, toolchains: Path, *arguments: str) -> Ended:
    """One of these programs, when it has ended."""
    command = (sys.executable, "-m", module, "--toolchains", str(toolchains), *arguments)
    return Command(command, inherited(), CHECKOUT).run(_SECS)


@pytest.fixture
def run(toolchains: Path) -> Run:
    """Runs one of these programs; what it says is said where it fails."""

    def run_one(module: str, *arguments: str) -> None:
        ended = ran(module, toolchains, *arguments)
        assert ended.returncode == 0, ended.stdout + ended.stderr

    return run_one


@pytest.fixture(scope="module")
def builds(
    request: pytest.FixtureRequest, all_toolchains: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Mapping[str, Future[Ended]]]:
    """A build with faults for each setup that a test asks for, under way or to come."""
    chosen = (item for item in request.session.items if isinstance(item, pytest.Function) and item.path == request.path)
    setups = [str(item.callspec.params["setup"]) for item in chosen if hasattr(item, "callspec")]
    folder = tmp_path_factory.mktemp("builds")
    with ThreadPoolExecutor(_AT_ONCE) as side_by_side:

        def begun(setup: str) -> Future[Ended]:
            toolchains = share_toolchains(all_toolchains, folder / setup)
            return side_by_side.submit(ran, "tests.faults", toolchains, "--setup", setup, "--seeds", "1-1")

        yield {setup: begun(setup) for setup in setups}
        side_by_side.shutdown(cancel_futures=True)


@pytest.mark.field(6)
@pytest.mark.parametrize("setup", ["ours", "two_schedulers", "gateway", "published_server", "published_scheduler"])
def test_no_fault_breaks_a_build(builds: Mapping[str, Future[Ended]], setup: str) -> None:
    """Two hundred files, eight at a time: all objects are those of a local build, and nothing is left of any job."""
    ended = builds[setup].result()
    assert ended.returncode == 0, ended.stdout + ended.stderr


def test_a_leader_that_dies(run: Run) -> None:
    """Killed five times in a build behind a balancer, while another scheduler is there: nothing is given back."""
    run("tests.faults.takeovers", "leader-killed")


def test_jobs_of_workers(run: Run) -> None:
    """One that takes its workers with it goes home after three; one whose client is interrupted leaves nothing."""
    run("tests.faults.workers", "deadly", "interrupted")


@pytest.mark.field(3)
def test_a_build_server_that_cannot_be_reached(run: Run) -> None:
    """It reaches the scheduler, and clients that connect hang: all is compiled by the other one, without delay."""
    run("tests.faults.unreachable")
