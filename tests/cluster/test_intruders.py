"""What a stranger, or a change of the leader at a bad moment, does not bring about at schedulers of which one leads."""

import json
from typing import cast

import attrs
import pytest
from twisted.internet.interfaces import ITransport
from twisted.internet.protocol import Protocol, connectionDone
from twisted.python.failure import Failure

from farmkit.memory_http import bearer, head, request
from sccachedist.config import SchedulerLimits
from sccachedist.peers.connection_pool import ANSWER_BYTES
from tests.cluster.conftest import ALLOC, HEARTBEAT, STATUS, Pair, admin

SERVER = "127.0.0.1:11502"
DRAIN = admin("/api/v1/admin/actions", json.dumps({"action": "drain", "servers": [SERVER]}).encode())
TARGETS = ["*", "0/x", ".evil.example/", "@evil.example:80/", "[/x", "x:y@z/", "/api/v1/scheduler/status#x", "//x@y:1/"]


@pytest.mark.parametrize("method", ["GET", "OPTIONS", "POST"])
@pytest.mark.parametrize("target", TARGETS)
def test_target(pair: Pair, target: str, method: str) -> None:
    """A request for what is no path is answered as by the leader, and brings a follower to ask no other address."""
    answers = [pair.ask(each, request(method, target)) for each in (pair.leader, pair.follower)]
    assert [answer.status for answer in answers] == [404, 404]
    assert set(pair.network.tries) <= {10600}


def test_heads_count(pair: Pair) -> None:
    """The headers of a request that is to be passed on are kept until its body is there: they count as memory."""
    follower = pair.follower
    follower.settings = attrs.evolve(follower.settings, limits=SchedulerLimits(buffered_bytes=40_000))
    follower.reload.reload()
    begun = head("POST", ALLOC.path, {"Content-Length": "60", "Cookie": "x" * 15_000})
    first = pair.say(follower, begun)
    assert first.answers() == []
    assert b"limit: buffered_bytes" in pair.ask(follower, begun).body
    assert pair.ask(follower, STATUS, sender="127.0.0.2").status == 200
    first.leave()
    again = pair.say(follower, begun)
    assert again.answers() == []
    again.leave()


def test_many_half_sent(pair: Pair) -> None:
    """No more requests are passed on than there may be, also if all of them were begun while there were none."""
    follower = pair.follower
    follower.settings = attrs.evolve(follower.settings, limits=SchedulerLimits(connections=4))
    follower.reload.reload()
    pair.network.silent.add(10600)
    begun = [pair.say(follower, ALLOC.asked()[:-1]) for _ in range(3)]
    for each in begun:
        each.say(ALLOC.asked()[-1:])
        pair.network.turn()
    assert [len(each.answers()) for each in begun] == [0, 0, 1]
    assert b"limit: connections" in begun[2].answers()[0].body
    for each in begun[:2]:
        each.leave()
    pair.network.turn()
    assert pair.network.tries.count(10600) == 2


def test_headers_of_an_answer(pair: Pair, monkeypatch: pytest.MonkeyPatch) -> None:
    """What another program says at the leader's address sets no cookie, sends nobody elsewhere and stops nothing."""
    (site,) = [site for port, site, *_ in pair.network.tcpServers if port == 10600]
    monkeypatch.setattr(site, "buildProtocol", lambda _: Liar())
    for _ in range(2):
        answer = pair.ask(pair.follower, STATUS)
        assert (answer.status, answer.body) == (200, b"lie")
        assert set(answer.headers) == {"content-type", "content-length", "date", "server"}


def test_a_head_without_an_end(pair: Pair, monkeypatch: pytest.MonkeyPatch) -> None:
    """What another program says at the leader's address takes a bounded memory."""
    (site,) = [site for port, site, *_ in pair.network.tcpServers if port == 10600]
    endless: list[Endless] = []

    def build(_: object) -> Endless:
        endless.append(Endless())
        return endless[-1]

    monkeypatch.setattr(site, "buildProtocol", build)
    asking = pair.say(pair.follower, DRAIN)
    for _ in range(2 * ANSWER_BYTES // len(LINES)):
        endless[0].say()
        pair.network.turn(3)
    (answer,) = asking.answers()
    assert answer.status == 503
    assert [each.is_over for each in endless] == [True]
    assert endless[0].said <= ANSWER_BYTES + 2 * len(LINES)


LINES = b"X: y\r\n" * 10_000


class Endless(Protocol):
    """A program whose head does not end."""

    said, is_over = 0, False

    def say(self) -> None:
        """Say some of it, as long as there is someone who listens."""
        if not self.is_over:
            start = b"" if self.said else b"HTTP/1.1 200 OK\r\n"
            cast(ITransport, self.transport).write(start + LINES)
            self.said += len(start + LINES)

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        self.is_over = True


class Liar(Protocol):
    """Another program."""

    def dataReceived(self, data: bytes) -> None:
        hostile = b"Set-Cookie: a=b\r\nLocation: http://evil.example/\r\nUpgrade: x\r\n"
        ours = b"Content-Type: text/plain\r\nContent-Length: 3\r\n\r\nlie"
        cast(ITransport, self.transport).write(b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\n" + hostile + ours)


@pytest.mark.parametrize("asked", [HEARTBEAT.asked(), DRAIN], ids=["heartbeat", "administrator"])
def test_deposed_while_a_body_comes(pair: Pair, asked: bytes) -> None:
    """What was begun at a leader and is whole when another one leads, is not answered as if it counted."""
    pair.ask(pair.leader, HEARTBEAT.asked())
    begun = pair.say(pair.leader, asked[:-1])
    pair.swap()
    begun.say(asked[-1:])
    pair.network.turn()
    (answer,) = begun.answers()
    assert (answer.status, answer.headers["x-sccachedist-follows"]) == (503, "1")
    pair.follower.follows(pair.leader)
    pair.leader.leads()
    assert pair.servers(pair.leader) == 0, "it is not in a term that has ended"


def test_a_drain_that_meets_a_change(pair: Pair) -> None:
    """An administrator's word through a follower, whose leader is deposed meanwhile, is heard once, by the next."""
    pair.ask(pair.leader, HEARTBEAT.asked())
    begun = pair.say(pair.follower, DRAIN[:-1])
    pair.swap()
    assert pair.ask(pair.follower, HEARTBEAT.asked()).status == 200
    begun.say(DRAIN[-1:])
    pair.network.turn()
    assert json.loads(begun.answers()[0].body)["text"] == "1 build server gets no new jobs"
    assert pair.network.made == []


def test_a_client_whose_body_meets_a_change(pair: Pair) -> None:
    """A client that was sending when another scheduler came to lead is served by that one."""
    begun = pair.say(pair.leader, ALLOC.asked()[:-1])
    pair.swap()
    assert pair.ask(pair.follower, HEARTBEAT.asked()).status == 200
    begun.say(ALLOC.asked()[-1:])
    pair.network.turn()
    assert [port for port, _ in pair.network.made if port == 10601] == [10601]
    begun.leave()


def test_a_leader_that_vanishes(pair: Pair) -> None:
    """One who follows the farm is sent away when another scheduler leads, though the last one has not said a word."""
    viewer = pair.say(pair.follower, request("GET", "/api/v1/farm/events", headers=bearer("clienttok")))
    pair.network.pump([0.5] * 4)
    assert viewer.connected
    pair.network.deaf.add(10600)
    pair.follower.follows()
    pair.network.turn()
    assert viewer.connected, "it is not known yet"
    pair.follower.leads()
    pair.network.turn()
    assert not viewer.connected
