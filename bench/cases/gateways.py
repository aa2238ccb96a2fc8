"""Small jobs through a gateway and its worker, and straight at a build server of ours: what the way costs."""

import contextlib
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from bench.jobs import Work, copying
from bench.meters import meter
from bench.quantities import Bar, Quantity, percentile
from bench.run import Run
from bench.sides import OURS, Side, side
from farmkit.gateway_farm import OUR_WORKER, GatewayFarm
from farmkit.launch import OUR_SCHEDULER, OUR_SERVER
from farmkit.load_client import LoadClient

#: What a job copies, by what the row calls it, each with the most milliseconds that the way may cost.
SIZES = {"100 KB": (100_000, 2.5), "1 MB": (1_000_000, 6.0)}


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
