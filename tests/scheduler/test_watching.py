"""Those who watch the farm, by a clock that stands still: what they get and when, and that nobody costs nothing."""

import zlib
from typing import Any

import pytest
from twisted.internet.defer import Deferred
from twisted.logger import capturedLogs

from farmkit.deferreds import outcome, pending
from sccachedist.budgets import Party
from sccachedist.scheduler import feed as feed_module
from sccachedist.scheduler.farm_status import FarmStatus
from sccachedist.scheduler.feed import KEPT
from sccachedist.scheduler.history import STEP_SECS
from sccachedist.scheduler.job_records import JobRecords
from sccachedist.scheduler.sight import Sight
from sccachedist.scheduler.watching import SENT_AT_ONCE, ViewerPlace
from sccachedist.scheduler.window import Window
from sccachedist.web import slices as slices_module
from sccachedist.wire.addresses import ServerId
from sccachedist.wire.messages import JobState
from tests.scheduler.farms import A, B, farm, heartbeat
from tests.scheduler.test_farm_routes import ended, summary
from tests.scheduler.test_feed import SEES
from tests.scheduler.watched import ANN, BEGAN, Farm
from tests.support.event_streams import Line, read


@pytest.fixture
def known() -> Farm:
    return Farm()


def test_unwatched(known: Farm) -> None:
    """While nobody watches there is no timer, and nothing is looked at."""
    known.job()
    known.drain()
    known.watching.sample()
    assert known.clock.getDelayedCalls() == []
    screen = known.watch()
    assert known.clock.getDelayedCalls() != []
    screen.leave()
    known.turn()
    assert known.clock.getDelayedCalls() == []
    assert known.changes.take().servers == {}


def test_snapshot(known: Farm) -> None:
    """Who comes gets all at once: the farm with its history, the build servers, what happened."""
    known.notices.tell("action", "farm", "paused", "ann")
    known.watching.sample()
    known.tick(5)
    screen = known.watch()
    assert b"retry: 3000\n\n" in screen.waiting
    assert screen.look() == ["snapshot"]
    assert screen.page["servers"].keys() == {str(A), str(B)}
    assert screen.page["farm"]["rates"]["slots_used"] == [0, 6]
    assert screen.page["farm"]["up_secs"] == 5.0
    assert screen.page["farm"]["history"]["servers"][-1] == 2
    assert screen.page["servers"][str(A)]["joined"] == BEGAN
    assert [notice["text"] for notice in screen.page["notices"]] == ["paused"]


def test_ticks(known: Farm) -> None:
    """Once a second a viewer is told what has changed: build servers, jobs that begin and end, notices, a sample."""
    screen = known.watch()
    known.tick()
    assert screen.look() == ["snapshot"]
    job = known.job()
    known.observe(ended(5, summary=summary()))
    known.drain(B)
    known.watching.sample()
    known.tick()
    assert screen.look() == ["tick"]
    (tick,) = screen.ticks
    assert [row["id"] for row in tick["started"]] == [str(job)]
    assert tick["started"][0]["began"] == BEGAN + 1.0
    assert [row["output"] for row in tick["ended"]["jobs"]] == ["obj/a.o"]
    assert [notice["kind"] for notice in tick["notices"]] == ["server_drained"]
    assert tick["sample"]["slots_used"] == 1
    changed = {row["address"]: row for row in tick["servers"]["changed"]}
    assert (changed[str(A)]["taken"], changed[str(B)]["state"]) == (1, "draining")
    assert "cpus" not in changed[str(A)]


def test_idle(known: Farm) -> None:
    """A farm in which nothing happens sends a sample each ten seconds, and nothing else."""
    screen = known.watch()
    screen.look()
    for _ in range(3):
        known.tick(int(STEP_SECS) - 1)
        known.watching.sample()
        known.tick()
    screen.look()
    assert [tick["tick"] for tick in screen.ticks if "sample" not in tick] == []
    assert len(screen.ticks) == 3


