"""Requests that begin and never end: what they cost the scheduler and all other clients."""

import socket
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

from bench.meters import memory
from bench.quantities import Bar, Quantity, percentile
from bench.run import Run
from bench.sides import Side, both
from farmkit.processes import allow_most_descriptors

_HALF = b"POST /api/v1/scheduler/alloc_job HTTP/1.1\r\nHost: farm\r\nContent-Le"
_PER_ADDRESS = 200
_SETTLE_SECS = 1.0
_ASKED = 100


class StatusUnderSlowRequests:
    """The time of ``status`` while such requests are open."""

    name = "slow-status"
    title = "``status`` while 2,000 half-sent requests are open"
    is_quick = True

    def measure(self, run: Run) -> list[Quantity]:
        """Measure ours alone: the published scheduler stops answering at 17 such requests."""
        with both(run.other, with_servers=False) as (_, ours):
            times = tuple(_status_beside(ours, 2000) for _ in range(run.scaled(5, 3)))
        return [Quantity("p50", "ms", (), times, Bar(3.0, of_ours=True))]


class MemoryUnderSlowRequests:
    """The scheduler's memory while such requests are open."""

    name = "slow-memory"
    title = "the scheduler's memory while half-sent requests are open"
    is_quick = True

    def measure(self, run: Run) -> list[Quantity]:
        """PSS, with fresh daemons for each number of requests."""
        bars = {5000: 0.95} if run.quick else {5000: 0.95, 9000: 0.65}
        return [_memory_with(run, count, Bar(limit)) for count, limit in bars.items()]


def _memory_with(run: Run, count: int, bar: Bar) -> Quantity:
    values = []
    with both(run.other, with_servers=False) as sides:
        for side in sides:
            with half_sent(side, count):
                values.append(memory(side.meter).pss)
    return Quantity(f"PSS with {count} of them", "MB", (values[0],), (values[1],), bar)


def _status_beside(side: Side, count: int) -> float:
    with half_sent(side, count):
        return percentile([_timed_status(side) for _ in range(_ASKED)], 0.5) * 1000


def _timed_status(side: Side) -> float:
    began = time.perf_counter()
    side.client.status()
    return time.perf_counter() - began


@contextmanager
def half_sent(side: Side, count: int) -> Iterator[None]:
    """Open ``count`` requests and send half of each, on connections from many addresses."""
    allow_most_descriptors()
    with ExitStack() as connections:
        for n in range(count):
            source = (f"127.78.{n // _PER_ADDRESS}.2", 0)
            address = (side.farm.scheduler_host, side.farm.scheduler_port)
            connection = socket.create_connection(address, timeout=30, source_address=source)
            connections.callback(connection.close)
            connection.sendall(_HALF)
        time.sleep(_SETTLE_SECS)
        yield
