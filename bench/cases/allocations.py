"""``alloc_job`` with few and many registered build servers, which are fakes that take every job.

The published scheduler has published ones. Ours has our own kind for most numbers: in a farm of one kind a scheduler
need not ask a build server first.
"""

import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack

from bench.meters import Stopwatch
from bench.quantities import Bar, Quantity, Rounds, by_turns, percentile
from bench.run import Run
from bench.sides import Side, both
from farmkit.fake_fleet import TOOLCHAIN, fake_servers

#: The most build servers for the published scheduler. To register more takes minutes: it reads all certificates again
#: for each new one.
_MOST_PUBLISHED = 1000
_CLIENTS = 50


class AllocationLatency:
    """Allocations one after the other."""

    name = "alloc-latency"
    title = "``alloc_job``, one after the other"
    is_quick = True

    def measure(self, run: Run) -> list[Quantity]:
        """Times for each number of servers."""
        counts = (1, 100) if run.quick else (1, 100, 1000, 5000)
        measured = {count: _with_servers(run, count, _latency) for count in counts}
        rows = [
            rounds.quantity("p50", "ms", Bar(1.0) if count == 1 else None).named(f"p50 with {count} servers")
            for count, rounds in measured.items()
        ]
        mixed = _with_servers(run, 100, _latency, our_kind="published")
        return [
            *rows,
            _growth(rows[0], rows[-1], counts[-1]),
            mixed.quantity("p50", "ms").named("p50 by ours with 100 published build servers"),
        ]


class AllocationRate:
    """Allocations for many clients at a time."""

    name = "alloc-rate"
    title = f"``alloc_job``, {_CLIENTS} clients"
    is_quick = True

    def measure(self, run: Run) -> list[Quantity]:
        """Allocations per second."""
        count = run.scaled(1000, 100)
        rounds, mixed = _with_servers(run, count, _rate), _with_servers(run, count, _rate, our_kind="published")
        return [
            rounds.quantity("allocations", "1/s", Bar(1.0, reached=True)).named(f"allocations with {count} servers"),
            rounds.quantity("CPU", "ms").named("CPU of the scheduler for one"),
            mixed.quantity("allocations", "1/s").named("allocations by ours with published build servers"),
            mixed.quantity("CPU", "ms").named("CPU of ours for one with published build servers"),
        ]


def _growth(first: Quantity, last: Quantity, count: int) -> Quantity:
    ours = tuple(many / few for few, many in zip(first.ours, last.ours, strict=True))
    return Quantity(f"growth of p50 to {count} servers", "times", (), ours, Bar(1.3, of_ours=True))


def _with_servers(
    run: Run, count: int, measure: Callable[[Side, Run], dict[str, float]], our_kind: str = "ours"
) -> Rounds:
    with both(run.other, with_servers=False) as sides, ExitStack() as servers:
        published, ours = sides
        present = sides if count <= _MOST_PUBLISHED or run.other.is_ours else (ours,)
        for side in present:
            kind = our_kind if side is ours or run.other.is_ours else "published"
            servers.enter_context(fake_servers(side.farm.scheduler_port, side.farm.server_key, count, kind))
        if len(present) == 1:
            published = ours
        rounds = by_turns(run.scaled(7, 4), published, ours, lambda side: measure(side, run))
        return rounds if len(present) == 2 else Rounds((), rounds.ours)


def _latency(side: Side, run: Run) -> dict[str, float]:
    def timed() -> float:
        began = time.perf_counter()
        side.client.alloc(TOOLCHAIN)
        return time.perf_counter() - began

    return {"p50": percentile([timed() for _ in range(run.scaled(100, 40))], 0.5) * 1000}


def _rate(side: Side, run: Run) -> dict[str, float]:
    count = run.scaled(1000, 200)
    with ThreadPoolExecutor(_CLIENTS) as clients, Stopwatch(side.meter) as watch:
        for _ in clients.map(lambda _: side.client.alloc(TOOLCHAIN), range(count)):
            pass
    return {"allocations": count / watch.wall, "CPU": watch.cpu / count * 1000}
