"""What ``top`` asks a scheduler to do."""

from typing import Any

import pytest

from sccachedist.cli.top.orders import act, asked_about, body_of
from sccachedist.client import Farm, SchedulerPlace
from tests.cli.farm import documents as made

SERVER = made.SERVERS["servers"][0]


def test_bodies() -> None:
    """Each key does something to what it is pressed on, and nothing to what is over."""
    running, over = made.JOBS["running"][0], made.JOBS["jobs"][0]
    assert body_of("servers", "d", SERVER) == {"action": "drain", "servers": ["10.0.0.16:10501"]}
    assert body_of("servers", "u", SERVER) == {"action": "undrain", "servers": ["10.0.0.16:10501"]}
    assert body_of("jobs", "k", running) == {"action": "kill", "job": running["id"]}
    assert body_of("clients", "k", {"client": "ann"}) == {"action": "kill", "client": "ann"}
    assert [body_of(*key) for key in (("jobs", "k", over), ("jobs", "d", running), ("servers", "k", SERVER))] == [
        None
    ] * 3


def test_what_the_user_is_asked() -> None:
    """It names what it is about, however that is called."""
    assert asked_about({"action": "kill", "client": "a\x1b[2J"}, "2 jobs end") == "kill a\\x1b[2J: 2 jobs end"
    assert asked_about({"action": "kill", "job": "412"}, "it ends") == "kill 412: it ends"
    assert asked_about({"action": "drain", "servers": ["x"]}, "no jobs") == "drain x: no jobs"


FARM = Farm(SchedulerPlace("http://farm.example.org:10600/", "a token", "the token in x"))


def test_what_is_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is only to be said is asked as that; the sentence of the answer is fit for a terminal."""
    asked: list[Any] = []

    def ask(farm: Farm, body: Any) -> Any:
        asked.append((farm, body))
        return {"v": 1, "text": "it is drained\x1b[2J", "done": []}

    monkeypatch.setattr(Farm, "act", ask)
    assert act(FARM, {"action": "drain"}) == "it is drained\\x1b[2J"
    act(FARM, {"action": "drain"}, preview=True)
    assert asked == [(FARM, {"action": "drain"}), (FARM, {"action": "drain", "preview": True})]
