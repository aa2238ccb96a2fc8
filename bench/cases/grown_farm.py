"""A farm that has grown: thousands of build servers, toolchains and waiting clients, and one scheduler on one CPU.

What an allocation costs in a farm and in one ten times as large is compared without sockets. Then a real scheduler has
the CPU for itself, and all others share the other one.
"""

import contextlib
import os
import tempfile
import time
from collections.abc import Iterator
from functools import partial
from http.client import HTTPConnection
from pathlib import Path

import attrs

from bench.grown import GrownFarm, Size, measured
from bench.meters import Meter, Stopwatch, memory
from bench.quantities import Bar, Quantity, by_turns, percentile
from bench.run import Run, step
from bench.sides import OURS, UNCLAIMED, side
from farmkit.grown_fleet import grown_fleet
from farmkit.processes import LOOPBACK, free_port
from sccachedist.daemon.fd_limit import raise_to
from sccachedist.policy import PlacementRule

_SMALL = Size(servers=500, toolchains=2000, waiting=200)
_TIMES = 10
_GROWTHS = (
    ("build servers", attrs.evolve(_SMALL, servers=_TIMES * _SMALL.servers)),
    ("toolchains", attrs.evolve(_SMALL, toolchains=_TIMES * _SMALL.toolchains)),
    ("waiting clients", attrs.evolve(_SMALL, waiting=_TIMES * _SMALL.waiting)),
)
#: What a real scheduler has to bear, and, as far as this machine allows so many connections, what breaks first.
_LARGE = Size(servers=5000, toolchains=20_000, waiting=2000)
_HUGE = attrs.evolve(_LARGE, servers=20_000)
#: Jobs that end in a second.
_RATE = 100
#: Files that a process has open beside a connection of each build server.
_OTHER_FILES = 5000
#: Seconds between two looks at the lag.
_LOOK_SECS = 0.05


class GrownFarms:
    """Growth of an allocation's cost; lag, memory and CPU of a scheduler."""

    name, is_quick = "grown-farm", False
    title = f"a farm, one {_TIMES} times as large (both ours); {_LARGE.servers} build servers at work"

    def measure(self, run: Run) -> list[Quantity]:
        """Ours alone: the published scheduler makes no client wait."""
        rows = [row for rule in PlacementRule for row in _growth(run, rule)]
        rows += _at_work(run, _LARGE, Bar(20, of_ours=True), Bar(200, of_ours=True))
        return rows if run.quick else rows + _at_work(run, _hugest())


def _hugest() -> Size:
    """The largest farm, of so many thousands of build servers as may be connected here."""
    allowed = (raise_to(_HUGE.servers + _OTHER_FILES) - _OTHER_FILES) // 1000 * 1000
    return attrs.evolve(_HUGE, servers=max(_LARGE.servers, allowed))


def _growth(run: Run, rule: PlacementRule) -> list[Quantity]:
    rows = []
    for name, size in _GROWTHS:
        with step(f"{_TIMES} times the {name}, {rule.value}"):
            small, large = GrownFarm(_SMALL, rule), GrownFarm(size, rule)
            rounds = by_turns(run.scaled(9, 5), small, large, partial(measured, run.scaled(2000, 500)))
        what = f"CPU of an allocation, {_TIMES} times the {name}, {rule.value}"
        rows.append(rounds.quantity("CPU", "µs", Bar(1.3)).named(what))
    return rows


def _at_work(run: Run, size: Size, lag: Bar | None = None, most_memory: Bar | None = None) -> list[Quantity]:
    """Let a scheduler work, and look how late it is."""
    port, seconds = free_port(), run.scaled(120, 30)
    settings = f'{UNCLAIMED}[queue]\nmax_wait_secs = 590\n[metrics]\naddress = "{LOOPBACK}:{port}"\n'
    with (
        step(f"a scheduler with {size.servers} build servers, for {seconds} s when they have come"),
        tempfile.TemporaryDirectory(prefix="bench-") as folder,
        side(OURS, Path(folder), with_server=False, scheduler_settings=settings) as ours,
        _apart(ours.meter),
        grown_fleet(
            ours.farm.scheduler_port,
            ours.farm.server_key,
            ours.farm.client_token,
            size.servers,
            size.toolchains,
            size.waiting,
            _RATE,
        ) as allocated,
    ):
        before = allocated()
        with Stopwatch(ours.meter) as watch:
            late = _answers(port, seconds)
        count, pss = allocated() - before, memory(ours.meter).pss
    at = f"with {size.servers} build servers"
    return [
        Quantity(f"p99 of the lag {at}", "ms", (), (percentile(late, 0.99) * 1000,), lag),
        Quantity(f"largest lag {at}", "ms", (), (max(late) * 1000,)),
        Quantity(f"PSS of the scheduler {at}", "MiB", (), (pss,), most_memory),
        Quantity(f"CPU of the scheduler {at}", "% of a CPU", (), (watch.cpu / watch.wall * 100,)),
        Quantity(f"allocations {at}", "1/s", (), (count / watch.wall,)),
    ]


def _answers(port: int, seconds: float) -> list[float]:
    """For how long a scheduler let those wait who ask whether it lives: that long its event loop did other things."""
    connection, found = HTTPConnection(LOOPBACK, port), []
    end = time.monotonic() + seconds
    with contextlib.closing(connection):
        while time.monotonic() < end:
            time.sleep(_LOOK_SECS)
            began = time.perf_counter()
            connection.request("GET", "/healthz")
            connection.getresponse().read()
            found.append(time.perf_counter() - began)
    return found


@contextlib.contextmanager
def _apart(meter: Meter) -> Iterator[None]:
    """Give a daemon a CPU for itself: all that this process starts meanwhile runs on others."""
    cpus = os.sched_getaffinity(0)
    own, others = {min(cpus)}, cpus - {min(cpus)} or cpus
    for pid in meter.processes():
        for task in Path(f"/proc/{pid}/task").iterdir():
            os.sched_setaffinity(int(task.name), own)
    os.sched_setaffinity(0, others)
    try:
        yield
    finally:
        os.sched_setaffinity(0, cpus)
