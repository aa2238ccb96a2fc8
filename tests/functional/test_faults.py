"""Daemons that are killed, stopped, ended and cut off in the middle of builds: some of what ``make faults`` has."""

import sys

import pytest

from farmkit.launch import CHECKOUT
from farmkit.processes import Command, inherited

pytestmark = pytest.mark.functional

_SECS = 540


def run(module: str, *arguments: str) -> None:
    """Run one of these programs; what it says is said where it fails."""
    ended = Command((sys.executable, "-m", module, *arguments), inherited(), CHECKOUT).run(_SECS)
    assert ended.returncode == 0, ended.stdout + ended.stderr


@pytest.mark.field(6)
@pytest.mark.parametrize("setup", ["ours", "two_schedulers", "gateway", "published_server", "published_scheduler"])
def test_no_fault_breaks_a_build(setup: str) -> None:
    """Two hundred files, eight at a time: all objects are those of a local build, and nothing is left of any job."""
    run("tests.faults", "--setup", setup, "--seeds", "1-1")


def test_a_leader_that_dies() -> None:
    """Killed five times in a build behind a balancer, while another scheduler is there: nothing is given back."""
    run("tests.faults.takeovers", "leader-killed")


def test_jobs_of_workers() -> None:
    """One that takes its workers with it goes home after three; one whose client is interrupted leaves nothing."""
    run("tests.faults.workers", "deadly", "interrupted")


@pytest.mark.field(3)
def test_a_build_server_that_cannot_be_reached() -> None:
    """It reaches the scheduler, and whoever connects to it hangs: all is compiled by the other one, without delay."""
    run("tests.faults.unreachable")
