"""A scheduler and two build servers in one process, on a reactor whose time stands still. No socket is opened.

The daemons' calls go over wires of this module, which can lose a call or an answer, or be late.
Builders do nothing: a job that runs waits until it is ended. Which attacks there are is not known here.
"""

from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from enum import IntEnum
from pathlib import Path
from typing import Any, NoReturn
from unittest.mock import patch
from urllib.parse import urlsplit

import attrs
from twisted.application.service import Service
from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IListeningPort, IProtocolFactory
from twisted.internet.task import deferLater
from twisted.internet.testing import StringTransport

from farmkit.deferreds import pending
from farmkit.fakes import FakeBuilder
from farmkit.memory_http import OCTETS, Browser, Connection, bearer, request
from farmkit.memory_reactor import Reactor
from sccachedist.budgets import Budget
from sccachedist.config import (
    AdminSettings,
    OverlayBuilderSettings,
    OwnToken,
    SchedulerSettings,
    ServerSettings,
    TokenAuth,
)
from sccachedist.config.settings import CapacitySettings, HeartbeatSettings, QueueSettings
from sccachedist.errors import BuildError, PeerError
from sccachedist.outcomes import SentLocal
from sccachedist.scheduler.service import scheduler_service
from sccachedist.scheduler.term import Term, Terms
from sccachedist.server.jobs import ServerCore
from sccachedist.server.lifecycle import ServerService
from sccachedist.server.service import server_service
from sccachedist.wire.addresses import ServerId
from sccachedist.wire.bincode import encode
from sccachedist.wire.messages import RUN_JOB_RESULT, JobComplete, JobId, ProcessOutput

CLIENT_TOKEN, SERVER_TOKEN, ADMIN_TOKEN = "clienttok", "servertok", "admintok"
SCHEDULER = ServerId.parse("127.0.0.1:10600")
SERVERS = (ServerId.parse("127.0.0.1:10501"), ServerId.parse("127.0.0.1:10502"))
#: The CPUs that each build server offers: few, so that clients have to wait.
CPUS = 1
#: How long a client waits for a slot.
MAX_WAIT_SECS = 20

#: Seconds between two heartbeats: time never advances by more at once.
HEARTBEAT_SECS = 30

_RESULT = encode(RUN_JOB_RESULT, JobComplete(ProcessOutput(0, b"", b""), ()))
_WALL_SECS = 1_800_000_000.0
_SCHEDULER, _SERVER = "sccachedist.scheduler.service", "sccachedist.server.service"


class Weather(IntEnum):
    """What happens to a call over a wire."""

    FAIR = 0
    CALL_LOST = 1
    ANSWER_LOST = 2
    LATE = 3


@attrs.define
class Wire:
    """Carries the calls of one daemon, in place of :class:`sccachedist.peers.http_client.Calls`."""

    farm: "Farm"
    sender: str
    weather: Weather = Weather.FAIR

    async def post(self, url: str, body: bytes, *, token: str, timeout: float, limit: int) -> bytes:
        """Make a call to an address."""
        return await self._within(timeout, url, request("POST", urlsplit(url).path, body, {**OCTETS, **bearer(token)}))

    async def get(self, url: str, *, token: str, timeout: float, limit: int) -> bytes:
        """Ask an address."""
        return await self._within(timeout, url, request("GET", urlsplit(url).path, headers=bearer(token)))

    async def _within(self, timeout: float, url: str, asked: bytes) -> bytes:
        def too_slow(_: object, seconds: float) -> NoReturn:
            raise PeerError(f"no answer within {seconds:g} s")

        return await Deferred.fromCoroutine(self._ask(url, asked)).addTimeout(timeout, self.farm.reactor, too_slow)

    async def close(self) -> None:
        """Do nothing: there is nothing to close."""

    async def _ask(self, url: str, asked: bytes) -> bytes:
        weather, reactor = self.weather, self.farm.reactor
        await deferLater(reactor, 3.0 if weather is Weather.LATE else 0.0)
        browser = self.farm.at(ServerId.parse(urlsplit(url).netloc))
        if weather is Weather.CALL_LOST or browser is None:
            raise PeerError("nobody is there")
        conversation = _Conversation(browser, self.sender)
        conversation.ask(asked)
        try:
            status, octets = await conversation.answered
        finally:
            reactor.callLater(0, conversation.leave)
        if weather is Weather.ANSWER_LOST:
            raise PeerError("the answer is lost")
        if status // 100 != 2:
            raise PeerError(f"status {status}", status=status)
        return octets


