"""What a scrape of a scheduler's metrics costs, in a farm of thousands of build servers.

The parts of the scheduler that make an exposition run here, without its sockets: the time of each turn of the reactor
can be seen then.
"""

import time
from collections.abc import Awaitable, Callable, Iterator, Sequence
from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.task import Clock

from bench.quantities import Bar, Quantity
from bench.run import Run
from sccachedist.config import QueueSettings
from sccachedist.metrics.registry import Registry
from sccachedist.metrics.series import COLLECTION_SECONDS, SCHEDULER
from sccachedist.scheduler.core import SchedulerCore
from sccachedist.scheduler.event_counts import EventCounts
from sccachedist.scheduler.job_tokens import JobTokens
from sccachedist.scheduler.metrics import SchedulerMetrics
from sccachedist.scheduler.term import Term, Terms
from sccachedist.wire.addresses import ServerId
from sccachedist.wire.extension import Availability, Health, ServerReport
from sccachedist.wire.messages import Heartbeat, JobId

_SERVERS = 5000
_JOBS_EACH = 4


class _Reactor(Clock):
    """What is called later is called in a later turn, as by a real reactor."""

    def turn(self) -> float:
        """Make one turn; returns its CPU seconds."""
        due: Sequence[Any] = self.getDelayedCalls()
        began = time.thread_time()
        self.calls = []
        for call in due:
            call.func(*call.args, **call.kw)
        return time.thread_time() - began


class Scrapes:
    """The longest turn of the reactor during a scrape."""

    name = "scrape"
    title = f"a scrape of a scheduler with {_SERVERS} build servers"
    is_quick = True

    def measure(self, run: Run) -> list[Quantity]:
        """Turns of ours alone: the published scheduler has no metrics."""
        clock = _Reactor()
        metrics = _metrics(clock)
        scrapes: dict[str, Callable[[], Awaitable[Any]]] = {
            "/metrics": lambda: metrics.expose(""),
            "/metrics/servers": lambda: metrics.servers(gzip=False),
            "/metrics/servers, gzip": lambda: metrics.servers(gzip=True),
            "/metrics/targets": metrics.targets,
        }
        rows = []
        for name, scrape in scrapes.items():
            rounds = [list(_turns(scrape, clock)) for _ in range(run.scaled(7, 5))]
            rows.append(Quantity(f"longest turn of {name}", "ms", (), _ms(map(max, rounds)), Bar(5.0, of_ours=True)))
            rows.append(Quantity(f"CPU of {name}", "ms", (), _ms(map(sum, rounds))))
        return rows


def _ms(seconds: Iterator[float]) -> tuple[float, ...]:
    return tuple(1000 * each for each in seconds)


def _turns(scrape: Callable[[], Awaitable[Any]], clock: _Reactor) -> Iterator[float]:
    """The CPU seconds of each turn of the reactor, from the request to the body of the response."""
    done: list[Any] = []
    began = time.thread_time()
    Deferred.fromCoroutine(scrape()).addCallback(done.append)  # type: ignore[arg-type]
    yield time.thread_time() - began
    while not done:
        yield clock.turn()


def _metrics(clock: _Reactor) -> SchedulerMetrics:
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
    return SchedulerMetrics(registry, terms, counts, {}, clock, 0.0)
