"""Connections within limits: how many there may be, how long a peer may take, what it is told."""

import struct
from collections.abc import Sequence
from ipaddress import ip_network
from pathlib import Path
from typing import Any

import attrs
import pytest
from twisted.internet.task import Clock
from twisted.logger import LogLevel, capturedLogs

from farmkit.memory_http import Browser, Connection, bearer, head, request
from sccachedist.auth.bearer import crowd_of
from sccachedist.config import ConnectionLimits
from sccachedist.web.connection_limits import PAUSE_SECS, SWEEP_SECS, SWEPT, Connections
from sccachedist.web.deadlines import LINGER_SECS
from sccachedist.web.port_counts import PortCounts
from sccachedist.web.request import Site
from sccachedist.web.router import Mounted
from sccachedist.wire.messages import SchedulerStatus
from tests.web.roles import TOKEN, Role

LIMITS = ConnectionLimits(
    connections=3,
    connections_per_address=2,
    idle_secs=6,
    min_bytes_per_sec=10,
    min_rate_after_secs=3,
    transfer_secs=20,
    header_bytes=200,
    headers=5,
)
HEAD = head("POST", "/upload/7", {**bearer(TOKEN), "Content-Length": "50"})
PROXY = "127.0.0.9"


def visiting(directory: Path, limits: ConnectionLimits = LIMITS) -> tuple[Role, Browser]:
    clock, role = Clock(), Role(directory)
    return role, Browser(Site(Mounted(role), clock, limits, [ip_network(PROXY)]), clock)


@pytest.fixture
def visit(tmp_path: Path) -> tuple[Role, Browser]:
    return visiting(tmp_path)


def warned(events: Sequence[dict[str, Any]]) -> list[str]:
    return [event["limit"] for event in events if event["log_level"] is LogLevel.warn]


def ended_after(browser: Browser, connection: Connection) -> int:
    """How many seconds we keep a connection."""
    for second in range(60):
        if not connection.connected:
            return second
        browser.clock.advance(1)
    raise AssertionError("open after 60 s")


WORKING = head("POST", "/upload/7", {**bearer(TOKEN), "Content-Length": "9"})


@pytest.mark.parametrize(
    ("senders", "hit"),
    [
        (["127.0.0.1", "127.0.0.1"], "connections_per_address"),
        (["127.0.0.1", "127.0.0.2", "127.0.0.3"], "connections"),
        ([PROXY, PROXY, PROXY], "connections"),
    ],
)
def test_too_many(visit: tuple[Role, Browser], senders: list[str], hit: str) -> None:
    """No more connections are taken than there may be, from one address or in all; each that goes makes room."""
    browser = visit[1]
    there = [browser.connect(sender) for sender in senders]
    for connection in there:
        connection.say(WORKING)
    with capturedLogs() as events:
        assert browser.site.buildProtocol(there[0].getPeer()) is None
    assert warned(events) == [hit]
    there[0].leave()
    assert browser.connect(senders[0]).connected


@pytest.mark.parametrize("sender", ["127.0.0.1", "127.0.0.5"])
@pytest.mark.parametrize("said", [b"", b"GET", request("GET", "/status"), request("POST", "/upload/7", b"0123")])
def test_who_sits_there_makes_room(tmp_path: Path, sender: str, said: bytes) -> None:
    """The oldest connection that has shown no good token goes, not one that has, or that came later."""
    browser = visiting(tmp_path, attrs.evolve(LIMITS, connections_per_address=3))[1]
    there = [browser.connect() for _ in range(3)]
    there[0].say(request("POST", "/upload/7", b"0123", bearer(TOKEN)))
    there[1].say(*filter(None, [said]))
    newcomer = browser.connect(sender)
    browser.clock.advance(0)
    assert [connection.connected for connection in (*there, newcomer)] == [True, False, True, True]
    there[1].leave()
    assert len(browser.site.connections) == 3


def test_who_is_known_and_idle_makes_room_at_last(visit: tuple[Role, Browser]) -> None:
    """Where all have shown good tokens, one that asks nothing more goes; none whose request is worked on."""
    browser = visit[1]
    there = [browser.connect(f"127.0.0.{number}") for number in range(1, 4)]
    there[0].say(WORKING)
    for connection in there[1:]:
        connection.say(request("POST", "/upload/7", b"0123", bearer(TOKEN)))
    with capturedLogs() as events:
        browser.connect("127.0.0.4")
    assert [event["what"] for event in events] == ["a connection closed that was idle"]
    browser.clock.advance(0)
    assert [connection.connected for connection in there] == [True, False, True]


