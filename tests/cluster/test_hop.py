"""What of a head goes on to a leader, and what of an answer comes back: numbers and words alone."""

import re
from ipaddress import ip_network
from pathlib import Path

import pytest

import sccachedist
from sccachedist.cluster.hop import PASSED_ON, READ, SAID, Hop, inward
from sccachedist.web.request_head import Head

PROXY, STRANGER = "10.0.0.1", "192.0.2.7"
#: Headers that are read of requests that never go on, and that of a proxy that names users.
ELSEWHERE = {"accept-encoding", "x-remote-user"}


def outward(headers: dict[str, str], peer: str = STRANGER, repeated: tuple[str, ...] = ()) -> dict[str, str]:
    hop = Hop(False, [ip_network("10.0.0.0/8")], "x-remote-user")
    found = hop.outward(Head("GET", "/", headers, peer, 0, repeated))
    assert len(dict(found)) == len(found)
    return dict(found)


def said(address: str, scheme: str = "http") -> dict[str, str]:
    return {"x-real-ip": address, "x-forwarded-proto": scheme, PASSED_ON: "1"}


def test_a_strangers_headers() -> None:
    """What only a proxy may say is no longer there when a stranger has said it, nor what no route reads."""
    forged = {"x-real-ip": PROXY, "x-forwarded-proto": "https", "x-remote-user": "ann", "connection": "close", "x": "y"}
    assert outward(forged) == said(STRANGER)
    assert outward({**forged, "authorization": "Bearer x", "host": "farm"}) == {
        "authorization": "Bearer x",
        "host": "farm",
        **said(STRANGER),
    }


def test_a_proxys_headers() -> None:
    """What a trusted proxy says of its client goes on."""
    of_proxy = {"x-real-ip": STRANGER, "x-forwarded-proto": "https", "x-remote-user": "ann"}
    assert outward(of_proxy, PROXY) == {"x-remote-user": "ann", **said(STRANGER, "https")}
    assert outward({"x-real-ip": "nonsense"}, PROXY) == said(PROXY)
    assert outward({}, PROXY) == said(PROXY)


@pytest.mark.parametrize("name", ["cookie", "origin", "sec-fetch-site"])
def test_twice(name: str) -> None:
    """Of a header that came twice, none counts: neither here nor there."""
    assert outward({name: "good"}, repeated=(name,)) == {name: "", **said(STRANGER)}


def test_scheme_twice() -> None:
    """Of two schemes that a proxy is said to have been asked by, none counts."""
    assert outward({"x-forwarded-proto": "https"}, PROXY, ("x-forwarded-proto",)) == said(PROXY)


def test_over_tls() -> None:
    """A leader learns that a follower was asked over TLS; without the name of a header, no proxy names users."""
    hop = Hop(True, [ip_network("10.0.0.0/8")])
    found = dict(hop.outward(Head("GET", "/", {"x-remote-user": "ann"}, PROXY, 0)))
    assert found == said(PROXY, "https")


def test_all_that_is_read_goes_on() -> None:
    """A header that a route reads of its sender is one of those that go on."""
    texts = [path.read_text() for path in Path(sccachedist.__file__).parent.rglob("*.py")]
    read = {name for text in texts for name in re.findall(r'head(?:ers\.get\(|, )"([a-z-]+)"', text)}
    assert {"accept", "cookie", "x-real-ip"} < read
    assert read - {*READ, *SAID} <= ELSEWHERE


def test_answer() -> None:
    """Headers that each connection has for itself do not come back, all others do."""
    own = [(b"Server", [b"x"]), (b"Date", [b"x"]), (b"X-Sccachedist-Follows", [b"1"]), (b"Keep-Alive", [b"x"])]
    kept = [(b"Content-Type", [b"text/plain"]), (b"Set-Cookie", [b"a=b", b"c=d"])]
    assert inward(own + kept) == (("Content-Type", "text/plain"), ("Set-Cookie", "a=b"), ("Set-Cookie", "c=d"))
