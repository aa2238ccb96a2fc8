"""Requests to a scheduler that follows: answered by the one that leads, whatever becomes of it meanwhile."""

import json
from ipaddress import ip_network

import attrs
import pytest

from farmkit.memory_http import bearer, head, request
from sccachedist.cluster.hop import PASSED_ON
from sccachedist.cluster.leader_search import PATIENCE_SECS
from sccachedist.config import NetworkSettings, SchedulerLimits
from sccachedist.wire.messages import ALLOC_JOB_RESPONSE, SERVER_CERTIFICATE, AllocJobFail
from tests.cluster.conftest import ALLOC, HEARTBEAT, STATUS, Pair, admin
from tests.cluster.farm import OTHERS

FOLLOWS = "x-sccachedist-follows"
DRAIN = admin("/api/v1/admin/actions", json.dumps({"action": "drain", "servers": ["127.0.0.1:11502"]}).encode())


def test_answered_by_the_leader(pair: Pair) -> None:
    """A build server, a client and one who looks reach the leader through a follower, in the form that they ask for."""
    assert pair.ask(pair.follower, HEARTBEAT.asked()).status == 200
    assert (pair.servers(pair.leader), pair.servers(pair.follower)) == (1, 1)
    certificate = pair.ask(pair.follower, request("GET", "/api/v1/scheduler/server_certificate/127.0.0.1:11502"))
    assert certificate.message(SERVER_CERTIFICATE).cert_digest
    as_json = request("GET", "/api/v1/scheduler/status", headers={"Accept": "application/json"})
    assert json.loads(pair.ask(pair.follower, as_json).body)["num_servers"] == 1
    rows = pair.ask(pair.follower, request("GET", "/api/v1/farm/jobs?limit=5", headers=bearer("clienttok")))
    assert (rows.status, rows.headers["content-type"]) == (200, "application/json; charset=utf-8")


def test_sender(pair: Pair) -> None:
    """The leader knows a sender by its own address, not by what it says of itself nor by the follower's."""
    forged = HEARTBEAT.asked({"X-Real-IP": "127.0.0.1"})
    assert pair.ask(pair.follower, forged, sender="127.0.0.5").status == 401
    assert pair.servers(pair.leader) == 0
    assert pair.ask(pair.follower, HEARTBEAT.asked({"X-Real-IP": "127.0.0.5"})).status == 200
    assert pair.servers(pair.leader) == 1


def test_refused_by_the_leader(pair: Pair) -> None:
    """What a leader refuses is refused in its words, and a path that it does not know is none."""
    wrong = pair.ask(pair.follower, ALLOC.asked(bearer("wrong")))
    assert (wrong.status, wrong.headers["www-authenticate"]) == (401, 'Bearer error="bearer_auth_failed"')
    assert pair.ask(pair.follower, request("GET", "/nothing")).status == 404
    assert pair.ask(pair.follower, request("GET", "/" + "x" * 300)).status == 404
    twice = STATUS.replace(b"\r\n\r\n", b"\r\nX-Real-IP: 10.0.0.1\r\nX-Real-IP: 10.0.0.2\r\n\r\n")
    assert pair.ask(pair.follower, twice).status == 500


def test_stays_here(pair: Pair) -> None:
    """Metrics, the page and signing in are each scheduler's own, and a session is good at all of them."""
    assert pair.ask(pair.follower, request("GET", "/metrics", headers=bearer("admintok"))).status == 200
    assert pair.ask(pair.follower, request("GET", "/")).status == 200
    form = {"Content-Type": "application/x-www-form-urlencoded"}
    signed_in = pair.ask(pair.follower, request("POST", "/login", b"token=admintok", form))
    assert pair.network.made == []
    cookie = {"Cookie": signed_in.headers["set-cookie"].partition(";")[0]}
    for each in (pair.leader, pair.follower):
        assert pair.ask(each, request("GET", "/api/v1/admin/settings", headers=cookie)).status == 200
    same = {**cookie, "Host": "farm", "Origin": "http://farm", "Content-Type": "application/json"}
    drained = pair.ask(pair.follower, request("POST", "/api/v1/admin/actions", b"{}", same))
    assert drained.status == 400  # it is an administrator's, though none that says what to do
    other = pair.ask(pair.follower, request("POST", "/api/v1/admin/actions", b"{}", {**same, "Origin": "http://x"}))
    assert other.status == 403


