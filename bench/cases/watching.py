"""What it costs to see into a farm: metrics and its status, read now and then, records, and a log line for each job.

Both sides are our own daemons: in the column of the published ones all of it is off, in ours it is on.
"""

import contextlib
import multiprocessing
import tempfile
import urllib.request
from collections.abc import Callable, Iterator, Sequence
from multiprocessing.synchronize import Event
from pathlib import Path

from bench.cases.busy_farm import SERVERS, at_work
from bench.cases.job_path import BYTES, latency, throughput
from bench.jobs import copying
from bench.load import compiled
from bench.quantities import Bar, Quantity, Rounds, by_turns
from bench.run import Run
from bench.sides import UNCLAIMED, Role, Side, side
from farmkit.launch import OUR_SCHEDULER, OUR_SERVER
from farmkit.processes import free_port

_OFF = "[records]\nkeep = 0\n"
_TOKEN = "a monitoring system's"
#: Seconds between two readings: a monitoring system takes five to sixty, 15 as a rule.
_READ_SECS = 5.0


class Watching:
    """Small jobs and allocations, watched and unwatched."""

    name, title, is_quick = "watching", "nothing watched, everything watched (both ours)", False

    def measure(self, run: Run) -> list[Quantity]:
        """Times and CPU of jobs that copy 200 KB, one after the other and at full capacity; times of allocations."""
        work, program, rounds = copying(run.folder, BYTES), compiled(run.folder), run.scaled(25, 3)

        def compile_first(each: Side) -> None:
            each.client.first_compile(work.archive, work.toolchain, work.request, work.inputs)

        with _both(compile_first) as (off, on):
            alone = by_turns(rounds, off, on, lambda each: latency(each, work, run.scaled(100, 25), program))
            full = by_turns(rounds, off, on, lambda each: throughput(each, work, run.scaled(240, 60), program))
        allocated = _allocations(run)
        return [
            alone.quantity("p50", "ms", Bar(1.05)).named("p50 of a job"),
            alone.quantity("CPU of daemons and children for a job", "ms", Bar(1.02)),
            full.quantity("CPU of daemons and children for a job", "ms", Bar(1.02)).named("the same at full capacity"),
            allocated.quantity("p50", "ms", Bar(1.05)).named(f"p50 of ``alloc_job`` with {SERVERS} busy servers"),
            allocated.quantity("p99", "ms", Bar(1.05)).named(f"p99 of ``alloc_job`` with {SERVERS} busy servers"),
        ]


def _allocations(run: Run) -> Rounds:
    """Times of allocations of two schedulers at work."""
    seconds = run.scaled(10, 2)
    with _both(with_servers=False) as (off, on), at_work(off) as unwatched, at_work(on) as watched:
        return by_turns(run.scaled(15, 3), unwatched, watched, lambda load: load.times(seconds))


@contextlib.contextmanager
def _both(
    prepare: Callable[[Side], None] = lambda _: None, *, with_servers: bool = True
) -> Iterator[tuple[Side, Side]]:
    """Run both farms; that of which all is watched is being read meanwhile."""
    ports = free_port(), free_port()
    metrics = [f'[log]\njobs = true\n[metrics]\naddress = "127.0.0.1:{port}"\n' for port in ports]
    on_role, off_role = (Role(name, OUR_SCHEDULER, OUR_SERVER) for name in ("on", "off"))
    with tempfile.TemporaryDirectory(prefix="bench-") as place, contextlib.ExitStack() as held:
        folder = Path(place)
        off = held.enter_context(side(off_role, folder, with_server=with_servers, scheduler_settings=UNCLAIMED + _OFF))
        on = held.enter_context(
            side(
                on_role,
                folder,
                with_server=with_servers,
                scheduler_settings=f'{UNCLAIMED}{metrics[0]}token = "{_TOKEN}"\n[records]\nfile = "{folder}/records"\n',
                server_settings=metrics[1],
            )
        )
        for each in (off, on):
            prepare(each)
        base = on.farm.scheduler_url
        held.enter_context(
            _read(
                *(f"http://127.0.0.1:{port}/metrics" for port in ports[: 2 if with_servers else 1]),
                f"{base}/metrics/servers",
                f"{base}/api/v1/farm/status",
                token=on.farm.client_token,
            )
        )
        yield off, on


@contextlib.contextmanager
def _read(*urls: str, token: str) -> Iterator[None]:
    """Read these addresses again and again, in a process of its own: the load is not to wait for it."""
    context = multiprocessing.get_context("spawn")
    ended = context.Event()
    reader = context.Process(target=_read_until, args=(ended, urls, token))
    reader.start()
    try:
        yield
    finally:
        ended.set()
        reader.join()
    if reader.exitcode:
        raise RuntimeError("what is watched could not be read")


def _read_until(ended: Event, urls: Sequence[str], token: str) -> None:
    while not ended.wait(_READ_SECS):
        for url in urls:
            shown = _TOKEN if url.endswith("/servers") else token
            header = {"Authorization": f"Bearer {shown}"}
            asked = urllib.request.Request(url, headers=header)  # noqa: S310 - our own daemons' addresses
            with urllib.request.urlopen(asked, timeout=10) as answer:  # noqa: S310
                answer.read()
