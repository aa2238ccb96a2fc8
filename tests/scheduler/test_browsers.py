"""What is read of a browser's request, and from whom it is believed."""

import pytest

from sccachedist.scheduler.browsers import Browsers
from sccachedist.web.parsing import END, head_of, parse_head
from sccachedist.web.request_head import Head
from tests.support.readers import PROXIES

PROXY, STRANGER, HERE = "10.9.0.1", "192.0.2.1", "127.0.0.1"
PLAIN, TLS = Browsers(False, [PROXIES], "x-forwarded-user"), Browsers(True, [PROXIES], "x-forwarded-user")


def asked(*lines: str, peer: str = STRANGER) -> Head:
    """The head of a request with these headers."""
    text = "\r\n".join(("POST /login HTTP/1.1", "Host: farm:10600", *lines)).encode()
    return head_of(*parse_head(text.removesuffix(END), 100), peer)


@pytest.mark.parametrize(
    ("lines", "session"),
    [
        (["Cookie: sccachedist=a.b"], "a.b"),
        (["Cookie: theme=dark; sccachedist=a.b; x=y"], "a.b"),
        (["Cookie: sccachedist="], ""),
        ([], None),
        (["Cookie: "], None),
        (["Cookie: sccachedist"], ""),
        (["Cookie: __Host-sccachedist=a.b"], None),
        (["Cookie: sccachedist=a.b; sccachedist=a.b"], None),
        (["Cookie: sccachedist=a.b", "Cookie: sccachedist=c.d"], None),
        ([f"Cookie: sccachedist={'a' * 500}"], None),
        ([f"Cookie: x={'a' * 9000}; sccachedist=a.b"], None),
    ],
)
def test_cookies(lines: list[str], session: str | None) -> None:
    """One cookie of that name counts; two may mean that another site has set one."""
    assert PLAIN.session(asked(*lines)) == session


def test_cookies_over_tls() -> None:
    """There the name has the prefix that only this very host may use."""
    both = "Cookie: sccachedist=a; __Host-sccachedist=b"
    assert PLAIN.session(asked(both)) == "a"
    assert TLS.session(asked(both)) == "b"
    assert PLAIN.session(asked(both, "X-Forwarded-Proto: https", peer=PROXY)) == "b"
    assert PLAIN.session(asked(both, "X-Forwarded-Proto: https", peer=STRANGER)) == "a"
    given = PLAIN.set_cookie("s", 60, is_secure=False)
    assert given == "sccachedist=s; Path=/; Max-Age=60; HttpOnly; SameSite=Strict"
    given = TLS.set_cookie("s", 60, is_secure=True)
    assert given == "__Host-sccachedist=s; Path=/; Max-Age=60; HttpOnly; SameSite=Strict; Secure"


@pytest.mark.parametrize(
    ("lines", "peer", "user"),
    [
        (["X-Forwarded-User: ann"], PROXY, "ann"),
        (["X-Forwarded-User: ann"], STRANGER, None),
        (["X-Forwarded-User: ann", "X-Real-IP: 10.9.0.1"], STRANGER, None),
        (["X-Forwarded-User: ann"], HERE, None),
        (["X-Forwarded-User: ann", "X-Forwarded-User: bob"], PROXY, None),
        (["X-Forwarded-User: "], PROXY, None),
        ([], PROXY, None),
        (["X-Forwarded-User: José"], PROXY, "José"),
        (["X-Forwarded-User: " + "ann" * 99], PROXY, ("ann" * 22)[:64] + "... (297 characters)"),
    ],
)
def test_users(lines: list[str], peer: str, user: str | None) -> None:
    """A user's name is believed from a trusted proxy alone."""
    assert PLAIN.user(asked(*lines, peer=peer)) == user
    assert Browsers(False, [PROXIES]).user(asked(*lines, peer=peer)) is None


@pytest.mark.parametrize(
    ("lines", "peer", "over_tls", "private"),
    [
        ([], STRANGER, False, False),
        ([], HERE, False, True),
        ([], "::1", False, True),
        ([], "::ffff:127.0.0.1", False, True),
        ([], PROXY, False, True),
        (["X-Forwarded-Proto: https"], PROXY, False, True),
        (["X-Forwarded-Proto: HTTPS"], PROXY, False, True),
        (["X-Forwarded-Proto: http"], PROXY, False, False),
        (["X-Forwarded-Proto: http"], PROXY, True, False),
        (["X-Forwarded-Proto: https", "X-Forwarded-Proto: http"], PROXY, False, False),
        (["X-Forwarded-Proto: https"], STRANGER, False, False),
        (["X-Real-IP: 127.0.0.1"], STRANGER, False, False),
        ([], STRANGER, True, True),
        (["X-Forwarded-Proto: http"], STRANGER, True, True),
    ],
)
def test_where_administrators_may_sign_in(lines: list[str], peer: str, over_tls: bool, private: bool) -> None:
    """Over TLS, on this host, or at a proxy that does not say that it was asked in clear."""
    assert (TLS if over_tls else PLAIN).is_private(asked(*lines, peer=peer)) == private


@pytest.mark.parametrize(
    ("lines", "over_tls", "same"),
    [
        (["Sec-Fetch-Site: same-origin"], True, True),
        (["Sec-Fetch-Site: same-origin", "Origin: https://elsewhere"], True, True),
        (["Sec-Fetch-Site: same-site"], True, False),
        (["Sec-Fetch-Site: cross-site", "Origin: https://farm:10600"], True, False),
        (["Sec-Fetch-Site: none"], True, False),
        (["Sec-Fetch-Site: same-origin", "Sec-Fetch-Site: cross-site"], True, False),
        (["Origin: https://farm:10600"], True, True),
        (["Origin: HTTPS://FARM:10600"], True, True),
        (["Origin: http://farm:10600"], False, True),
        (["Origin: http://farm:10600"], True, False),
        (["Origin: https://farm:10600"], False, False),
        (["Origin: http://farm"], False, False),
        (["Origin: http://farm:10600.example.org"], False, False),
        (["Origin: null"], False, False),
        (["Origin: "], False, False),
        (["Origin: http://farm:10600", "Origin: http://farm:10600"], False, False),
        ([], True, None),
    ],
)
def test_same_origin(lines: list[str], over_tls: bool, same: bool | None) -> None:
    """A page of ours, by what the browser says; what says nothing is no browser."""
    browsers, head = TLS if over_tls else PLAIN, asked(*lines)
    assert browsers.is_same_origin(head) is bool(same)
    assert browsers.is_same_origin(head, may_be_silent=True) is (same is not False)
