"""What a scheduler that follows takes on for others: how much, for how long, and whom it knows for it."""

import attrs
import pytest

from farmkit.memory_http import Connection, bearer, head, request
from sccachedist.cluster.hop import PASSED_ON
from sccachedist.cluster.leader_search import ANSWER_SECS, ATTEMPTS_PER_SEC, PATIENCE_SECS
from sccachedist.config import SchedulerLimits
from tests.cluster.conftest import ALLOC, HEARTBEAT, STATUS, Pair, admin
from tests.cluster.farm import Scheduler
from tests.support.exchanges import Exchange

FOLLOWS = "x-sccachedist-follows"
#: Bytes for all bodies; one client may have half of that.
ROOM = 20_000
LONG = b"\r\nCookie: " + b"x" * (ROOM // 2 + 1000) + b"\r\n\r\n"


def limit(scheduler: Scheduler, limits: SchedulerLimits) -> None:
    scheduler.settings = attrs.evolve(scheduler.settings, limits=limits)
    scheduler.reload.reload()


def begun(pair: Pair, scheduler: Scheduler, asked: Exchange) -> tuple[Connection, bytes]:
    """A request whose last byte is still to come, and that byte."""
    octets = asked.asked()
    return pair.say(scheduler, octets[:-1]), octets[-1:]


@pytest.mark.parametrize(
    ("path", "headers", "status"),
    [
        ("/" + "x" * 300, {}, 404),
        ("*", {}, 404),
        ("@evil.example/", {}, 404),
        ("/api/v1/scheduler/status", {PASSED_ON: "1"}, 503),
    ],
    ids=["a long path", "no path", "a host", "passed on"],
)
def test_refused_before_the_body(pair: Pair, path: str, headers: dict[str, str], status: int) -> None:
    """What no leader could answer is refused by its head, and no leader is asked."""
    connection = pair.say(pair.follower, head("POST", path, {"Content-Length": "10", **headers}))
    assert [answer.status for answer in connection.answers()] == [status]
    assert pair.network.made == []


def test_bytes_for_all(pair: Pair) -> None:
    """Heads and bodies of what is passed on share one room with all bodies, and give it back."""
    limit(pair.follower, SchedulerLimits(buffered_bytes=ROOM))
    large = head("POST", ALLOC.path, {"Content-Length": str(ROOM)}) + b"x" * (ROOM // 2 + 1)
    for octets in (large, STATUS.replace(b"\r\n\r\n", LONG)):
        assert b"limit: buffered_bytes" in pair.ask(pair.follower, octets).body
    assert pair.network.made == []
    fits = STATUS.replace(b"\r\n\r\n", LONG[:4000] + b"\r\n\r\n")
    assert [pair.ask(pair.follower, fits).status for _ in range(10)] == [200] * 10


def test_bytes_that_came_to_a_leader(pair: Pair) -> None:
    """So does a leader, of what came while it led and is answered by the next one."""
    limit(pair.leader, SchedulerLimits(buffered_bytes=3000))
    for _ in range(50):
        connection, last = begun(pair, pair.leader, ALLOC)
        pair.swap()
        connection.say(last)
        pair.network.turn()
        connection.leave()
        pair.leader.leads()
        pair.follower.follows(pair.leader)
        pair.network.turn()
    assert pair.ask(pair.leader, HEARTBEAT.asked()).status == 200


def test_half_sent(pair: Pair) -> None:
    """Who is refused because of many is refused by its head, or at its end, if many came in between."""
    pair.follower.follows()
    limit(pair.follower, SchedulerLimits(connections=4))
    three = [begun(pair, pair.follower, ALLOC) for _ in range(3)]
    for connection, last in three:
        connection.say(last)
    pair.network.turn()
    *waiting, refused = (connection.answers() for connection, _ in three)
    assert waiting == [[], []]
    assert b"limit: connections" in refused[0].body
    late, _ = begun(pair, pair.follower, ALLOC)
    assert b"limit: connections" in late.answers()[0].body


def test_leads_no_longer(pair: Pair) -> None:
    """What a leader has begun to hear is not its to decide any more when another one leads."""
    connection, last = begun(pair, pair.leader, HEARTBEAT)
    pair.swap()
    connection.say(last)
    pair.network.turn()
    (answer,) = connection.answers()
    assert (answer.status, answer.headers[FOLLOWS]) == (503, "1")
    assert (pair.servers(pair.leader), pair.servers(pair.follower)) == (0, 0)


def test_passed_on_once(pair: Pair) -> None:
    """What was passed on to a leader that leads no longer is not passed on from there."""
    connection = pair.say(pair.leader, ALLOC.asked({PASSED_ON: "1"})[:-1])
    pair.swap()
    connection.say(ALLOC.asked()[-1:])
    pair.network.turn()
    (answer,) = connection.answers()
    assert (answer.status, answer.headers[FOLLOWS]) == (503, "1")
    assert pair.network.made == []


@pytest.mark.parametrize(
    ("octets", "status", "is_known"),
    [(STATUS, 200, False), (ALLOC.asked(bearer("wrong")), 401, False), (HEARTBEAT.asked(), 200, True)],
    ids=["anybody's", "refused", "good"],
)
def test_who_is_known(pair: Pair, octets: bytes, status: int, is_known: bool) -> None:
    """Only one whose token a leader has found good keeps a connection that somebody else could have."""
    limit(pair.follower, SchedulerLimits(connections_per_address=1))
    first = pair.say(pair.follower, octets)
    assert [answer.status for answer in first.answers()] == [status]
    is_room = pair.follower.browser.site.buildProtocol(first.getPeer()) is not None
    pair.network.turn()
    assert (first.connected, is_room) == (is_known, not is_known)


def test_an_order_that_is_not_answered(pair: Pair) -> None:
    """It is not given twice, and its sender does not wait for ever."""
    pair.network.deaf.add(10600)
    connection = pair.say(pair.follower, admin("/api/v1/admin/actions", b"{}"))
    pair.network.pump([1.0] * int(ANSWER_SECS + PATIENCE_SECS + 5))
    (answer,) = connection.answers()
    assert (answer.status, answer.headers[FOLLOWS]) == (503, "1")
    assert b"no answer in time" in answer.body
    assert pair.network.tries.count(10600) == 1


def test_many_that_wait_for_a_leader(pair: Pair) -> None:
    """They do not ask so often that it cannot come back."""
    pair.network.down.add(10600)
    waiting = [pair.say(pair.follower, STATUS, f"127.0.1.{number}") for number in range(100)]
    pair.network.tries.clear()
    pair.network.pump([0.1] * 50)
    assert all(connection.answers() == [] for connection in waiting)
    assert 100 < len(pair.network.tries) <= 6 * ATTEMPTS_PER_SEC
    pair.network.down.clear()
    pair.network.pump([0.1] * 20)
    assert {connection.answers()[0].status for connection in waiting} == {200}


def test_a_stream_of_the_leader_before(pair: Pair) -> None:
    """Who looks on hears no more of a scheduler that leads no longer, though that closes nothing."""
    viewer = pair.say(pair.follower, request("GET", "/api/v1/farm/events", headers=bearer("clienttok")))
    assert viewer.connected
    pair.network.deaf.add(10600)
    pair.follower.leads()
    pair.network.turn()
    assert not viewer.connected
