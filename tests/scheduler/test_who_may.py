"""Who may ask a scheduler what: each route with each role, by token and by session; and what another site can do.

A route that is not in the table fails a test here: who adds one says who may use it.
"""

from collections.abc import Iterator
from itertools import product
from typing import Any

import attrs
import pytest
from twisted.logger import capturedLogs

from farmkit.memory_http import OCTETS, Browser, bearer, request
from farmkit.memory_reactor import Reactor
from sccachedist.auth.clients import digest_of
from sccachedist.config import (
    AdminSettings,
    NetworkSettings,
    PersonSettings,
    SchedulerMetricsSettings,
    SchedulerSettings,
    TokenAuth,
    ViewFor,
    WebSettings,
)
from sccachedist.scheduler import service as service_module
from sccachedist.scheduler.service import scheduler_service
from sccachedist.wire.addresses import ServerId
from tests.support.readers import ADMIN, ADMINS, ANN, CLIENT, PROXIES, VIEWER

SERVER, SCRAPER = "127.0.0.1:10501 servertok", "scrapetok"
FORM, JSON = {"Content-Type": "application/x-www-form-urlencoded"}, {"Content-Type": "application/json"}
SAME_SITE = {"Sec-Fetch-Site": "same-origin"}
#: Tokens by the roles that show them.
TOKENS = {
    "anyone": "",
    "wrong": "wrong",
    "client": CLIENT,
    "viewer": VIEWER,
    "ann": ANN,
    "admin": ADMIN,
    "server": SERVER,
    "scraper": SCRAPER,
}
ADMINISTRATORS = {"ann", "admin"}
VIEWERS = {"viewer", *ADMINISTRATORS}
CLIENTS = {"client", *VIEWERS}
ALL = set(TOKENS)
#: Name, method and path of each route; its media type, if it has a body; who may use it by token; whether by session.
ROUTES: dict[str, tuple[str, str, dict[str, str], set[str], bool]] = {
    "alloc_job": ("POST", "/api/v1/scheduler/alloc_job", OCTETS, {"client"}, False),
    "server_certificate": ("GET", "/api/v1/scheduler/server_certificate/127.0.0.1:10501", {}, ALL, False),
    "heartbeat_server": ("POST", "/api/v1/scheduler/heartbeat_server", OCTETS, {"server"}, False),
    "job_state": ("POST", "/api/v1/scheduler/job_state/7", OCTETS, {"server"}, False),
    "job_states": ("POST", "/api/v1/scheduler/job_states", OCTETS, {"server"}, False),
    "toolchain_holders": ("GET", f"/api/v1/scheduler/toolchain_holders/{'0c' * 32}", {}, {"server"}, False),
    "popular_toolchains": ("GET", "/api/v1/scheduler/popular_toolchains", {}, {"server"}, False),
    "status": ("GET", "/api/v1/scheduler/status", {}, ALL, False),
    "drain": ("POST", "/api/v1/admin/drain/127.0.0.1:10501", JSON, ADMINISTRATORS, True),
    "settings": ("GET", "/api/v1/admin/settings", {}, ADMINISTRATORS, True),
    "named_clients": ("GET", "/api/v1/admin/clients", {}, ADMINISTRATORS, True),
    "act": ("POST", "/api/v1/admin/actions", JSON, ADMINISTRATORS, True),
    "account": ("GET", "/api/v1/scheduler/account", {}, ALL, False),
    "way": ("GET", "/api/v1/scheduler/way", {}, {"server", *CLIENTS}, False),
    "metrics": ("GET", "/metrics", {}, {"scraper", *ADMINISTRATORS}, True),
    "metrics_servers": ("GET", "/metrics/servers", {}, {"scraper", *ADMINISTRATORS}, True),
    "metrics_targets": ("GET", "/metrics/targets", {}, {"scraper", *ADMINISTRATORS}, True),
    "farm_status": ("GET", "/api/v1/farm/status", {}, CLIENTS, True),
    "farm_servers": ("GET", "/api/v1/farm/servers", {}, CLIENTS, True),
    "farm_jobs": ("GET", "/api/v1/farm/jobs", {}, CLIENTS, True),
    "farm_job": ("GET", "/api/v1/farm/jobs/7", {}, CLIENTS, True),
    "farm_why": ("GET", "/api/v1/farm/why", {}, CLIENTS, True),
    "farm_clients": ("GET", "/api/v1/farm/clients", {}, CLIENTS, True),
    "farm_toolchains": ("GET", "/api/v1/farm/toolchains", {}, CLIENTS, True),
    "farm_usage": ("GET", "/api/v1/farm/usage", {}, CLIENTS, True),
    "farm_trace": ("GET", "/api/v1/farm/trace", {}, CLIENTS, True),
    "farm_notices": ("GET", "/api/v1/farm/notices", {}, CLIENTS, True),
    "farm_events": ("GET", "/api/v1/farm/events", {}, CLIENTS, True),
    "login": ("POST", "/login", {}, ALL, True),  # without a form that is a mistake, for all who ask
    "logout": ("POST", "/logout", FORM, ALL, True),
    "page": ("GET", "/", {}, ALL, True),
    "page_file": ("GET", "/static/0123456789abcdef/app.js", {}, ALL, True),
    "farm_me": ("GET", "/api/v1/farm/me", {}, {"anyone", *CLIENTS}, True),
}
READS = [name for name, route in ROUTES.items() if route[3] is CLIENTS]
ACTS = [name for name, route in ROUTES.items() if route[3] <= ADMINISTRATORS]
SETTINGS = SchedulerSettings(
    public_addr=ServerId.parse("127.0.0.1:10600"),
    client_auth=TokenAuth(CLIENT),
    server_auth=TokenAuth("servertok"),
    network=NetworkSettings((PROXIES,)),
    admin=ADMINS,
    metrics=SchedulerMetricsSettings(None, SCRAPER),
    web=WebSettings(viewer_token=VIEWER, user_header="x-forwarded-user"),
)


