"""A build server that is a gateway, as a whole: what it offers, whom it lets in, and what others answer to workers."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import attrs
import pytest
from twisted.logger import LogLevel, capturedLogs, formatEvent

from farmkit.memory_http import OCTETS, Browser, Connection, bearer, request
from farmkit.memory_reactor import Reactor
from sccachedist.cli.doctor.checks import server_checks
from sccachedist.client.web_client import Trust
from sccachedist.config import DockerBuilderSettings, RemoteBuilderSettings, ServerSettings
from sccachedist.config.operation import MetricsSettings
from sccachedist.config.settings import CapacitySettings
from sccachedist.daemon.reload import Reload
from sccachedist.errors import ConfigError
from sccachedist.gateway.dispatch import ALONE_SECS
from sccachedist.gateway.routes import ROOT
from sccachedist.outcomes import Lack
from sccachedist.server import service as service_module
from sccachedist.server.reloaded_parts import ServerParts
from sccachedist.server.sandboxes import make_builder
from sccachedist.server.service import server_service
from sccachedist.wire.abilities import Offer
from sccachedist.wire.addresses import ServerId
from sccachedist.wire.bincode import decode, encode
from sccachedist.wire.extension import Health
from sccachedist.wire.gateway import WELCOME, WORKER_HELLO, WORKER_STATE, WorkerHello, WorkerState
from sccachedist.wire.messages import job_capacity
from tests.server.test_service import settings

TOKENS = RemoteBuilderSettings(("first", "second"))
HELLO = encode(WORKER_HELLO, WorkerHello("w", 1, 6, 7, (62,), (), "1"))


@attrs.define
class Running:
    """A gateway and its reactor."""

    file: ServerSettings
    reactor: Reactor = attrs.field(factory=Reactor)
    parts: list[ServerParts] = attrs.field(factory=list)
    connections: list[Connection] = attrs.field(factory=list)
    reload: Reload[ServerSettings] = attrs.field(init=False)

    def __attrs_post_init__(self) -> None:
        self.reload = Reload(self.file, lambda: self.file, self.reactor.seconds)
        service = server_service(self.file, self.reactor, self.reactor.listen, self.reload)
        service.privilegedStartService()
        service.startService()

    @property
    def its(self) -> ServerParts:
        return self.parts[0]

    def say(self, path: str, body: bytes = b"", token: str = "first") -> Connection:
        over_tls: Any = next(port[1] for port in self.reactor.tcpServers if port[0] == 10502)
        connection = Browser(over_tls.wrappedFactory, self.reactor).connect()
        connection.say(request("POST", f"{ROOT}/{path}", body, {**OCTETS, **bearer(token)}))
        self.connections.append(connection)
        return connection

    def worker(self, token: str = "first") -> str:
        """The session of a worker that has come."""
        (answer,) = self.say("hello", HELLO, token).answers()
        return decode(WELCOME, answer.body).session

    def later(self, seconds: int) -> None:
        for _ in range(seconds):
            self.reactor.advance(1)


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch) -> Callable[[ServerSettings], Running]:
    kept: list[ServerParts] = []

    def keep(*parts: Any) -> ServerParts:
        kept.append(ServerParts(*parts))
        return kept[0]

    monkeypatch.setattr(service_module, "check_address", lambda *_: None)
    monkeypatch.setattr(service_module, "ServerParts", keep)
    monkeypatch.setattr("sccachedist.metrics.both_roles.check_address", lambda *_: None)
    return lambda file: Running(file, parts=kept)


def test_fit_with_its_first_worker(run: Callable[[ServerSettings], Running], tmp_path: Path) -> None:
    """No scheduler hears of it before its first worker; it offers the CPUs of one that is lost for a while."""
    gateway = run(settings(tmp_path, builder=TOKENS))
    gateway.later(40)
    assert (gateway.its.core.state, gateway.reactor.tcpClients) == ("starting", [])
    session = gateway.worker()
    assert (gateway.its.core.state, gateway.its.core.slots) == ("open", job_capacity(6))
    assert len(gateway.reactor.tcpClients) == 1
    listening = gateway.say(f"orders/{session}", encode(WORKER_STATE, WorkerState(6, 7, ())))
    listening.leave()
    gateway.later(int(ALONE_SECS) - 1)
    assert (gateway.its.core.unfit, gateway.its.core.slots) == ("", job_capacity(6))
    gateway.later(2)
    assert gateway.its.core.unfit == "no worker is connected"
    gateway.worker()
    gateway.reactor.advance(0)
    assert gateway.its.core.unfit == ""


def test_busy_with_its_workers(run: Callable[[ServerSettings], Running], tmp_path: Path) -> None:
    """While all workers that are connected take no jobs, it has no slot to offer, and nothing is wrong with it."""
    gateway = run(settings(tmp_path, builder=TOKENS))
    session = gateway.worker()

    def says(cpus: int, slots: int) -> tuple[str, Offer | None]:
        """What the gateway is, and offers, when its worker has said what it takes."""
        gateway.say(f"orders/{session}", encode(WORKER_STATE, WorkerState(cpus, slots, ())))
        gateway.later(4)
        _, report = gateway.its.heartbeat._message(5, 1000)
        assert report.health == Health("", 0, 0)
        assert report.abilities is not None
        return gateway.its.core.state, report.abilities.offer

    with capturedLogs() as events:
        assert says(0, 0) == says(0, 0) == ("busy", Offer(0, Lack.NO_WORKER.word))
        assert says(6, 7) == ("open", None)
    ours = [event for event in events if event["log_namespace"].startswith("sccachedist.")]
    assert [formatEvent(event) for event in ours if event["log_level"] is not LogLevel.debug] == [
        "no worker takes jobs for now",
        "workers take jobs again",
    ]
    says(0, 0)
    gateway.connections[-1].leave()
    gateway.later(2)
    assert (gateway.its.core.state, gateway.its.core.unfit) == ("unfit", "no worker is connected")
    gateway.say("hello", encode(WORKER_HELLO, WorkerHello("w", 2, 0, 0, (62,), (), "1")))
    gateway.later(2)
    assert (gateway.its.core.state, gateway.its.core.unfit) == ("busy", "")


def test_more_workers(run: Callable[[ServerSettings], Running], tmp_path: Path) -> None:
    """A published scheduler learns of more CPUs by another nonce; to ours, it is the same build server."""
    gateway = run(settings(tmp_path, builder=TOKENS))

    def told(cpus: int, nonce: int) -> tuple[int, int]:
        """The nonce and the CPUs that a heartbeat has when one more worker has come."""
        gateway.say("hello", encode(WORKER_HELLO, WorkerHello("w", nonce, cpus, cpus + 1, (62,), (), "1")))
        heartbeat, _ = gateway.its.heartbeat._message(5, 1000)
        return heartbeat.server_nonce, heartbeat.num_cpus

    first, second = told(6, 1), told(2, 2)
    assert (first[1], second[1]) == (6, 8)
    assert first[0] != second[0]
    gateway.its.link.is_ours = True
    assert told(2, 3) == (second[0], 10)


def test_other_tokens(run: Callable[[ServerSettings], Running], tmp_path: Path) -> None:
    """A reload brings other tokens into force; a number of CPUs does not change what workers offer."""
    gateway = run(settings(tmp_path, builder=TOKENS))
    session = gateway.worker("second")
    gateway.file = attrs.evolve(gateway.file, builder=RemoteBuilderSettings(("first", "third")))
    gateway.reload.reload()
    gateway.its._take_capacity(attrs.evolve(gateway.file, capacity=CapacitySettings(cpus=99)))
    assert [each.status for each in gateway.say(f"leave/{session}", token="second").answers()] == [401]
    assert gateway.its.core.slots == job_capacity(1)
    gateway.worker("third")
    assert gateway.its.core.slots == job_capacity(6)


def test_others_know_no_workers(run: Callable[[ServerSettings], Running], tmp_path: Path) -> None:
    """A build server that is no gateway has no such routes."""
    server = run(settings(tmp_path, builder=DockerBuilderSettings()))
    assert [each.status for each in server.say("hello", HELLO).answers()] == [404]


def test_no_sandboxes(tmp_path: Path) -> None:
    """A gateway has none to try."""
    with pytest.raises(ConfigError, match=r"^builder.type: "):
        make_builder(settings(tmp_path, builder=TOKENS), Reactor())


def test_doctor(tmp_path: Path) -> None:
    """It looks for no sandboxes at a gateway, nor at its CPUs."""
    checks = server_checks(None, settings(tmp_path, builder=TOKENS), Trust())
    assert [name for name, _ in checks] == ["cache_dir", "public_addr", "scheduler"]


def test_metrics(run: Callable[[ServerSettings], Running], tmp_path: Path) -> None:
    """They tell of the workers that are connected."""
    address = MetricsSettings(ServerId.parse("127.0.0.1:10503"))
    gateway = run(settings(tmp_path, builder=TOKENS, metrics=address))
    gateway.worker()
    (site,) = [port[1] for port in gateway.reactor.tcpServers if port[0] == 10503]
    page: Any = site
    connection = Browser(page, gateway.reactor).connect()
    connection.say(request("GET", "/metrics"))
    (answer,) = connection.answers()
    shown = answer.body.decode()
    assert "sccachedist_gateway_workers 1.0" in shown
    assert "sccachedist_gateway_cpus 6.0" in shown
    assert 'sccachedist_gateway_jobs{state="waiting"} 0.0' in shown
    assert 'sccachedist_gateway_jobs_moved_total{reason="lost"} 0.0' in shown
    assert "sccachedist_server_workers{" not in shown
