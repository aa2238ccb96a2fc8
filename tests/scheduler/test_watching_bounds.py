"""How much those who watch the farm may cost: in places, in bytes that they do not read, and in a large farm."""

from collections.abc import Callable

import pytest

from sccachedist.budgets import Party
from sccachedist.scheduler.core import SchedulerCore
from sccachedist.scheduler.out_of_service import Drain
from sccachedist.scheduler.watching import MOST_LOOKED_AT, ViewerPlace
from sccachedist.wire.addresses import ServerId
from sccachedist.wire.messages import JobId
from tests.scheduler.farms import heartbeat
from tests.scheduler.test_feed import SEES
from tests.scheduler.test_watching import known
from tests.scheduler.watched import ANN, Farm, Screen

__all__ = ["known"]


def test_does_not_read(known: Farm) -> None:
    """One who does not read costs 64 KB and a piece; the others get each message. Reading again, it gets a snapshot."""
    slow, quick = known.watch(), known.watch()
    slow.look()
    for number in range(400):
        known.notices.tell("action", str(number), "x" * 480)
        known.tick()
        quick.look()
    assert slow.is_full
    assert len(slow.waiting) < (1 << 16) + (1 << 14) + 4096
    assert quick.names == ["snapshot"] + ["tick"] * len(quick.ticks)
    assert slow.look()[-1] == "snapshot"
    known.notices.tell("action", "at last", "")
    known.tick()
    assert (slow.look(), quick.look()) == (["tick"], ["tick"])
    assert slow.page == quick.page


def test_places() -> None:
    """So many may watch, from one address half of them, and something is left for the next one."""
    known = Farm(places=6)
    taken = [known.watch("10.0.0.1") for _ in range(3)]
    assert not known.watching.has_place_for(Party("10.0.0.1"))
    taken += [known.watch("10.0.0.2") for _ in range(2)]
    assert not known.watching.has_place_for(Party("10.0.0.2"))
    assert known.watching.has_place_for(Party("10.0.0.3"))
    taken.append(known.watch("10.0.0.3"))
    assert not known.watching.has_place_for(Party("10.0.0.4"))
    assert len(known.watching) == 6
    taken[0].leave()
    assert known.watching.has_place_for(Party("10.0.0.4"))


@pytest.mark.parametrize(("places", "has_place"), [(0, False), (1, True)])
def test_few_places(places: int, has_place: bool) -> None:
    """A farm may have no places, or one."""
    assert Farm(places=places).watching.has_place_for(ANN) is has_place


def large(servers: int) -> SchedulerCore:
    core = SchedulerCore(JobId(1))
    for number in range(servers):
        core.heartbeat(ServerId.parse(f"10.0.{number >> 8}.{number & 255}:10501"), heartbeat(), 0.0)
    return core


def test_large_farm() -> None:
    """In a large farm, build servers are looked at in turn; one to which something happens at once."""
    known = Farm(large(3 * MOST_LOOKED_AT))
    screen = known.watch()
    screen.look()
    assert len(screen.page["servers"]) == 3 * MOST_LOOKED_AT
    servers = [server for some in known.terms.current.servers(100) for server in some]
    for server in servers[1:-1]:
        known.core.interventions.drain(server.server_id, Drain(), 0.0)
    known.drain(servers[-1].server_id)
    counts = []
    for _ in range(3):
        known.tick()
        screen.look()
        states = {address: row["state"] for address, row in screen.page["servers"].items()}
        counts.append(sum(state == "draining" for state in states.values()))
        assert states[str(servers[-1].server_id)] == "draining"
    assert counts == [MOST_LOOKED_AT, 2 * MOST_LOOKED_AT, 3 * MOST_LOOKED_AT - 1]


def seconds_of_cpu() -> Callable[[], float]:
    """CPU that passes by itself: each look at it says that a slice is over."""
    spent = 0.0

    def look() -> float:
        nonlocal spent
        spent += 1.0
        return spent

    return look


def test_slices() -> None:
    """Viewers that come and go while a message is made in many slices, each has what it should."""
    spent = seconds_of_cpu()
    known = Farm(large(100), spent=iter(spent, -1.0))
    first = Screen(known.watching.viewer(ViewerPlace(Party("10.0.0.1"), SEES)))
    known.clock.advance(0)
    first.leave()
    second = Screen(known.watching.viewer(ViewerPlace(Party("10.0.0.2"), SEES)))
    for _ in range(100):
        known.clock.advance(0)
    second.look()
    assert second.names == ["snapshot"]
    assert len(second.page["servers"]) == 100
    known.drain(next(iter(known.core.views.server_ids())))
    known.clock.advance(1.0)
    third = Screen(known.watching.viewer(ViewerPlace(Party("10.0.0.3"), SEES)))
    for _ in range(100):
        known.clock.advance(0)
    second.look()
    third.look()
    assert (second.names, third.names) == (["snapshot", "tick"], ["snapshot"])
    assert second.page == third.page
    second.leave()
    third.leave()
    known.turn()
    assert known.clock.getDelayedCalls() == []
