"""Three minutes of mixed load; ``make soak`` goes on for two hours."""

import sys

import pytest

from farmkit.launch import CHECKOUT
from farmkit.processes import Command, inherited

pytestmark = pytest.mark.functional


def test_nothing_grows_under_mixed_load() -> None:
    """Memory, descriptors, processes and files are at the end what they were at the beginning, within 5 %."""
    ended = Command((sys.executable, "-m", "tests.soak", "--seconds", "180"), inherited(), CHECKOUT).run(1200)
    assert ended.returncode == 0, ended.stdout + ended.stderr