def test_allowed_later_is_known_later(tmp_path: Path) -> None:
    """Whose token is being looked at has not shown a good one yet."""
    role, browser = visiting(tmp_path)
    role.grants = []
    there = [browser.connect(f"127.0.0.{number}") for number in range(1, 4)]
    there[0].say(request("POST", "/later"))
    there[1].say(request("POST", "/later"))
    role.grants[0].callback(None)
    browser.connect("127.0.0.4")
    browser.clock.advance(0)
    assert [connection.connected for connection in there] == [True, False, True]


@pytest.mark.parametrize(
    ("hosts", "crowds"),
    [
        (["127.0.0.1", "127.0.0.2", "::ffff:127.0.0.1"], 2),
        (["2001:db8::1", "2001:db8::ffff:0:0:1", "2001:db8:0:1::1", "fe80::1%eth0"], 3),
    ],
)
def test_crowds(hosts: list[str], crowds: int) -> None:
    """An IPv4 address is one peer, and so is an IPv6 /64."""
    assert len({crowd_of(host) for host in hosts}) == crowds


def test_told_now_and_then(visit: tuple[Role, Browser]) -> None:
    """A limit that one peer hits often is logged once, then counted."""
    browser = visit[1]
    with capturedLogs() as events:
        for _ in range(100):
            browser.connect()
    assert warned(events) == ["connections_per_address"]


@attrs.define(eq=False)
class Late:
    """A connection that is late whenever it is looked at."""

    connections: Connections
    peer_host = "127.0.0.1"
    is_idle = True

    def overdue(self, now: float) -> str:
        return "idle_secs"

    def give_up(self, limit: str) -> None:
        self.connections.remove(self)


def test_those_that_do_not_count() -> None:
    """Half of all connections may be such: no more of them, and as many again when those are gone."""
    connections = Connections(attrs.evolve(LIMITS, connections=4), [], Clock(), PortCounts())
    for _ in range(3):
        there = [Late(connections) for _ in range(4)]
        for each in there[:3]:
            assert connections.make_room_for(each.peer_host)
            connections.add(each)
            connections.count_no_more(each)
            connections.know(each)
        connections.add(there[3])
        connections.know(there[3])
        assert not connections.make_room_for(there[0].peer_host)
        for each in there:
            connections.remove(each)


def test_a_crowd_is_looked_at_in_parts() -> None:
    """Thousands that are late hold nobody up: some are given up at a time, and all of them soon."""
    clock = Clock()
    connections = Connections(LIMITS, [], clock, PortCounts())
    for _ in range(2 * SWEPT + 1):
        connections.add(Late(connections))
    clock.advance(SWEEP_SECS)
    assert len(connections) == SWEPT + 1
    clock.advance(PAUSE_SECS)
    assert len(connections) == 1
    clock.advance(PAUSE_SECS)
    assert len(connections) == 0
    assert clock.getDelayedCalls() == []


@pytest.mark.parametrize(
    ("said", "secs", "limit"),
    [
        (b"", 6, None),
        (b"G", 4, "min_bytes_per_sec"),
        (HEAD[:-4], 6, "idle_secs"),
        (HEAD + b"x", 6, "idle_secs"),
    ],
)
def test_late(visit: tuple[Role, Browser], said: bytes, secs: int, limit: str | None) -> None:
    """Who stops is told why, with a status that makes a client compile locally, if it has begun to ask."""
    role, browser = visit
    connection = browser.connect()
    connection.say(*filter(None, [said]))
    with capturedLogs() as events:
        assert ended_after(browser, connection) == secs
    answers = connection.answers()
    assert [answer.status for answer in answers] == ([500] if limit else [])
    assert warned(events) == ([limit] if limit else [])  # that a connection was idle is nothing to warn of
    if limit:
        assert limit in answers[0].body.decode()
        assert answers[0].headers["connection"] == "close"
    assert [body.ended for body in role.bodies] in ([], ["aborted"])
    assert browser.clock.getDelayedCalls() == []


def test_drop_by_drop(visit: tuple[Role, Browser]) -> None:
    """A byte a second is too little."""
    browser = visit[1]
    connection = browser.connect()
    for second in range(9):
        connection.say(HEAD[second : second + 1])
        browser.clock.advance(1)
    assert not connection.connected
    assert [answer.status for answer in connection.answers()] == [500]


