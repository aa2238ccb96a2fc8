"""What a scheduler exports, who may read it, and that no request waits long for it."""

import gzip
import json
from typing import Any

import attrs
import pytest

from farmkit.deferreds import outcome
from farmkit.memory_http import Answer, Browser, bearer, request
from farmkit.memory_reactor import Reactor
from sccachedist.auth.clients import digest_of
from sccachedist.config import (
    AdminSettings,
    ClientSettings,
    ClientsSettings,
    SchedulerMetricsSettings,
    SchedulerSettings,
    TokenAuth,
    TokenSettings,
)
from sccachedist.metrics.series import SCHEDULER, SERVERS
from sccachedist.scheduler import metrics as metrics_module
from sccachedist.scheduler.service import scheduler_service
from sccachedist.wire.addresses import ServerId
from sccachedist.wire.bincode import decode, encode
from sccachedist.wire.extension import EXTENDED_HEARTBEAT, Availability, Health, ServerReport
from sccachedist.wire.host_facts import HostFacts
from sccachedist.wire.messages import HEARTBEAT
from tests.metrics.exposed import exposed, families, named
from tests.support.exchanges import exchange

METRICS, ADMIN = bearer("metricstok"), bearer("admintok")
SETTINGS = SchedulerSettings(
    public_addr=ServerId.parse("127.0.0.1:10600"),
    client_auth=TokenAuth("clienttok"),
    server_auth=TokenAuth("servertok"),
    admin=AdminSettings("admintok"),
    metrics=SchedulerMetricsSettings(ServerId.parse("127.0.0.1:10602"), "metricstok"),
)


@attrs.define
class Running:
    """A whole scheduler in memory."""

    settings: SchedulerSettings = SETTINGS
    reactor: Reactor = attrs.field(factory=Reactor)
    service: Any = attrs.field(init=False)
    sites: dict[int, Any] = attrs.field(init=False)

    def __attrs_post_init__(self) -> None:
        self.service = scheduler_service(self.settings, self.reactor, self.reactor.listen)
        self.service.privilegedStartService()
        self.service.startService()
        self.sites = {port: site for port, site, *_ in self.reactor.tcpServers}

    def ask(self, path: str, headers: dict[str, str] | None = None, port: int = 10600) -> Answer:
        """The answer to a GET, which may take some turns."""
        connection = Browser(self.sites[port], self.reactor).connect()
        connection.say(request("GET", path, headers={"Connection": "close", **(headers or {})}))
        self.reactor.pump([0.005] * 40)
        (answer,) = connection.answers()
        return answer

    def beat(self, number: int, *, unfit: str = "", port: int = 0, **told: Any) -> None:
        """A heartbeat of our build server at 127.0.0.NUMBER."""
        plain = decode(HEARTBEAT, exchange(16).body)
        availability = Availability.DRAINING if unfit else Availability.OPEN
        report = ServerReport(1, 5, availability, (), (), health=Health(unfit), metrics_port=port, **told)
        octets = {"Content-Type": "application/octet-stream"}
        token = bearer(f"127.0.0.{number}:11502 servertok")
        heartbeat = attrs.evolve(plain, server_nonce=number)
        asked = request(
            "POST",
            "/api/v1/scheduler/heartbeat_server",
            encode(EXTENDED_HEARTBEAT, (heartbeat, report)),
            octets | token,
        )
        answer = Browser(self.sites[10600], self.reactor).ask(asked, f"127.0.0.{number}")
        assert answer.status == 200, answer


@pytest.fixture
def running(monkeypatch: pytest.MonkeyPatch) -> Running:
    monkeypatch.setattr("sccachedist.scheduler.service.check_address", lambda *_: None)
    monkeypatch.setattr("sccachedist.metrics.both_roles.check_address", lambda *_: None)
    monkeypatch.setattr(
        "sccachedist.scheduler.term.certificate_digest", lambda *_: decode(HEARTBEAT, exchange(16).body).cert_digest
    )
    return Running()


@pytest.mark.parametrize("path", ["/metrics", "/metrics/servers", "/metrics/targets"])
@pytest.mark.parametrize(
    ("headers", "status"),
    [(METRICS, 200), (ADMIN, 200), (bearer("clienttok"), 401), (bearer("metricsto"), 401), ({}, 401)],
)
def test_who_may_read(running: Running, path: str, headers: dict[str, str], status: int) -> None:
    """At the scheduler's own port, who shows the token for metrics or the administrators'."""
    assert running.ask(path, headers).status == status


def test_no_token(running: Running) -> None:
    """Where no token is configured, nobody may, not even without one."""
    closed = Running(attrs.evolve(SETTINGS, admin=AdminSettings(), metrics=SchedulerMetricsSettings()))
    assert [closed.ask("/metrics", headers).status for headers in ({}, bearer(""), METRICS)] == [401] * 3
    assert list(closed.sites) == [10600]


def test_the_table_is_the_truth(running: Running) -> None:
    """Each series of the table is exported, and no other."""
    assert families(running.ask("/metrics", METRICS).body) == named(SCHEDULER)
    assert families(running.ask("/metrics/servers", METRICS).body) == named(SERVERS)


def test_the_port_for_monitoring(running: Running) -> None:
    """It needs no token, and has nothing else."""
    assert b"sccachedist_connections 0" in running.ask("/metrics", port=10602).body
    healthy, ready = running.ask("/healthz", port=10602), running.ask("/readyz", port=10602)
    assert (healthy.status, ready.status, ready.body) == (200, 200, b"ready\n")
    for path in ("/", "/metrics/servers", "/metrics/targets", "/api/v1/scheduler/status", "/metrics/", "/healthz/x"):
        assert running.ask(path, port=10602).status == 404
    assert running.ask("/healthz").status == 404


