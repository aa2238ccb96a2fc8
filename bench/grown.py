"""A scheduler's decisions in a farm of any size, without its sockets: what one allocation costs there.

All slots are taken and clients wait, so each job that ends gives its slot to the next one. Build servers say that they
live in between. The records and counts are kept, too.
"""

import time
from collections import deque
from collections.abc import Callable
from ipaddress import IPv4Address
from typing import Any

import attrs
from twisted.internet.base import DelayedCall
from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IReactorTime
from zope.interface import implementer

from sccachedist.budgets import Party
from sccachedist.config import QueueSettings, RecordSettings
from sccachedist.outcomes import SERVER_PHASES, Outcome
from sccachedist.policy import PlacementRule
from sccachedist.scheduler.core import Reservation, SchedulerCore
from sccachedist.scheduler.event_counts import EventCounts
from sccachedist.scheduler.job_records import JobRecords
from sccachedist.scheduler.job_tokens import JobTokens
from sccachedist.scheduler.term import Term
from sccachedist.wire.abilities import Abilities
from sccachedist.wire.addresses import ServerId
from sccachedist.wire.extension import Availability, Health, JobStates, ServerReport
from sccachedist.wire.job_summary import JobSummary, packed
from sccachedist.wire.machines import run_by
from sccachedist.wire.messages import (
    AllocJobSuccess,
    AssignJobResult,
    Heartbeat,
    JobId,
    JobState,
    Toolchain,
)

#: Heartbeats of build servers for each job that ends.
_HEARTBEATS = 2
#: Seconds from the end of one job to that of the next one.
_STEP_SECS = 0.01
_MACHINE = 62
_SUMMARY = packed(
    JobSummary(Outcome.COMPILED, phases_us=(10_000,) * len(SERVER_PHASES), output="obj/lib/a.o", compiler="g++")
)


@attrs.frozen
class Size:
    """How large a farm is.

    :param toolchains: how many different ones its build servers have, all together.
    :param waiting: how many clients wait.
    """

    servers: int
    toolchains: int
    waiting: int


@implementer(IReactorTime)
class _StillClock:
    """Time that the load moves on. What is called later is never called: no allocation here is late."""

    def __init__(self) -> None:
        self.now = 1000.0

    def seconds(self) -> float:
        return self.now

    def callLater(self, delay: float, callable: Callable[..., object], *args: object, **kw: object) -> DelayedCall:  # noqa: A002
        return DelayedCall(self.now + delay, callable, args, kw, lambda _: None, lambda _: None, self.seconds)

    def getDelayedCalls(self) -> list[Any]:  # noqa: N802
        return []


class _Willing:
    """Build servers that take every job."""

    async def assign(self, _reserved: Reservation, _token: str, _toolchain: Toolchain) -> AssignJobResult:
        return AssignJobResult(JobState.READY, need_toolchain=False)


@attrs.define
class _Server:
    server_id: ServerId
    heartbeat: Heartbeat
    number: int = 0
    jobs: dict[JobId, None] = attrs.field(factory=dict)

    def next_number(self) -> int:
        self.number += 1
        return self.number

    def report(self, toolchains: tuple[str, ...] = ()) -> ServerReport:
        """What a heartbeat says; at first, which toolchains there are."""
        return ServerReport(
            self.next_number(),
            60,
            Availability.OPEN,
            tuple((job_id, JobState.STARTED) for job_id in self.jobs),
            toolchains,
            since=0 if toolchains else 1,
            until=1,
            health=Health(),
            abilities=Abilities(machines=run_by(_MACHINE), built_for=(_MACHINE,) * len(toolchains)),
        )


class GrownFarm:
    """A full farm at work.

    :param rule: by which build servers are chosen.
    """

    def __init__(self, size: Size, rule: PlacementRule) -> None:
        self._clock, self._size = _StillClock(), size
        core = SchedulerCore(JobId(1))
        core.placement.rule = rule
        records = JobRecords(RecordSettings(), 0.0, self._clock.seconds)
        waiting = QueueSettings(max_wait_secs=10**6)
        clock: Any = self._clock
        tokens = JobTokens(self._clock.seconds)
        self._term = Term(core, _Willing(), waiting, clock, tokens, [records, EventCounts()])
        self._servers = [self._server(number) for number in range(size.servers)]
        self._by_id = {server.server_id: server for server in self._servers}
        for number, server in enumerate(self._servers):
            own = tuple(f"{each:064x}" for each in range(number, size.toolchains, size.servers))
            core.heartbeat(server.server_id, server.heartbeat, self._clock.now, server.report(own))
        self._running: deque[tuple[_Server, JobId]] = deque()
        self._beating: deque[_Server] = deque(self._servers)
        self._begun: list[tuple[_Server, JobId]] = []
        self._asked = 0
        while self._term.totals().waiting < size.waiting:
            self._ask()
            self._start()

    def seconds(self, jobs: int) -> float:
        """The CPU time of an allocation, with the end of a job and the heartbeats that come meanwhile."""
        began = time.thread_time()
        for _ in range(jobs):
            self._step()
        return (time.thread_time() - began) / jobs

    def _step(self) -> None:
        self._clock.now += _STEP_SECS
        server, job_id = self._running.popleft()
        del server.jobs[job_id]
        self._tell(server, job_id, JobState.COMPLETE, _SUMMARY)
        self._start()
        self._ask()
        for _ in range(_HEARTBEATS):
            beating = self._beating[0]
            self._beating.rotate(-1)
            self._term.heartbeat(beating.server_id, beating.heartbeat, beating.report())

    def _ask(self) -> None:
        """One more client asks: each has an address of its own, and one of the toolchains."""
        self._asked += 1
        number = self._asked % (2 * self._size.waiting)
        client = Party(f"#0123456789abcdef@{IPv4Address(0x0B000000 + number)}")
        toolchain = Toolchain(f"{self._asked * 7919 % self._size.toolchains:064x}")
        asked = Deferred.fromCoroutine(self._term.place(client, toolchain, self._clock.now))
        asked.addCallback(self._began)

    def _began(self, answer: object) -> None:
        assert isinstance(answer, AllocJobSuccess), answer
        self._begun.append((self._by_id[answer.job_alloc.server_id], answer.job_alloc.job_id))

    def _start(self) -> None:
        """Let the jobs start that have got a slot."""
        begun, self._begun = self._begun, []
        for server, job_id in begun:
            server.jobs[job_id] = None
            self._running.append((server, job_id))
            self._tell(server, job_id, JobState.STARTED)

    def _tell(self, server: _Server, job_id: JobId, state: JobState, summary: bytes = b"") -> None:
        nonce, number = server.heartbeat.server_nonce, server.next_number()
        summaries = ((job_id, summary),) if summary else ()
        self._term.job_states(server.server_id, JobStates(nonce, number, ((job_id, state),), summaries))

    @staticmethod
    def _server(number: int) -> _Server:
        certificate = b"certificate %d" % number
        heartbeat = Heartbeat(b"key", 1, number, b"digest of " + certificate, certificate)
        return _Server(ServerId(IPv4Address(0x0A000000 + number), 10501), heartbeat)


def measured(jobs: int, farm: GrownFarm) -> dict[str, float]:
    """The CPU of an allocation in microseconds."""
    return {"CPU": farm.seconds(jobs) * 1e6}
