"""What of a head goes on to a leader, and what of an answer comes back: numbers and words alone."""

import re
from ipaddress import ip_network
from pathlib import Path

import pytest

import sccachedist
from sccachedist.cluster.hop import ANSWERED, PASSED_ON, READ, SAID, Hop, inward, target
from sccachedist.web.request_head import Head
from sccachedist.web.responses import FOLLOWS, UnknownRoute

PROXY, STRANGER = "10.0.0.1", "192.0.2.7"
#: Headers that are read of requests that never go on, and that of a proxy that names users.
ELSEWHERE = {"accept-encoding", "x-remote-user"}
#: Headers of answers that each side of a connection has for itself, and of those that never come from a leader.
OF_A_CONNECTION = {"content-length"}
NOT_PASSED_ON = {
    "content-security-policy",
    "referrer-policy",
    "set-cookie",
    "x-content-type-options",
    FOLLOWS[0].lower(),
}


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
    """Headers that no route gives do not come back, whatever their names are."""
    names = (b"Server", b"Date", b"X-Sccachedist-Follows", b"Keep-Alive", b"Set-Cookie", b"Location", b"No name\xff")
    kept = [(b"Content-Type", [b"text/plain"]), (b"retry-after", [b"60"])]
    assert inward([*((name, [b"x"]) for name in names), *kept]) == (
        ("Content-Type", "text/plain"),
        ("retry-after", "60"),
    )


def test_all_that_is_answered_comes_back() -> None:
    """A header that a route gives is one of those that come back."""
    folder = Path(sccachedist.__file__).parent
    texts = [path.read_text() for room in ("scheduler", "web") for path in (folder / room).glob("*.py")]
    given = {name.lower() for text in texts for name in re.findall(r'\("([A-Z][A-Za-z]*-[A-Za-z-]+)", ', text)}
    assert {"www-authenticate", "x-accel-buffering"} < given
    assert given - {*ANSWERED} <= OF_A_CONNECTION | NOT_PASSED_ON


@pytest.mark.parametrize("path", ["", "*", "0/", ".evil.example/", "@evil.example/", "[/"])
def test_no_path(path: str) -> None:
    """What is no path would be part of a leader's host or port."""
    with pytest.raises(UnknownRoute):
        target(Head("GET", path, {}, STRANGER, 0))


def test_target() -> None:
    """A path and a query are the same behind a URL."""
    for path, query, said in (
        ("/a", "", "/a"),
        ("//a:1@b/", "c?d", "//a:1@b/?c?d"),
        ("/a#b", "c#d", "/a%23b?c%23d"),
    ):
        assert target(Head("GET", path, {}, STRANGER, 0, query=query)) == said
