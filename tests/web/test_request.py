"""Requests in bytes: what is decided when the headers are there, and what becomes of bodies and connections."""

import gc

import pytest
from twisted.internet.task import Clock
from twisted.logger import capturedLogs

from farmkit.memory_http import OCTETS, Browser, Connection, SlowConnection, bearer, chunked, cuts, head, request
from sccachedist.errors import PeerRefused
from sccachedist.web.channel import DEAF_SECS
from sccachedist.web.deadlines import LINGER_SECS
from sccachedist.web.request import Site
from sccachedist.web.router import Mounted
from sccachedist.web.turns import Turns, Work
from sccachedist.wire.bincode import encode
from sccachedist.wire.messages import SCHEDULER_STATUS, TOOLCHAIN, SchedulerStatus, Toolchain
from tests.web.roles import LIMIT, STATUS, TOKEN, Role, pieces

CLOSE = {"Connection": "close"}
UNFRAMED = {**bearer(TOKEN), "Transfer-Encoding": "chunked"}
GET = request("GET", "/status")
UPLOAD = request("POST", "/upload/7", b"0123456789", bearer(TOKEN))
IN_CHUNKS = head("POST", "/upload/7", UNFRAMED) + chunked(b"0123", b"4", b"56789")
ECHO = request("POST", "/echo", encode(TOOLCHAIN, Toolchain("x")), {**bearer(TOKEN), **OCTETS})
REFUSED = {
    "unauthorised": ("/upload/7", {"Content-Length": "1000000"}, 401),
    "unauthorised, in chunks": ("/upload/7", {"Transfer-Encoding": "chunked"}, 401),
    "too large": ("/echo", {"Content-Length": "1000000", **OCTETS, **bearer(TOKEN)}, 500),
    "not bytes": ("/echo", {"Content-Length": "1000000", "Content-Type": "text/plain", **bearer(TOKEN)}, 400),
    "no such route": ("/elsewhere", {"Content-Length": "1000000"}, 404),
}
each_refusal = pytest.mark.parametrize(("path", "headers", "status"), REFUSED.values(), ids=REFUSED)


def gone(connection: Connection, browser: Browser) -> bool:
    """Whether the connection is closed from our side by now."""
    browser.clock.advance(0)
    return not connection.connected


@pytest.mark.parametrize("asked", [GET, UPLOAD, IN_CHUNKS, ECHO, GET + UPLOAD + IN_CHUNKS + ECHO + GET])
def test_in_pieces(role: Role, browser: Browser, asked: bytes) -> None:
    """However the network cuts requests up, they are answered alike, and the connection is kept."""
    whole = browser.connect()
    whole.say(asked)
    expected = [(answer.status, answer.body) for answer in whole.answers()]
    assert expected
    for sent in ([*pieces(asked, 1)], *cuts(asked)):
        connection = browser.connect()
        connection.say(*sent)
        assert [(answer.status, answer.body) for answer in connection.answers()] == expected
        assert not gone(connection, browser)
    assert {body.received for body in role.bodies} <= {b"0123456789"}


@each_refusal
def test_refused_at_the_headers(role: Role, browser: Browser, path: str, headers: dict[str, str], status: int) -> None:
    """Who may not, or sends what cannot be taken, is told so before the body comes; nothing of it is kept."""
    connection = browser.connect()
    connection.say(head("POST", path, headers))
    (answer,) = connection.answers()
    assert (answer.status, answer.headers["connection"]) == (status, "close")
    assert role.bodies == []
    connection.say(*pieces(b"5\r\nmore!\r\n" * 1000, 999))
    assert connection.answers() == [answer]
    assert not gone(connection, browser)


@each_refusal
def test_refused_and_going_on(browser: Browser, path: str, headers: dict[str, str], status: int) -> None:
    """Who goes on sending after a refusal can read it for a while, then the connection is cut."""
    connection = browser.connect()
    connection.say(head("POST", path, headers))
    browser.clock.advance(LINGER_SECS - 1)
    assert not gone(connection, browser)
    connection.say(b"1\r\n")
    browser.clock.advance(1)
    assert gone(connection, browser)
    assert browser.clock.getDelayedCalls() == []


