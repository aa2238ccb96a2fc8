"""What a port counts: responses by route, limits once, handshakes, incidents."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from twisted.internet.task import Clock
from twisted.logger import capturedLogs

from farmkit.memory_http import OCTETS, Browser, bearer, request
from sccachedist.config import ConnectionLimits
from sccachedist.errors import LimitExceeded
from sccachedist.web.connection_limits import SWEEP_SECS
from sccachedist.web.port_counts import NO_ROUTE, PortCounts
from sccachedist.web.request import Site
from sccachedist.web.router import Mounted
from tests.web.roles import TOKEN, Role, visited


def counts_of(browser: Browser) -> PortCounts:
    return browser.site.counts


def test_responses(role: Role, browser: Browser) -> None:
    """Each by its route and status: also one to a sender that was refused, and one that found no route."""
    times: list[tuple[str, float]] = []
    counts_of(browser).timed = lambda route, seconds: times.append((route, seconds))
    browser.ask(request("GET", "/status"))
    browser.ask(request("POST", "/upload/7", headers=bearer(TOKEN)))
    browser.ask(request("POST", "/upload/7"))
    browser.ask(request("POST", "/upload/x"))
    browser.ask(request("GET", "/" + "x" * 1000))
    assert counts_of(browser).answered == {
        ("status", 200): 1,
        ("upload", 200): 1,
        ("upload", 401): 1,
        (NO_ROUTE, 404): 2,
    }
    connection = browser.connect()
    connection.say(request("POST", "/later"))
    browser.clock.advance(3)
    role.waiting[0].errback(LimitExceeded("job_secs", "late"))
    assert counts_of(browser).limits == {"job_secs": 1}
    assert times[-1] == ("later", 3)


def test_incidents(role: Role, browser: Browser) -> None:
    """An unforeseen error is counted beside its status."""
    role.error = RuntimeError("oh")
    with capturedLogs():
        browser.ask(request("GET", "/status"))
    assert counts_of(browser).incidents == 1


def test_a_limit_is_counted_once(tmp_path: Path) -> None:
    """Where it is told to the peer, to the log, or to both."""
    clock, role = Clock(), Role(tmp_path)
    limits = ConnectionLimits(header_bytes=500, headers=3, idle_secs=5)
    browser = Browser(Site(Mounted(role), clock, limits), clock)
    close = {"Connection": "close"}
    browser.ask(request("GET", "/" + "x" * 600))
    browser.ask(request("GET", "/status", headers={**close, "A": "1", "B": "2", "C": "3"}))
    browser.ask(request("POST", "/upload/7", b"x" * 100, {**close, **bearer(TOKEN)}))
    first = browser.connect()
    first.say(b"POST /bounded HTTP/1.1\r\nContent-Type: application/octet-stream\r\nContent-Length: 9\r\n\r\nx")
    clock.pump([SWEEP_SECS] * 8)
    (answer,) = first.answers()
    assert answer.status == 500
    assert counts_of(browser).limits == {
        "header_bytes": 1,
        "headers": 1,
        "toolchain_bytes": 1,
        "idle_secs": 1,
    }


@pytest.fixture(scope="module")
def strange(tmp_path_factory: pytest.TempPathFactory) -> Browser:
    return visited(tmp_path_factory.mktemp("strange"))[1]


@given(
    st.sampled_from(["GET", "POST", "HEAD", "X"]),
    st.text(st.characters(codec="latin-1", exclude_characters=" \r\n\0"), max_size=300),
    st.text(st.characters(codec="latin-1", exclude_characters="\r\n\0"), max_size=30),
)
def test_bounded(strange: Browser, method: str, path: str, token: str) -> None:
    """Whatever strangers send, there are no more series than routes and statuses of ours."""
    connection = strange.connect()
    connection.say(request(method, "/" + path, headers={**OCTETS, **bearer(token)}))
    connection.leave()
    strange.clock.advance(0)
    counts, routes = counts_of(strange), {*strange.site.routes.names, NO_ROUTE}
    assert {route for route, _ in counts.answered} <= routes
    assert {status for _, status in counts.answered} <= {200, 203, 400, 401, 404, 500}
    assert counts.limits.keys() <= {"header_bytes", "headers", "message_bytes", "toolchain_bytes"}
