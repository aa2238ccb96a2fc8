"""What a build server exports, and when it says that it is ready."""

from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import attrs
import pytest
from twisted.internet.defer import Deferred, maybeDeferred

from farmkit.deferreds import outcome
from farmkit.fakes import FakeBuilder
from farmkit.memory_http import Answer, Browser, request
from farmkit.memory_reactor import Reactor
from sccachedist.config import MetricsSettings, ServerSettings
from sccachedist.disks import free_bytes
from sccachedist.metrics.server_series import SERVER
from sccachedist.server import service as service_module
from sccachedist.server.host import DISK_SECS
from sccachedist.server.lifecycle import ServerService
from sccachedist.server.self_description import told_metrics_port
from sccachedist.server.service import server_service
from sccachedist.wire.addresses import ServerId
from tests.metrics.exposed import exposed, families, named
from tests.server.test_service import settings

AT = "sccachedist_server_"


class BuilderWithWorkers(FakeBuilder):
    """A fake builder, and what can be seen of its workers."""

    workers = SimpleNamespace(counts=(2, 1), started=5, died=1)


@attrs.define
class Monitored:
    """A build server whose metrics are asked for."""

    service: ServerService
    reactor: Reactor
    builder: FakeBuilder

    def ask(self, path: str) -> Answer:
        sites: dict[int, Any] = {port: site for port, site, *_ in self.reactor.tcpServers}
        return Browser(sites[10702], self.reactor).ask(request("GET", path, headers={"Connection": "close"}))

    @property
    def found(self) -> dict[str, float]:
        """The samples of a build server's own series."""
        samples = exposed(self.ask("/metrics").body)
        return {name.removeprefix(AT): value for name, value in samples.items() if name.startswith(AT)}


def configured(directory: Path, address: str) -> ServerSettings:
    return settings(directory, metrics=MetricsSettings(ServerId.parse(address)))


class Looks:
    """Stands in for the thread pool: looks at disks wait for an answer, all else is done at once."""

    def __init__(self) -> None:
        self.answers: list[Deferred[int | None]] = []

    def __call__(self, _reactor: object, _pool: object, work: Callable[..., Any], *arguments: object) -> Deferred[Any]:
        if work is not free_bytes:
            return maybeDeferred(work, *arguments)
        self.answers.append(Deferred())
        return self.answers[-1]


def test_a_disk_that_does_not_answer(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What was seen stays while the next look lasts, so that no scrape misses it; not longer."""
    monkeypatch.setattr(service_module, "deferToThreadPool", looks := Looks())
    found = monitored_at(tmp_path, monkeypatch)
    found.builder.starting.answer("start", None)
    found.reactor.advance(DISK_SECS)
    looks.answers.pop().callback(7)
    looks.answers.pop().callback(8)
    assert found.found["disk_free_bytes{cache}"] == 7
    found.reactor.advance(DISK_SECS)
    assert found.found["disk_free_bytes{cache}"] == 7, "the look lasts"
    found.reactor.advance(DISK_SECS)
    assert "disk_free_bytes{cache}" not in found.found
    looks.answers.pop().callback(9)
    assert found.found["disk_free_bytes{cache}"] == 9
    looks.answers.pop().callback(None)
    assert "disk_free_bytes{build}" not in found.found


@pytest.fixture
def monitored(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Monitored:
    return monitored_at(tmp_path, monkeypatch)


def monitored_at(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Monitored:
    builder, reactor = BuilderWithWorkers(), Reactor()
    monkeypatch.setattr(service_module, "make_builder", lambda *_: builder)
    monkeypatch.setattr(service_module, "check_address", lambda *_: None)
    monkeypatch.setattr("sccachedist.metrics.both_roles.check_address", lambda *_: None)
    service = server_service(configured(tmp_path, "127.0.0.1:10702"), reactor, reactor.listen)
    service.privilegedStartService()
    service.startService()
    return Monitored(service, reactor, builder)


def test_the_table_is_the_truth(monitored: Monitored) -> None:
    """Each series of the table is exported, and no other."""
    monitored.reactor.advance(DISK_SECS)
    assert families(monitored.ask("/metrics").body) == named(SERVER)


def test_values(monitored: Monitored) -> None:
    """A build server that has just begun; what is not known yet is missing, not 0."""
    found = monitored.found
    assert found["state{starting}"] == 1
    assert sum(value for name, value in found.items() if name.startswith("state{")) == 1
    assert (found["workers{idle}"], found["workers{busy}"], found["worker_deaths_total"]) == (2, 1, 1)
    assert (found["registered"], found["toolchains"], found["jobs{started}"]) == (0, 0, 0)
    assert not {"last_heartbeat_timestamp_seconds", "disk_free_bytes{cache}"} & found.keys()
    monitored.builder.starting.answer("start", None)
    monitored.reactor.advance(DISK_SECS)
    found = monitored.found
    assert found["state{open}"] == 1
    assert found["disk_free_bytes{cache}"] > 0
    assert "disk_free_bytes{build}" not in found, "the fake builder has made no directory"
    certificate = exposed(monitored.ask("/metrics").body)["sccachedist_certificate_expiry_timestamp_seconds"]
    assert certificate > 1.7e9


def test_ready(monitored: Monitored) -> None:
    """It is ready when it takes jobs and the scheduler knows it, and says else what is missing."""
    assert monitored.ask("/healthz").status == 200
    answer = monitored.ask("/readyz")
    assert (answer.status, answer.body) == (503, b"it is starting\n")
    monitored.builder.starting.answer("start", None)
    answer = monitored.ask("/readyz")
    assert (answer.status, answer.body) == (503, b"it is not registered with the scheduler\n")
    monitored.reactor.advance(0)
    ended = monitored.service.stopService()
    monitored.reactor.pump([1.0] * 20)
    outcome(ended)


@pytest.mark.parametrize(
    ("address", "told"), [("127.0.0.1:7", 7), ("0.0.0.0:7", 7), ("127.0.0.2:7", 0), ("[::]:7", 7), ("[::1]:7", 0)]
)
def test_told_port(tmp_path: Path, address: str, told: int) -> None:
    """The scheduler tells others to look at the public address: a port that is elsewhere is kept back."""
    assert told_metrics_port(configured(tmp_path, address)) == told
    assert told_metrics_port(settings(tmp_path)) == 0
