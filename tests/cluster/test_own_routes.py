"""What each of several schedulers answers itself, and what is told of who leads."""

import json
from typing import Any

import pytest

from farmkit.memory_http import bearer, request
from sccachedist.cluster.leadership import Leading
from sccachedist.cluster.roll import SchedulerAccount
from sccachedist.scheduler.own_routes import HELD
from tests.cluster.conftest import ALLOC, STATUS, Pair
from tests.cluster.farm import OTHERS, Scheduler

SERVER = bearer("127.0.0.5:10501 servertok")


def way(token: dict[str, str] | None = None, query: str = "", **headers: str) -> bytes:
    """The question by which way it has come."""
    return request("GET", f"/api/v1/scheduler/way{query}", headers={**(token or bearer("clienttok")), **headers})


def told(pair: Pair, scheduler: Scheduler, asked: bytes, sender: str = "127.0.0.1") -> Any:
    """What a scheduler says."""
    answer = pair.ask(scheduler, asked, sender)
    assert answer.status == 200, answer
    return json.loads(answer.body)


def account(pair: Pair, scheduler: Scheduler) -> SchedulerAccount:
    """What a scheduler says of itself."""
    answer = pair.ask(scheduler, request("GET", "/api/v1/scheduler/account"))
    assert answer.status == 200
    return SchedulerAccount.read(answer.body)


def metrics(pair: Pair, scheduler: Scheduler) -> dict[str, float]:
    """What a scheduler counts."""
    text = pair.ask(scheduler, request("GET", "/metrics", headers=bearer("admintok"))).body.decode()
    lines = (line.rpartition(" ") for line in text.splitlines() if line.startswith("sccachedist_scheduler_"))
    return {name.removeprefix("sccachedist_scheduler_"): float(value) for name, _, value in lines}


def test_accounts(pair: Pair) -> None:
    """Each says for itself whether it leads, by which number and since when; who leads next counts from then on."""
    pair.network.advance(7)
    for scheduler, number in ((pair.leader, 1), (pair.follower, None)):
        found = account(pair, scheduler)
        assert (found.number, found.store_silent_secs) == (number, None)
        assert found.secs == pytest.approx(7)
    pair.follower.election.say(Leading(8))
    pair.leader.follows(pair.follower)
    pair.network.advance(2)
    for scheduler, number in ((pair.leader, None), (pair.follower, 8)):
        found = account(pair, scheduler)
        assert found.number == number
        assert found.secs == pytest.approx(2)


def test_notices(pair: Pair) -> None:
    """Each take-over is told, with who took over and by which number."""
    pair.leader.follows(pair.follower)
    pair.follower.leads()
    pair.leader.leads()
    pair.follower.follows(pair.leader)
    asked = request("GET", "/api/v1/farm/notices", headers=bearer("clienttok"))
    notices = [notice for notice in told(pair, pair.leader, asked)["notices"] if notice["kind"] == "leader"]
    assert [notice["about"] for notice in notices] == [pair.follower.candidate.url, pair.leader.candidate.url]
    assert notices[1]["text"] == "it leads, as number 1"


def test_metrics(pair: Pair) -> None:
    """Who leads, how often, and what became of requests that were passed on."""
    before = metrics(pair, pair.follower)
    assert (before["leads"], before["terms_total"], metrics(pair, pair.leader)["leads"]) == (0, 0, 1)
    pair.ask(pair.follower, STATUS)
    pair.follower.follows()
    waiting, gone = pair.say(pair.follower, STATUS), pair.say(pair.follower, ALLOC.asked())
    gone.leave()
    pair.follower.leads()
    pair.network.turn()
    assert len(waiting.answers()) == 1
    pair.follower.follows()
    pair.say(pair.follower, STATUS)
    pair.network.pump([0.5] * 30)
    after = metrics(pair, pair.follower)
    outcomes = {name: value for name, value in after.items() if name.startswith("passed_on_total")}
    assert outcomes == {
        f'passed_on_total{{outcome="{outcome}"}}': 1.0 for outcome in ("answered", "here", "no_leader", "sender_gone")
    }
    assert (after["leads"], after["terms_total"]) == (0, 1)


def test_ways(pair: Pair) -> None:
    """A scheduler says whom it takes for the sender, also one that follows; a build server may have any address."""
    for scheduler in (pair.leader, pair.follower):
        assert told(pair, scheduler, way(), "127.0.0.7") == {
            "v": 1,
            "sender": "127.0.0.7",
            "peer": "127.0.0.7",
            "is_proxied": False,
            "is_taken": None,
            "max_wait_secs": 60,
            "held": 0.0,
        }
    through = told(pair, pair.leader, way(SERVER, **{"X-Real-IP": "127.0.0.5"}), OTHERS)
    assert (through["sender"], through["peer"], through["is_proxied"]) == ("127.0.0.5", OTHERS, True)
    assert through["is_taken"] is True
    hidden = told(pair, pair.leader, way(SERVER, Via="1.1 balancer"), OTHERS)
    assert (hidden["sender"], hidden["peer"], hidden["is_proxied"]) == (OTHERS, OTHERS, True)
    assert hidden["is_taken"] is False
    assert pair.network.made == []


def test_strangers(pair: Pair) -> None:
    """They hold nothing open, and a query that is none is refused."""
    for token in ({"X": "y"}, bearer("wrong"), bearer("127.0.0.5:10501 wrong")):
        assert pair.ask(pair.leader, way(token, "?secs=60")).status == 401
    for query in ("?secs=-1", "?secs=nan", "?secs=1&secs=2", "?hold=1"):
        assert pair.ask(pair.leader, way(query=query)).status == 400


def test_held_open(pair: Pair) -> None:
    """A request is held open for as long as it asks, while others are answered; one sender has one of these."""
    first = pair.say(pair.leader, way(query="?secs=20"))
    assert told(pair, pair.leader, way(query="?secs=20"))["held"] == 0.0
    pair.network.pump([0.5] * 39)
    assert first.answers() == []
    pair.network.pump([0.5] * 2)
    (answer,) = first.answers()
    assert json.loads(answer.body)["held"] == 20.0
    again = pair.say(pair.leader, way(query="?secs=20"))
    again.leave()
    pair.network.turn()
    last = pair.say(pair.leader, way(query="?secs=1"))
    pair.network.pump([0.5] * 3)
    assert json.loads(last.answers()[0].body)["held"] == 1.0


def test_so_many_are_held_open(pair: Pair) -> None:
    """However many senders there are."""
    for number in range(HELD):
        assert pair.say(pair.leader, way(query="?secs=20"), f"127.0.1.{number}").answers() == []
    assert told(pair, pair.leader, way(query="?secs=20"), "127.0.2.1")["held"] == 0.0