def test_slow_but_honest(tmp_path: Path) -> None:
    """Who sends as little as is asked for is served to the end."""
    _, browser = visiting(tmp_path, attrs.evolve(LIMITS, transfer_secs=1000))
    connection = browser.connect()
    for start in range(0, len(asked := HEAD + b"x" * 50), 10):
        connection.say(asked[start : start + 10])
        browser.clock.advance(1)
    assert [answer.status for answer in connection.answers()] == [200]


def test_in_all(tmp_path: Path) -> None:
    """Who sends for ever is given up at last."""
    _, browser = visiting(tmp_path, attrs.evolve(LIMITS, min_bytes_per_sec=0))
    connection = browser.connect()
    connection.say(HEAD)
    with capturedLogs() as events:
        for _ in range(30):
            connection.say(b"x")
            browser.clock.advance(1)
    assert not connection.connected
    assert warned(events) == ["transfer_secs"]


def test_patient_client(visit: tuple[Role, Browser]) -> None:
    """A client that has asked and waits is waited for, however long its compile takes."""
    role, browser = visit
    connection = browser.connect()
    connection.say(request("POST", "/later"))
    browser.clock.pump([1] * 3000)
    role.waiting[0].callback(SchedulerStatus(0, 0, 0))
    assert [answer.status for answer in connection.answers()] == [200]
    assert ended_after(browser, connection) == LIMITS.idle_secs


class Reading(Connection):
    """A connection whose peer takes so many bytes of an answer a second."""

    takes = 0
    taken = 0

    def getHandle(self) -> "Reading":  # noqa: N802
        return self

    def getsockopt(self, *_: int) -> bytes:
        return struct.pack("=24xI92xQ16xI", 1, self.taken, 0)


@pytest.mark.parametrize(("takes", "secs"), [(0, 4), (5, 7), (10, 20)])
def test_reads_slowly(visit: tuple[Role, Browser], takes: int, secs: int) -> None:
    """Who does not take its answer fast enough, or not to its end, is given up."""
    browser = visit[1]
    connection = Reading(browser.site, browser.clock, "127.0.0.1")
    connection.registerProducer = lambda *_: None  # type: ignore[method-assign]
    connection.loseConnection = lambda: None  # type: ignore[method-assign]
    connection.say(request("GET", "/status", headers={"Connection": "close"}))
    for second in range(1, 40):
        connection.taken = takes * second
        browser.clock.advance(1)
        if not connection.connected:
            break
    assert second == secs


@pytest.mark.parametrize(
    ("sent", "limit"),
    [
        (b"GET /" + b"x" * 300, "header_bytes"),
        (head("GET", "/", {f"X-{n}": "x" * 90 for n in range(4)}), "header_bytes"),
        (head("GET", "/", {f"X-{n}": "x" for n in range(9)}), "headers"),
        (head("GET", "/", {f"X-{n}": "x" for n in range(6)}), "headers"),
    ],
)
def test_large_head(visit: tuple[Role, Browser], sent: bytes, limit: str) -> None:
    """A head that is too large is refused so that a client compiles locally, and can be read while it goes on."""
    browser = visit[1]
    connection = browser.connect()
    with capturedLogs() as events:
        connection.say(sent)
        connection.say(b"more\r\n\r\n" * 1000)
    (answer,) = connection.answers()
    assert (answer.status, answer.headers["connection"]) == (500, "close")
    assert limit in answer.body.decode()
    assert warned(events) == [limit]
    assert ended_after(browser, connection) == LINGER_SECS


@pytest.mark.parametrize(
    "sent",
    [
        b"nonsense\r\n",
        b"GET /\r\n",
        b"\x16\x03\x01\x02\x00\x01\r\n\r\n",
        b"GET / HTTP/1.1\r\nno colon\r\n\r\n",
        b"GET / HTTP/1.1\r\nContent-Length: -1\r\n\r\n",
        b"GET / HTTP/1.1\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n",
        b"GET / HTTP/1.1\r\nTransfer-Encoding: gzip\r\n\r\n",
    ],
)
def test_no_http(visit: tuple[Role, Browser], sent: bytes) -> None:
    """What is no HTTP is answered in our own form, and the connection ends."""
    browser = visit[1]
    connection = browser.connect()
    connection.say(sent)
    (answer,) = connection.answers()
    assert (answer.status, answer.headers["connection"]) == (400, "close")
    assert answer.body == b'{"description":"not HTTP","cause":null}'
    assert ended_after(browser, connection) <= 1
    assert browser.clock.getDelayedCalls() == []