class _Conversation(Connection):
    """A connection that fires a Deferred when its answer is there."""

    def __init__(self, browser: Browser, sender: str) -> None:
        self.answered: Deferred[tuple[int, bytes]] = Deferred()
        super().__init__(browser.site, browser.clock, sender)

    def ask(self, asked: bytes) -> None:
        self._channel.dataReceived(asked)

    def write(self, data: bytes) -> None:
        super().write(data)
        self._look()

    def writeSequence(self, data: Any) -> None:
        StringTransport.writeSequence(self, data)
        self._look()

    def _look(self) -> None:
        if self.answered.called or b"\r\n\r\n" not in self.value():
            return
        for answer in self.answers():
            if len(answer.body) == int(answer.headers.get("content-length", 0)):
                self.answered.callback((answer.status, answer.body))

    def _lose(self, reason: Exception) -> None:
        super()._lose(reason)
        if not self.answered.called:
            self.answered.errback(PeerError("hung up"))


class Builder(FakeBuilder):
    """A builder that is ready at once, and counts the runs of each job."""

    def __init__(self, ran: Counter[JobId]) -> None:
        super().__init__(result=_RESULT)
        self.ran = ran

    async def start(self) -> None:
        """Be ready."""

    async def run(self, job: Any) -> None:
        """Count the job, and run it until it is ended."""
        self.ran[job.job_id] += 1
        await super().run(job)

    def end(self, *, well: bool) -> None:
        """End the job that has run longest."""
        if waiting := self.jobs.waiting:
            if well:
                self.jobs.answer(waiting[0], None)
            else:
                self.jobs.answer(waiting[0], BuildError(SentLocal.SANDBOX, "fuzzed"))


@attrs.define
class Server:
    """A build server, which can be restarted."""

    farm: "Farm"
    server_id: ServerId
    directory: Path
    wire: Wire
    builder: Builder = attrs.field(init=False)
    service: ServerService = attrs.field(init=False)
    core: ServerCore = attrs.field(init=False)
    browser: Browser | None = None

    def start(self) -> None:
        """Start it; the scheduler hears of it if the wire allows."""
        self.builder = Builder(self.farm.ran)
        settings = ServerSettings(
            cache_dir=self.directory / "cache",
            public_addr=self.server_id,
            bind_address=self.server_id,
            scheduler_url=f"http://{SCHEDULER}",
            builder=OverlayBuilderSettings(self.directory / "build", Path("/usr/bin/bwrap")),
            scheduler_auth=OwnToken(SERVER_TOKEN),
            capacity=CapacitySettings(cpus=CPUS),
            heartbeat=HeartbeatSettings(HEARTBEAT_SECS),
        )
        cores: list[ServerCore] = []

        def core(*arguments: Any, **names: Any) -> ServerCore:
            cores.append(ServerCore(*arguments, **names))
            return cores[0]

        with (
            patch(f"{_SERVER}.make_builder", lambda *_: self.builder),
            patch(f"{_SERVER}.trusting_calls", lambda *_: self.wire),
            patch(f"{_SERVER}.check_address"),
            patch(f"{_SERVER}.OnSignal", _NoSignal),
            patch(f"{_SERVER}.end_at_once_when_told_again"),
            patch(f"{_SERVER}.ServerCore", core),
        ):
            self.service = server_service(settings, self.farm.reactor, self._listen)
        (self.core,) = cores
        self.service.privilegedStartService()
        self.service.startService()

    def stop(self) -> None:
        """Stop it, and let the time pass that this takes."""
        stopped = self.service.stopService()
        for _ in range(200):
            if not pending(stopped):
                break
            self.builder.end(well=True)
            self.farm.reactor.advance(1)
        assert not pending(stopped), "it does not stop"
        self.browser = None

    def remains(self) -> list[str]:
        """The files of jobs and uploads that are left."""
        cache = self.directory / "cache"
        return [str(path) for name in ("spool", "incoming") for path in (cache / name).rglob("*")]

    def _listen(self, _: ServerId, factory: IProtocolFactory) -> IListeningPort:
        site: Any = getattr(factory, "wrappedFactory", factory)  # TLS is not fuzzed
        self.browser = Browser(site, self.farm.reactor)
        return self.farm.reactor.listen(self.server_id, factory)


