"""A whole scheduler on a reactor that opens nothing: how it begins, how it ends, what it does by the clock."""

from typing import Any

import attrs
import pytest
from twisted.internet.defer import Deferred
from twisted.logger import LogLevel, capturedLogs

from farmkit.deferreds import outcome
from farmkit.memory_http import Browser, request
from farmkit.memory_reactor import Reactor
from sccachedist.config import SchedulerSettings, TokenAuth
from sccachedist.errors import PeerError
from sccachedist.peers.pins import Pins
from sccachedist.scheduler import service as service_module
from sccachedist.scheduler.core import Reservation
from sccachedist.scheduler.events import Departure, ServerLeft
from sccachedist.scheduler.liveness import SERVER_SECS
from sccachedist.scheduler.service import ASSIGN_SECS, EXPIRY_SECS, PinnedBuildServers, scheduler_service
from sccachedist.wire.addresses import ServerId
from sccachedist.wire.messages import (
    ALLOC_JOB_RESPONSE,
    SCHEDULER_STATUS,
    AllocJobFail,
    AssignJobResult,
    JobId,
    JobState,
    Toolchain,
)
from tests.support.exchanges import exchange

SETTINGS = SchedulerSettings(
    public_addr=ServerId.parse("127.0.0.1:10600"),
    client_auth=TokenAuth("clienttok"),
    server_auth=TokenAuth("servertok"),
)
RESERVED = Reservation(JobId(7), ServerId.parse("127.0.0.1:11502"), b"key", b"digest")


@attrs.define
class Running:
    """A scheduler, the reactor that it lives in, and somebody to ask it."""

    reactor: Reactor = attrs.field(factory=Reactor)
    service: Any = attrs.field(init=False)
    browser: Browser = attrs.field(init=False)

    def __attrs_post_init__(self) -> None:
        self.service = scheduler_service(SETTINGS, self.reactor, self.reactor.listen)
        self.service.privilegedStartService()
        self.service.startService()
        site: Any = self.reactor.tcpServers[0][1]
        self.browser = Browser(site, self.reactor)

    def num_servers(self) -> int:
        asked = request("GET", "/api/v1/scheduler/status", headers={"Connection": "close"})
        return int(self.browser.ask(asked).message(SCHEDULER_STATUS).num_servers)


@pytest.fixture
def running(monkeypatch: pytest.MonkeyPatch) -> Running:
    monkeypatch.setattr(service_module, "check_address", lambda *_: None)
    return Running()


def test_begins_and_ends(running: Running) -> None:
    """It listens where it should, and when it is stopped nothing is left to be done."""
    ((port, _, _, interface),) = running.reactor.tcpServers
    assert (port, interface) == (10600, "127.0.0.1")
    running.reactor.advance(EXPIRY_SECS)
    outcome(running.service.stopService())
    running.reactor.advance(0)
    assert running.reactor.getDelayedCalls() == []


def test_silent_build_server(running: Running) -> None:
    """A build server that is silent for too long is dropped, and said so."""
    close = {"Connection": "close"}
    assert running.browser.ask(exchange(16).asked(close)).status == 200
    with capturedLogs() as events:
        running.reactor.pump([EXPIRY_SECS] * int(SERVER_SECS))
        assert running.num_servers() == 1
        running.reactor.pump([EXPIRY_SECS] * 2)
        assert running.num_servers() == 0
    assert [event["server"] for event in events if event["log_level"] is LogLevel.warn] == ["127.0.0.1:11502"]


def test_build_server_cannot_be_reached(running: Running) -> None:
    """A client does not wait for a build server that nobody reaches: it is told to compile locally."""
    running.browser.ask(exchange(16).asked({"Connection": "close"}))
    connection = running.browser.connect()
    connection.say(exchange(15).asked())
    assert connection.answers() == []
    running.reactor.pump([0.5] * int(2 * ASSIGN_SECS))
    (answer,) = connection.answers()
    assert isinstance(answer.message(ALLOC_JOB_RESPONSE), AllocJobFail)


@attrs.define
class RecordedCalls:
    """Calls that all get one answer."""

    answer: bytes
    made: list[tuple[str, bytes, str]] = attrs.field(factory=list)

    async def post(self, url: str, body: bytes, *, token: str, timeout: float, limit: int) -> bytes:
        assert (timeout, limit > 5) == (ASSIGN_SECS, True)
        self.made.append((url, body, token))
        return self.answer


def assign(calls: RecordedCalls, pins: Pins | None = None) -> Any:
    servers = PinnedBuildServers(calls, pins or Pins())  # type: ignore[arg-type]
    toolchain = Toolchain("8b53360fcff9963612978c7daff36bb3b57fa3fa21972afce9bb54baa1a2d66d")
    return outcome(Deferred.fromCoroutine(servers.assign(RESERVED, "token", toolchain)))


def test_pinned() -> None:
    """A build server is called with the certificate that the reservation names, until it has left."""
    pins, calls = Pins(), RecordedCalls(exchange(19).response)
    server = RESERVED.server_id
    assign(calls, pins)
    assert pins.digest(str(server.host).encode(), server.port) == RESERVED.cert_digest
    PinnedBuildServers(calls, pins).observe(ServerLeft(1.0, server, Departure.SILENT))  # type: ignore[arg-type]
    with pytest.raises(PeerError):
        pins.digest(str(server.host).encode(), server.port)


def test_assigned_as_recorded() -> None:
    """A build server is sent what the published scheduler would send it, and its answer is understood."""
    recorded = exchange(19)
    calls = RecordedCalls(recorded.response)
    assert assign(calls) == AssignJobResult(JobState.PENDING, need_toolchain=True)
    assert calls.made == [("https://127.0.0.1:11502/api/v1/distserver/assign_job/7", recorded.body, "token")]


@pytest.mark.parametrize("answer", [b"", b"\0", b"\xff" * 5, b"\0\0\0\0\x02"])
def test_assigned_to_a_liar(answer: bytes) -> None:
    """An answer that is none is that build server's failure."""
    assert isinstance(assign(RecordedCalls(answer)), PeerError)
