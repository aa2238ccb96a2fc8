"""Gateways and runs that wait until a test answers: what a session talks to."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import attrs
from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.task import Clock

from sccachedist.budgets import Budget
from sccachedist.config import WorkerLimits
from sccachedist.errors import DiskError, PeerError
from sccachedist.policy import OnFailure
from sccachedist.wire.gateway import (
    WORKER_JOB,
    Welcome,
    WorkerAnswer,
    WorkerHello,
    WorkerJob,
    WorkerOrders,
    WorkerState,
    head,
)
from sccachedist.wire.messages import JobId
from sccachedist.worker.session import Desk, GatewaySession
from sccachedist.worker.slots import SlotBudget

WELCOME = Welcome("0" * 32, 5, 5, 20, 540)
TOOLCHAIN = "a" * 64


def job(ticket: int) -> WorkerJob:
    return WorkerJob(ticket, JobId(1000 + ticket), TOOLCHAIN, b"request", as_json=False, on_failure=OnFailure.VERIFY)


@attrs.define
class Poll:
    """One request for a job, which waits."""

    sink: Callable[[bytes], None]
    ends: Deferred[None]

    def give(self, given: WorkerJob, inputs: bytes = b"inputs") -> None:
        """Answer it with a job."""
        self.begin(given, inputs)
        self.end()

    def begin(self, given: WorkerJob, inputs: bytes) -> None:
        """Send a job and the beginning of its inputs."""
        self.sink(head(WORKER_JOB, given) + inputs)

    def end(self) -> None:
        """End the answer."""
        if not self.ends.called:
            self.ends.callback(None)


@attrs.define(eq=False)
class FakeGateway:
    """Takes the calls of a worker."""

    url: str = "https://10.0.0.1:1"
    hellos: list[Deferred[Welcome]] = attrs.field(factory=list)
    said: list[WorkerHello] = attrs.field(factory=list)
    states: list[WorkerState] = attrs.field(factory=list)
    listening: Deferred[WorkerOrders] = attrs.field(factory=Deferred)
    polls: dict[int, Poll] = attrs.field(factory=dict)
    answers: list[tuple[int, WorkerAnswer, bytes | None]] = attrs.field(factory=list)
    with_answers: list[int] = attrs.field(factory=list)
    withdrawn: list[int] = attrs.field(factory=list)
    hold_answers: bool = False
    held: list[Deferred[bool]] = attrs.field(factory=list)
    lost_answers: bool = False
    broken_disk: bool = False
    left: int = 0
    closed: int = 0

    async def hello(self, hello: WorkerHello) -> Welcome:
        self.said.append(hello)
        self.hellos.append(Deferred())
        return await self.hellos[-1]

    async def orders(self, session: str, state: WorkerState, idle: float) -> WorkerOrders:
        assert (session, idle) == (WELCOME.session, 10)
        self.states.append(state)
        self.listening = Deferred()
        return await self.listening

    async def next(self, session: str, place: int, sink: Callable[[bytes], None], idle: float) -> None:
        assert session == WELCOME.session
        assert idle > WELCOME.poll_secs
        poll = self.polls[place] = Poll(sink, Deferred())
        try:
            await poll.ends
        finally:
            del self.polls[place]

    async def withdraw(self, session: str, place: int) -> None:
        self.withdrawn.append(place)

    async def leave(self, session: str) -> None:
        self.left += 1

    async def answer(self, session: str, ticket: int, answer: WorkerAnswer, result: Path | None) -> bool:
        self.answers.append((ticket, answer, None if result is None else result.read_bytes()))
        if self.lost_answers:
            raise PeerError("it has gone")
        if self.broken_disk and result is not None:
            raise DiskError("it cannot be read")
        if self.hold_answers:
            self.held.append(Deferred())
            return await self.held[-1]
        return True

    async def answer_and_next(
        self,
        session: str,
        ticket: int,
        place: int,
        answer: WorkerAnswer,
        result: Path | None,
        taken: Callable[[bool], None],
        sink: Callable[[bytes], None],
    ) -> None:
        taken(await self.answer(session, ticket, answer, result))
        self.with_answers.append(place)
        await self.next(session, place, sink, 2 * WELCOME.poll_secs)

    async def close(self) -> None:
        self.closed += 1

    def only_poll(self) -> Poll:
        """The one that waits."""
        (poll,) = self.polls.values()
        return poll


@attrs.define(eq=False)
class FakeRuns:
    """Runs that last until a test ends them."""

    result: bytes = b"result"
    running: dict[int, Deferred[Any]] = attrs.field(factory=dict)
    inputs: dict[int, bytes] = attrs.field(factory=dict)
    killed: list[int] = attrs.field(factory=list)

    async def run(self, given: WorkerJob, inputs: Path) -> Any:
        self.inputs[given.ticket] = inputs.read_bytes()
        self.running[given.ticket] = Deferred()
        try:
            answer = await self.running[given.ticket]
        except CancelledError:
            self.killed.append(given.ticket)
            raise
        finally:
            del self.running[given.ticket]
        inputs.write_bytes(self.result)
        return answer


@attrs.define(eq=False)
class Bench:
    """A worker's desk, with sessions that have begun."""

    folder: Path
    slots: int = 1
    limits: WorkerLimits = attrs.field(factory=WorkerLimits)
    clock: Clock = attrs.field(factory=Clock)
    runs: FakeRuns = attrs.field(factory=FakeRuns)
    counted: list[str] = attrs.field(factory=list)
    trusted: list[tuple[str, bytes]] = attrs.field(factory=list)
    desk: Desk = attrs.field(init=False)
    sessions: "list[Deferred[None]]" = attrs.field(factory=list, init=False)

    def __attrs_post_init__(self) -> None:
        runs: Any = self.runs
        self.desk = Desk(
            SlotBudget(self.slots),
            runs,
            self.folder / "spool",
            lambda: self.limits,
            Budget("spool_bytes", self.limits.spool_bytes),
            lambda: WorkerState(self.slots, self.desk.slots.offered, ()),
            lambda gateway, pem: self.trusted.append((gateway, pem)),
            self.counted.append,
            self.clock,
        )

    def session(self, gateway: FakeGateway) -> "Deferred[None]":
        """Begin a session; fires when it ends."""
        calls: Any = gateway
        self.sessions.append(Deferred.fromCoroutine(GatewaySession(calls, WELCOME, self.desk).run()))
        return self.sessions[-1]

    def end(self) -> None:
        """End the sessions: what they await must not be left to the end of the interpreter, which has no order."""
        for session in self.sessions:
            session.addErrback(lambda failure: None)
            session.cancel()

    @property
    def spooled(self) -> list[str]:
        """The files of jobs that are there."""
        spool = self.folder / "spool"
        return [path.name for path in spool.iterdir()] if spool.exists() else []