@pytest.mark.parametrize("number", [15, 16])
def test_large_body(pair: Pair, number: int) -> None:
    """A body has the limit that it has at the leader: it is refused by its announced length, or when it is reached."""
    asked, most = (ALLOC, 64 * 1024) if number == 15 else (HEARTBEAT, 1024 * 1024)
    assert pair.ask(pair.follower, head("POST", asked.path, {"Content-Length": str(most + 1)})).status == 500
    chunks = head("POST", asked.path, {"Transfer-Encoding": "chunked"}) + b"%x\r\n" % (most + 1) + b"x" * (most + 1)
    assert b"(limit: " in pair.ask(pair.follower, chunks).body
    assert pair.network.made == []


def test_marked(pair: Pair) -> None:
    """A request that was passed on goes no further: its answer says that another scheduler is to be asked."""
    answer = pair.ask(pair.follower, ALLOC.asked({PASSED_ON: "1"}))
    assert (answer.status, answer.headers[FOLLOWS]) == (503, "1")
    assert pair.network.made == []
    assert pair.ask(pair.leader, STATUS.replace(b"\r\n\r\n", f"\r\n{PASSED_ON}: 1\r\n\r\n".encode())).status == 200


def test_each_believes_that_the_other_leads(pair: Pair) -> None:
    """Two that follow each other pass a request to and fro no more than once each time, and not for ever."""
    pair.leader.follows(pair.follower)
    unlucky, lucky = pair.say(pair.follower, STATUS), pair.say(pair.leader, ALLOC.asked())
    pair.network.pump([0.05] * 300)
    (answer,) = unlucky.answers()
    assert answer.status == 503
    assert pair.network.seconds() > PATIENCE_SECS
    assert lucky.answers() == []
    pair.leader.leads()
    pair.network.pump([0.1] * 300)
    (found,) = lucky.answers()
    assert isinstance(found.message(ALLOC_JOB_RESPONSE), AllocJobFail)


def test_no_leader_for_a_while(pair: Pair) -> None:
    """A request waits until it is known who leads, be it another one or this one."""
    pair.follower.follows()
    first, second = pair.say(pair.follower, STATUS), pair.say(pair.follower, STATUS)
    pair.network.pump([0.5] * 4)
    assert first.answers() == []
    pair.follower.follows(pair.leader)
    pair.network.turn()
    assert [connection.answers()[0].status for connection in (first, second)] == [200, 200]
    pair.follower.follows()
    third = pair.say(pair.follower, HEARTBEAT.asked())
    pair.follower.leads()
    pair.network.turn()
    assert third.answers()[0].status == 200
    assert pair.servers(pair.follower) == 1


def test_leader_is_away(pair: Pair) -> None:
    """A leader that refuses connections is asked again, until it is there or the patience is over: then a 503."""
    pair.network.down.add(10600)
    first = pair.say(pair.follower, HEARTBEAT.asked())
    pair.network.pump([0.05] * 20)
    pair.network.down.clear()
    pair.network.pump([0.05] * 20)
    assert first.answers()[0].status == 200
    pair.network.lose(10600)
    second = pair.say(pair.follower, STATUS)
    pair.network.pump([0.05] * 300)
    (answer,) = second.answers()
    assert (answer.status, answer.headers[FOLLOWS]) == (503, "1")
    assert b"127.0.0.1:10600 does not answer: ConnectionRefusedError" in answer.body


@pytest.mark.parametrize("is_lost", [True, False], ids=["killed", "stopped"])
def test_leader_goes_while_a_client_waits(pair: Pair, is_lost: bool) -> None:
    """A client that waits at a leader that is killed or does not answer any more waits on at the next one."""
    waiting = pair.waiting(pair.follower, at=pair.leader)
    if is_lost:
        pair.network.lose(10600)
    pair.network.pump([0.1] * 20)
    assert waiting.answers() == []
    pair.follower.leads()
    pair.network.pump([0.5] * 40)
    (answer,) = waiting.answers()
    assert "0 available servers" in answer.message(ALLOC_JOB_RESPONSE).msg


@pytest.mark.parametrize("is_direct", [True, False])
def test_deposed(pair: Pair, is_direct: bool) -> None:
    """Clients that wait at a leader wait on at the next one, those that came to it and those passed on to it."""
    waiting = pair.waiting(pair.leader if is_direct else pair.follower, at=pair.leader)
    assert waiting.answers() == []
    pair.swap()
    assert pair.ask(pair.follower, HEARTBEAT.asked()).status == 200
    pair.network.silent.clear()
    pair.network.pump([0.5] * 60)
    (answer,) = waiting.answers()
    assert answer.status == 200
    assert pair.servers(pair.leader) == pair.servers(pair.follower)