def test_refused_and_in_a_hurry(browser: Browser) -> None:
    """Who goes on sending after a refusal is read a piece at a time, with pauses: others do not wait for it.

    One that was admitted first is not: it may be a client whose compiler has to come home.
    """
    stranger = head("POST", "/elsewhere", {"Content-Length": "99"})
    admitted = head("POST", "/upload/7", UNFRAMED) + chunked(b"x" * (LIMIT + 1))[:-5]
    for said, is_read in ((stranger, False), (admitted, True)):
        connection = browser.connect()
        connection.say(said)
        assert connection.answers()
        for _ in range(3):
            connection.say(b"x")
            assert (connection.producerState == "producing") is is_read
            browser.clock.advance(DEAF_SECS)
            assert connection.producerState == "producing"


def test_refused_and_gone(browser: Browser) -> None:
    """Nothing is left of somebody who was refused and went away."""
    connection = browser.connect()
    connection.say(head("POST", "/elsewhere", {"Content-Length": "9"}))
    connection.leave()
    browser.clock.advance(DEAF_SECS)
    assert browser.clock.getDelayedCalls() == []


@pytest.mark.parametrize(
    "refused",
    [
        request("POST", "/upload/7", b"0123"),
        head("POST", "/upload/7", {"Transfer-Encoding": "chunked"}) + chunked(b"01", b"23"),
        request("GET", "/elsewhere"),
    ],
)
def test_refused_to_the_end(browser: Browser, refused: bytes) -> None:
    """The connection of a refused request ends with its body: what follows on it is not answered."""
    connection = browser.connect()
    connection.say(refused + GET)
    assert [answer.status for answer in connection.answers()] in ([401], [404])
    assert gone(connection, browser)
    assert browser.clock.getDelayedCalls() == []


@pytest.mark.parametrize(
    ("said", "mebibytes"),
    [
        (head("POST", "/elsewhere", UNFRAMED), 1),
        (head("POST", "/upload/7", UNFRAMED) + (b"1;" + b"x" * 1000 + b"\r\na\r\n") * 40, 1),
        (head("POST", "/upload/7", UNFRAMED) + chunked(b"x" * (LIMIT + 1))[:-5], 64),
    ],
    ids=["no such route", "much between chunks", "too large"],
)
def test_refused_and_without_end(browser: Browser, said: bytes, mebibytes: int) -> None:
    """Who sends on and on is cut off: soon who was not admitted, later who was, because it may be an honest upload."""
    connection, piece = browser.connect(), bytes(1 << 20)
    connection.say(said)
    assert len(connection.answers()) == 1
    for _ in range(mebibytes - 1):
        connection.say(piece)
    assert not gone(connection, browser)
    connection.say(piece, piece)
    assert gone(connection, browser)


@pytest.mark.parametrize("wait", [True, False])
def test_expected_to_continue(browser: Browser, wait: bool) -> None:
    """A client that asks before it sends is told to go on only when it may."""
    token = bearer(TOKEN) if wait else {}
    connection = browser.connect()
    connection.say(head("POST", "/upload/7", {"Expect": "100-continue", "Content-Length": "2", **token}))
    assert (b"100 Continue" in connection.value()) is wait
    connection.say(b"ab")
    assert [answer.status for answer in connection.answers()] == [200 if wait else 401]


@pytest.mark.parametrize("framed", [False, True])
@pytest.mark.parametrize("size", [1, 7, LIMIT, 1000])
def test_grown_too_large(role: Role, browser: Browser, framed: bool, size: int) -> None:
    """A body that turns out to be too large is refused then and there, and what has come of it is dropped."""
    body = b"x" * (LIMIT + 1)
    connection = browser.connect()
    headers = {**bearer(TOKEN), "Content-Length": "1000"} if framed else UNFRAMED
    connection.say(head("POST", "/upload/7", headers))
    connection.say(*pieces(body if framed else chunked(*pieces(body, size)), size))
    (answer,) = connection.answers()
    assert (answer.status, answer.headers["connection"]) == (500, "close")
    assert "toolchain_bytes" in answer.body.decode()
    (stored,) = role.bodies
    assert (stored.ended, len(stored.received) <= LIMIT) == ("aborted", True)


