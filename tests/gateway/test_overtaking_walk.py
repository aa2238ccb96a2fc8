"""hypothesis walks a gateway and its workers, both real, over a network that is none.

Messages overtake each other there, break off, and are sent once more by those who had no answer. Whatever happens, as
soon as messages come through again, a job whose client has gone is gone from its worker within :data:`CALM_SECS`, and
no job of a client that waits is forgotten.
"""

import tempfile
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import attrs
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, precondition, rule
from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.task import deferLater

from sccachedist.errors import PeerError, SccachedistError
from sccachedist.gateway.known import GRACE_SECS, PING_SECS
from sccachedist.gateway.worker_sessions import HOLD_SECS, POLL_SECS, GivenJob
from sccachedist.wire.gateway import (
    WORKER_JOB,
    Built,
    Welcome,
    WorkerAnswer,
    WorkerHello,
    WorkerOrders,
    WorkerState,
    head,
)
from sccachedist.wire.usage import NO_USAGE
from sccachedist.worker.session import GatewaySession
from tests.gateway.gateways import TOKEN, Gateway
from tests.worker.gateways import Bench

WORKERS, SLOTS = 2, 2
CALM_SECS = 2.0
#: In which a worker and its gateway know again what became of every job.
KNOWN_SECS = PING_SECS + GRACE_SECS + CALM_SECS
STEP_SECS = 0.1
#: How long a job may run: longer than any walk. A real worker ends a job that takes too long before its gateway does;
#: these ones do not.
JOB_SECS = 100_000
BUILT = Built(NO_USAGE)


class Closed(Exception):
    """A connection was closed before there was an answer."""


@attrs.define(eq=False)
class Network:
    """Messages on their way: each waits until a test lets it through, or breaks its connection."""

    on_their_way: list[Deferred[None]] = attrs.field(factory=list)

    async def travel(self) -> None:
        """Go one way."""
        message: Deferred[None] = Deferred()
        self.on_their_way.append(message)
        try:
            await message
        finally:
            if message in self.on_their_way:
                self.on_their_way.remove(message)

    def end(self, number: int, *, is_lost: bool = False) -> None:
        """Let a message through, or lose it."""
        message = self.on_their_way.pop(number % len(self.on_their_way))
        if is_lost:
            message.errback(Closed())
        else:
            message.callback(None)


@attrs.define(eq=False)
class Calls:
    """The calls of one worker."""

    gateway: Gateway
    network: Network
    url: str

    async def _over(self, call: Callable[[], Awaitable[Any]], take: Callable[[Any], Awaitable[Any]]) -> Any:
        """Make a call, and once more if its connection closes before the answer begins, as over a kept one."""
        for is_last in (False, True):
            try:
                await self.network.travel()
                try:
                    answer = await call()
                except SccachedistError as error:
                    await self.network.travel()
                    raise PeerError(str(error)) from error
                return await take(answer)
            except Closed as error:
                if is_last:
                    raise PeerError("closed") from error
        raise AssertionError

    async def _back(self, answer: Any) -> Any:
        await self.network.travel()
        return answer

    async def hello(self, hello: WorkerHello) -> Welcome:
        async def welcome() -> Welcome:
            return self.gateway.sessions.welcome(self.gateway.sessions.tokens.identify(TOKEN), hello)

        said: Welcome = await self._over(welcome, self._back)
        return said

    async def orders(self, session: str, state: WorkerState, _idle: float) -> WorkerOrders:
        said: WorkerOrders = await self._over(lambda: self.gateway.sessions.orders(session, state), self._back)
        return said

    async def next(
        self, session: str, place: int, sink: Callable[[bytes], None], _idle: float, secs: float = POLL_SECS
    ) -> None:
        async def take(given: GivenJob | None) -> None:
            if given is None:
                await self.network.travel()
                return
            try:
                await self.network.travel()
            except (Closed, CancelledError):
                if given.job.ticket % 2:  # else the gateway never hears that it did not get through
                    given.sent(ConnectionError())
                raise
            sink(head(WORKER_JOB, given.job))
            try:
                await self.network.travel()
            except Closed as error:
                raise PeerError("it breaks off") from error
            sink(b"inputs")

        await self._over(lambda: self.gateway.sessions.next_job(session, place, secs), take)

    async def withdraw(self, session: str, place: int) -> None:
        async def withdraw() -> None:
            self.gateway.sessions.withdraw(session, place)

        await self._over(withdraw, self._back)

    async def answer(self, session: str, ticket: int, answer: WorkerAnswer, result: Path | None) -> bool:
        octets = None if result is None else result.read_bytes()

        async def bring() -> bool:
            return self.gateway.sessions.answer(session, ticket, answer, octets)

        counts: bool = await self._over(bring, self._back)
        return counts

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
        await self.next(session, place, sink, 0, HOLD_SECS)