def test_to_and_fro(pair: Pair) -> None:
    """A client waits on while it is settled who leads, and leaves nothing behind when it goes."""
    waiting = pair.waiting(pair.leader, at=pair.leader)
    for _ in range(3):
        pair.leader.follows(pair.follower)
        pair.network.pump([0.2] * 5)
        pair.leader.follows()
        pair.network.pump([0.2] * 5)
    assert waiting.answers() == []
    waiting.leave()
    pair.leader.leads()
    assert pair.servers(pair.leader) == 0


def test_client_goes(pair: Pair) -> None:
    """When a client goes that waits through a follower, its place at the leader is free again."""
    waiting = pair.waiting(pair.follower, at=pair.leader)
    waits = [end for port, end in pair.network.made if port == 10600 and end.connected]
    waiting.leave()
    pair.network.turn()
    assert [end for end in waits if end.connected] == []


def test_what_may_not_be_repeated(pair: Pair) -> None:
    """An administrator's word is given again only if the leader cannot have heard it."""
    pair.ask(pair.leader, HEARTBEAT.asked())
    pair.network.down.add(10600)
    refused = pair.say(pair.follower, DRAIN)
    pair.network.pump([0.05] * 10)
    assert (refused.answers(), pair.network.tries.count(10600) > 1) == ([], True)
    pair.network.down.clear()
    pair.network.pump([0.05] * 10)
    assert refused.answers()[0].status == 200
    pair.network.deaf.add(10600)
    perhaps_heard, tries = pair.say(pair.follower, DRAIN), len(pair.network.tries)
    pair.network.lose(10600)
    pair.network.pump([0.05] * 10)
    assert (perhaps_heard.answers()[0].status, len(pair.network.tries)) == (503, tries)


def test_kept_connections(pair: Pair) -> None:
    """A connection to the leader is kept for the next request, and one that was closed meanwhile costs no answer."""
    for _ in range(3):
        assert pair.ask(pair.follower, STATUS).status == 200
    assert len(pair.network.made) == 1
    pair.network.made[0][1].loseConnection()
    assert pair.ask(pair.follower, STATUS).status == 200
    assert len(pair.network.made) == 2
    assert {end.getPeer().host for _, end in pair.network.made} == {OTHERS}


def test_other_settings(pair: Pair) -> None:
    """Who is trusted as a proxy, and which header names a user, is taken over at once."""
    follower = pair.follower
    of_proxy = HEARTBEAT.asked({"X-Real-IP": "127.0.0.1"})
    assert pair.ask(follower, of_proxy, sender="127.0.0.5").status == 401
    follower.settings = attrs.evolve(follower.settings, network=NetworkSettings((ip_network("127.0.0.5"),)))
    follower.reload.reload()
    assert pair.ask(follower, of_proxy, sender="127.0.0.5").status == 200


def test_many(pair: Pair) -> None:
    """No more requests are passed on at a time than half of the connections that there may be."""
    pair.follower.follows()
    follower = pair.follower
    follower.settings = attrs.evolve(follower.settings, limits=SchedulerLimits(connections=4))
    follower.reload.reload()
    waiting = [pair.say(pair.follower, STATUS) for _ in range(2)]
    assert b"limit: connections" in pair.ask(pair.follower, STATUS).body
    pair.follower.follows(pair.leader)
    pair.network.turn()
    assert [connection.answers()[0].status for connection in waiting] == [200, 200]


def test_stop(pair: Pair) -> None:
    """A follower that stops waits a while for answers, and gives up then."""
    waiting = pair.waiting(pair.follower, at=pair.leader)
    stopped = pair.follower.service.stopService()
    pair.network.pump([0.5] * 10)
    assert not stopped.called
    pair.network.pump([0.5] * 20)
    assert stopped.called
    waiting.leave()
    pair.network.turn()


def test_leader_stops(pair: Pair) -> None:
    """A leader that stops passes on who waits, as soon as another one leads."""
    waiting = pair.waiting(pair.leader, at=pair.leader)
    stopped = pair.leader.service.stopService()
    pair.network.pump([0.1] * 5)
    pair.network.down.add(10600)
    pair.swap()
    pair.network.pump([0.5] * 60)
    (answer,) = waiting.answers()
    assert answer.status == 200
    assert stopped.called
