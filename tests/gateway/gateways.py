"""A gateway in memory, and workers that speak to it in bytes."""

from pathlib import Path
from typing import Any

import attrs
from twisted.internet.defer import Deferred
from twisted.internet.task import Clock

from farmkit.fakes import FakeWatch
from farmkit.memory_http import OCTETS, Answer, Browser, Connection, bearer, request
from sccachedist.auth.workers import WorkerTokens
from sccachedist.budgets import Budget
from sccachedist.builders.interface import BuildJob
from sccachedist.config import ServerLimits
from sccachedist.gateway.remote_builder import RemoteBuilder
from sccachedist.gateway.routes import ROOT, GatewayRoutes
from sccachedist.gateway.worker_sessions import WorkerSessions
from sccachedist.policy import OnFailure
from sccachedist.web.request import Site
from sccachedist.web.router import Mounted
from sccachedist.wire.archive_id import ArchiveId
from sccachedist.wire.bincode import encode
from sccachedist.wire.gateway import (
    MOST_TAKEN,
    TAKEN,
    WELCOME,
    WORKER_ANSWER,
    WORKER_HELLO,
    WORKER_JOB,
    WORKER_ORDERS,
    WORKER_STATE,
    HeadReader,
    Taken,
    Welcome,
    WorkerAnswer,
    WorkerHello,
    WorkerJob,
    WorkerOrders,
    WorkerState,
    head,
)
from sccachedist.wire.messages import JobId
from tests.toolchains.stocks import GCC, Stock

TOKEN, OTHER_TOKEN = "a worker's", "another worker's"
LIMITS = ServerLimits(job_secs=60, message_bytes=2000, outputs_bytes=1000, stdio_bytes=0)
INPUTS = b"inputs" * 20_000


@attrs.define
class Gateway:
    """A gateway, its files and its workers' tokens."""

    directory: Path
    clock: Clock = attrs.field(factory=Clock)
    certificate: bytes = b"PEM 1"
    changes: int = 0
    memory: Budget = attrs.field(factory=lambda: Budget("buffered_bytes", 1 << 20))
    stock: Stock = attrs.field(init=False)
    sessions: WorkerSessions = attrs.field(init=False)
    builder: RemoteBuilder = attrs.field(init=False)
    browser: Browser = attrs.field(init=False)
    watch: FakeWatch = attrs.field(factory=FakeWatch)

    def __attrs_post_init__(self) -> None:
        self.stock = Stock(self.directory, clock=self.clock)
        tokens = WorkerTokens((TOKEN, OTHER_TOKEN))
        self.sessions = WorkerSessions(tokens, LIMITS.job_secs, lambda: self.certificate, self._change, self.clock)
        self.builder = RemoteBuilder(self.sessions, OnFailure.VERIFY, self.stock.toolchains.machine_of)
        self.builder.machines.looked = self._look
        routes = GatewayRoutes(self.sessions, self.stock.toolchains, lambda: LIMITS, self.memory)
        self.browser = Browser(Site(Mounted(routes), self.clock, LIMITS), self.clock)

    def _look(self, toolchain: ArchiveId, machine: int) -> None:
        self.stock.toolchains.looked_at(toolchain, machine)

    def _change(self) -> None:
        self.changes += 1

    @property
    def spool(self) -> Path:
        return self.directory / "spool"

    @property
    def spooled(self) -> list[Path]:
        return list(self.spool.iterdir())

    def job(self, number: int = 1, *, as_json: bool = False) -> BuildJob:
        self.spool.mkdir(mode=0o700, exist_ok=True)
        inputs = self.spool / f"{number}.inputs"
        inputs.write_bytes(INPUTS)
        return BuildJob(
            job_id=JobId(number),
            toolchain=GCC,
            archive=self.directory / "archive",
            request=b"a request",
            inputs=inputs,
            answer=inputs,
            as_json=as_json,
            watch=self.watch,
        )

    def run(self, job: BuildJob | None = None) -> Deferred[None]:
        return Deferred.fromCoroutine(self.builder.run(job or self.job()))

    def later(self, seconds: float) -> None:
        """Let time go by, with a look each second."""
        for _ in range(int(seconds)):
            self.clock.advance(1)
            self.sessions.look()

    def worker(self, nonce: int = 1, token: str = TOKEN, cpus: int = 2, **said: Any) -> "FakeWorker":
        hello = attrs.evolve(WorkerHello(f"worker {nonce}", nonce, cpus, cpus + 1, (), (), "1"), **said)
        worker = FakeWorker(self, token)
        welcome: Welcome = worker.ask("hello", encode(WORKER_HELLO, hello)).message(WELCOME)
        worker.welcome = welcome
        return worker


