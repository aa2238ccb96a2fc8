"""The clock that a daemon counts on, and who may look at the wall's."""

import ast
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from twisted.internet.selectreactor import SelectReactor

from sccachedist.daemon.clocks import growing_clock, let_time_only_grow
from tests.test_imports import PACKAGE

#: The modules that need wall time, and what for.
NEED_WALL_TIME = {
    "daemon/clocks.py",  # where the growing clock begins
    "cli/doctor/checks.py",  # this host's clock beside the scheduler's
    "scheduler/service.py",  # a scheduler that starts again goes on with higher job ids
    "server/service.py",  # metrics have times as the monitoring system counts them
    "server/tls.py",  # the dates of a certificate
    "daemon/logs.py",  # when what a line of the log is about happened
    "cli/admin_options.py",  # a clock time until which something holds
    "cli/top/looks.py",  # when it looked, as this host's clock shows it
    "cli/farm/command.py",  # "since" is told back from now
    "cli/farm/options.py",  # a clock time today
    "cli/clients/command.py",  # the day on which a token is added, and the time until which one is good
    "cli/clients/options.py",  # the same, as people write it
    "cli/farm/screen.py",  # times as this host's clock shows them
}
#: The names that show it, each where it is defined.
SHOW_IT = {"time": {"time", "time_ns"}, "datetime": {"now", "utcnow", "today"}, "twisted.python.runtime": {"seconds"}}


@pytest.mark.parametrize("step", [-3600, 3600])
def test_a_clock_that_only_grows(monkeypatch: pytest.MonkeyPatch, step: int) -> None:
    """It begins at the wall's time; when that is set, it goes on as before."""
    clock, wall = growing_clock(), time.time
    assert abs(clock() - wall()) < 1
    monkeypatch.setattr(time, "time", lambda: wall() + step)
    assert abs(clock() - wall()) < 1


@pytest.mark.parametrize("step", [-3600, 3600])
def test_timers_of_a_reactor(monkeypatch: pytest.MonkeyPatch, step: int) -> None:
    """Twisted's own timers come when they are due, whatever the wall's clock is set to meanwhile."""
    reactor = SelectReactor()
    let_time_only_grow(reactor)
    came: list[str] = []
    reactor.callLater(0, came.append, "now")
    reactor.callLater(600, came.append, "later")
    wall = time.time
    monkeypatch.setattr(time, "time", lambda: wall() + step)
    monkeypatch.setattr(SelectReactor, "seconds", lambda _: time.time())
    reactor.runUntilCurrent()
    assert came == ["now"]
    assert 590 < (reactor.timeout() or 0) <= 600
    for call in reactor.getDelayedCalls():
        call.cancel()
    reactor.removeAll()


def test_who_looks_at_the_wall() -> None:
    """Few modules do, each for a reason that is given; the others cannot be wrong about it."""
    assert {str(path.relative_to(PACKAGE)) for path in PACKAGE.rglob("*.py") if set(_looks(path))} == NEED_WALL_TIME


def _looks(path: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(path.read_text())):
        match node:
            case ast.ImportFrom(module=str(module), names=names) if module in SHOW_IT:
                yield from SHOW_IT[module] & {name.name for name in names}
            case ast.Attribute(value=ast.Name(id=("time" | "datetime" | "date" | "runtime")), attr=name):
                yield from {name} & {shown for names in SHOW_IT.values() for shown in names}