def test_message_grown_too_large(browser: Browser) -> None:
    """A message in chunks that together are too large is refused."""
    connection = browser.connect()
    connection.say(head("POST", "/echo", {**UNFRAMED, **OCTETS}), chunked(b"x" * 40, b"x" * 40))
    assert [answer.status for answer in connection.answers()] == [500]


def test_memory_of_a_message(role: Role, browser: Browser) -> None:
    """A message costs what has come of it, until it is read or refused, or its sender goes."""
    body, headers = encode(TOOLCHAIN, Toolchain("x" * 30)), {**bearer(TOKEN), **OCTETS}
    whole, cut = browser.connect(), browser.connect()
    for connection in (whole, cut):
        connection.say(head("POST", "/echo", {**headers, "Content-Length": str(len(body))}), body[:20])
    assert role.memory.used == 40
    whole.say(body[20:])
    cut.leave()
    browser.connect().say(head("POST", "/echo", {**UNFRAMED, **OCTETS}), chunked(b"x" * 40, b"x" * 40))
    assert (role.memory.used, [answer.status for answer in whole.answers()]) == (0, [200])


@pytest.mark.parametrize("broken", [b"zz\r\n", b"-1\r\n", b"2\r\nabc\r\n", b"f" * 5000])
def test_broken_chunks(role: Role, browser: Browser, broken: bytes) -> None:
    """A body whose chunks cannot be told apart costs the connection, and nothing of it is kept."""
    connection = browser.connect()
    connection.say(head("POST", "/upload/7", UNFRAMED), b"1\r\na\r\n", broken)
    assert gone(connection, browser)
    assert [body.ended for body in role.bodies] == ["aborted"]


def test_far_ahead(role: Role, browser: Browser) -> None:
    """What comes before the answer to an earlier request is read up to a bound, and the rest when there is room."""
    connection = browser.connect()
    connection.say(request("POST", "/later"), UPLOAD)
    assert connection.producerState == "producing"
    connection.say(GET * 1000)
    assert connection.producerState == "paused"
    role.waiting[0].callback(SchedulerStatus(0, 0, 0))
    browser.clock.pump([0] * 2000)
    assert (connection.producerState, len(connection.answers())) == ("producing", 1002)


def test_a_client_that_takes_nothing(role: Role, browser: Browser) -> None:
    """While it does not take its answers, no more requests are read from it."""
    connection = SlowConnection(browser.site, browser.clock, "127.0.0.1")
    connection.say(GET)
    assert connection.producerState == "paused"
    connection.drain()
    assert connection.producerState == "producing"


def test_turns_of_a_network(role: Role) -> None:
    """An IPv6 network has its turns as one sender has: its hosts are as many as it likes."""
    parties: list[str] = []

    class Recorded(Turns):
        def run(self, party: str, work: Work) -> bool:
            parties.append(party)
            return super().run(party, work)

    clock = Clock()
    for sender in ("2001:db8::1", "2001:db8::2", "127.0.0.1"):
        Browser(Site(Mounted(role), clock, turns=Recorded(clock, lambda: 0.0)), clock).ask(GET, sender)
    assert parties == ["2001:db8::/64", "2001:db8::/64", "127.0.0.1"]


@pytest.mark.parametrize("version", ["HTTP/1.1", "HTTP/1.0"])
@pytest.mark.parametrize("headers", [{}, CLOSE, {"Connection": "Close"}, {"Connection": "keep-alive"}])
def test_connection(browser: Browser, version: str, headers: dict[str, str]) -> None:
    """A connection is closed where the client says so, and the answer says it too; else it is kept."""
    connection = browser.connect()
    connection.say(request("GET", "/status", headers=headers).replace(b"HTTP/1.1", version.encode()))
    (answer,) = connection.answers()
    assert answer.message(SCHEDULER_STATUS) == STATUS
    asked_to = headers.get("Connection", "").lower() == "close"
    assert gone(connection, browser) is (asked_to or version == "HTTP/1.0")
    if asked_to and version == "HTTP/1.1":
        assert answer.headers["connection"] == "close"


