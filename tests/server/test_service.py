"""A whole build server on a reactor that opens nothing: how it begins, how it ends, what it leaves."""

import errno
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import attrs
import pytest
from twisted.internet.defer import Deferred
from twisted.logger import LogLevel, capturedLogs

from farmkit.deferreds import outcome, pending
from farmkit.fakes import FakeBuilder
from farmkit.memory_http import OCTETS, Browser, Connection, bearer, request
from farmkit.memory_reactor import Reactor
from sccachedist.builders.overlay import OverlayBuilder
from sccachedist.builders.worker_builder import WorkerBuilder
from sccachedist.config import (
    BuilderSettings,
    DockerBuilderSettings,
    InsecureAuth,
    JwtToken,
    OverlayBuilderSettings,
    OwnToken,
    PotBuilderSettings,
    ServerSettings,
    ToolchainsSettings,
)
from sccachedist.errors import BuildError, ConfigError
from sccachedist.outcomes import SentLocal
from sccachedist.server import service as service_module
from sccachedist.server.identity import JOB_KEY_BYTES
from sccachedist.server.job_reports import JobReports
from sccachedist.server.job_runner import JobRunner
from sccachedist.server.lifecycle import LAST_REPORTS_SECS, ServerService
from sccachedist.server.sandbox_service import BUILDER_RETRY_SECS
from sccachedist.server.sandboxes import make_builder
from sccachedist.server.self_description import server_token
from sccachedist.server.service import server_service
from sccachedist.wire.addresses import ServerId
from sccachedist.wire.bincode import encode
from sccachedist.wire.messages import TOOLCHAIN, JobId, Toolchain
from sccachedist.wire.run_job_frame import frame
from sccachedist.wire.tokens import job_token
from sccachedist.wire.tokens import server_token as signed_token
from tests.server.servers import JOB, REQUEST
from tests.toolchains.stocks import ARCHIVES, GCC

GRACE_SECS = 60


def settings(directory: Path, **changes: Any) -> ServerSettings:
    return ServerSettings(
        **{
            "cache_dir": directory / "cache",
            "public_addr": ServerId.parse("127.0.0.1:10501"),
            "bind_address": ServerId.parse("127.0.0.2:10502"),
            "scheduler_url": "http://127.0.0.1:10600",
            "builder": OverlayBuilderSettings(directory / "build", Path("/usr/bin/bwrap")),
            "scheduler_auth": OwnToken("servertok"),
            "toolchains": ToolchainsSettings(prewarm=0),
            **changes,
        }
    )


@attrs.define
class Running:
    """A build server, its builder, and the reactor that it lives in."""

    directory: Path
    builder: FakeBuilder = attrs.field(factory=FakeBuilder)
    reactor: Reactor = attrs.field(factory=Reactor)
    connections: list[Connection] = attrs.field(factory=list)
    service: ServerService = attrs.field(init=False)

    def __attrs_post_init__(self) -> None:
        self.service = server_service(settings(self.directory), self.reactor, self.reactor.listen)

    def start(self) -> None:
        self.service.privilegedStartService()
        self.service.startService()

    @property
    def calls(self) -> int:
        """How many connections to the scheduler were begun."""
        return len(self.reactor.tcpClients)

    def say(self, route: str, body: bytes) -> Connection:
        """Ask what only who has the job's token may ask."""
        over_tls: Any = self.reactor.tcpServers[0][1]
        site = over_tls.wrappedFactory
        key = (self.directory / "cache" / "identity" / "job.key").read_bytes()
        connection = Browser(site, self.reactor).connect()
        self.connections.append(connection)
        path = f"/api/v1/distserver/{route}/{JOB}"
        connection.say(request("POST", path, body, {**OCTETS, **bearer(job_token(key, JOB))}))
        return connection

    def nothing_left(self) -> None:
        """Nothing is left that would wake the process, once its clients have gone."""
        for connection in self.connections:
            connection.leave()
        self.reactor.advance(0)
        assert self.reactor.getDelayedCalls() == []

    def run_job(self) -> Connection:
        """Take a job as far as its compile."""
        self.say("assign_job", encode(TOOLCHAIN, Toolchain(GCC)))
        self.say("submit_toolchain", ARCHIVES[0])
        running = self.say("run_job", frame(REQUEST, b"inputs"))
        assert self.builder.jobs.waiting == [JOB]
        return running


