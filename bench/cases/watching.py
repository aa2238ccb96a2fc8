"""What it costs to see into a farm: metrics that are scraped each second, records, and a log line for each job.

Both sides are our own daemons: in the column of the published ones all of it is off, in ours it is on.
"""

import contextlib
import tempfile
import threading
import urllib.request
from collections.abc import Iterator
from pathlib import Path

from bench.cases.job_path import BYTES, latency, throughput
from bench.jobs import copying
from bench.quantities import Bar, Quantity, by_turns
from bench.run import Run
from bench.sides import UNCLAIMED, Role, Side, side
from farmkit.launch import OUR_SCHEDULER, OUR_SERVER
from farmkit.processes import free_port

_OFF = "[records]\nkeep = 0\n"
_ON = "[log]\njobs = true\n"
#: Seconds between two scrapes of one daemon: a monitoring system takes five to sixty.
_SCRAPE_SECS = 1.0


class Watching:
    """Small jobs, watched and unwatched."""

    name, title, is_quick = (
        "watching",
        "a job that copies 200 KB: nothing watched, everything watched (both ours)",
        False,
    )

    def measure(self, run: Run) -> list[Quantity]:
        """Times and CPU of jobs, one after the other and at full capacity."""
        work, rounds = copying(run.folder, BYTES), run.scaled(25, 3)
        with tempfile.TemporaryDirectory(prefix="bench-") as folder, _off(Path(folder)) as off, _on(Path(folder)) as on:
            for each in (off, on):
                each.client.first_compile(work.archive, work.toolchain, work.request, work.inputs)
            alone = by_turns(rounds, off, on, lambda each: latency(each, work, run.scaled(100, 25)))
            full = by_turns(rounds, off, on, lambda each: throughput(each, work, run.scaled(240, 60)))
        return [
            alone.quantity("p50", "ms", Bar(1.05)),
            alone.quantity("p99", "ms", Bar(1.05)),
            alone.quantity("CPU of daemons and children for a job", "ms", Bar(1.02)),
            full.quantity("CPU of daemons and children for a job", "ms", Bar(1.02)).named("the same at full capacity"),
        ]


@contextlib.contextmanager
def _off(folder: Path) -> Iterator[Side]:
    with side(Role("off", OUR_SCHEDULER, OUR_SERVER), folder, scheduler_settings=UNCLAIMED + _OFF) as farm:
        yield farm


@contextlib.contextmanager
def _on(folder: Path) -> Iterator[Side]:
    ports = free_port(), free_port()
    metrics = [f'[metrics]\naddress = "127.0.0.1:{port}"\n' for port in ports]
    role = Role("on", OUR_SCHEDULER, OUR_SERVER)
    with (
        side(role, folder, scheduler_settings=UNCLAIMED + _ON + metrics[0], server_settings=_ON + metrics[1]) as farm,
        _scraped(ports),
    ):
        yield farm


@contextlib.contextmanager
def _scraped(ports: tuple[int, ...]) -> Iterator[None]:
    """Read the metrics at these ports again and again."""
    ended = threading.Event()

    def scrape() -> None:
        while not ended.wait(_SCRAPE_SECS):
            for port in ports:
                with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=10) as answer:
                    answer.read()

    scraper = threading.Thread(target=scrape)
    scraper.start()
    try:
        yield
    finally:
        ended.set()
        scraper.join()