def test_pipelined_behind_a_slow_one(role: Role, browser: Browser) -> None:
    """Requests that come before the answer to an earlier one wait for it, and are not even looked at."""
    connection = browser.connect()
    connection.say(request("POST", "/later"), UPLOAD, GET)
    assert (connection.answers(), len(role.bodies)) == ([], 1)
    role.waiting[0].callback(SchedulerStatus(0, 0, 0))
    browser.clock.advance(0)
    assert [answer.message(SCHEDULER_STATUS) for answer in connection.answers()] == [
        SchedulerStatus(0, 0, 0),
        SchedulerStatus(7, 10, 0),
        STATUS,
    ]


@pytest.mark.parametrize("sent", [head("POST", "/upload/7", UNFRAMED) + b"1\r\na\r\n", UPLOAD[:-1]])
def test_gone_within_its_body(role: Role, browser: Browser, sent: bytes) -> None:
    """Nothing is kept of a body whose sender went away, and no route runs."""
    connection = browser.connect()
    connection.say(sent)
    assert role.bodies[0].ended == ""
    connection.leave()
    assert role.bodies[0].ended == "aborted"
    assert browser.clock.getDelayedCalls() == []


def test_gone_before_the_answer(role: Role, browser: Browser) -> None:
    """A route whose client goes away is cancelled."""
    connection = browser.connect()
    connection.say(request("POST", "/later"))
    connection.leave()
    assert role.cancelled == 1
    assert role.bodies[0].ended == "complete"


def test_idle(browser: Browser) -> None:
    """Somebody who connects and says nothing, or stops within a request, is not waited for."""
    for said in (b"", b"GET", UPLOAD[:-1]):
        connection = browser.connect()
        connection.say(said)
        browser.clock.pump([30] * 3)
        assert gone(connection, browser)


def test_allowed_later(role: Role, browser: Browser) -> None:
    """Where it takes time to find out what a sender may, the route waits for it."""
    role.grants = []
    connection = browser.connect()
    connection.say(GET)
    assert connection.answers() == []
    role.grants[0].callback(None)
    assert [answer.message(SCHEDULER_STATUS) for answer in connection.answers()] == [STATUS]


def test_refused_later(role: Role, browser: Browser) -> None:
    """Who is found out late is refused then, and what came meanwhile is not kept."""
    role.grants = []
    connection = browser.connect()
    connection.say(request("POST", "/later", b"ab"))
    role.grants[0].errback(PeerRefused("invalid_bearer_token", "no"))
    assert [answer.status for answer in connection.answers()] == [401]
    assert [body.ended for body in role.bodies] == ["aborted"]


def test_refused_twice(role: Role, browser: Browser) -> None:
    """Where the body is refused before the sender is, nobody waits for the latter."""
    role.grants = []
    connection = browser.connect()
    connection.say(head("POST", "/bounded", {"Content-Length": "1000000", **OCTETS}))
    assert [answer.status for answer in connection.answers()] == [500]
    with capturedLogs() as events:
        role.grants.pop().errback(RuntimeError("too late to matter"))
        gc.collect()
    assert events == []


def test_gone_before_it_was_allowed(role: Role, browser: Browser) -> None:
    """Who goes away while that is being found out is not looked for any further."""
    role.grants = []
    connection = browser.connect()
    connection.say(head("POST", "/later", {"Content-Length": "2"}), b"a")
    connection.leave()
    assert role.bodies[0].ended == "aborted"
    with capturedLogs() as events:
        role.grants.pop().errback(RuntimeError("too late to matter"))
        gc.collect()
    assert events == []
