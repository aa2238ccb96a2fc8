"""Which records a query or a command chooses."""

from typing import Any

import pytest

from sccachedist.records.selection import Selection
from tests.records.rows import job_row, refused_row

FULL_DISK = job_row(outcome="sent_local", reason="disk", kind="scratch")


@pytest.mark.parametrize(
    ("wanted", "has"),
    [
        ({}, True),
        ({"since": 1001.0}, True),
        ({"since": 1001.5}, False),
        ({"client": "10.0.0.1"}, True),
        ({"client": "10.0.0"}, False),
        ({"server": "10.0.0.2:10501"}, True),
        ({"server": "10.0.0.2"}, True),
        ({"server": "10.0.0.2:1"}, False),
        ({"server": "build2"}, False),
        ({"server": "build2", "also": frozenset({"10.0.0.2:10501"})}, True),
        ({"outcome": "sent_local"}, True),
        ({"outcome": "compiled"}, False),
        ({"reason": "disk"}, True),
        ({"reason": "scratch"}, False),
        ({"output": "x.o"}, True),
        ({"output": "y.o"}, False),
        ({"output": "x.o", "client": "ann"}, False),
    ],
)
def test_selection(wanted: dict[str, Any], has: bool) -> None:
    """All that is asked for has to be so."""
    assert Selection(**wanted).wants(FULL_DISK) is has


def test_what_is_not_known_is_not_chosen() -> None:
    """A request without a slot has no server and no output."""
    assert Selection(reason="queue_timeout").wants(refused_row())
    assert not Selection(server="10.0.0.2").wants(refused_row())
    assert not Selection(output="o").wants(refused_row())