class _NoSignal(Service):
    """A service that handles no signal."""

    def __init__(self, *_: object) -> None:
        pass


@attrs.define
class Farm:
    """A scheduler, its build servers, and their wires."""

    directory: Path
    reactor: Reactor = attrs.field(factory=Reactor)
    ran: Counter[JobId] = attrs.field(factory=Counter)
    budgets: list[Budget] = attrs.field(factory=list)
    servers: list[Server] = attrs.field(factory=list)
    scheduler_wire: Wire = attrs.field(init=False)
    service: Any = attrs.field(init=False)
    browser: Browser = attrs.field(init=False)
    terms: Terms = attrs.field(init=False)

    def start(self) -> None:
        """Start all three daemons."""
        self.reactor.advance(_WALL_SECS)
        self.scheduler_wire = Wire(self, "127.0.0.1")
        with counting(self.budgets):
            self._start_scheduler()
            for number, server_id in enumerate(SERVERS):
                server = Server(self, server_id, self.directory / str(number), Wire(self, str(server_id.host)))
                self.servers.append(server)
                server.start()
        self.pump(1.0)

    def at(self, address: ServerId) -> Browser | None:
        """The site that listens at an address."""
        if address == SCHEDULER:
            return self.browser
        return self.server(address).browser

    def server(self, server_id: ServerId) -> Server:
        """The build server with this address."""
        return next(server for server in self.servers if server.server_id == server_id)

    def pump(self, seconds: float) -> None:
        """Let time pass, in steps of at most a third of a heartbeat."""
        while seconds > 0:
            self.reactor.advance(min(seconds, HEARTBEAT_SECS / 3))
            seconds -= HEARTBEAT_SECS / 3
        self.reactor.advance(0)

    def stop(self) -> None:
        """Stop all three daemons."""
        for server in self.servers:
            server.stop()
        stopped = self.service.stopService()
        self.pump(10.0)
        assert not pending(stopped)

    def _start_scheduler(self) -> None:
        settings = SchedulerSettings(
            public_addr=SCHEDULER,
            client_auth=TokenAuth(CLIENT_TOKEN),
            server_auth=TokenAuth(SERVER_TOKEN),
            admin=AdminSettings(ADMIN_TOKEN),
            queue=QueueSettings(MAX_WAIT_SECS),
        )

        def terms(begin: Callable[[], Term]) -> Terms:
            self.terms = Terms(begin)
            return self.terms

        with ExitStack() as patched:
            for name, value in (
                ("pinned_calls", lambda *_: self.scheduler_wire),
                ("check_address", lambda *_: None),
                ("end_at_once_when_told_again", lambda: None),
                ("Terms", terms),
            ):
                patched.enter_context(patch(f"{_SCHEDULER}.{name}", value))
            self.service = scheduler_service(settings, self.reactor, self.reactor.listen)
        self.service.privilegedStartService()
        self.service.startService()
        site: Any = self.reactor.tcpServers[0][1]
        self.browser = Browser(site, self.reactor)


@contextmanager
def counting(budgets: list[Budget]) -> Iterator[None]:
    """Note the budgets that are made inside the block."""
    make = Budget.__init__

    def noted(budget: Budget, key: str, total: int) -> None:
        make(budget, key, total)
        budgets.append(budget)

    with patch.object(Budget, "__init__", noted):
        yield