@attrs.define
class Whole:
    """A whole scheduler, and somebody to ask it."""

    settings: SchedulerSettings = SETTINGS
    reactor: Reactor = attrs.field(factory=Reactor)
    ports: dict[int, Any] = attrs.field(init=False)

    def __attrs_post_init__(self) -> None:
        service = scheduler_service(self.settings, self.reactor, self.reactor.listen)
        service.privilegedStartService()
        service.startService()
        self.ports = {port: site for port, site, *_ in self.reactor.tcpServers}

    def asks(self, name: str, headers: dict[str, str], sender: str = "127.0.0.1") -> int:
        """The status that a request to a route is answered with."""
        return int(self.said(name, headers, b"", sender).split()[1])

    def said(self, name: str, headers: dict[str, str], body: bytes = b"", sender: str = "127.0.0.1") -> bytes:
        """The answer, in bytes."""
        method, path, media_type, *_ = ROUTES[name]
        asked = request(method, path, body, {"Host": "farm", **media_type, **headers})
        connection = Browser(self.ports[10600], self.reactor).connect(sender)
        connection.say(asked)
        self.reactor.advance(0.1)
        return bytes(connection.value())

    def session(self, token: str) -> dict[str, str]:
        """The cookie of one who has signed in."""
        asked = request("POST", "/login", f"token={token}".encode(), {"Host": "farm", **FORM})
        answer = Browser(self.ports[10600], self.reactor).ask(asked)
        return {"Cookie": answer.headers["set-cookie"].partition(";")[0]}


@pytest.fixture(autouse=True)
def no_sockets(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(service_module, "check_address", lambda *_: None)


@pytest.fixture(scope="module")
def whole() -> Iterator[Whole]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(service_module, "check_address", lambda *_: None)
        yield Whole()


def test_each_route(whole: Whole) -> None:
    """Each route is in the table."""
    assert set(whole.ports[10600].routes.names) == set(ROUTES)


@pytest.mark.parametrize("name", ROUTES)
def test_tokens(whole: Whole, name: str) -> None:
    """Those who may use a route are not refused, and all others are."""
    may = {who for who, token in TOKENS.items() if whole.asks(name, bearer(token) if token else {}) not in (401, 403)}
    assert may == ROUTES[name][3] | ({"anyone", "wrong", "server", "scraper"} & ROUTES[name][3])


@pytest.mark.parametrize("name", ROUTES)
def test_cookies(whole: Whole, name: str) -> None:
    """A session is as good as the token on the routes for people, and worth nothing on others."""
    *_, allowed, by_session = ROUTES[name]
    for who in ("client", "viewer", "ann", "admin"):
        may = who in allowed if by_session else "anyone" in allowed
        status = whole.asks(name, {**whole.session(TOKENS[who]), **SAME_SITE})
        assert (status not in (401, 403)) is may, who


@pytest.mark.parametrize(("name", "user"), list(product(ROUTES, ["ann", "carl"])))
def test_users_of_a_proxy(whole: Whole, name: str, user: str) -> None:
    """One that a trusted proxy names is an administrator by that name, or a viewer; a stranger's word is nothing."""
    *_, allowed, by_session = ROUTES[name]
    who = "ann" if user == "ann" else "viewer"
    said = {"X-Forwarded-User": user, **SAME_SITE}
    assert (whole.asks(name, said, "10.9.0.1") not in (401, 403)) is (
        who in allowed if by_session else "anyone" in allowed
    )
    assert (whole.asks(name, said, "192.0.2.1") not in (401, 403)) is ("anyone" in allowed)


@pytest.mark.parametrize("name", READS)
@pytest.mark.parametrize(
    ("view", "allowed"),
    [(ViewFor.ANYONE, CLIENTS | {"anyone"}), (ViewFor.CLIENTS, CLIENTS), (ViewFor.VIEWERS, VIEWERS)],
)
def test_views(name: str, view: ViewFor, allowed: set[str]) -> None:
    """Who may look is for the operator to choose."""
    farm = Whole(attrs.evolve(SETTINGS, web=attrs.evolve(SETTINGS.web, view=view)))
    assert {who for who, token in TOKENS.items() if farm.asks(name, bearer(token) if token else {}) == 200} <= allowed
    statuses = {who: farm.asks(name, bearer(token) if token else {}) for who, token in TOKENS.items()}
    assert {who for who, status in statuses.items() if status not in (401, 403)} == allowed
    assert statuses["client"] in ((403,) if view is ViewFor.VIEWERS else (200, 404))


@pytest.mark.parametrize("name", [name for name in ACTS if ROUTES[name][0] != "GET"])
@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"Sec-Fetch-Site": "cross-site"},
        {"Sec-Fetch-Site": "same-site"},
        {"Sec-Fetch-Site": "none"},
        {"Origin": "http://elsewhere"},
        {"Origin": "null"},
        {**SAME_SITE, **FORM},
        {**SAME_SITE, "Content-Type": "text/plain"},
    ],
)
def test_other_sites(whole: Whole, name: str, headers: dict[str, str]) -> None:
    """Another site in an administrator's browser does nothing, whether a cookie or a proxy says who that is."""
    assert whole.asks(name, {**whole.session(ANN), **headers}) in (401, 403)
    assert whole.asks(name, {"X-Forwarded-User": "ann", **headers}, "10.9.0.1") in (401, 403)


