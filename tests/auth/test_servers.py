"""Which build server a server token speaks for."""

from ipaddress import ip_address, ip_network

import pytest

from sccachedist.auth.bearer import IPAddress
from sccachedist.auth.servers import (
    Revocable,
    Rewritten,
    ServerAuth,
    SharedServerToken,
    SignedServerToken,
    check_server,
)
from sccachedist.auth.succession import Secrets
from sccachedist.errors import PeerRefused, ServerRevoked
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


PODS = Rewritten(
    {
        ip_network("10.244.0.0/16"): [ip_network("192.0.2.0/30"), ip_network("2001:db8::/64")],
        ip_network("fd00::/8"): [ip_network("192.0.2.0/30")],
    }
)
NODE, NODE_V6 = HERE, ServerId.parse("[2001:db8::1]:10501")


@pytest.mark.parametrize(
    ("sender", "server_id"),
    [
        ("10.244.7.7", NODE),
        ("10.244.7.7", NODE_V6),
        ("fd00::7", NODE),
        ("192.0.2.1", NODE),  # its own address, as ever
        ("198.51.100.1", ServerId.parse("198.51.100.1:10501")),
    ],
)
def test_rewritten(sender: str, server_id: ServerId) -> None:
    """From a network that rewrites addresses, a token opens what it names, if that is where such build servers are."""
    for auth, token in ((SHARED, f"{server_id} hunter2"), (SIGNED, server_token(KEY, server_id))):
        assert check_server(auth, token, ip_address(sender), PODS) == server_id


@pytest.mark.parametrize(
    ("sender", "server_id"),
    [
        ("10.245.0.1", NODE),  # another network
        ("::ffff:10.244.7.7", NODE),  # what has not been read as the address that it is
        ("192.0.2.2", NODE),  # another one of the build servers, which is in no such network
        ("10.244.7.7", ServerId.parse("192.0.2.4:10501")),  # another address than those
        ("10.244.7.7", ServerId.parse("10.244.7.8:10501")),  # another pod
        ("fd00::7", NODE_V6),  # what the other network may name
    ],
)
def test_who_may_not(sender: str, server_id: ServerId) -> None:
    """Both halves have to be named: where it comes from, and who it says that it is."""
    for auth, token in ((SHARED, f"{server_id} hunter2"), (SIGNED, server_token(KEY, server_id))):
        with pytest.raises(PeerRefused, match="came from") as caught:
            check_server(auth, token, ip_address(sender), PODS)
        assert caught.value.challenge == "invalid_bearer_token_mismatched_address"


def test_a_rewritten_sender_needs_a_good_token() -> None:
    """An address that is not compared opens nothing by itself, nor what is revoked."""
    sender = ip_address("10.244.7.7")
    for auth, token in ((SHARED, f"{NODE} hunter3"), (SIGNED, server_token(b"x" * 32, NODE)), (SHARED, None)):
        with pytest.raises(PeerRefused) as caught:
            check_server(auth, token, sender, PODS)
        assert caught.value.challenge == "invalid_bearer_token"
    with pytest.raises(ServerRevoked):
        check_server(Revocable(SHARED, frozenset({NODE.host})), f"{NODE} hunter2", sender, PODS)


def test_rotation() -> None:
    """For a while, two secrets are good, and who shows the older one is named."""
    named: list[str] = []
    shared = SharedServerToken(Secrets("new", "old", named.append))
    signed = SignedServerToken(Secrets(KEY, b"x" * 32, named.append))
    assert check_server(shared, f"{HERE} new", HERE.host) == HERE
    assert check_server(signed, server_token(KEY, HERE), HERE.host) == HERE
    assert named == []
    assert check_server(shared, f"{HERE} old", HERE.host) == HERE
    assert check_server(signed, server_token(b"x" * 32, HERE), HERE.host) == HERE
    assert named == [str(HERE)] * 2
    for auth, token in ((shared, f"{HERE} older"), (signed, server_token(b"y" * 32, HERE)), (shared, "there old")):
        with pytest.raises(PeerRefused):
            check_server(auth, token, HERE.host)
    assert named == [str(HERE)] * 2


def test_one_token_for_all() -> None:
    """Who has it can be any build server of its network; a signed one is good for one of them."""
    assert Revocable(SHARED).has_one_token
    assert not Revocable(SIGNED).has_one_token


@pytest.mark.parametrize("revoked", [HERE, HERE.host])
def test_revoked(revoked: ServerId | IPAddress) -> None:
    """Its token opens nothing any more, and the refusal says so to the one who has it, and to no other."""
    others = [ServerId(HERE.host, 10502), ServerId.parse("192.0.2.2:10501")]
    for auth, tokens in (
        (SHARED, [f"{server} hunter2" for server in (HERE, *others)]),
        (SIGNED, [server_token(KEY, server) for server in (HERE, *others)]),
    ):
        check = Revocable(auth, frozenset({revoked}))
        with pytest.raises(ServerRevoked, match=r"192\.0\.2\.1:10501 is revoked"):
            check_server(check, tokens[0], HERE.host)
        with pytest.raises(PeerRefused) as caught:
            check_server(check, f"{tokens[0]}x", HERE.host)
        assert not isinstance(caught.value, ServerRevoked)
        assert check.is_revoked(others[0]) is (revoked == HERE.host)
        assert check_server(check, tokens[2], others[1].host) == others[1]


def test_secret() -> None:
    """What is configured cannot get into a log."""
    assert "hunter2" not in repr(SHARED)
    assert "kkkk" not in repr(SIGNED)
