"""The scheduler's endpoints, from bytes to bytes."""

import json
from collections.abc import Mapping
from ipaddress import ip_network
from typing import Any

import attrs
import pytest
from twisted.internet.task import Clock
from twisted.logger import LogLevel, capturedLogs, formatEvent

from farmkit.fakes import FakeBuildServers
from farmkit.memory_http import OCTETS, Answer, Browser, Connection, bearer, head, request
from sccachedist import __version__
from sccachedist.auth.clients import ClientAuth, SharedClientToken, address_of
from sccachedist.auth.servers import Rewritten, SharedServerToken
from sccachedist.config import QueueSettings, RecordSettings, SchedulerLimits
from sccachedist.errors import DecodeError, LimitExceeded, PeerError
from sccachedist.scheduler.admin_routes import AdminRoutes
from sccachedist.scheduler.core import SchedulerCore
from sccachedist.scheduler.departures import Departures
from sccachedist.scheduler.event_log import EventLog
from sccachedist.scheduler.events import Observer
from sccachedist.scheduler.farm_views import FarmViews
from sccachedist.scheduler.job_records import JobRecords
from sccachedist.scheduler.job_tokens import JobTokens
from sccachedist.scheduler.routes import SchedulerRoutes
from sccachedist.scheduler.term import Term, Terms
from sccachedist.web.request import Site
from sccachedist.web.router import Mounted
from sccachedist.web.slices import Slices
from sccachedist.web.turns import unhurried
from sccachedist.wire.addresses import ServerId
from sccachedist.wire.bincode import decode, encode
from sccachedist.wire.messages import (
    ALLOC_JOB_RESPONSE,
    HEARTBEAT,
    HEARTBEAT_RESULT,
    JOB_STATE,
    SCHEDULER_STATUS,
    UPDATE_JOB_STATE_RESULT,
    AllocJobFail,
    AssignJobResult,
    HeartbeatResult,
    JobId,
    JobState,
    SchedulerStatus,
    UpdateJobStateFail,
    UpdateJobStateSuccess,
)
from tests.support.exchanges import exchange
from tests.support.readers import at_once, farm_readers, reloading

ROOT = "/api/v1/scheduler"
SERVER = ServerId.parse("127.0.0.1:11502")
CLIENT = bearer("clienttok")
BUILDER = bearer(f"{SERVER} servertok")
ALLOC, HEARTBEAT_16 = exchange(15).asked(), exchange(16)
PENDING = AssignJobResult(JobState.PENDING, need_toolchain=True)
LIMITS = SchedulerLimits(message_bytes=200, heartbeat_bytes=2000)


@attrs.define
class Scheduler:
    """A scheduler with the tokens of the recorded farm; its first job is 0, as the published scheduler's."""

    clock: Clock = attrs.field(factory=Clock)
    waiting: QueueSettings = attrs.field(factory=lambda: QueueSettings(max_wait_secs=0, settle_secs=0))
    servers: FakeBuildServers = attrs.field(factory=FakeBuildServers)
    clients: ClientAuth = attrs.field(factory=lambda: SharedClientToken("clienttok"))
    observers: list[Observer] = attrs.field(factory=list)
    rewritten: Rewritten = attrs.field(factory=Rewritten)
    terms: Terms = attrs.field(init=False)
    browser: Browser = attrs.field(init=False)

    def __attrs_post_init__(self) -> None:
        self.terms = Terms(self.begin_term)
        records, departures = JobRecords(RecordSettings(), 0.0, self.clock.seconds), Departures(self.clock.seconds)
        views = FarmViews(self.terms, Slices(unhurried(self.clock)), records)
        routes = SchedulerRoutes(
            self.terms,
            self.clients,
            SharedServerToken("servertok"),
            [ip_network("10.9.0.0/16")],
            LIMITS,
            self.clock,
            farm_readers(),
            views,
            rewritten=self.rewritten,
        )
        admin = AdminRoutes(views, farm_readers(), departures, at_once, lambda *_: None, reloading())
        self.browser = Browser(Site(Mounted(routes, admin), self.clock), self.clock)

    def begin_term(self) -> Term:
        tokens, log = JobTokens(lambda: 0.0), EventLog(self.clock.seconds, address_of)
        return Term(SchedulerCore(JobId(0)), self.servers, self.waiting, self.clock, tokens, [log, *self.observers])

    def ask(self, number: int) -> Answer:
        return self.browser.ask(exchange(number).asked())

    def alloc(self) -> Connection:
        connection = self.browser.connect()
        connection.say(ALLOC)
        return connection

    def status(self) -> SchedulerStatus:
        answer = self.browser.ask(request("GET", f"{ROOT}/status"))
        return answer.message(SCHEDULER_STATUS)  # type: ignore[no-any-return]

    def report(self, state: JobState, job_id: int = 0, token: Mapping[str, str] = BUILDER) -> Answer:
        return self.browser.ask(
            request("POST", f"{ROOT}/job_state/{job_id}", encode(JOB_STATE, state), {**OCTETS, **token})
        )


