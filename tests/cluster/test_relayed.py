"""A leader's answer on its way: whole or piece by piece, at its reader's pace, and cut short at either end."""

from typing import Any

import attrs
import pytest
from twisted.internet.defer import Deferred
from twisted.internet.error import ConnectionLost
from twisted.internet.testing import StringTransport
from twisted.python.failure import Failure
from twisted.web.client import ResponseDone
from twisted.web.http_headers import Headers
from twisted.web.iweb import UNKNOWN_LENGTH

from farmkit.deferreds import outcome, pending
from farmkit.memory_http import bearer, request
from sccachedist.cluster.leader_calls import LeaderAway
from sccachedist.cluster.relayed import SHORT, relayed
from sccachedist.web.responses import Response, StreamResponse
from tests.cluster.conftest import HEARTBEAT, Pair
from tests.support.event_streams import Line, read

EVENTS_PATH = "/api/v1/farm/events"
EVENTS = request("GET", EVENTS_PATH, headers=bearer("clienttok"))


class Leader(StringTransport):
    """The other end of a connection."""

    def loseConnection(self) -> None:
        self.disconnecting = True

    def resumeProducing(self) -> None:
        self.producerState = "producing"


@attrs.define
class Answer:
    """An answer of a leader, whose body comes when the test says so."""

    length: Any
    code: int = 200
    headers: Headers = attrs.field(factory=lambda: Headers({"Content-Type": ["text/plain"]}))
    transport: Leader = attrs.field(factory=Leader)
    protocol: Any = None

    def deliverBody(self, protocol: Any) -> None:  # noqa: N802
        self.protocol = protocol
        protocol.makeConnection(self.transport)
        self.transport.resumeProducing()  # as Twisted's does

    def say(self, data: bytes, end: Exception | None = None) -> None:
        self.protocol.dataReceived(data)
        if end is not None:
            self.protocol.connectionLost(Failure(end))


def relaying(answer: Answer) -> Any:
    return Deferred.fromCoroutine(relayed(answer))  # type: ignore[arg-type]


def streamed(answer: Answer) -> StreamResponse:
    found = outcome(relaying(answer))
    assert isinstance(found, StreamResponse)
    return found


def test_short() -> None:
    """A short answer goes on when it is whole; one that breaks off is none."""
    answer = Answer(4)
    found = relaying(answer)
    answer.say(b"po")
    assert pending(found)
    answer.say(b"ng", ResponseDone())
    assert outcome(found) == Response(200, (("Content-Type", "text/plain"),), b"pong")
    broken = Answer(4)
    found = relaying(broken)
    broken.say(b"po", ConnectionLost())
    away = outcome(found)
    assert isinstance(away, LeaderAway)
    assert not away.is_unheard  # so what does harm twice is not asked again


def test_given_up() -> None:
    """When its reader goes, a short answer is not waited for."""
    answer = Answer(4)
    found = relaying(answer)
    found.cancel()
    outcome(found)
    assert answer.transport.disconnecting


@pytest.mark.parametrize("length", [SHORT + 1, UNKNOWN_LENGTH])
def test_long(length: Any) -> None:
    """A long answer goes on as it comes; its length, if it is known, stands in its head."""
    answer = Answer(length)
    found = streamed(answer)
    lengths = () if length is UNKNOWN_LENGTH else (("Content-Length", str(length)),)
    assert found.head == Response(200, (("Content-Type", "text/plain"), *lengths))
    line = Line(found.source)
    answer.say(b"one")
    assert line.read() == b"one"
    answer.say(b"two", ResponseDone())
    assert (line.read(), line.ended) == (b"two", True)
    found.source.pauseProducing()
    found.source.resumeProducing()  # as a transport may still do
    assert not answer.transport.disconnecting


def test_pace() -> None:
    """What its reader does not take, is not read from the leader."""
    answer = Answer(UNKNOWN_LENGTH)
    line = Line(streamed(answer).source, room=10)
    answer.say(b"x" * 11)
    assert answer.transport.producerState == "paused"
    line.read()
    assert answer.transport.producerState == "producing"


def test_a_pause_before_the_beginning() -> None:
    """A reader that takes nothing from the start is heard."""
    answer = Answer(UNKNOWN_LENGTH)
    source = streamed(answer).source
    source.pauseProducing()
    Line(source)
    assert answer.transport.producerState == "paused"


@pytest.mark.parametrize("has_begun", [True, False])
def test_reader_goes(has_begun: bool) -> None:
    """When its reader goes, the leader is told, whether the answer had begun or not."""
    answer = Answer(UNKNOWN_LENGTH)
    source = streamed(answer).source
    if has_begun:
        Line(source).leave()
    else:
        source.detach()
    assert answer.transport.disconnecting
    answer.say(b"late", ConnectionLost())


def test_feed(pair: Pair) -> None:
    """One who follows the farm does so through a follower, until its leader is another one."""
    pair.ask(pair.leader, HEARTBEAT.asked())
    viewer = pair.say(pair.follower, EVENTS)
    pair.network.pump([0.5] * 6)
    head, _, stream = viewer.value().partition(b"\r\n\r\n")
    assert b"text/event-stream" in head
    assert b"127.0.0.1:11502" in stream
    assert next(name for name, _, _ in read(stream)) == "snapshot"
    assert viewer.connected
    pair.swap()
    pair.network.pump([0.5] * 6)
    assert not viewer.connected
    again = pair.say(pair.leader, EVENTS)
    pair.network.pump([0.5] * 6)
    assert b"snapshot" in again.value()
    again.leave()
    pair.network.turn()
    assert [end for port, end in pair.network.made if port == 10601 and end.connected] == []


def test_only_the_head_of_a_stream(pair: Pair) -> None:
    """One who asks for the head of what stays open gets that, from either scheduler, and is no viewer."""
    for each in (pair.leader, pair.follower):
        asking = pair.say(each, request("HEAD", EVENTS_PATH, headers=bearer("clienttok")))
        pair.network.pump([0.5] * 10)
        head, _, body = asking.value().partition(b"\r\n\r\n")
        assert (head.splitlines()[0], body) == (b"HTTP/1.1 200 OK", b"")
        metrics = pair.ask(pair.leader, request("GET", "/metrics", headers=bearer("admintok"))).body
        assert b"\nsccachedist_scheduler_viewers 0.0\n" in metrics
