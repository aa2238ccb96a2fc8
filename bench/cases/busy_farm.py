"""A scheduler at full load: very many build servers, on which as many jobs begin as end."""

import contextlib
import time
from collections.abc import Callable, Iterator

import attrs

from bench.quantities import percentile
from bench.sides import Side
from farmkit.fake_fleet import BUSY_SECS, JOB_HEARTBEATS, TOOLCHAIN, fake_servers
from sccachedist.wire.messages import JobAlloc

SERVERS = 1000
#: Allocations in a second. As many jobs begin and end.
_JOBS_PER_SEC = 150
#: Seconds until as many jobs end as begin.
_FILLING_SECS = (JOB_HEARTBEATS + 2) * BUSY_SECS


@attrs.frozen
class Load:
    """What keeps a farm at work.

    :param _run: lets a job run.
    """

    side: Side
    _run: Callable[[JobAlloc], None]

    def times(self, seconds: float) -> dict[str, float]:
        """The times of allocations, in milliseconds, of so many seconds in which each job begins."""
        taken, due = [], time.perf_counter()
        for _ in range(round(seconds * _JOBS_PER_SEC)):
            time.sleep(max(0.0, due - time.perf_counter()))
            began = time.perf_counter()
            allocated = self.side.client.alloc(TOOLCHAIN)
            taken.append(time.perf_counter() - began)
            self._run(allocated.job_alloc)
            due += 1 / _JOBS_PER_SEC
        return {"p50": percentile(taken, 0.5) * 1000, "p99": percentile(taken, 0.99) * 1000}


@contextlib.contextmanager
def at_work(side: Side) -> Iterator[Load]:
    """Give a scheduler its build servers, and wait until as many jobs end as begin."""
    with fake_servers(side.farm.scheduler_port, side.farm.server_key, SERVERS, "busy") as take:
        load = Load(side, take)
        load.times(_FILLING_SECS)
        yield load
