"""Where a redirect sends a call, and whether the token goes with it: as the published scheduler was seen to do it."""

import pytest

from sccachedist.errors import PeerError
from sccachedist.peers.redirects import redirected, same_peer

URL = "http://127.0.0.1:8080/a/check"


@pytest.mark.parametrize(
    ("status", "follows"),
    [(status, status in (301, 302, 303, 307, 308)) for status in (200, *range(300, 309), 401, 500)],
)
def test_statuses(status: int, follows: bool) -> None:
    """Which of them send a caller on."""
    assert redirected(URL, status, "/same") == ("http://127.0.0.1:8080/same" if follows else None)


@pytest.mark.parametrize(
    ("location", "target"),
    [
        ("/x", "http://127.0.0.1:8080/x"),
        ("x?y=1#frag", "http://127.0.0.1:8080/a/x?y=1"),
        ("", URL),
        ("//other:1/x", "http://other:1/x"),
        ("https://other/x", "https://other/x"),
        ("http://u:p@other/x", "http://other/x"),
        ("http://[::1]:5/x", "http://[::1]:5/x"),
        (None, None),
        ("/sp ace", None),
        ("/\u00fc", None),
        ("/a\r\nb", None),
        ("http://[bad", None),
        ("http://h:99999/", None),
    ],
)
def test_targets(location: str | None, target: str | None) -> None:
    """Relative or whole, and without credentials; what is no URL sends nowhere."""
    assert redirected(URL, 302, location) == target


@pytest.mark.parametrize("location", ["ftp://h/", "file:///etc/passwd", "gopher:x"])
def test_no_call_can_go_there(location: str) -> None:
    """Only a web server is asked."""
    with pytest.raises(PeerError, match="it sends to"):
        redirected(URL, 302, location)


@pytest.mark.parametrize(
    ("other", "same"),
    [
        ("http://127.0.0.1:8080/x", True),
        ("http://localhost:8080/x", False),
        ("http://127.0.0.1:8081/", False),
        ("https://127.0.0.1:8080/", False),
    ],
)
def test_whose_token_it_is(other: str, same: bool) -> None:
    """Another host, port or scheme is another's."""
    assert same_peer(URL, other) is same


def test_default_ports() -> None:
    """They need not be written."""
    assert same_peer("https://h/", "https://H:443/x")
    assert not same_peer("http://h/", "https://h/")
