"""What a scrape of a scheduler's metrics costs, in a farm of thousands of build servers.

The parts of the scheduler that make an exposition run here, without its sockets: the time of each turn of the reactor
can be seen then.
"""

from collections.abc import Awaitable, Callable
from typing import Any

from bench.quantities import Bar, Quantity
from bench.run import Run
from bench.slow_motion import SlowMotion, milliseconds, turns_of
from sccachedist.config import QueueSettings
from sccachedist.metrics.registry import Registry
from sccachedist.metrics.series import COLLECTION_SECONDS, SCHEDULER
from sccachedist.scheduler.core import SchedulerCore
from sccachedist.scheduler.event_counts import EventCounts
from sccachedist.scheduler.job_tokens import JobTokens
from sccachedist.scheduler.metrics import SchedulerMetrics
from sccachedist.scheduler.term import Term, Terms
from sccachedist.web.slices import Slices
from sccachedist.web.turns import Turns
from sccachedist.wire.addresses import ServerId
from sccachedist.wire.extension import Availability, Health, ServerReport
from sccachedist.wire.messages import Heartbeat, JobId

_SERVERS = 5000
_JOBS_EACH = 4


class Scrapes:
    """The longest turn of the reactor during a scrape."""

    name = "scrape"
    title = f"a scrape of a scheduler with {_SERVERS} build servers"
    is_quick = True

    def measure(self, run: Run) -> list[Quantity]:
        """Turns of ours alone: the published scheduler has no metrics."""
        clock = SlowMotion()
        metrics = _metrics(clock)
        scrapes: dict[str, Callable[[], Awaitable[Any]]] = {
            "/metrics": lambda: metrics.expose(""),
            "/metrics/servers": lambda: metrics.servers(gzip=False),
            "/metrics/servers, gzip": lambda: metrics.servers(gzip=True),
            "/metrics/targets": metrics.targets,
        }
        rows = []
        for name, scrape in scrapes.items():
            rounds = [list(turns_of(scrape, clock)) for _ in range(run.scaled(7, 5))]
            rows.append(
                Quantity(f"longest turn of {name}", "ms", (), milliseconds(map(max, rounds)), Bar(5.0, of_ours=True))
            )
            rows.append(Quantity(f"CPU of {name}", "ms", (), milliseconds(map(sum, rounds))))
        return rows


def _metrics(clock: SlowMotion) -> SchedulerMetrics:
    """The metrics of a scheduler with all these build servers, each with some jobs."""
    core, counts = SchedulerCore(JobId(1), most_per_address=_SERVERS), EventCounts()
    for number in range(_SERVERS):
        server = ServerId.parse(f"10.{number >> 16}.{number >> 8 & 255}.{number & 255}:10501")
        report = ServerReport(1, 60, Availability.OPEN, (), ("ab" * 32,), health=Health(), metrics_port=10502)
        core.heartbeat(server, Heartbeat(b"key", 16, number, b"digest", b"certificate"), 0.0, report)
    for _ in range(_SERVERS * _JOBS_EACH):
        core.reserve(0.0)
    tokens = JobTokens(lambda: 0.0)
    servers: Any = None  # none is asked
    terms = Terms(lambda: Term(core, servers, QueueSettings(), clock, tokens))
    registry = Registry(row for row in SCHEDULER if row.name == COLLECTION_SECONDS or "_scheduler_" in row.name)
    return SchedulerMetrics(registry, terms, counts, {}, Slices(Turns(clock)), clock.seconds)
