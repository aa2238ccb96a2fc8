"""What it costs that many follow a farm live: one scheduler at full load, with viewers and without, by turns.

In the column of the published scheduler nobody watches ours. The published one has nothing to watch.
"""

import contextlib
import tempfile
from collections.abc import Iterator
from functools import partial
from pathlib import Path

from bench.cases.busy_farm import SERVERS, Load, at_work
from bench.meters import Stopwatch, memory
from bench.quantities import Bar, Quantity, by_turns
from bench.run import Run
from bench.sides import OURS, UNCLAIMED, side
from farmkit.viewers import viewers

_VIEWERS, _STALLED = 100, 50


def _watched(load: Load, seconds: int, watching: int) -> dict[str, float]:
    """Times of allocations and CPU of the scheduler while so many watch."""
    farm, meter = load.side.farm, load.side.meter
    with viewers(farm.scheduler_port, farm.client_token, watching), Stopwatch(meter) as watch:
        times = load.times(seconds)
    return {**times, "CPU": watch.cpu / watch.wall * 100, "memory": memory(meter).pss}


class Viewers:
    """Allocations and CPU of the scheduler, watched and unwatched."""

    name, is_quick = "viewers", False
    title = f"nobody watches, {_VIEWERS} watch {SERVERS} busy build servers (both ours)"

    def measure(self, run: Run) -> list[Quantity]:
        """By turns, nobody watches and many do; then, half of those who do read nothing."""
        seconds = run.scaled(20, 10)
        with _at_work() as load:
            rounds = by_turns(run.scaled(12, 3), 0, _VIEWERS, partial(_watched, load, seconds))
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


def _of_one_stalled(load: Load, seconds: int) -> float:
    """KiB that one viewer costs who reads nothing, more than one who does."""
    farm, sizes = load.side.farm, []
    for stalled in (0, _STALLED):
        with viewers(farm.scheduler_port, farm.client_token, _VIEWERS, stalled):
            load.times(seconds)
            sizes.append(memory(load.side.meter).pss)
    return (sizes[1] - sizes[0]) / _STALLED * 1024


@contextlib.contextmanager
def _at_work() -> Iterator[Load]:
    with (
        tempfile.TemporaryDirectory(prefix="bench-") as folder,
        side(OURS, Path(folder), with_server=False, scheduler_settings=UNCLAIMED) as ours,
        at_work(ours) as load,
    ):
        yield load