@pytest.mark.parametrize("changes", [0, 3])
def test_follow(known: Farm, changes: int) -> None:
    """A viewer that came earlier and followed knows what one who comes now is told."""
    first = known.watch()
    for number in range(changes):
        known.job()
        known.watching.sample()
        known.core.heartbeat(ServerId.parse(f"10.0.1.{number}:10501"), heartbeat(), known.clock.seconds())
        known.tick()
    second = known.watch(party="10.0.0.8")
    first.look()
    assert (first.names, second.look()) == (["snapshot"] + ["tick"] * changes, ["snapshot"])
    assert first.page == second.page
    assert len(second.page["servers"]) == 2 + changes


def test_made_once(known: Farm, monkeypatch: pytest.MonkeyPatch) -> None:
    """However many watch, a message is made once for all of them, in the same bytes."""
    made: list[object] = []
    dumped = slices_module.dumped

    def counted(value: object) -> str:
        made.append(value)
        return dumped(value)

    def count(viewers: int) -> int:
        screens = [known.watch(party=f"10.0.0.{number}") for number in range(viewers)]
        for screen in screens:
            screen.look()
        known.job()
        known.tick()
        made.clear()
        known.observe(ended(int(known.clock.seconds()), summary=summary()))
        known.tick()
        assert len({screen.waiting for screen in screens}) == 1
        for screen in screens:
            assert "tick" in screen.look()
            screen.leave()
        return len(made)

    monkeypatch.setattr(feed_module, "dumped", counted)
    assert count(1) == count(5 * SENT_AT_ONCE) > 0


def test_compressed(known: Farm) -> None:
    """Who takes a compressed stream is told the same, whenever it came."""
    plain, packed = known.watch(), Line(known.watching.viewer(ViewerPlace(Party("10.0.0.8"), SEES, is_packed=True)))
    known.turn()
    for _ in range(3):
        known.job()
        known.tick()
    late = Line(known.watching.viewer(ViewerPlace(Party("10.0.0.7"), SEES, is_packed=True)))
    known.turn()
    known.drain()
    known.tick()
    told = [zlib.decompressobj(zlib.MAX_WBITS | 16).decompress(line.waiting) for line in (packed, late)]
    assert told[0] == plain.waiting
    names = [[name for name, _, _ in read(stream)] for stream in told]
    assert names == [["snapshot", "tick", "tick", "tick", "tick"], ["snapshot", "tick"]]
    assert told[0].endswith(told[1].rpartition(b"id: ")[2])


def test_names(known: Farm) -> None:
    """Who may not see names of files is told all the rest, with the same numbers."""
    screens = known.watch(), known.watch(sight=Sight())
    known.observe(ended(0, summary=summary()))
    known.tick()
    for screen in screens:
        screen.look()
    first, second = (screen.ticks[-1] for screen in screens)
    assert [row["output"] for row in (*first["ended"]["jobs"], *second["ended"]["jobs"])] == ["obj/a.o", None]
    assert first["tick"] == second["tick"]


@pytest.mark.parametrize("missed", [0, 1, KEPT])
def test_back(known: Farm, missed: int) -> None:
    """One whose connection broke goes on where it was, while others watch."""
    known.watch()
    screen = known.watch()
    screen.look()
    last = screen.page["tick"]
    screen.leave()
    for _ in range(missed):
        known.notices.tell("action", "", "")
        known.tick()
    again = known.watch(last=last)
    again.page = screen.page
    again.look()
    assert again.names == ["tick"] * missed
    assert again.page == known_page(known)


@pytest.mark.parametrize("last", [0, 10**12])
def test_back_from_elsewhere(known: Farm, last: int) -> None:
    """One who was away for too long, or comes with a number that was never given, gets a snapshot."""
    known.watch()
    assert known.watch(last=last).look() == ["snapshot"]