class Walk(RuleBasedStateMachine):
    """Clients come and go, jobs end, and messages take their time."""

    def __init__(self) -> None:
        super().__init__()
        self.folder = tempfile.TemporaryDirectory()
        self.gateway, self.network = Gateway(Path(self.folder.name)), Network()
        self.gateway.sessions.dispatch.job_secs = JOB_SECS
        self.clock = self.gateway.clock
        self.clients: list[Deferred[None]] = []
        self.jobs = 0
        self.benches = [
            Bench(Path(self.folder.name, str(number)), SLOTS, clock=self.clock) for number in range(WORKERS)
        ]
        self.lives = [
            Deferred.fromCoroutine(self.live(number, bench)) for number, bench in enumerate(self.benches, start=1)
        ]
        self.calm(CALM_SECS)

    async def live(self, number: int, bench: Bench) -> None:
        """Dial as a worker does."""
        calls: Any = Calls(self.gateway, self.network, f"https://10.0.0.{number}:1")
        hello = WorkerHello(f"worker {number}", number, SLOTS, SLOTS, (), (), "1")
        while True:
            try:
                await GatewaySession(calls, await calls.hello(hello), bench.desk).run()
            except PeerError:
                await deferLater(self.clock, STEP_SECS)

    def calm(self, seconds: float) -> None:
        """Let every message through at once for a while."""
        for _ in range(round(seconds / STEP_SECS)):
            for _ in range(1000):
                if not self.network.on_their_way:
                    break
                self.network.end(0)
            assert not self.network.on_their_way, "messages without end"
            self.clock.advance(STEP_SECS)
            self.gateway.sessions.look()

    @property
    def running(self) -> list[int]:
        """The tickets of what workers run."""
        return sorted(ticket for bench in self.benches for ticket in bench.runs.running)

    @property
    def wanted(self) -> list[int]:
        """The tickets of what they should run."""
        known = self.gateway.sessions.dispatch._workers.values()
        return sorted(ticket for worker in known for ticket in worker.running)

    @rule()
    def a_client_comes(self) -> None:
        self.jobs += 1
        self.clients.append(self.gateway.run(self.gateway.job(self.jobs)).addErrback(lambda _: None))

    @precondition(lambda self: self.clients)
    @rule(which=st.integers(0, 9))
    def a_client_goes(self, which: int) -> None:
        self.clients.pop(which % len(self.clients)).cancel()

    @precondition(lambda self: self.network.on_their_way)
    @rule(which=st.integers(0, 9))
    def a_message_gets_through(self, which: int) -> None:
        self.network.end(which)

    @precondition(lambda self: self.network.on_their_way)
    @rule(which=st.integers(0, 9))
    def a_connection_breaks(self, which: int) -> None:
        self.network.end(which, is_lost=True)

    @precondition(lambda self: self.running)
    @rule(which=st.integers(0, 9))
    def a_job_has_run(self, which: int) -> None:
        ticket = self.running[which % len(self.running)]
        (runs,) = [bench.runs for bench in self.benches if ticket in bench.runs.running]
        runs.running[ticket].callback(BUILT)

    @rule(seconds=st.sampled_from([0.1, 0.6, 1.5, 6]))
    def time_goes_by(self, seconds: float) -> None:
        self.clock.advance(seconds)
        self.gateway.sessions.look()

    @rule()
    def the_network_is_calm(self) -> None:
        self.calm(CALM_SECS)
        assert set(self.running) <= set(self.wanted), "the job of a client that has gone"

    @rule()
    def the_network_is_calm_for_long(self) -> None:
        self.calm(KNOWN_SECS)
        assert self.running == self.wanted
        waiting, waits = self.gateway.sessions.dispatch.waiting, [each for each in self.clients if not each.called]
        assert len(waits) == waiting + len(self.running)
        assert not waiting or len(self.running) == WORKERS * SLOTS

    def teardown(self) -> None:
        try:
            self.the_network_is_calm_for_long()
        finally:
            for each in (*self.clients, *self.lives):
                each.addErrback(lambda _: None)
                each.cancel()
            self.folder.cleanup()


def test_a_long_job() -> None:
    """Its worker has it until it has run."""
    walk = Walk()
    try:
        walk.a_client_comes()
        for _ in range(10):
            walk.the_network_is_calm_for_long()
        assert walk.running == walk.wanted == [1]
    finally:
        walk.teardown()


TestWalk = Walk.TestCase
TestWalk.settings = settings(max_examples=30, stateful_step_count=40, deadline=None)
