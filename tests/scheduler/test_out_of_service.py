"""What is drained or paused, and the file's form of it."""

import json
from typing import Any

import pytest

from sccachedist.errors import DecodeError, NoCapacity
from sccachedist.scheduler import out_of_service
from sccachedist.scheduler.core import SchedulerCore
from sccachedist.scheduler.out_of_service import Drain, OutOfService, Pause
from tests.scheduler.farms import FIRST_JOB, A, B, C, heartbeat

DRAIN = {"by": "ann", "reason": "disk", "since": 5.0, "until": None}
FULL: dict[str, Any] = {"v": 1, "drains": {str(A): DRAIN}, "paused": None}


def test_its_file() -> None:
    """What is written is what is read."""
    state, later, changes = OutOfService(), OutOfService(), []
    state.observe(lambda: changes.append(state.to_json()))
    state.drain(A, Drain("ann", "‮<script>", 5.0, 9.0))
    state.drain(B, Drain("bob"))
    state.set_pause(Pause("ann", "move", 7.0))
    state.drain(C, None)
    assert len(changes) == 4
    later.take(json.loads(json.dumps(state.to_json())))
    assert (later.drains, later.pause) == (state.drains, state.pause)
    assert state.due(8.9) == []
    assert state.due(9.0) == [A]


@pytest.mark.parametrize(
    "document",
    [
        None,
        [],
        {},
        FULL | {"v": 2},
        FULL | {"drains": []},
        FULL | {"drains": {"nowhere": DRAIN}},
        FULL | {"drains": {str(A): []}},
        FULL | {"drains": {str(A): DRAIN | {"by": 1}}},
        FULL | {"drains": {str(A): DRAIN | {"reason": "x" * 501}}},
        FULL | {"drains": {str(A): DRAIN | {"since": True}}},
        FULL | {"drains": {str(A): DRAIN | {"since": float("nan")}}},
        FULL | {"drains": {str(A): DRAIN | {"until": "now"}}},
        FULL | {"paused": {}},
        FULL | {"paused": "yes"},
    ],
)
def test_no_state(document: object) -> None:
    """What is no state of ours changes nothing."""
    state = OutOfService()
    state.take(FULL | {"paused": {"by": "ann", "reason": "move", "since": 1}})
    with pytest.raises(DecodeError):
        state.take(document)
    assert list(state.drains) == [A]
    assert state.pause == Pause("ann", "move", 1.0)


def test_they_are_few(monkeypatch: pytest.MonkeyPatch) -> None:
    """No file has more than may be."""
    monkeypatch.setattr(out_of_service, "MOST_DRAINS", 1)
    state = OutOfService()
    with pytest.raises(DecodeError):
        state.take(FULL | {"drains": {str(A): DRAIN, str(B): DRAIN}})
    assert not state.drains


def test_recalled() -> None:
    """What was kept elsewhere counts, but for what has changed here since it was asked for."""
    state, kept, changes = OutOfService(), OutOfService(), []
    for server_id, by in ((A, "old"), (B, "old"), (C, "old")):
        state.drain(server_id, Drain(by))
    state.set_pause(Pause("old", "", 1.0))
    before = state.copy()
    state.observe(lambda: changes.append(1))
    state.drain(B, None)
    kept.drain(B, Drain("kept"))
    kept.drain(C, Drain("kept", "disk", 1.0, 9.0))
    state.recall(kept.to_json(), before)
    assert (dict(state.drains), state.pause) == ({C: Drain("kept", "disk", 1.0, 9.0)}, None)
    assert len(changes) == 2
    state.set_pause(Pause("ann", "move", 7.0))
    state.recall(before.to_json(), kept)
    assert state.pause == Pause("ann", "move", 7.0)
    assert dict(before.drains) == {key: Drain("old") for key in (A, B, C)}


def test_build_servers_that_live_go_by_what_is_recalled() -> None:
    """One that came before gets no jobs from then on, another one gets some again."""
    state = OutOfService()
    state.drain(A, Drain("old"))
    core, before, kept = SchedulerCore(FIRST_JOB, out_of_service=state), state.copy(), OutOfService()
    for server_id in (A, B):
        core.heartbeat(server_id, heartbeat(), 0.0)
    kept.drain(B, Drain("kept"))
    state.recall(kept.to_json(), before)
    core.interventions.renew_drains()
    assert core.reserve(0.0).server_id == A
    with pytest.raises(NoCapacity):
        core.reserve(0.0, [A])


def test_no_more_are_recalled_than_fit(monkeypatch: pytest.MonkeyPatch) -> None:
    """What was drained here counts."""
    monkeypatch.setattr(out_of_service, "MOST_DRAINS", 2)
    state, kept = OutOfService(), OutOfService()
    state.drain(A, Drain("ann"))
    kept.drain(B, Drain("kept"))
    kept.drain(C, Drain("kept"))
    state.recall(kept.to_json(), OutOfService())
    assert list(state.drains) == [A, B]
    with pytest.raises(DecodeError):
        state.recall({}, OutOfService())
