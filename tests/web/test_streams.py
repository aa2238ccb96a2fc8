"""A response that stays open: what its peer gets, how it ends, and when its peer is late."""

from typing import Any

import pytest

from farmkit.memory_http import Browser, Connection, SlowConnection, bearer, request
from sccachedist.web import channel as channel_module
from sccachedist.web.channel import AHEAD
from sccachedist.web.deadlines import STREAM_SECS
from tests.web.roles import TOKEN, RecordedSource, Role

ASKED = request("GET", "/stream", headers=bearer(TOKEN))
HEAD = b"HTTP/1.1 200 OK\r\n"


@pytest.fixture(params=[Connection, SlowConnection])
def connection(request: pytest.FixtureRequest, browser: Browser) -> Connection:
    made: Connection = request.param(browser.site, browser.clock, "127.0.0.1")
    made.say(ASKED)
    return made


@pytest.fixture
def source(connection: Connection, role: Role) -> RecordedSource:
    return role.sources[0]


@pytest.fixture
def arrived(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """What the kernel says: whether all has arrived, and how many bytes have."""
    said: list[Any] = [True, 0]
    monkeypatch.setattr(channel_module, "all_arrived", lambda _: said[0])
    monkeypatch.setattr(channel_module, "acknowledged", lambda _: said[1])
    return said


def body(connection: Connection) -> bytes:
    """What has come of the body, in chunks."""
    head, _, rest = connection.value().partition(b"\r\n\r\n")
    assert b"Transfer-Encoding: chunked" in head
    assert b"Content-Length" not in head
    found = b""
    while rest:
        size, _, rest = rest.partition(b"\r\n")
        found += rest[: int(size, 16)]
        rest = rest[int(size, 16) + 2 :]
    return found


def ended(connection: Connection, browser: Browser, source: RecordedSource) -> bool:
    """Whether nothing is left of the stream."""
    browser.clock.advance(0)
    assert source.told.count("detach") <= 1
    is_over = not connection.connected and "detach" in source.told
    assert is_over is (not len(browser.site.connections) and not browser.clock.getDelayedCalls())
    return is_over


def test_open(connection: Connection, browser: Browser, source: RecordedSource) -> None:
    """The head comes at once, then what is said when it is said; the connection counts as any other."""
    assert connection.value().startswith(HEAD)
    assert body(connection) == b""
    source.say(b"one")
    assert body(connection) == b"one"
    source.say(b" two")
    assert body(connection) == b"one two"
    assert len(browser.site.connections) == 1
    assert not ended(connection, browser, source)


def test_end(connection: Connection, browser: Browser, source: RecordedSource) -> None:
    """The source ends it: the peer sees the end of the body, then that of the connection."""
    source.say(b"all")
    assert source.outlet is not None
    source.outlet.end()
    source.outlet.end()
    assert connection.value().endswith(b"0\r\n\r\n")
    assert ended(connection, browser, source)


def test_gone(connection: Connection, browser: Browser, source: RecordedSource) -> None:
    """The peer goes away: nothing is left, and what is still said goes nowhere."""
    connection.leave()
    assert ended(connection, browser, source)
    assert source.told[-2:] == ["stop", "detach"]
    source.say(b"more")
    assert source.outlet is not None
    source.outlet.end()


def test_pace(browser: Browser, role: Role) -> None:
    """The source is told when its peer takes no more, and when it does again."""
    slow = SlowConnection(browser.site, browser.clock, "127.0.0.1")
    slow.say(ASKED)
    (source,) = role.sources
    source.told.clear()
    source.say(b"much")
    assert set(source.told) == {"pause"}
    slow.drain()
    assert source.told[-1] == "resume"


def test_an_hour(connection: Connection, browser: Browser, source: RecordedSource, arrived: list[Any]) -> None:
    """A stream ends kindly after a while, so that none is for ever."""
    browser.clock.pump([1.0] * int(STREAM_SECS - 1))
    assert not ended(connection, browser, source)
    browser.clock.advance(1.0)
    assert connection.value().endswith(b"0\r\n\r\n")
    assert ended(connection, browser, source)


def test_reader_that_does_not_read(
    connection: Connection, browser: Browser, source: RecordedSource, arrived: list[Any]
) -> None:
    """A peer is given up when what was sent to it has not moved for idle_secs, and not before."""
    idle_secs = int(browser.site.limits.idle_secs)
    browser.clock.pump([1.0] * 10 * idle_secs)
    source.say(b"something")
    arrived[:] = [False, 5]
    browser.clock.pump([1.0] * (idle_secs - 2))
    arrived[1] = 6
    browser.clock.pump([1.0] * (idle_secs - 2))
    assert not ended(connection, browser, source)
    browser.clock.pump([1.0] * 4)
    assert not connection.value().endswith(b"0\r\n\r\n")
    assert ended(connection, browser, source)


def test_what_is_sent_meanwhile(browser: Browser, role: Role) -> None:
    """What a peer sends while it reads a stream is not read without bound; it is no request."""
    connection = browser.connect()
    connection.say(ASKED)
    (source,) = role.sources
    connection.say(b"x" * AHEAD)
    assert connection.producerState == "producing"
    connection.say(ASKED)
    assert connection.producerState == "paused"
    source.say(b"more")
    assert (body(connection), len(role.sources)) == (b"more", 1)
    assert source.outlet is not None
    source.outlet.end()
    assert ended(connection, browser, source)
    assert len(role.sources) == 1


def test_source_that_fails(browser: Browser, role: Role, monkeypatch: pytest.MonkeyPatch) -> None:
    """A source that cannot begin leaves no connection open."""

    def fail(*_: object) -> None:
        raise RuntimeError("of the source")

    monkeypatch.setattr(RecordedSource, "attach", fail)
    connection = browser.connect()
    connection.say(ASKED)
    assert role.sources[0].told == ["detach"]
    browser.clock.advance(0)
    assert not connection.connected
    assert browser.clock.getDelayedCalls() == []