def test_back_after_the_last(known: Farm) -> None:
    """Where nobody else watched meanwhile, one who comes back gets a snapshot: what happened was not collected."""
    screen = known.watch()
    screen.look()
    screen.leave()
    known.tick()
    assert known.watch(last=screen.page["tick"]).look() == ["snapshot"]


def known_page(known: Farm) -> dict[str, Any]:
    """What one who comes now is told."""
    screen = known.watch()
    screen.look()
    return screen.page


def test_numbers_grow(known: Farm) -> None:
    """No number is given twice, also if the first viewers come and go within a second."""
    numbers = []
    for _ in range(5):
        screen = known.watch()
        screen.look()
        numbers.append(screen.page["tick"])
        screen.leave()
    assert numbers == sorted(set(numbers))
    assert numbers[0] >= BEGAN


def test_stop(known: Farm) -> None:
    """When the scheduler stops, all streams end, and none begins."""
    screens = known.watch(), known.watch()
    stopping = Deferred.fromCoroutine(known.watching.stop())
    assert [screen.ended for screen in screens] == [True, True]
    assert pending(stopping)
    known.turn()
    outcome(stopping)
    assert known.clock.getDelayedCalls() == []
    assert not known.watching.has_place_for(ANN)


def test_new_term(known: Farm) -> None:
    """When the scheduler begins again, a page is told which build servers are there now."""
    screen = known.watch()
    screen.look()
    known.core = farm(2)
    known.terms.renew()
    known.tick()
    assert screen.look() == ["tick"]
    assert screen.page["servers"].keys() == {str(A)}
    known.core.heartbeat(B, heartbeat(), known.clock.seconds())
    known.tick()
    screen.look()
    assert screen.page["servers"].keys() == {str(A), str(B)}


def test_trouble(known: Farm, monkeypatch: pytest.MonkeyPatch) -> None:
    """An error in one message is logged, and the next one is made."""
    screen = known.watch()
    screen.look()
    document = FarmStatus.document
    monkeypatch.setattr(FarmStatus, "document", lambda *_: 1 / 0)
    with capturedLogs() as events:
        known.tick()
    assert [event["log_namespace"] for event in events] == ["sccachedist.scheduler.watching"]
    monkeypatch.setattr(FarmStatus, "document", document)
    known.job()
    known.tick()
    assert screen.look() == ["tick"]


def test_attention(known: Farm) -> None:
    """What an administrator should look at is summed up every ten seconds."""
    screen = known.watch()
    screen.look()
    assert screen.page["farm"]["attention"] == []
    for server in (A, B):
        known.drain(server)
    known.tick(int(STEP_SECS) + 1)
    screen.look()
    assert [finding["about"] for finding in screen.page["farm"]["attention"]] == ["farm"]


def test_comes_and_goes(known: Farm, monkeypatch: pytest.MonkeyPatch) -> None:
    """One who comes and goes again and again makes nobody read all records each time."""
    read: list[float] = []
    changes = Window.changes

    def counted(window: Window, records: JobRecords) -> Any:
        read.append(known.clock.seconds())
        return changes(window, records)

    monkeypatch.setattr(Window, "changes", counted)
    for _ in range(15):
        screen = known.watch()
        assert screen.look() == ["snapshot"]
        screen.leave()
        known.tick()
    assert len(read) == 2


def test_a_job(known: Farm) -> None:
    """A job is shown from its begin to its end, in each of its phases."""
    screen = known.watch()
    job = known.job()
    known.tick()
    for event in known.core.update(job, A, JobState.STARTED, known.clock.seconds()):
        known.observe(event)
    known.tick()
    for event in known.core.update(job, A, JobState.COMPLETE, known.clock.seconds()):
        known.observe(event)
    known.tick()
    screen.look()
    begun = [row["phase"] for tick in screen.ticks for row in tick.get("started", [])]
    over = [row["id"] for tick in screen.ticks for row in tick.get("ended", {"jobs": []})["jobs"]]
    assert (begun, over) == (["ready", "started"], [str(job)])