def given(answer: Answer) -> tuple[WorkerJob, bytes]:
    """A job that a worker was answered, and its inputs."""
    reader: HeadReader[WorkerJob] = HeadReader(WORKER_JOB, 1 << 20)
    inputs = reader.feed(answer.body)
    return reader.finish(), inputs


@attrs.define
class FakeWorker:
    """A worker that does what a test says."""

    gateway: Gateway
    token: str
    welcome: Welcome = attrs.field(default=Welcome("0" * 32, 0, 0, 0, 0))

    def path(self, what: str, number: int | None = None) -> str:
        return "/".join([ROOT, what, self.welcome.session, *([] if number is None else [str(number)])])

    def bytes_of(self, path: str, body: bytes = b"", method: str = "POST") -> bytes:
        return request(method, path, body, {**OCTETS, **bearer(self.token)})

    def ask(self, what: str, body: bytes = b"", number: int | None = None, method: str = "POST") -> Answer:
        path = f"{ROOT}/hello" if what == "hello" else self.path(what, number)
        return self.gateway.browser.ask(self.bytes_of(path, body, method))

    def begins(self, what: str, body: bytes = b"", number: int | None = None) -> Connection:
        """Ask for what is not answered at once."""
        connection = self.gateway.browser.connect()
        connection.say(self.bytes_of(self.path(what, number), body))
        return connection

    def listens(self, cpus: int = 2, *toolchains: str, places: tuple[int, ...] = (), last: int = 0) -> Connection:
        state = WorkerState(cpus, cpus and cpus + 1, toolchains, places, last)
        return self.begins("orders", encode(WORKER_STATE, state))

    def place(self, number: int = 1) -> Connection:
        return self.begins("next", number=number)

    def takes(self, place: int = 1) -> tuple[WorkerJob, bytes]:
        """Ask for a job that waits there."""
        return given(self.ask("next", number=place))

    def swaps(self, ticket: int, place: int, answer: WorkerAnswer, result: bytes = b"") -> Connection:
        """Answer a job, and ask for the next one at a place."""
        connection = self.gateway.browser.connect()
        connection.say(self.bytes_of(f"{self.path('answer', ticket)}/{place}", head(WORKER_ANSWER, answer) + result))
        return connection

    def answers(self, ticket: int, answer: WorkerAnswer, result: bytes = b"") -> Answer:
        return self.ask("answer", head(WORKER_ANSWER, answer) + result, ticket)


def orders(connection: Connection) -> WorkerOrders:
    """What a worker is told."""
    (answer,) = connection.answers()
    said: WorkerOrders = answer.message(WORKER_ORDERS)
    return said


def swapped(answer: Answer) -> tuple[bool, WorkerJob | None]:
    """Whether a worker's answer had an effect, and the job that it got for it."""
    taken, job = HeadReader(TAKEN, MOST_TAKEN), HeadReader(WORKER_JOB, 1 << 20)
    job.feed(taken.feed(answer.body))
    return taken.finish().counts, job.finish() if job.is_whole else None


def counts(answer: Answer) -> bool:
    """Whether a worker's answer had an effect."""
    taken: Taken = answer.message(TAKEN)
    return taken.counts
