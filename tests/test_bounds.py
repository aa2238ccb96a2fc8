"""Numbers that bound something, where the tests of a module use the number itself: they hold whatever it is.

Beside each stands the most that still bounds what strangers can do.
"""

from importlib import import_module

import pytest

#: No token opens a job for hours; no refusal fails builds for minutes; no look at connections holds up others.
BOUNDS = [
    ("server.jobs.TOKEN_SECS", 2 * 3600),
    ("server.jobs.UNCLAIMED_SECS", 1200),
    ("server.jobs.MOST_JOBS", 1 << 16),
    ("toolchains.changes.MOST_GONE", 100_000),
    ("auth.token_service.REFUSED_SECS", 10),
    ("auth.token_service.MOST_REMEMBERED", 1 << 16),
    ("scheduler.shares.MOST_REMEMBERED", 1 << 16),
    ("web.connection_limits.SWEPT", 1000),
    ("web.deadlines.LINGER_SECS", 60),
    ("web.deadlines.STREAM_SECS", 2 * 3600),
    ("gateway.dispatch.MOST_BUSY", 1000),
]


@pytest.mark.parametrize(("name", "most"), BOUNDS)
def test_bounds(name: str, most: int) -> None:
    """Each is small enough to be one."""
    module, _, constant = name.rpartition(".")
    assert 0 < getattr(import_module(f"sccachedist.{module}"), constant) <= most
