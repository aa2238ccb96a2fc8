"""Daemons that are killed, stopped, ended and cut off in the middle of builds; ``make faults`` has many more seeds."""

import sys

import pytest

from demo.farm import CHECKOUT
from demo.processes import Command, inherited

pytestmark = pytest.mark.functional

_SECS = 540


@pytest.mark.field(6)
@pytest.mark.parametrize(
    ("setup", "seeds"), [("ours", "4-6"), ("published_server", "1-1"), ("published_scheduler", "1-1")]
)
def test_no_fault_breaks_a_build(setup: str, seeds: str) -> None:
    """Two hundred files, eight at a time: all objects are those of a local build, and nothing is left of any job."""
    ended = Command((sys.executable, "-m", "tests.faults", "--setup", setup, "--seeds", seeds), inherited(), CHECKOUT)
    said = ended.run(_SECS)
    assert said.returncode == 0, said.stdout + said.stderr