@pytest.fixture
def scheduler() -> Scheduler:
    return Scheduler()


@pytest.fixture
def farm(scheduler: Scheduler) -> Scheduler:
    """A scheduler that knows the recorded build server."""
    scheduler.ask(16)
    return scheduler


def test_recorded(scheduler: Scheduler) -> None:
    """The recorded requests get the recorded answers, byte by byte, from an empty farm to a finished job."""
    for number in (14, 15, 16, 17, 18, 20, 21, 22, 23, 25, 26):
        recorded = exchange(number)
        connection = scheduler.browser.connect()
        connection.say(recorded.asked())
        if scheduler.servers.assignments.waiting:
            scheduler.servers.assignments.answer(SERVER, PENDING)
        (answer,) = connection.answers()
        assert (number, answer.status, answer.body) == (number, recorded.status, recorded.response)


def test_complete_again(farm: Scheduler) -> None:
    """Where the published scheduler answers a late Complete with an error, ours takes it: it says nothing new.

    Nor does it refuse what is said of a job that was given out before it began.
    """
    assert exchange(24).status == 500
    assert farm.ask(24).status == 200
    assert farm.report(JobState.STARTED).status == 200


def test_json(farm: Scheduler) -> None:
    """Who prefers JSON gets it, as people do who look at a farm with curl."""
    accept = {"Accept": "application/json"}
    status = farm.browser.ask(request("GET", f"{ROOT}/status", headers=accept))
    assert json.loads(status.body) == {"num_servers": 1, "num_cpus": 2, "in_progress": 0, "version": __version__}
    assert status.body.startswith(b'{"num_servers":1,"num_cpus":2,"in_progress":0,')
    certificate = farm.browser.ask(request("GET", f"{ROOT}/server_certificate/{SERVER}", headers=accept))
    digest, pem = (bytes(json.loads(certificate.body)[key]) for key in ("cert_digest", "cert_pem"))
    assert (len(digest), pem[:11]) == (32, b"-----BEGIN ")


@pytest.mark.parametrize(("token", "shown"), [("clienttok", True), ("admintok", True), ("wrong", False)])
def test_servers_in_the_status(farm: Scheduler, token: str, shown: bool) -> None:
    """Who may compile here sees the build servers in the JSON form; for others it stays as it is, as do the bytes."""
    asked = request("GET", f"{ROOT}/status", headers={"Accept": "application/json", **bearer(token)})
    told = json.loads(farm.browser.ask(asked).body)
    assert told.get("servers") == ([{"address": str(SERVER), "num_cpus": 2, "in_progress": 0}] if shown else None)
    asked = request("GET", f"{ROOT}/status", headers=bearer(token))
    assert farm.browser.ask(asked).message(SCHEDULER_STATUS) == SchedulerStatus(1, 2, 0)