def test_own_port() -> None:
    """With an address of its own, the page and what it asks are there, and signing in is nowhere else."""
    address = ServerId.parse("127.0.0.1:10700")
    farm = Whole(attrs.evolve(SETTINGS, web=attrs.evolve(SETTINGS.web, address=address)))
    here, there = (set(farm.ports[port].routes.names) for port in (10600, 10700))
    assert here | there == set(ROUTES)
    of_page = {"login", "logout", "farm_me", "page", "page_file"}
    assert of_page & here == set()
    assert {name for name in there if name not in (*READS, *ACTS)} == of_page
    assert set(READS) <= here
    assert farm.ports[10600].limits.connections + farm.ports[10700].limits.connections == SETTINGS.limits.connections


def test_without_secrets() -> None:
    """A farm that names no administrators and no viewers has none, whatever is shown."""
    web, metrics = WebSettings(), SchedulerMetricsSettings()
    farm = Whole(attrs.evolve(SETTINGS, admin=AdminSettings(), web=web, metrics=metrics))
    nobody = AdminSettings(None, {"ann": PersonSettings()})
    for other in (farm, Whole(attrs.evolve(SETTINGS, admin=nobody, web=web, metrics=metrics))):
        for name in (*ACTS, "metrics"):
            for shown in ("", digest_of(""), ADMIN, ANN, digest_of(ANN)):
                assert other.asks(name, {"Authorization": f"Bearer {shown}"}) == 401


def test_nothing_secret(whole: Whole) -> None:
    """Whatever is shown where, right or nearly right, no answer and no log has a token or a session in it."""
    sessions = [whole.session(token)["Cookie"] for token in (CLIENT, VIEWER, ANN, ADMIN)]
    values = [session.partition("=")[2] for session in sessions]
    secrets = [*filter(None, TOKENS.values()), *values, *(digest_of(token) for token in (ANN, ADMIN))]
    said = bytearray()
    with capturedLogs() as logged:
        for name, token in product(ROUTES, filter(None, TOKENS.values())):
            for shown in (token, token[:-1], f"{token}x"):
                said += whole.said(name, bearer(shown)) + whole.said(name, {"Cookie": f"sccachedist={shown}"})
                if name == "login":
                    said += whole.said(name, FORM, f"token={shown[:-1]}&token={shown}".encode())
        for name, session in product(ROUTES, sessions):
            said += whole.said(name, {"Cookie": f"{session}x"}) + whole.said(name, {"Cookie": session, **SAME_SITE})
    assert len(said) > 10_000
    texts = (said.decode("latin-1"), repr(logged), repr(whole.settings))
    assert not [secret for secret, text in product(secrets, texts) if secret in text and secret != "wrong"]


@pytest.mark.parametrize(("token", "is_known"), [("", False), (CLIENT, True)])
def test_strangers_that_may_look(token: str, is_known: bool) -> None:
    """Where anyone may look, a look makes nobody known: a connection that shows a token is kept before theirs."""
    limits = attrs.evolve(SETTINGS.limits, connections_per_address=1)
    farm = Whole(attrs.evolve(SETTINGS, limits=limits, web=attrs.evolve(SETTINGS.web, view=ViewFor.ANYONE)))
    looks = Browser(farm.ports[10600], farm.reactor).connect()
    looks.say(request("GET", "/api/v1/farm/servers", headers=bearer(token) if token else {}))
    farm.reactor.advance(0.1)
    assert [answer.status for answer in looks.answers()] == [200]
    assert (farm.ports[10600].buildProtocol(looks.getPeer()) is None) is is_known
