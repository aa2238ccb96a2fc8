"""What it costs that many follow a farm live: one scheduler at full load, with viewers and without, by turns.

In the column of the published scheduler nobody watches ours. The published one has nothing to watch.
"""

import contextlib
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import attrs

from bench.cases.watching import SERVERS, allocation_times
from bench.meters import Stopwatch, memory
from bench.quantities import Bar, Quantity, by_turns
from bench.run import Run
from bench.sides import OURS, UNCLAIMED, Side, side
from farmkit.fake_fleet import BUSY_SECS, JOB_HEARTBEATS, fake_servers
from farmkit.viewers import viewers
from sccachedist.wire.messages import JobAlloc

_VIEWERS, _STALLED = 100, 50
#: Allocations in a second. As many jobs begin and end.
_JOBS_PER_SEC = 150
#: Seconds until as many jobs end as begin.
_FILLING_SECS = (JOB_HEARTBEATS + 2) * BUSY_SECS


@attrs.frozen
class _Load:
    """A farm at work.

    :param run: lets a job run.
    """

    side: Side
    run: Callable[[JobAlloc], None]

    def measure(self, seconds: int, watching: int) -> dict[str, float]:
        """Times of allocations and CPU of the scheduler while so many watch."""
        farm = self.side.farm
        with viewers(farm.scheduler_port, farm.client_token, watching), Stopwatch(self.side.meter) as watch:
            times = allocation_times(self.side, seconds * _JOBS_PER_SEC, self.run, 1 / _JOBS_PER_SEC)
        return {**times, "CPU": watch.cpu / watch.wall * 100, "memory": memory(self.side.meter).pss}


class Viewers:
    """Allocations and CPU of the scheduler, watched and unwatched."""

    name, is_quick = "viewers", False
    title = f"nobody watches, {_VIEWERS} watch {SERVERS} busy build servers (both ours)"

    def measure(self, run: Run) -> list[Quantity]:
        """By turns, nobody watches and many do; then, half of those who do read nothing."""
        seconds = run.scaled(20, 10)
        with _at_work() as load:
            rounds = by_turns(run.scaled(12, 3), 0, _VIEWERS, lambda watching: load.measure(seconds, watching))
            per_viewer = [_of_one_stalled(load, seconds) for _ in range(run.scaled(3, 1))]
        cpu, size = rounds.quantity("CPU", "% of a CPU"), rounds.quantity("memory", "MiB")
        more = tuple(watched - without for without, watched in zip(cpu.published, cpu.ours, strict=True))
        return [
            cpu.named("CPU of the scheduler"),
            Quantity("CPU that viewers cost", "% of a CPU", (), more, Bar(2.0, of_ours=True)),
            rounds.quantity("p50", "ms", Bar(1.05)).named("p50 of ``alloc_job``"),
            rounds.quantity("p99", "ms", Bar(1.05)).named("p99 of ``alloc_job``"),
            size.named("PSS of the scheduler"),
            Quantity(
                "growth from the first watched round to the last", "MiB", (), _growth(size), Bar(10, of_ours=True)
            ),
            Quantity("memory of a viewer that does not read", "KiB", (), tuple(per_viewer), Bar(64, of_ours=True)),
        ]


def _growth(size: Quantity) -> tuple[float]:
    return (size.ours[-1] - size.ours[0],)


def _of_one_stalled(load: _Load, seconds: int) -> float:
    """KiB that one viewer costs who reads nothing, more than one who does."""
    farm, sizes = load.side.farm, []
    for stalled in (0, _STALLED):
        with viewers(farm.scheduler_port, farm.client_token, _VIEWERS, stalled):
            allocation_times(load.side, seconds * _JOBS_PER_SEC, load.run, 1 / _JOBS_PER_SEC)
            sizes.append(memory(load.side.meter).pss)
    return (sizes[1] - sizes[0]) / _STALLED * 1024


@contextlib.contextmanager
def _at_work() -> Iterator[_Load]:
    """A farm in which as many jobs begin as end."""
    with (
        tempfile.TemporaryDirectory(prefix="bench-") as folder,
        side(OURS, Path(folder), with_server=False, scheduler_settings=UNCLAIMED) as ours,
        fake_servers(ours.farm.scheduler_port, ours.farm.server_key, SERVERS, "busy") as take,
    ):
        load = _Load(ours, take)
        began = time.monotonic()
        while time.monotonic() - began < _FILLING_SECS:
            load.measure(1, 0)
        yield load