@pytest.mark.parametrize(
    ("headers", "challenge", "body"),
    [
        ({}, "no_bearer_auth", b""),
        ({"Authorization": "Basic eDp5"}, "no_bearer_auth", b""),
        (bearer("wrong"), "bearer_auth_failed", b"client token refused"),
        (BUILDER, "bearer_auth_failed", b"client token refused"),
        (bearer("\xe9\xff"), "bearer_auth_failed", b"client token refused"),
    ],
)
def test_client_token(farm: Scheduler, headers: dict[str, str], challenge: str, body: bytes) -> None:
    """A client without the token is told so before it has sent what it wants."""
    connection = farm.browser.connect()
    connection.say(head("POST", f"{ROOT}/alloc_job", {"Content-Length": "72", **OCTETS, **headers}))
    (answer,) = connection.answers()
    assert answer.status == 401
    assert answer.body.startswith(body)
    assert bool(body) == (b"Ask an administrator of this farm for a new one" in answer.body)
    assert answer.headers["www-authenticate"] == f'Bearer error="{challenge}"'


@pytest.mark.parametrize("order", ["drain", "undrain"])
def test_drain(farm: Scheduler, order: str) -> None:
    """An administrator is told whether there is such a build server; what is asked holds in any case."""
    for server, there in ((SERVER, True), ("192.0.2.1:10501", False)):
        asked = request("POST", f"/api/v1/admin/{order}/{server}", headers=bearer("admintok"))
        answer = farm.browser.ask(asked).message(UPDATE_JOB_STATE_RESULT)
        assert isinstance(answer, UpdateJobStateSuccess if there else UpdateJobStateFail)
        assert there or "no build server has the address 192.0.2.1:10501" in answer.msg  # type: ignore[union-attr]


MISMATCH = "invalid_bearer_token_mismatched_address"


@pytest.mark.parametrize("route", ["heartbeat_server", "job_state/0"])
@pytest.mark.parametrize(
    ("sender", "headers", "challenge"),
    [
        ("127.0.0.1", {}, "invalid_bearer_token"),
        ("127.0.0.1", bearer(f"{SERVER} wrong"), "invalid_bearer_token"),
        ("127.0.0.1", bearer("nowhere servertok"), "invalid_bearer_token"),
        ("127.0.0.1", bearer("servertok"), "invalid_bearer_token"),
        ("127.0.0.2", BUILDER, MISMATCH),
        ("127.0.0.2", {**BUILDER, "X-Real-IP": "127.0.0.1"}, MISMATCH),
        ("10.9.0.1", BUILDER, MISMATCH),
        ("10.9.0.1", {**BUILDER, "X-Real-IP": "127.0.0.2"}, MISMATCH),
    ],
)
def test_server_token(scheduler: Scheduler, route: str, sender: str, headers: dict[str, str], challenge: str) -> None:
    """Nobody speaks for a build server without its token, or from another address, whatever a header claims."""
    answer = scheduler.browser.ask(request("POST", f"{ROOT}/{route}", b"1234", {**OCTETS, **headers}), sender)
    assert (answer.status, answer.body) == (401, b"")
    assert answer.headers["www-authenticate"] == f'Bearer error="{challenge}"'


def test_behind_a_proxy(scheduler: Scheduler) -> None:
    """A proxy that is trusted says where a build server is, and has to say it in an address."""
    asked = HEARTBEAT_16.asked({"X-Real-IP": "127.0.0.1"})
    assert scheduler.browser.ask(asked, "10.9.0.1").message(HEARTBEAT_RESULT) == HeartbeatResult(is_new=True)
    assert scheduler.browser.ask(HEARTBEAT_16.asked({"X-Real-IP": "here"}), "10.9.0.1").status == 400


