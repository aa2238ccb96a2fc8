"""Bearer tokens, and the address that a request comes from."""

from ipaddress import ip_address, ip_network

import pytest

from sccachedist.auth.bearer import bearer_token, same_secret, sender_address
from sccachedist.errors import DecodeError

PROXIES = [ip_network("10.0.0.0/8"), ip_network("fd00::/16")]


@pytest.mark.parametrize(
    ("header", "token"),
    [
        ("Bearer hunter2", "hunter2"),
        ("Bearer 127.0.0.1:10501 hunter2", "127.0.0.1:10501 hunter2"),
        (None, None),
        ("", None),
        ("Bearer", None),
        ("Bearer ", None),
        ("Bearerhunter2", None),
        ("Basic aHVudGVyMg==", None),
        ("hunter2", None),
    ],
)
def test_bearer_token(header: str | None, token: str | None) -> None:
    """The token is all that stands behind ``Bearer`` and a space."""
    assert bearer_token(header) == token


@pytest.mark.parametrize(
    ("given", "same"), [("hunter2", True), ("hunter", False), ("hunter22", False), ("", False), ("hünter2", False)]
)
def test_same_secret(given: str, same: bool) -> None:
    """A secret is itself and nothing else, whatever characters come."""
    assert same_secret(given, "hunter2") is same


@pytest.mark.parametrize(
    ("peer", "real_ip", "sender"),
    [
        ("192.0.2.1", None, "192.0.2.1"),
        ("::ffff:192.0.2.1", None, "192.0.2.1"),
        ("2001:db8::1", None, "2001:db8::1"),
        ("fe80::1%eth0", None, "fe80::1"),
        # believed from a proxy
        ("10.0.0.1", "192.0.2.1", "192.0.2.1"),
        ("10.0.0.1", "2001:db8::1", "2001:db8::1"),
        ("10.0.0.1", "::ffff:192.0.2.1", "192.0.2.1"),
        ("::ffff:10.0.0.1", "192.0.2.1", "192.0.2.1"),
        ("fd00::1", "192.0.2.1", "192.0.2.1"),
        ("10.0.0.1", None, "10.0.0.1"),
        # not from anyone else, whatever it says
        ("192.0.2.1", "192.0.2.2", "192.0.2.1"),
        ("192.0.2.1", "10.0.0.1", "192.0.2.1"),
        ("192.0.2.1", "nonsense", "192.0.2.1"),
        ("::a00:1", "192.0.2.2", "::a00:1"),
    ],
)
def test_sender(peer: str, real_ip: str | None, sender: str) -> None:
    """``X-Real-IP`` counts where a trusted proxy says so; an IPv4 address is one in either spelling."""
    assert sender_address(peer, real_ip, PROXIES) == ip_address(sender)


def test_no_proxies() -> None:
    """Without trusted proxies, ``X-Real-IP`` is believed from nobody."""
    assert sender_address("127.0.0.1", "192.0.2.1", []) == ip_address("127.0.0.1")


@pytest.mark.parametrize("real_ip", ["", "nonsense", "192.0.2.1, 192.0.2.2", "192.0.2.1:80"])
def test_proxy_that_is_set_up_wrong(real_ip: str) -> None:
    """A trusted proxy that names no address is told so, and nobody is taken for the proxy instead."""
    with pytest.raises(DecodeError, match="X-Real-IP"):
        sender_address("10.0.0.1", real_ip, PROXIES)