@pytest.fixture
def running(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Running:
    builder = FakeBuilder()
    monkeypatch.setattr(service_module, "make_builder", lambda *_: builder)
    monkeypatch.setattr(service_module, "check_address", lambda *_: None)
    return Running(tmp_path, builder)


def test_begins(running: Running) -> None:
    """It listens where it should with what it has on disk, and registers when its builder has shown that it works."""
    running.start()
    over_tls: Any
    ((port, over_tls, _, interface),) = running.reactor.tcpServers
    assert (port, interface) == (10502, "127.0.0.2")
    assert over_tls.identity.current.job_key == (running.directory / "cache" / "identity" / "job.key").read_bytes()
    assert len(over_tls.identity.current.job_key) == JOB_KEY_BYTES
    assert running.calls == 0
    running.builder.starting.answer("start", None)
    assert running.calls == 1
    assert running.reactor.tcpClients[0][:2] == ("127.0.0.1", 10600)


def test_builder_does_not_work(running: Running) -> None:
    """A build server whose sandbox does not work says why, does not register, and tries again."""
    with capturedLogs() as events:
        running.start()
        running.builder.starting.answer("start", BuildError(SentLocal.SANDBOX, "bwrap is missing: install bubblewrap"))
    (error,) = [event for event in events if event["log_level"] is LogLevel.error]
    assert error["error"] == "bwrap is missing: install bubblewrap"
    running.reactor.advance(BUILDER_RETRY_SECS)
    assert running.calls == 0
    running.builder.starting.answer("start", None)
    assert running.calls == 1


def test_takes_no_job_before_its_builder_works(running: Running) -> None:
    """A scheduler that knows the server from before its restart and has a job for it is told to look elsewhere."""
    running.start()
    assignment = encode(TOOLCHAIN, Toolchain(GCC))
    statuses = [running.say("assign_job", assignment).answers()[0].status]
    running.builder.starting.answer("start", None)
    statuses.append(running.say("assign_job", assignment).answers()[0].status)
    assert statuses == [500, 200]


def test_builder_fails_for_no_known_reason(running: Running) -> None:
    """What nobody foresaw is in the log, and nothing is registered."""
    with capturedLogs() as events:
        running.start()
        running.builder.starting.answer("start", RuntimeError("?"))
    assert [event["log_level"] for event in events if "log_failure" in event] == [LogLevel.critical]
    assert running.calls == 0


@pytest.mark.parametrize("when", ["starting", "broken", "working"])
def test_ends(running: Running, when: str) -> None:
    """It can be stopped at any time, without a complaint, and nothing is left to be done."""
    with capturedLogs() as events:
        running.start()
        if when != "starting":
            running.builder.starting.answer("start", None if when == "working" else BuildError(SentLocal.SANDBOX, "no"))
        stopping = running.service.stopService()
        running.reactor.pump([LAST_REPORTS_SECS] * 2)  # the scheduler is to be told, and is not there
        assert outcome(stopping) is None
    running.nothing_left()
    assert [event for event in events if "log_failure" in event] == []
    assert (running.builder.starting.waiting, running.builder.stopped) == ([], 1)


def test_waits_for_running_jobs(running: Running) -> None:
    """A job that runs when the server is stopped ends, and its client gets the result."""
    running.start()
    running.builder.starting.answer("start", None)
    connection = running.run_job()
    stopping = running.service.stopService()
    assert (pending(stopping), running.builder.stopped) == (True, 0)
    running.builder.jobs.answer(JOB, None)
    (answer,) = connection.answers()
    assert answer.status == 200
    assert pending(stopping)  # the scheduler is to be told, and is not there
    running.reactor.pump([LAST_REPORTS_SECS] * 3)
    assert (outcome(stopping), running.builder.stopped) == (None, 1)
    running.nothing_left()


def test_does_not_wait_for_ever(running: Running) -> None:
    """A job that does not end holds the server up for its time of grace only."""
    running.start()
    running.builder.starting.answer("start", None)
    connection = running.run_job()
    stopping = running.service.stopService()
    running.reactor.pump([1] * (GRACE_SECS - 1))
    assert pending(stopping)
    running.reactor.pump([1] * (1 + 2 * int(LAST_REPORTS_SECS)))
    assert (outcome(stopping), running.builder.stopped, running.builder.jobs.waiting) == (None, 1, [])
    (answer,) = connection.answers()
    assert answer.status == 500  # the client is told, and compiles locally
    running.nothing_left()


def test_is_gone_when_all_is_reported(running: Running, monkeypatch: pytest.MonkeyPatch) -> None:
    """While a builder stops slowly, no heartbeat says that the server is gone: its jobs would be forgotten."""
    steps: list[str] = []
    for part, step in ((JobReports, "delivered"), (JobRunner, "end")):
        monkeypatch.setattr(part, step, noting(steps, step, getattr(part, step)))
    stopped = Deferred[None]()
    monkeypatch.setattr(FakeBuilder, "stop", lambda _: stopped)
    running.start()
    running.builder.starting.answer("start", None)
    stopping = running.service.stopService()
    running.reactor.pump([1] * GRACE_SECS)
    assert (pending(stopping), steps) == (True, [])
    stopped.callback(None)
    running.reactor.pump([1] * 2 * int(LAST_REPORTS_SECS))
    assert (outcome(stopping), steps) == (None, ["delivered", "end"])


def noting(steps: list[str], step: str, method: Callable[..., Any]) -> Callable[..., Any]:
    """The method, which notes when it is called."""

    def called(*arguments: Any) -> Any:
        steps.append(step)
        return method(*arguments)

    return called


@pytest.mark.parametrize("name", ["identity", "tc", "spool", "incoming"])
def test_cache_dir(running: Running, name: str) -> None:
    """A cache directory in which something foreign stands in the way is an error that names it."""
    cache = running.directory / "cache"
    cache.mkdir()
    (cache / name).touch()
    with pytest.raises(ConfigError, match=f"cache_dir: .*{name}"):
        running.start()


OWN_TOKEN = signed_token(b"k" * 32, ServerId.parse("127.0.0.1:10501"))


@pytest.mark.parametrize(
    ("auth", "token"),
    [
        (OwnToken("servertok"), "127.0.0.1:10501 servertok"),
        (InsecureAuth(), "127.0.0.1:10501 dangerously_insecure_server"),
        (JwtToken(OWN_TOKEN), OWN_TOKEN),
    ],
)
def test_token(tmp_path: Path, auth: OwnToken | InsecureAuth | JwtToken, token: str) -> None:
    """The scheduler is shown what it expects, by its kind of authentication."""
    assert server_token(settings(tmp_path, scheduler_auth=auth)) == token


@pytest.mark.parametrize(
    ("token", "said"),
    [
        (signed_token(b"k" * 32, ServerId.parse("127.0.0.1:10502")), "made for 127.0.0.1:10502"),
        (job_token(b"k" * 32, JobId(7)), "generate-jwt-hs256-server-token"),
        ("hunter2", "generate-jwt-hs256-server-token"),
    ],
)
def test_token_of_another_server(tmp_path: Path, token: str, said: str) -> None:
    """A token that the scheduler would refuse at each heartbeat ends the command with one line, without the token."""
    with pytest.raises(ConfigError, match=f"^scheduler_auth.token: .*{said}") as error:
        server_token(settings(tmp_path, scheduler_auth=JwtToken(token)))
    assert token not in str(error.value)


def test_insecure_scheduler_auth_is_warned_of(tmp_path: Path) -> None:
    """An administrator who starts a build server with the token that everybody knows reads so in the log."""
    with capturedLogs() as events:
        server_token(settings(tmp_path, scheduler_auth=InsecureAuth()))
    assert [event["log_level"] for event in events] == [LogLevel.warn]


@pytest.mark.parametrize(
    "builder", [OverlayBuilderSettings(Path("/build"), Path("/bwrap")), DockerBuilderSettings(), PotBuilderSettings()]
)
def test_every_builder(tmp_path: Path, builder: BuilderSettings) -> None:
    """The builder that the configuration names is there, and has done nothing yet."""
    kind = OverlayBuilder if isinstance(builder, OverlayBuilderSettings) else WorkerBuilder
    assert type(make_builder(settings(tmp_path, builder=builder), Reactor())) is kind


@pytest.mark.parametrize(
    ("builder", "key"),
    [(OverlayBuilderSettings(Path("/build"), Path("/bwrap")), "build_dir"), (PotBuilderSettings(), "pot_fs_root")],
)
def test_a_dead_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, builder: BuilderSettings, key: str) -> None:
    """One line says which key names a place on it."""

    def dead(_: Any) -> Any:
        raise OSError(errno.ENOTCONN, "Transport endpoint is not connected")

    monkeypatch.setattr(os, "statvfs", dead)
    with pytest.raises(ConfigError, match=f"^builder.{key}: /.*: Transport endpoint is not connected$"):
        make_builder(settings(tmp_path, builder=builder), Reactor())
