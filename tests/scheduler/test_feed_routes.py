"""Who may watch the farm, how many may, and what their streams look like, from bytes to bytes."""

import json
import zlib

import pytest

from farmkit.memory_http import Browser, Connection, bearer, request
from sccachedist.config import NamesFor
from sccachedist.scheduler.feed_routes import RETRY_AFTER_SECS, FeedRoutes
from sccachedist.web.request import Site
from sccachedist.web.router import Mounted
from tests.scheduler.test_farm_routes import ended, summary
from tests.scheduler.watched import Farm
from tests.support.event_streams import read
from tests.support.readers import ADMIN, CLIENT, VIEWER, farm_readers


@pytest.fixture
def known() -> Farm:
    return Farm(places=4)


@pytest.fixture
def browser(known: Farm) -> Browser:
    return visited(known, NamesFor.VIEWERS)


def visited(known: Farm, names: NamesFor) -> Browser:
    routes = FeedRoutes(known.watching, farm_readers(), names)
    return Browser(Site(Mounted(routes), known.clock), known.clock)


def watch(browser: Browser, token: str = VIEWER, sender: str = "10.0.0.1", **headers: str) -> Connection:
    connection = browser.connect(sender)
    shown = {**bearer(token), **{name.replace("_", "-"): value for name, value in headers.items()}}
    connection.say(request("GET", "/api/v1/farm/events", headers=shown))
    return connection


def events(connection: Connection) -> list[tuple[str, str, str]]:
    """The events of a stream."""
    return read(body(connection))


def head_of(connection: Connection) -> bytes:
    head, _, _ = connection.value().partition(b"\r\n\r\n")
    return bytes(head)


def body(connection: Connection) -> bytes:
    """What has come of a stream, in chunks."""
    rest = connection.value().partition(b"\r\n\r\n")[2]
    found = b""
    while rest:
        size, _, rest = rest.partition(b"\r\n")
        found += rest[: int(size, 16)]
        rest = rest[int(size, 16) + 2 :]
    return found


def test_stream(known: Farm, browser: Browser) -> None:
    """A stream has the headers that browsers and proxies need, and stays open."""
    connection = watch(browser)
    lines = head_of(connection).split(b"\r\n")
    assert lines[0] == b"HTTP/1.1 200 OK"
    assert {b"Content-Type: text/event-stream", b"Cache-Control: no-store", b"X-Accel-Buffering: no"} <= {*lines}
    known.drain()
    known.tick()
    assert [name for name, _, _ in events(connection)] == ["snapshot", "tick"]
    connection.leave()
    assert known.clock.getDelayedCalls() == []


@pytest.mark.parametrize(("codings", "is_packed"), [("gzip, br", True), ("br", False), ("gzip;q=0", False)])
def test_compressed(browser: Browser, codings: str, is_packed: bool) -> None:
    """A stream is compressed for a browser that takes that."""
    connection = watch(browser, Accept_Encoding=codings)
    assert (b"Content-Encoding: gzip" in head_of(connection)) is is_packed
    stream = body(connection)
    told = zlib.decompressobj(zlib.MAX_WBITS | 16).decompress(stream) if is_packed else stream
    assert [name for name, _, _ in read(told)] == ["snapshot"]


@pytest.mark.parametrize("token", ["wrong", ""])
def test_strangers(browser: Browser, token: str) -> None:
    """A stranger is told nothing."""
    (answer,) = watch(browser, token).answers()
    assert answer.status == 401


def test_too_many(known: Farm, browser: Browser) -> None:
    """One who finds no place is told when to try again; places are free again when streams end."""
    first, *others = [watch(browser, sender=f"10.0.0.{number}") for number in (0, 1, 0, 2)]
    for sender in ("10.0.0.0", "10.0.0.7"):
        (answer,) = watch(browser, sender=sender).answers()
        assert (answer.status, answer.headers["retry-after"]) == (503, str(RETRY_AFTER_SECS))
        assert "web.viewers" in json.loads(answer.body)["description"]
    first.leave()
    assert watch(browser, sender="10.0.0.7").value().startswith(b"HTTP/1.1 200")
    assert len(known.watching) == len(others) + 1


@pytest.mark.parametrize(
    ("token", "names", "sees"),
    [
        (CLIENT, NamesFor.VIEWERS, False),
        (CLIENT, NamesFor.CLIENTS, True),
        (VIEWER, NamesFor.VIEWERS, True),
        (ADMIN, NamesFor.VIEWERS, True),
    ],
)
def test_names(known: Farm, token: str, names: NamesFor, sees: bool) -> None:
    """Who sees the names of files that others compile."""
    connection = watch(visited(known, names), token)
    known.observe(ended(0, summary=summary("secret.o")))
    known.tick()
    assert (b"secret.o" in connection.value()) is sees
    assert [name for name, _, _ in events(connection)] == ["snapshot", "tick"]


def test_last_event(known: Farm, browser: Browser) -> None:
    """A browser that comes back says which event it had last."""
    stays = watch(browser)
    ((_, _, number),) = events(stays)
    known.drain()
    known.tick()
    again = watch(browser, Last_Event_ID=number)
    assert [name for name, _, _ in events(again)] == ["tick"]


@pytest.mark.parametrize("said", ["", "0", "-1", "1e3", "\u0662", "9" * 5000, "x"])
def test_no_last_event(browser: Browser, said: str) -> None:
    """Whatever else it says, it gets a snapshot."""
    connection = browser.connect()
    head = request("GET", "/api/v1/farm/events", headers=bearer(VIEWER))[:-2]
    connection.say(head + b"Last-Event-ID: " + said.encode() + b"\r\n\r\n")
    assert [name for name, _, _ in events(connection)] == ["snapshot"]
