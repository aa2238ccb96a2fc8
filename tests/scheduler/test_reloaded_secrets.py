"""Secrets that a running scheduler takes when its configuration is read again, and how long the old ones are good."""

from collections.abc import Callable
from typing import Any, cast

import attrs
import pytest
from twisted.internet.defer import Deferred
from twisted.internet.task import Clock
from twisted.web.http_headers import Headers

from farmkit.deferreds import outcome
from sccachedist.auth.clients import name_of
from sccachedist.auth.servers import Revocable, check_server
from sccachedist.budgets import Party
from sccachedist.config import (
    AdminSettings,
    ClientsSettings,
    InsecureAuth,
    JwtHs256,
    JwtSettings,
    JwtValidate,
    PersonSettings,
    ProxyToken,
    SchedulerLimits,
    SchedulerSettings,
    ServersTokenAuth,
    TokenAuth,
    WebSettings,
)
from sccachedist.daemon.reload import Reload
from sccachedist.errors import ClientRefused, PeerRefused, ServerRevoked
from sccachedist.peers.http_client import Calls
from sccachedist.scheduler.client_auth import client_auth, client_digest
from sccachedist.scheduler.core import SchedulerCore
from sccachedist.scheduler.events import Departure, Event, ServerLeft
from sccachedist.scheduler.job_tokens import JobTokens
from sccachedist.scheduler.reloaded_secrets import reloaded_secrets
from sccachedist.scheduler.roles import Principal, Principals, Role
from sccachedist.scheduler.server_auth import Outdated, server_auth
from sccachedist.scheduler.sessions import Sessions
from sccachedist.scheduler.term import Term, Terms
from sccachedist.wire.addresses import ServerId
from sccachedist.wire.messages import JobId
from sccachedist.wire.tokens import server_token
from tests.scheduler.farms import A, B, heartbeat

GRACE_SECS = 60
OLD, NEW = b"o" * 32, b"n" * 32
SETTINGS = SchedulerSettings(
    public_addr=ServerId.parse("127.0.0.1:10600"),
    client_auth=TokenAuth("one"),
    server_auth=JwtHs256(OLD),
    admin=AdminSettings("admin's", {"ann": PersonSettings("0" * 64)}),
    web=WebSettings(viewer_token="viewer's"),
)


@attrs.define
class Running:
    """What knows the secrets of a scheduler."""

    file: SchedulerSettings
    clock: Clock = attrs.field(factory=Clock)
    told: list[Event] = attrs.field(factory=list)
    reload: Reload[SchedulerSettings] = attrs.field(init=False)
    servers: Revocable = attrs.field(init=False)
    principals: Principals = attrs.field(init=False)
    sessions: Sessions = attrs.field(init=False)
    core: SchedulerCore = attrs.field(init=False)
    terms: Terms = attrs.field(init=False)
    clients: Any = attrs.field(init=False)

    def __attrs_post_init__(self) -> None:
        outdated = Outdated(self.clock)
        self.clients = client_auth(self.file, cast(Calls, None), self.clock, outdated.client)
        self.servers = server_auth(self.file.server_auth, outdated, self.clock)
        self.principals = Principals.of(self.file.admin, self.file.web)
        self.sessions = Sessions.of(self.file, self.principals, client_digest(self.file.client_auth))
        self.terms = Terms(self.term)
        self.reload = Reload(self.file, lambda: self.file, self.clock.seconds)
        self.reload.add(*reloaded_secrets(self.clients, self.servers, self.terms, self.principals, self.sessions))

    def term(self) -> Term:
        self.core = SchedulerCore(JobId(1))
        tokens = JobTokens(self.clock.seconds)
        return Term(self.core, cast(Any, None), self.file.queue, self.clock, tokens, [self.told.append])

    def change(self, **keys: Any) -> tuple[str, ...]:
        """Write the file, and have it read again; the keys that have changed at once."""
        self.file = attrs.evolve(self.file, **keys)
        return self.reload.reload().at_once

    def opens(self, token: str) -> Party | None:
        """The party of a client token; None if it opens nothing."""
        party = outcome(Deferred.fromCoroutine(self.clients.check(token, A.host)))
        return None if isinstance(party, ClientRefused) else cast(Party, party)

    def identified(self, token: str) -> bool:
        """Whether a token of build server A is good."""
        try:
            return check_server(self.servers, token, A.host) == A
        except PeerRefused:
            return False


def test_client_token() -> None:
    """The old one is good for the grace, or as long as the file has it; who has signed in with it does so again."""
    running = Running(SETTINGS)
    session = running.sessions.signed(running.sessions.client, 1000.0)
    assert running.change(client_auth=TokenAuth("two")) == ("client_auth.token",)
    assert running.opens("one") == running.opens("two") is not None
    assert running.sessions.principal_of(session, 0.0) is None
    session = running.sessions.signed(running.sessions.client, 1000.0)
    running.clock.advance(GRACE_SECS)
    assert running.opens("one") is None
    assert running.change(client_auth=TokenAuth("three", "two")) == ("client_auth.token", "client_auth.previous_token")
    running.clock.advance(10 * GRACE_SECS)
    assert running.opens("two") == running.opens("three") is not None
    assert running.sessions.principal_of(session, 0.0) is None
    assert running.change(client_auth=TokenAuth("three")) == ("client_auth.previous_token",)
    assert running.opens("two") is not None
    running.clock.advance(GRACE_SECS)
    assert running.opens("two") is None