@pytest.mark.parametrize(
    "wrong",
    [
        {"num_cpus": 0},
        {"num_cpus": 2**64 - 1},
        {"cert_digest": b"\0" * 32},
        {"cert_digest": b""},
        {"cert_pem": b""},
        {"cert_pem": b"-----BEGIN CERTIFICATE-----\n\xff\n-----END CERTIFICATE-----\n"},
        {"cert_pem": b"-----BEGIN CERTIFICATE-----\n!\n-----END CERTIFICATE-----\n"},
    ],
)
def test_lying_heartbeat(scheduler: Scheduler, wrong: dict[str, Any]) -> None:
    """A heartbeat that cannot be true changes nothing."""
    heartbeat = attrs.evolve(decode(HEARTBEAT, HEARTBEAT_16.body), **wrong)
    asked = attrs.evolve(HEARTBEAT_16, body=encode(HEARTBEAT, heartbeat)).asked()
    assert scheduler.browser.ask(asked).status == 400
    assert scheduler.status() == SchedulerStatus(0, 0, 0)


def test_unknown_certificate(scheduler: Scheduler) -> None:
    """A client that asks for the certificate of a server that has gone compiles locally: no 404, which would fail."""
    answer = scheduler.browser.ask(request("GET", f"{ROOT}/server_certificate/127.0.0.1:1"))
    assert answer.status == 500
    assert "127.0.0.1:1" in json.loads(answer.body)["description"]


@pytest.mark.parametrize(
    ("route", "token"), [("alloc_job", CLIENT), ("heartbeat_server", BUILDER), ("job_state/0", BUILDER)]
)
@pytest.mark.parametrize(
    ("body", "headers", "status"),
    [
        (b"", OCTETS, 400),
        (b"\xff" * 16, OCTETS, 400),
        ((2**62 + 9).to_bytes(8, "little") + b"x", OCTETS, 400),
        (b"x", {}, 400),
        (b"x", {"Content-Type": "application/json"}, 400),
        (b"x" * 2001, OCTETS, 500),
    ],
)
def test_body(
    scheduler: Scheduler, route: str, token: dict[str, str], body: bytes, headers: dict[str, str], status: int
) -> None:
    """What is no message is refused, and what is too large is nobody's compile error; the scheduler goes on."""
    answer = scheduler.browser.ask(request("POST", f"{ROOT}/{route}", body, {**headers, **token}))
    assert (answer.status, set(json.loads(answer.body))) == (status, {"description", "cause"})
    assert scheduler.status() == SchedulerStatus(0, 0, 0)


def test_client_goes(farm: Scheduler) -> None:
    """A client that goes away while its job is being assigned leaves the slot to others."""
    connection = farm.alloc()
    assert farm.servers.assignments.waiting == [SERVER]
    connection.leave()
    assert farm.servers.assignments.waiting == []
    assert farm.status() == SchedulerStatus(1, 2, 0)


def test_build_server_refuses(farm: Scheduler) -> None:
    """A client whose job no build server takes is told why, and compiles locally."""
    connection = farm.alloc()
    farm.servers.assignments.answer(SERVER, PeerError("no answer within 10 s"))
    (answer,) = connection.answers()
    assert isinstance(answer.message(ALLOC_JOB_RESPONSE), AllocJobFail)


def test_reports(farm: Scheduler) -> None:
    """A job is one build server's: another one's word does not move it."""
    connection = farm.alloc()
    farm.servers.assignments.answer(SERVER, PENDING)
    assert farm.status().in_progress == 1
    stranger = bearer("127.0.0.1:9 servertok")
    assert farm.report(JobState.COMPLETE, token=stranger).status == 500
    assert farm.report(JobState.PENDING).status == 500
    assert farm.status().in_progress == 1
    for state in (JobState.READY, JobState.READY, JobState.STARTED, JobState.COMPLETE, JobState.COMPLETE):
        assert farm.report(state).status == 200
    assert (farm.status().in_progress, len(connection.answers())) == (0, 1)


