"""Which build server a server token speaks for."""

from ipaddress import ip_address

import pytest

from sccachedist.auth.servers import ServerAuth, SharedServerToken, SignedServerToken, check_server
from sccachedist.errors import PeerRefused
from sccachedist.wire.addresses import ServerId
from sccachedist.wire.tokens import server_token

HERE = ServerId.parse("192.0.2.1:10501")
KEY = b"k" * 32
SHARED, SIGNED = SharedServerToken("hunter2"), SignedServerToken(KEY)


@pytest.mark.parametrize("address", ["192.0.2.1:10501", "[2001:db8::1]:10501"])
def test_good(address: str) -> None:
    """A token of either kind is good for the build server that it names, from that one's address."""
    server_id = ServerId.parse(address)
    for auth, token in ((SHARED, f"{address} hunter2"), (SIGNED, server_token(KEY, server_id))):
        assert check_server(auth, token, server_id.host) == server_id


@pytest.mark.parametrize(
    ("auth", "token"),
    [
        (SHARED, None),
        (SHARED, ""),
        (SHARED, "hunter2"),
        (SHARED, "192.0.2.1:10501"),
        (SHARED, "192.0.2.1:10501 "),
        (SHARED, "192.0.2.1:10501 hunter3"),
        (SHARED, "192.0.2.1:10501  hunter2"),
        (SHARED, "192.0.2.1:10501 hunter2 "),
        (SHARED, "192.0.2.1 hunter2"),
        (SHARED, " hunter2"),
        (SHARED, "localhost:10501 hunter2"),
        (SHARED, server_token(KEY, HERE)),
        (SIGNED, None),
        (SIGNED, ""),
        (SIGNED, "192.0.2.1:10501 hunter2"),
        (SIGNED, server_token(b"x" * 32, HERE)),
    ],
)
def test_refused(auth: ServerAuth, token: str | None) -> None:
    """Any other token is refused, and no error quotes it."""
    with pytest.raises(PeerRefused) as caught:
        check_server(auth, token, HERE.host)
    assert caught.value.challenge == "invalid_bearer_token"
    assert "hunter" not in str(caught.value)


@pytest.mark.parametrize("sender", ["192.0.2.2", "2001:db8::1", "::ffff:192.0.2.1"])
@pytest.mark.parametrize(("auth", "token"), [(SHARED, f"{HERE} hunter2"), (SIGNED, server_token(KEY, HERE))])
def test_from_elsewhere(auth: ServerAuth, token: str, sender: str) -> None:
    """A good token opens nothing from an address that it does not name."""
    with pytest.raises(PeerRefused, match=r"a token of 192\.0\.2\.1:10501 came from") as caught:
        check_server(auth, token, ip_address(sender))
    assert caught.value.challenge == "invalid_bearer_token_mismatched_address"


def test_secret() -> None:
    """What is configured cannot get into a log."""
    assert "hunter2" not in repr(SHARED)
    assert "kkkk" not in repr(SIGNED)
