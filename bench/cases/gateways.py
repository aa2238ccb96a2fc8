"""Small jobs through a gateway: what the way costs, and how many go through one."""

import contextlib
import tempfile
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from bench.jobs import Work, copying
from bench.meters import Stopwatch, meter
from bench.quantities import Bar, Quantity, percentile
from bench.run import Run
from bench.sides import OURS, Side, side
from farmkit.fake_worker import launch_fake_worker
from farmkit.gateway_farm import OUR_WORKER, GatewayFarm
from farmkit.launch import OUR_SCHEDULER, OUR_SERVER
from farmkit.load_client import LoadClient

#: What a job copies, by what the row calls it, each with the most milliseconds that the way may cost.
SIZES = {"100 KB": (100_000, 2.5), "1 MB": (1_000_000, 6.0)}
#: Places of the worker that answers at once, and clients at a time.
_PLACES, _CLIENTS = 64, 8
#: Bytes of its jobs' inputs.
_SMALL = 100


class GatewayLatency:
    """Jobs one after the other, by turns on either way. The first side is ours without a gateway, not the published."""

    name = "gateway-latency"
    title = "a job through a gateway (right) and straight at a build server of ours (left)"
    is_quick = False

    def measure(self, run: Run) -> list[Quantity]:
        """The median of jobs on either way, and what the gateway's takes more."""
        rows = []
        with tempfile.TemporaryDirectory(prefix="bench-") as folder, _both_ways(Path(folder)) as (straight, through):
            for name, (size, most) in SIZES.items():
                work = copying(run.folder, size)
                for each in (straight, through):
                    each.client.first_compile(work.archive, work.toolchain, work.request, work.inputs)
                rounds = [_median(straight, through, work, run.scaled(100, 25)) for _ in range(run.scaled(9, 3))]
                more = tuple(after - before for before, after in rounds)
                rows += [
                    Quantity(
                        f"{name}: p50", "ms", tuple(before for before, _ in rounds), tuple(after for _, after in rounds)
                    ),
                    Quantity(f"{name}: more", "ms", (0.0,) * len(more), more, Bar(most, of_ours=True)),
                ]
        return rows


@contextlib.contextmanager
def _both_ways(folder: Path) -> Iterator[tuple[Side, Side]]:
    """A farm with a build server, and one with a gateway and a worker."""
    (folder / "gateway").mkdir()
    with side(OURS, folder) as straight, meter() as counted:
        scheduler, server, worker = map(counted.metered, (OUR_SCHEDULER, OUR_SERVER, OUR_WORKER))
        with GatewayFarm(folder / "gateway", scheduler, server, launch_worker=worker) as farm:
            yield straight, Side("gateway", farm, LoadClient.of(farm), counted)


def _median(straight: Side, through: Side, work: Work, jobs: int) -> tuple[float, float]:
    """The medians of jobs on both ways, in milliseconds, taken by turns."""
    seconds: dict[str, list[float]] = {straight.name: [], through.name: []}
    for _ in range(jobs):
        for each in (straight, through):
            began = time.perf_counter()
            each.client.compile(work.toolchain, work.request, work.inputs)
            seconds[each.name].append(time.perf_counter() - began)
    before, after = (percentile(seconds[each.name], 0.5) * 1000 for each in (straight, through))
    return before, after


class GatewayThroughput:
    """As many jobs as one gateway passes on, with a worker that answers at once. Nothing is compared."""

    name = "gateway-throughput"
    title = "small jobs through one gateway, whose worker answers at once"
    is_quick = False

    def measure(self, run: Run) -> list[Quantity]:
        """Jobs per second, and the CPU of the gateway for one; the allocations come before and do not count."""
        work = copying(run.folder, _SMALL)
        with _answered_at_once() as through:
            rounds = [_pushed(through, work, run.scaled(10, 5)) for _ in range(run.scaled(9, 3))]
        rates, costs, loads = zip(*rounds, strict=True)
        return [
            Quantity("jobs per second", "1/s", (), rates, Bar(300, reached=True, of_ours=True)),
            Quantity("CPU of the gateway for a job", "ms", (), costs),
            Quantity("CPU of the load for a job", "ms", (), loads),
        ]


@contextlib.contextmanager
def _answered_at_once() -> Iterator[Side]:
    """A farm with a gateway that alone is metered."""
    with tempfile.TemporaryDirectory(prefix="bench-") as folder, meter() as counted:
        farm = GatewayFarm(
            Path(folder),
            OUR_SCHEDULER,
            counted.metered(OUR_SERVER),
            worker_settings=f"[capacity]\ncpus = {_PLACES}\n",
            launch_worker=launch_fake_worker,
        )
        with farm:
            yield Side("gateway", farm, LoadClient.of(farm), counted)


def _pushed(through: Side, work: Work, batches: int) -> tuple[float, float, float]:
    """Jobs per second, and milliseconds of CPU of the gateway and of the load for a job."""
    client, wall, cpu, own = through.client, 0.0, 0.0, 0.0
    client.first_compile(work.archive, work.toolchain, work.request, work.inputs)
    with ThreadPoolExecutor(_CLIENTS) as clients:
        for _ in range(batches):
            allocated = [client.alloc(work.toolchain) for _ in range(_PLACES)]
            with Stopwatch(through.meter) as watch:
                for _ in clients.map(lambda each: client.run(each, work.request, work.inputs), allocated):
                    pass
            wall, cpu, own = wall + watch.wall, cpu + watch.cpu, own + watch.own
    jobs = batches * _PLACES
    return jobs / wall, cpu / jobs * 1000, own / jobs * 1000