def test_build_servers(running: Running, monkeypatch: pytest.MonkeyPatch) -> None:
    """They are counted by their states, and each is shown, however many are looked at in one step."""
    monkeypatch.setattr(metrics_module, "SOME", 2)
    monkeypatch.setattr(metrics_module, "PIECE", 100)
    running.ask("/api/v1/scheduler/status")
    for host in range(1, 6):
        running.beat(host, unfit="a disk" if host == 3 else "")
    found = exposed(running.ask("/metrics", METRICS).body)
    states = {name: value for name, value in found.items() if name.startswith("sccachedist_scheduler_build_servers{")}
    assert {name for name, value in states.items() if value} == {
        "sccachedist_scheduler_build_servers{open}",
        "sccachedist_scheduler_build_servers{unfit}",
    }
    assert sum(states.values()) == 5
    assert found["sccachedist_scheduler_build_servers_joined_total"] == 5
    assert found["sccachedist_http_requests_total{200,heartbeat_server}"] == 5
    plain = running.ask("/metrics/servers", METRICS)
    packed = running.ask("/metrics/servers", METRICS | {"Accept-Encoding": "deflate, gzip;q=0.5"})
    assert packed.headers["content-encoding"] == "gzip"
    assert gzip.decompress(packed.body) == plain.body
    assert "content-encoding" not in running.ask("/metrics/servers", METRICS | {"Accept-Encoding": "gzip;q=0"}).headers
    servers = exposed(plain.body)
    assert servers["sccachedist_scheduler_server_unfit{127.0.0.3:11502}"] == 1
    assert len([name for name in servers if name.startswith("sccachedist_scheduler_server_slots{")]) == 5


def test_targets(running: Running) -> None:
    """Prometheus finds the build servers that have told where their metrics are."""
    running.beat(1)
    running.beat(2, port=10502)
    running.beat(3, port=10502, version="0.2", host=HostFacts("build3", 183))
    answer = running.ask("/metrics/targets", METRICS)
    assert answer.headers["content-type"] == "application/json"
    assert json.loads(answer.body) == [
        {
            "targets": [f"127.0.0.{host}:10502"],
            "labels": {
                "__meta_sccachedist_server": f"127.0.0.{host}:11502",
                "__meta_sccachedist_name": name,
                "__meta_sccachedist_arch": machine,
                "__meta_sccachedist_version": version,
            },
        }
        for host, name, machine, version in ((2, "", "", ""), (3, "build3", "aarch64", "0.2"))
    ]


def test_requests_for_slots(running: Running) -> None:
    """Each is counted once, by what became of it: also one whose token was refused."""
    running.reactor.advance(10.0)  # nobody waits for build servers any more
    running.ask("/api/v1/scheduler/status")
    browser = Browser(running.sites[10600], running.reactor)
    octets = {"Content-Type": "application/octet-stream", "Connection": "close"}
    for token in ("clienttok", "wrong"):
        asked = request("POST", "/api/v1/scheduler/alloc_job", exchange(15).body, octets | bearer(token))
        browser.ask(asked)
    found = exposed(running.ask("/metrics", METRICS).body)
    allocations = {name: value for name, value in found.items() if "_allocations_total" in name and value}
    assert allocations == {
        "sccachedist_scheduler_allocations_total{no_servers}": 1,
        "sccachedist_scheduler_allocations_total{unauthorized}": 1,
    }
    assert found["sccachedist_http_requests_total{401,alloc_job}"] == 1
    assert found["sccachedist_http_request_seconds_count{alloc_job}"] == 2


def test_unknown_routes(running: Running) -> None:
    """Whatever strangers ask for, there are no more series."""
    before = running.ask("/metrics", METRICS).body
    for number in range(20):
        running.ask(f"/{number}", bearer(str(number)))
    after = running.ask("/metrics", METRICS).body
    assert exposed(after)["sccachedist_http_requests_total{404,unknown}"] == 20
    assert len(exposed(after)) - len(exposed(before)) <= 2


def test_stops(running: Running) -> None:
    """Nothing is left that would wake the process."""
    running.ask("/metrics", METRICS)
    outcome(running.service.stopService())
    running.reactor.advance(0)
    assert running.reactor.getDelayedCalls() == []


def test_clients_with_names(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each name of the clients' file is a label, and no other; a token that ends is told of once it is shown."""
    ends = 2e9
    clients = {"ann": ClientSettings(tokens=(TokenSettings(digest_of("ann's"), until=ends),)), "bob": ClientSettings()}
    for module in ("scheduler.service", "metrics.both_roles"):
        monkeypatch.setattr(f"sccachedist.{module}.check_address", lambda *_: None)
    running = Running(attrs.evolve(SETTINGS, clients=ClientsSettings(named=clients)))
    at = "sccachedist_scheduler_client_"
    expected = {f"{at}{what}{{{name}}}": 0.0 for what in ("slots", "waiting") for name in ("ann", "bob", "_default")}
    assert {
        name: value for name, value in exposed(running.ask("/metrics", METRICS).body).items() if at in name
    } == expected
    running.ask("/api/v1/farm/status", bearer("ann's"))
    expected[f"{at}token_expiry_timestamp_seconds{{ann}}"] = ends
    assert {
        name: value for name, value in exposed(running.ask("/metrics", METRICS).body).items() if at in name
    } == expected
