"""What is drained or paused, and the file's form of it."""

import json
from typing import Any

import pytest

from sccachedist.errors import DecodeError
from sccachedist.scheduler import out_of_service
from sccachedist.scheduler.out_of_service import Drain, OutOfService, Pause
from tests.scheduler.farms import A, B, C

DRAIN = {"by": "ann", "reason": "disk", "since": 5.0, "until": None}
FULL: dict[str, Any] = {"v": 1, "drains": {str(A): DRAIN}, "paused": None}


def test_its_file() -> None:
    """What is written is what is read."""
    state, later, changes = OutOfService(), OutOfService(), []
    state.changed = lambda: changes.append(state.to_json())
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
