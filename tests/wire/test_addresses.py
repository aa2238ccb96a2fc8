"""The addresses of build servers, as text and as bytes."""

from contextlib import suppress
from ipaddress import IPv4Address, IPv6Address

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sccachedist.errors import DecodeError
from sccachedist.wire.addresses import SERVER_ID, ServerId
from sccachedist.wire.bincode import decode, encode


# The second is what the published `auth generate-jwt-hs256-server-token` makes of the first.
@pytest.mark.parametrize(
    ("text", "canonical"),
    [
        ("127.0.0.1:10501", "127.0.0.1:10501"),
        ("127.0.0.1:0", "127.0.0.1:0"),
        ("127.0.0.1:00000000", "127.0.0.1:0"),
        ("127.0.0.1:00010501", "127.0.0.1:10501"),
        ("[::1]:65535", "[::1]:65535"),
        ("[FE80:0::0:1]:0", "[fe80::1]:0"),
        ("[::ffff:1.2.3.4]:1", "[::ffff:1.2.3.4]:1"),
        ("[::1.2.3.4]:9", "[::102:304]:9"),
        ("[1:0:0:2:0:0:0:3]:4", "[1:0:0:2::3]:4"),
        ("[1:2:3:4:5:6:0:8]:9", "[1:2:3:4:5:6:0:8]:9"),
        ("[64:ff9b::1.2.3.4]:1", "[64:ff9b::102:304]:1"),
    ],
)
def test_text(text: str, canonical: str) -> None:
    """An address is written as the published programs write it, whose tokens hold it as text."""
    assert str(ServerId.parse(text)) == canonical
    assert SERVER_ID.to_json(ServerId.parse(text)) == canonical


@pytest.mark.parametrize(
    "text",
    [
        "",
        "127.0.0.1",
        "127.0.0.1:",
        "127.0.0.1:65536",
        "127.0.0.1:+7",
        "127.0.0.1:-1",
        "127.0.0.1: 7",
        "127.0.0.1:7\n",
        "127.0.0.1:\u0667",
        "127.0.0.1:" + "9" * 5000,
        "127.0.0:1",
        "127.000.000.001:4",
        "[127.0.0.1]:1",
        "::1:1",
        "[::1]",
        "[::1:1",
        "[fe80::1%2]:3",
        "[]:1",
        "localhost:1",
    ],
)
def test_no_address(text: str) -> None:
    """Names, scopes, lone addresses and ports out of range are no addresses of build servers."""
    with pytest.raises(DecodeError):
        ServerId.parse(text)


@given(st.builds(ServerId, st.ip_addresses(), st.integers(0, 0xFFFF)))
def test_text_round_trip(server_id: ServerId) -> None:
    """Every address is read back from its text."""
    assert ServerId.parse(str(server_id)) == server_id


@given(st.text())
def test_any_text(text: str) -> None:
    """Whatever text comes, it is an address or a decode error."""
    with suppress(DecodeError):
        ServerId.parse(text)


def test_bytes() -> None:
    """An address is a SocketAddr: variant, octets in network order, a little endian port."""
    v4, v6 = ServerId(IPv4Address("1.2.3.4"), 0x1234), ServerId(IPv6Address("::1"), 1)
    assert encode(SERVER_ID, v4).hex() == "00000000" + "01020304" + "3412"
    assert encode(SERVER_ID, v6).hex() == "01000000" + "00" * 15 + "01" + "0100"


def test_unknown_kind_of_address() -> None:
    """A third kind of address is refused."""
    with pytest.raises(DecodeError):
        decode(SERVER_ID, b"\x02" + bytes(30))


def test_order() -> None:
    """Addresses of both kinds sort together: by kind, address and port."""
    texts = ["2.0.0.1:5", "10.0.0.1:4", "10.0.0.1:30", "[::1]:1", "[::2]:0"]
    servers = [ServerId.parse(text) for text in texts]
    assert sorted({*servers}) == servers
    assert len({*servers, ServerId.parse("10.0.0.1:4")}) == len(servers)
