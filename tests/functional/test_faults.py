"""Daemons that are killed, stopped, ended and cut off in the middle of builds: some of what ``make faults`` has."""

import sys
from collections.abc import Callable
from pathlib import Path
from typing import TypeAlias

import pytest

from farmkit.launch import CHECKOUT
from farmkit.processes import Command, inherited

pytestmark = pytest.mark.functional

_SECS = 540


Run: TypeAlias = Callable[..., None]


@pytest.fixture
def run(all_toolchains: Path) -> Run:
    """Runs one of these programs; what it says is said where it fails."""

    def run_one(module: str, *arguments: str) -> None:
        command = (sys.executable, "-m", module, "--toolchains", str(all_toolchains), *arguments)
        ended = Command(command, inherited(), CHECKOUT).run(_SECS)
        assert ended.returncode == 0, ended.stdout + ended.stderr

    return run_one


@pytest.mark.field(6)
@pytest.mark.parametrize("setup", ["ours", "two_schedulers", "gateway", "published_server", "published_scheduler"])
def test_no_fault_breaks_a_build(run: Run, setup: str) -> None:
    """Two hundred files, eight at a time: all objects are those of a local build, and nothing is left of any job."""
    run("tests.faults", "--setup", setup, "--seeds", "1-1")


def test_a_leader_that_dies(run: Run) -> None:
    """Killed five times in a build behind a balancer, while another scheduler is there: nothing is given back."""
    run("tests.faults.takeovers", "leader-killed")


def test_jobs_of_workers(run: Run) -> None:
    """One that takes its workers with it goes home after three; one whose client is interrupted leaves nothing."""
    run("tests.faults.workers", "deadly", "interrupted")


@pytest.mark.field(3)
def test_a_build_server_that_cannot_be_reached(run: Run) -> None:
    """It reaches the scheduler, and whoever connects to it hangs: all is compiled by the other one, without delay."""
    run("tests.faults.unreachable")