def test_signed_client_tokens() -> None:
    """What tokens may be signed with, and which claim names their clients, counts for the next token."""
    running = Running(attrs.evolve(SETTINGS, client_auth=JwtValidate("farm", "issuer", "http://127.0.0.1:1")))
    assert running.change(jwt=JwtSettings(("ES256",), "user")) == ("jwt.algorithms", "jwt.name_claim")
    assert (running.clients.algorithms, running.clients.name_claim) == (("ES256",), "user")


def test_forwarded_client_tokens() -> None:
    """Other bounds for calls count for the next call; with another header, names are asked for again."""
    running = Running(attrs.evolve(SETTINGS, client_auth=ProxyToken("http://127.0.0.1:1", 3600)))
    service, asked = running.clients.service, []

    async def answers(_: object, url: str, *, heard: Callable[[Headers], None], **__: object) -> bytes:
        asked.append(url)
        heard(Headers({"X-User": ["ann"]}))
        return b""

    running.clients._knows = "ann".__eq__
    service._calls = type("Answering", (), {"get": answers})()
    assert name_of(running.opens("token") or Party("")) == ""
    assert running.change(limits=SchedulerLimits(token_checks=1)) == ("limits.token_checks",)
    assert (name_of(running.opens("token") or Party("")), len(asked)) == ("", 1)
    assert running.change(clients=ClientsSettings(name_header="X-User")) == ("clients.name_header",)
    assert (name_of(running.opens("token") or Party("")), len(asked)) == ("ann", 2)


SECRETS: list[tuple[Any, Any, Callable[[Any], str]]] = [
    (OLD, NEW, lambda key: server_token(key, A)),
    ("old", "new", lambda token: f"{A} {token}"),
]


@pytest.mark.parametrize(("old", "new", "token"), SECRETS, ids=["signed", "shared"])
def test_server_secret(old: Any, new: Any, token: Callable[[Any], str]) -> None:
    """The same for that of build servers: none is refused while each is given a new token."""
    kind = JwtHs256 if old is OLD else ServersTokenAuth
    running = Running(attrs.evolve(SETTINGS, server_auth=kind(old)))
    running.change(server_auth=kind(new, old))
    running.clock.advance(10 * GRACE_SECS)
    assert (running.identified(token(old)), running.identified(token(new))) == (True, True)
    running.change(server_auth=kind(new))
    assert running.identified(token(old))
    running.clock.advance(GRACE_SECS)
    assert (running.identified(token(old)), running.identified(token(new))) == (False, True)


@pytest.mark.parametrize("kind", [JwtHs256, ServersTokenAuth])
def test_revoked(kind: Any) -> None:
    """It is dropped at once, with the reason, and comes back when the file has it no longer."""
    secret: Any = OLD if kind is JwtHs256 else "old"
    token = server_token(OLD, A) if kind is JwtHs256 else f"{A} old"
    running = Running(attrs.evolve(SETTINGS, server_auth=kind(secret)))
    for server in (A, B):
        running.core.heartbeat(server, heartbeat(), 0.0)
    assert running.change(server_auth=kind(secret, revoked=(A,))) == ("server_auth.revoked",)
    assert [event for event in running.told if isinstance(event, ServerLeft)] == [ServerLeft(0.0, A, Departure.REVOKED)]
    assert running.terms.current.server_ids() == [B]
    with pytest.raises(ServerRevoked):
        check_server(running.servers, token, A.host)
    running.change(server_auth=kind(secret))
    assert running.identified(token)


def test_another_kind() -> None:
    """Another kind of authentication needs a restart: until then, the one before is in force."""
    running = Running(SETTINGS)
    assert running.change(client_auth=InsecureAuth(), server_auth=ServersTokenAuth("shared")) == ()
    assert running.opens("one") is not None
    assert running.identified(server_token(OLD, A))


def test_administrators_and_viewers() -> None:
    """Theirs have no grace, and end the sessions that were begun with them."""
    running = Running(SETTINGS)
    sessions = {
        token: running.sessions.signed(cast(Principal, running.principals.of_token(token)), 1000.0)
        for token in ("admin's", "viewer's")
    }
    changed = running.change(admin=AdminSettings("another"), web=WebSettings(viewer_token="another one"))
    assert set(changed) == {"admin.token", "admin.people.ann", "web.viewer_token"}
    for token, session in sessions.items():
        assert running.principals.of_token(token) is None
        assert running.sessions.principal_of(session, 0.0) is None
    assert running.principals.of_token("another") == running.principals.named(Role.ADMINISTRATOR, "administrator")
    assert running.principals.named(Role.ADMINISTRATOR, "ann") is None
