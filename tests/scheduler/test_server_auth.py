"""Which check of server tokens comes of a configuration, and who is named that shows a secret from before."""

from ipaddress import ip_address

import pytest
from twisted.internet.task import Clock
from twisted.logger import LogLevel, capturedLogs, formatEvent

from sccachedist.auth.servers import Revocable, SharedServerToken, SignedServerToken
from sccachedist.auth.succession import Secrets
from sccachedist.config import InsecureAuth, JwtHs256, ServerAuthSettings, ServersTokenAuth, TokenAuth
from sccachedist.scheduler.server_auth import Outdated, server_auth
from sccachedist.wire.addresses import ServerId
from sccachedist.wire.tokens import server_token

HERE, THERE = ServerId.parse("192.0.2.1:10501"), ip_address("192.0.2.2")
OLD, NEW = b"o" * 32, b"n" * 32


@pytest.mark.parametrize(
    ("settings", "check"),
    [
        (TokenAuth("t"), Revocable(SharedServerToken("t"))),
        (ServersTokenAuth("t", "o"), Revocable(SharedServerToken(Secrets("t", "o")))),
        (ServersTokenAuth("t", revoked=(HERE,)), Revocable(SharedServerToken("t"), frozenset({HERE}))),
        (JwtHs256(NEW), Revocable(SignedServerToken(NEW))),
        (JwtHs256(NEW, OLD, (THERE,)), Revocable(SignedServerToken(Secrets(NEW, OLD)), frozenset({THERE}))),
    ],
)
def test_kinds(settings: ServerAuthSettings, check: Revocable) -> None:
    """Each kind of authentication decides as it is called."""
    clock = Clock()
    assert server_auth(settings, Outdated(clock), clock) == check


def test_insecure() -> None:
    """The insecure one is warned of."""
    clock = Clock()
    with capturedLogs() as events:
        check = server_auth(InsecureAuth(), Outdated(clock), clock)
    assert check == Revocable(SharedServerToken("dangerously_insecure_server"))
    assert [event["log_level"] for event in events] == [LogLevel.warn]


def test_outdated() -> None:
    """A build server with a token from before is let in, counted, and named once in a while."""
    clock = Clock()
    outdated = Outdated(clock)
    check = server_auth(JwtHs256(NEW, OLD), outdated, clock)
    with capturedLogs() as events:
        for key in (NEW, OLD, OLD, OLD):
            assert check.identify(server_token(key, HERE)) == HERE
        outdated.client("192.0.2.9")
    assert outdated.counts == {"client": 1, "server": 3}
    assert [formatEvent(event) for event in events if event["log_level"] is not LogLevel.debug] == [
        f"build server {HERE} shows a token from before the secret of server_auth",
        "client 192.0.2.9 shows a token from before client_auth.token",
    ]
