"""What a question about the farm costs: the API of a scheduler with thousands of build servers and all of its records.

The parts of the scheduler that answer run here, without its sockets: the time of each turn of the reactor can be seen
then.
"""

from collections.abc import Awaitable, Callable
from functools import partial
from ipaddress import IPv4Address
from typing import Any

from bench.quantities import Bar, Quantity
from bench.run import Run
from bench.slow_motion import SlowMotion, milliseconds, turns_of
from sccachedist.auth.clients import SharedClientToken
from sccachedist.budgets import Party
from sccachedist.config import QueueSettings, RecordSettings, WebSettings
from sccachedist.job_phases import JobPhase
from sccachedist.outcomes import Outcome, SentLocal
from sccachedist.scheduler.browsers import Browsers
from sccachedist.scheduler.core import SchedulerCore
from sccachedist.scheduler.departures import Departures
from sccachedist.scheduler.events import JobEnd, JobEnded
from sccachedist.scheduler.farm_readers import FarmReader, FarmReaders
from sccachedist.scheduler.farm_routes import FarmRoutes
from sccachedist.scheduler.farm_status import FarmStatus
from sccachedist.scheduler.farm_views import SPEED_SECS, FarmViews
from sccachedist.scheduler.job_records import JobRecords
from sccachedist.scheduler.job_tokens import JobTokens
from sccachedist.scheduler.notices import Notices
from sccachedist.scheduler.roles import Principal, Principals, Role
from sccachedist.scheduler.sessions import Sessions
from sccachedist.scheduler.sight import Sight
from sccachedist.scheduler.standings import Standings
from sccachedist.scheduler.term import Term, Terms
from sccachedist.web.responses import Response
from sccachedist.web.slices import Slices
from sccachedist.web.turns import Turns
from sccachedist.wire.addresses import ServerId
from sccachedist.wire.job_summary import JobSummary, packed
from sccachedist.wire.messages import Heartbeat, JobId

_SERVERS, _RUNNING, _RECORDS = 5000, 20_000, 20_000
_READER = FarmReader("10.1.0.1", Party("10.1.0.1"), Role.VIEWER, "viewer", Sight(names=True, reasons=True))
#: The questions, each with its query and whether it has a bar: a trace has megabytes, which are copied at once.
_QUESTIONS: tuple[tuple[str, dict[str, str], bool], ...] = (
    ("status", {}, True),
    ("servers", {}, True),
    ("jobs", {"limit": "100"}, True),
    ("jobs", {"output": "none"}, True),
    ("why", {"name": "77.o"}, True),
    ("clients", {}, True),
    ("toolchains", {}, True),
    ("usage", {"by": "compiler"}, True),
    ("trace", {"since": "10000"}, False),
)


class Questions:
    """The longest turn of the reactor during an answer."""

    name = "question"
    title = f"a question about {_SERVERS} build servers, {_RUNNING} jobs and {_RECORDS} records"
    is_quick = True

    def measure(self, run: Run) -> list[Quantity]:
        """Turns of ours alone: the published scheduler answers no questions."""
        rows = []
        clock = SlowMotion()
        routes = _routes(clock)
        for path, query, has_bar in _QUESTIONS:
            ask = partial(_answered, getattr(routes, f"farm_{path}"), query)
            rounds = [_turns(ask, clock) for _ in range(run.scaled(5, 3))]
            name = "?".join((path, *query))
            bar = Bar(5.0, of_ours=True) if has_bar else None
            rows.append(Quantity(f"longest turn of {name}", "ms", (), milliseconds(map(max, rounds)), bar))
            rows.append(Quantity(f"CPU of {name}", "ms", (), milliseconds(map(sum, rounds))))
        return rows


async def _answered(route: Callable[[FarmReader, dict[str, str]], Awaitable[Response]], query: dict[str, str]) -> None:
    """Ask, and read the answer: else it keeps its seat."""
    response = await route(_READER, query)
    assert response.taken is not None
    response.taken()


def _turns(ask: Callable[[], Awaitable[None]], clock: SlowMotion) -> list[float]:
    """The turns of a question that has not been asked for a while, so that nothing is shown again as it was."""
    clock.advance(SPEED_SECS + 1)
    return list(turns_of(ask, clock))


def _routes(clock: SlowMotion) -> FarmRoutes:
    core = SchedulerCore(JobId(2**62), most_unclaimed=_RUNNING)
    for number in range(_SERVERS):
        server = ServerId(IPv4Address(0x0A000000 + number), 10501)
        core.heartbeat(server, Heartbeat(b"key", 16, number, b"digest", b"certificate"), 0.0)
    for number in range(_RUNNING):
        core.reserve(0.0, toolchain=f"{number % 9:064}", client=_client(number))
    records = JobRecords(RecordSettings(keep=_RECORDS), 0.0, clock.seconds)
    for number in range(_RECORDS):
        records(_ended(number))
    servers: Any = None  # none is asked
    tokens = JobTokens(clock.seconds)
    terms = Terms(lambda: Term(core, servers, QueueSettings(), clock, tokens))
    views = FarmViews(terms, Slices(Turns(clock)), records)
    clients, nobody, browsers = SharedClientToken("token"), Principals(), Browsers(False, ())
    sessions = Sessions(b"", "", nobody, Principal(Role.CLIENT, ""))
    readers = FarmReaders(clients, nobody, sessions, browsers, WebSettings(), records.name_of, clock.seconds)
    notices = Notices(0.0, clock.seconds, records.name_of)
    status = FarmStatus(views, records, Departures(clock.seconds))
    return FarmRoutes(views, records, status, notices, readers, Standings({}))


def _client(number: int) -> Party:
    return Party(f"#0123456789abcdef@10.1.0.{number % 50}")


def _ended(number: int) -> JobEnded:
    is_home = number % 10 == 0
    outcome, reason = (Outcome.SENT_LOCAL, SentLocal.SANDBOX) if is_home else (Outcome.COMPILED, None)
    summary = packed(JobSummary(outcome, reason, output=f"obj/lib/a{number:06}.o", compiler="g++"))
    began = {JobPhase.RESERVED: 0.0, JobPhase.READY: 0.0, JobPhase.STARTED: 0.0}
    server = ServerId(IPv4Address(0x0A000000 + number % 100), 10501)
    toolchain = f"{number % 9:064}"
    how = JobEnd.COMPLETE
    return JobEnded(0.0, JobId(number), server, _client(number), toolchain, how, began, asked=0.0, summary=summary)
