"""Who sends a request, before anybody has looked at its token."""

from sccachedist.web.request_head import Head


def sender(peer: str, token: str = "token") -> str:
    return Head("POST", "/", {"authorization": f"Bearer {token}"}, peer, 0).sender


def test_one_sender() -> None:
    """It is a token at an address, and all addresses of an IPv6 /64 are one: who has one has all of them."""
    assert sender("2001:db8::1") == sender("2001:db8::ffff:2") != sender("2001:db8:0:1::1")
    assert sender("::ffff:192.0.2.1") == sender("192.0.2.1") != sender("192.0.2.2")
    assert sender("192.0.2.1") != sender("192.0.2.1", "another")
    assert "token" not in sender("192.0.2.1")
