"""Who decides about client tokens, by the configuration, and what the answers of those who are asked mean."""

from collections.abc import Callable
from ipaddress import ip_address
from typing import Any, cast

import attrs
import pytest
from twisted.internet.defer import Deferred
from twisted.internet.task import Clock
from twisted.logger import LogLevel, capturedLogs
from twisted.web.http_headers import Headers

from farmkit.deferreds import outcome
from farmkit.memory_reactor import Reactor
from sccachedist.auth.clients import SharedClientToken
from sccachedist.auth.signed_tokens import SignedClientTokens
from sccachedist.auth.token_service import ForwardedClientTokens
from sccachedist.config import (
    ClientAuthSettings,
    InsecureAuth,
    JwtSettings,
    JwtValidate,
    ProxyToken,
    SchedulerSettings,
    TokenAuth,
)
from sccachedist.daemon.logs import QuietLog
from sccachedist.errors import AuthUnavailable, ClientRefused, PeerError
from sccachedist.peers.http_client import Calls
from sccachedist.scheduler import service as service_module
from sccachedist.scheduler.client_auth import ANSWER_BYTES, ANSWER_SECS, HttpKeyProvider, HttpTokenService, client_auth
from sccachedist.scheduler.service import scheduler_service
from sccachedist.wire.addresses import ServerId

URL = "http://127.0.0.1:8080/keys"
JWT = JwtValidate("farm", "https://id.example/", URL)


def settings(auth: ClientAuthSettings) -> SchedulerSettings:
    return SchedulerSettings(
        public_addr=ServerId.parse("127.0.0.1:10600"),
        client_auth=auth,
        server_auth=TokenAuth("servertok"),
        jwt=JwtSettings(("RS512",)),
    )


@attrs.define
class RecordedCalls:
    """Calls that all end in the same way: with an octet string, or a failure."""

    end: bytes | PeerError = b""
    made: list[tuple[str, str | None]] = attrs.field(factory=list)

    async def get(
        self,
        url: str,
        *,
        token: str | None = None,
        timeout: float,
        limit: int,
        heard: Callable[[Headers], None] = lambda _: None,
    ) -> bytes:
        assert (timeout, limit) == (ANSWER_SECS, ANSWER_BYTES)
        heard(Headers({"X-User": ["mallory", "ann"], "X-Other": ["bob"]}))
        self.made.append((url, token))
        if isinstance(self.end, PeerError):
            raise self.end
        return self.end


def auth_for(auth: ClientAuthSettings, calls: RecordedCalls) -> Any:
    return client_auth(settings(auth), cast(Calls, calls), Clock())


def check(auth: Any, token: str = "hunter2") -> Any:
    return outcome(Deferred.fromCoroutine(auth.check(token, ip_address("192.0.2.1"))).addCallback(lambda _: None))


def test_shared_tokens() -> None:
    """One token for all: the one that was configured, or the one that everybody knows, which is warned of."""
    with capturedLogs() as events:
        assert auth_for(TokenAuth("hunter2"), RecordedCalls()) == SharedClientToken("hunter2")
        assert events == []
        assert auth_for(InsecureAuth(), RecordedCalls()) == SharedClientToken("dangerously_insecure_client")
    assert [event["log_level"] for event in events] == [LogLevel.warn]


def test_signed_tokens() -> None:
    """Tokens of an identity provider are checked for what is configured, with the keys behind its URL."""
    calls = RecordedCalls(b"the keys")
    auth = auth_for(JWT, calls)
    assert isinstance(auth, SignedClientTokens)
    assert (auth.audience, auth.issuer, auth.algorithms) == ("farm", "https://id.example/", ("RS512",))
    assert outcome(Deferred.fromCoroutine(HttpKeyProvider(cast(Calls, calls), URL).fetch())) == b"the keys"
    assert calls.made == [(URL, None)]


@pytest.mark.parametrize(
    ("status", "met"),
    [
        *((status, ClientRefused) for status in (400, 401, 403, 404)),
        *((status, AuthUnavailable) for status in (301, 302, 408, 429, 500, 503, None)),
    ],
)
def test_token_service_says_no(status: int | None, met: type[Exception]) -> None:
    """A refusal is the token's fault; that the service moved, is overloaded, broken or gone fails nobody's build."""
    calls = RecordedCalls(PeerError(f"GET {URL}: status {status}", status=status))
    error = check(auth_for(ProxyToken(URL), calls))
    assert isinstance(error, met)
    assert URL not in str(error)
    assert calls.made == [(URL, "hunter2")]


@pytest.mark.parametrize(("cache_secs", "asked"), [(None, 2), (0, 2), (60, 1)])
def test_token_service_says_yes(cache_secs: int | None, asked: int) -> None:
    """The service is asked each time, or once in a while where that is configured."""
    calls = RecordedCalls()
    auth = auth_for(ProxyToken(URL, cache_secs), calls)
    assert isinstance(auth, ForwardedClientTokens)
    assert [check(auth), check(auth)] == [None, None]
    assert calls.made == [(URL, "hunter2")] * asked


@pytest.mark.parametrize(("header", "user"), [("x-user", "ann"), ("x-none", ""), (None, "")])
def test_token_service_names_them(header: str | None, user: str) -> None:
    """The name stands in the header that is configured; where a proxy has added another one, the last one counts."""
    service = HttpTokenService(cast(Calls, RecordedCalls()), URL, QuietLog(Clock().seconds), header)
    assert outcome(Deferred.fromCoroutine(service.user_of("hunter2"))) == user


def test_keys_are_fetched_at_start(monkeypatch: pytest.MonkeyPatch) -> None:
    """A provider that is not there is in the log when the scheduler starts, not when the first client comes."""
    monkeypatch.setattr(service_module, "check_address", lambda *_: None)
    reactor = Reactor()
    service = scheduler_service(settings(JWT), reactor, reactor.listen)
    assert reactor.tcpClients == []
    with capturedLogs() as events:
        service.privilegedStartService()
        service.startService()
        assert [client[:2] for client in reactor.tcpClients] == [("127.0.0.1", 8080)]
        reactor.pump([1.0] * int(ANSWER_SECS + 1))
    (warned,) = (event for event in events if event["log_level"] is LogLevel.warn)
    assert URL in warned["error"]
    outcome(service.stopService())