def test_no_token_in_the_log(farm: Scheduler) -> None:
    """No secret is written down, neither of those who may nor of those who may not."""
    with capturedLogs() as events:
        connection = farm.alloc()
        farm.servers.assignments.answer(SERVER, PENDING)
        farm.report(JobState.READY, token=bearer(f"{SERVER} wrongtok"))
        farm.report(JobState.READY)
        farm.browser.ask(request("POST", f"{ROOT}/alloc_job", headers=bearer("wrongtok")))
    token = connection.answers()[0].message(ALLOC_JOB_RESPONSE).job_alloc.auth
    texts = repr(events)
    assert events
    assert [secret for secret in ("clienttok", "servertok", "wrongtok", token) if secret in texts] == []


@pytest.mark.parametrize("name", ["Authorization", "X-Real-IP", "Content-Type"])
def test_headers_that_come_twice(farm: Scheduler, name: str) -> None:
    """Of two headers that decide something none is believed, and no client's build fails for it."""
    for asked, token in ((ALLOC, CLIENT), (HEARTBEAT_16.asked({"X-Real-IP": "127.0.0.1"}), BUILDER)):
        sent = {**OCTETS, **token, "X-Real-IP": "127.0.0.1"}[name]
        line = f"{name}: {sent}\r\n".encode()
        once = asked.replace(b"X-Real-IP: 127.0.0.1\r\n", b"").replace(b"x-real-ip: 127.0.0.1\r\n", b"")
        twice = once.replace(b"\r\n\r\n", b"\r\n" + (line * 2 if name == "X-Real-IP" else line) + b"\r\n", 1)
        answer = farm.browser.ask(twice, "10.9.0.1")
        assert (answer.status, name.lower() in answer.body.decode()) == (500, True)


def test_where_a_client_is(farm: Scheduler) -> None:
    """A proxy that names no address makes no client's build fail."""
    headers = {"X-Real-IP": "nonsense"}
    connection = farm.browser.connect("10.9.0.1")
    connection.say(exchange(15).asked(headers))
    farm.servers.assignments.answer(SERVER, PENDING)
    assert [answer.status for answer in connection.answers()] == [200]


def test_a_certificate_that_is_refused(scheduler: Scheduler) -> None:
    """The log says what to do, and clients are told of no such certificate."""
    heartbeat = decode(HEARTBEAT, HEARTBEAT_16.body)
    pem = heartbeat.cert_pem + b"trust me"
    asked = attrs.evolve(HEARTBEAT_16, body=encode(HEARTBEAT, attrs.evolve(heartbeat, cert_pem=pem))).asked()
    with capturedLogs() as events:
        assert scheduler.browser.ask(asked).status == 400
    (warned,) = (event for event in events if event["log_level"] is LogLevel.warn)
    assert "when it is restarted" in formatEvent(warned)
    assert scheduler.browser.ask(request("GET", f"{ROOT}/server_certificate/{SERVER}")).status == 500


def test_many_build_servers_at_one_address() -> None:
    """There are so many and no more, until one of them goes."""
    core = SchedulerCore(JobId(0), most_per_address=2)
    heartbeat = decode(HEARTBEAT, HEARTBEAT_16.body)
    for port in (1, 2):
        core.heartbeat(attrs.evolve(SERVER, port=port), heartbeat, 0.0)
    third = attrs.evolve(SERVER, port=3)
    with pytest.raises(LimitExceeded, match="servers_per_address"):
        core.heartbeat(third, heartbeat, 1.0)
    core.heartbeat(ServerId.parse("127.0.0.2:1"), heartbeat, 1.0)
    core.heartbeat(attrs.evolve(SERVER, port=1), heartbeat, 89.0)
    core.expire(91.0)
    core.heartbeat(third, heartbeat, 91.0)
    assert core.status().num_servers == 2 + 1


def test_a_large_job_key() -> None:
    """A build server does not fill the scheduler's memory with its key."""
    heartbeat = attrs.evolve(decode(HEARTBEAT, HEARTBEAT_16.body), jwt_key=bytes(1025))
    core = SchedulerCore(JobId(0))
    with pytest.raises(DecodeError, match="jwt_key"):
        core.heartbeat(SERVER, heartbeat, 0.0)
