"""Who gets the next job in farms of any size."""

import heapq
from typing import Any

import pytest

from sccachedist.scheduler.build_server import BuildServer
from sccachedist.scheduler.fleet import MOST_HOLDERS, Fleet
from sccachedist.scheduler.kinds import ANYWHERE
from sccachedist.wire.addresses import ServerId
from sccachedist.wire.extension import Availability, ServerReport
from sccachedist.wire.messages import JobId
from tests.scheduler.farms import GCC, A, heartbeat


def server(number: int, cpus: int = 2) -> BuildServer:
    return BuildServer(ServerId(A.host, 1 + number), heartbeat(cpus), seen=0.0)


def fleet_of(*servers: BuildServer) -> Fleet:
    fleet = Fleet()
    for each in servers:
        fleet.enter(each)
    return fleet


def give(fleet: Fleet, to: BuildServer, job: int) -> None:
    to.jobs.add(JobId(job))
    fleet.changed(to)


def test_the_size_of_the_farm_does_not_count(monkeypatch: pytest.MonkeyPatch) -> None:
    """A job in a farm of thousands looks at as few servers as one in a farm of two."""
    looks, pop = 0, heapq.heappop

    def counting(heap: list[Any]) -> Any:
        nonlocal looks
        looks += 1
        return pop(heap)

    monkeypatch.setattr(heapq, "heappop", counting)
    servers = [server(number) for number in range(5000)]
    fleet = fleet_of(*servers)
    for job in range(10_000):
        chosen = fleet.choose(GCC, (), 0.0)
        assert chosen is not None
        give(fleet, chosen, job)
    assert {len(each.jobs) for each in servers} == {2}
    assert looks <= 2 * 10_000


def test_the_books_stay_small() -> None:
    """What is noted of servers whose jobs come and go does not grow with the jobs."""
    one = server(0)
    fleet = fleet_of(one)
    for job in range(10_000):
        give(fleet, one, job)
        one.jobs.clear()
        fleet.changed(one)
    (pool,) = fleet._pools.suiting(ANYWHERE)
    assert len(pool._ranks) <= 2 * len(fleet) + 64
    assert fleet.choose(GCC, (), 0.0) is one


def test_holders_that_are_busy() -> None:
    """A toolchain that many have is looked for at a few of them; where those are busy, anybody gets the job."""
    holders = [server(number, cpus=1) for number in range(MOST_HOLDERS + 1)]
    idle = server(100, cpus=8)
    fleet = fleet_of(*holders, idle)
    for number, holder in enumerate(holders):
        fleet.holds(holder, [GCC])
        give(fleet, holder, number)
    assert fleet.choose(GCC, (), 0.0) is idle


def test_an_idle_holder_behind_busy_ones() -> None:
    """Where most of those that have a toolchain are busy, one that is not is found within a few jobs."""
    idle, holders = server(100, cpus=8), [server(number, cpus=1) for number in range(3 * MOST_HOLDERS)]
    fleet = fleet_of(idle, *holders)
    for holder in holders:
        fleet.holds(holder, [GCC])
    for number, holder in enumerate(holders[:-1]):
        give(fleet, holder, number)
    assert [fleet.choose(GCC, (), 0.0) for _ in range(3)] == [idle, idle, holders[-1]]


def test_holders_that_failed_or_refused() -> None:
    """A server that has the toolchain is not preferred when it has failed, nor when it has refused this very job."""
    holder, other = server(0), server(1)
    fleet = fleet_of(holder, other)
    fleet.holds(holder, [GCC])
    assert fleet.choose(GCC, (), 0.0) is holder
    assert fleet.choose(GCC, [holder.server_id], 0.0) is other
    fleet.failed(holder, 0.0, 0.0)
    assert fleet.choose(GCC, (), 1.0) is other
    assert fleet.choose(GCC, [other.server_id], 1.0) is holder
    assert fleet.choose(GCC, [other.server_id, holder.server_id], 1.0) is None


def test_nobody_has_it_any_more() -> None:
    """A toolchain that its last holder dropped, or took with it, is forgotten."""
    one, two = server(0), server(1)
    fleet = fleet_of(one, two)
    fleet.holds(one, [GCC])
    fleet.gained(two, GCC)
    fleet.holds(one, [])
    fleet.leave(two.server_id)
    assert fleet._holders == {}
    assert fleet.choose(GCC, (), 0.0) is one


def test_sums() -> None:
    """The CPUs of the farm follow those of its servers."""
    one, two = server(0), server(1, cpus=4)
    fleet = fleet_of(one, two)
    fleet.renew(one, heartbeat(8), None)
    assert (fleet.num_cpus, len(fleet)) == (12, 2)
    fleet.leave(two.server_id)
    assert (fleet.num_cpus, len(fleet)) == (8, 1)


def test_a_server_that_names_very_many_toolchains(monkeypatch: pytest.MonkeyPatch) -> None:
    """A scheduler does not remember more of them than a server of ours can have."""
    monkeypatch.setattr("sccachedist.scheduler.fleet.MOST_TOOLCHAINS", 3)
    one = server(0)
    fleet = fleet_of(one)
    fleet.learned(one, ServerReport(1, 5, Availability.OPEN, (), tuple("abcd"), (), 0, 4))
    fleet.learned(one, ServerReport(2, 5, Availability.OPEN, (), tuple("ef"), ("a",), 4, 7))
    assert (one.toolchains, one.told) == ({"b", "c", "e"}, 7)


def test_a_toolchain_that_goes_and_was_not_known() -> None:
    """A server may tell that one is gone of which nothing was heard."""
    one = server(0)
    fleet = fleet_of(one)
    fleet.learned(one, ServerReport(1, 5, Availability.OPEN, (), ("a",), (), 0, 1))
    fleet.learned(one, ServerReport(2, 5, Availability.OPEN, (), (), ("b",), 1, 2))
    assert (one.toolchains, one.told) == ({"a"}, 2)


def test_news_that_do_not_follow() -> None:
    """Where a change before them was not heard, they are passed over: the server is told so, and tells it again."""
    one = server(0)
    fleet = fleet_of(one)
    fleet.learned(one, ServerReport(1, 5, Availability.OPEN, (), ("a",), (), 3, 4))
    assert (one.toolchains, one.told) == (set(), 0)
