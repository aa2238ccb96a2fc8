"""Uneven farms in simulated time: what the rules make of the same load."""

from random import Random

import pytest

from bench.uneven import coming, full, lengths, rules
from bench.uneven_farm import ByFleet, Host, TwoChoices, UnevenFarm, uneven_hosts
from sccachedist.policy import PlacementRule

HOSTS = tuple(uneven_hosts(Random(2), 40, 4))
WORK = lengths(Random(3), 2_000)
EVEN = (Host(2, 1.0, 1.0),) * 4
LEAST_LOADED, FASTEST = PlacementRule.LEAST_LOADED, PlacementRule.FASTEST


def test_shared_cpus() -> None:
    """Of three jobs on two CPUs, each has two thirds of one; on a server of twice the speed, all take half as long."""
    for speed in (1.0, 2.0):
        host = Host(2, speed, 1.0)
        jobs = UnevenFarm((host,), ByFleet("", (host,), LEAST_LOADED), (2.0, 2.0, 2.0), at_a_time=3).run()
        assert [job.ended for job in jobs] == pytest.approx([3.0 / speed] * 3)


def test_home() -> None:
    """Under the published rule, what has no slot is compiled at home, one after the other."""
    host = Host(1, 1.0, 1.0)
    rule = ByFleet("", (host,), LEAST_LOADED, waits=False)
    jobs = UnevenFarm((host,), rule, (1.0,) * 4, at_a_time=4).run()
    assert sorted(job.ended for job in jobs) == pytest.approx([1.0, 2.0, 2.0, 2.0])
    assert sum(job.at is None for job in jobs) == 2


def test_every_rule() -> None:
    """All of them do all compiles, and the same again."""
    for of in range(5):
        found = [full(HOSTS, list(rules(HOSTS, 1))[of], WORK) for _ in range(2)]
        assert found[0] == found[1]
        assert 0 < found[0].busy <= 1 + 1e-9  # a sum of many
        assert found[0].makespan >= 1


def test_the_fastest() -> None:
    """Where there is a choice, jobs are done sooner than on the least loaded server, or on one of two."""
    ours = coming(HOSTS, ByFleet("", HOSTS, FASTEST), WORK, 0.5, 1)
    for other in (ByFleet("", HOSTS, LEAST_LOADED), TwoChoices(HOSTS, Random(1))):
        theirs = coming(HOSTS, other, WORK, 0.5, 1)
        assert ours.p50 < theirs.p50
        assert ours.p99 < theirs.p99


def test_equal_servers() -> None:
    """It costs nothing where there is nothing to choose from."""
    work = lengths(Random(4), 4_000)
    ours, plain = (full(EVEN, ByFleet("", EVEN, rule), work) for rule in (FASTEST, LEAST_LOADED))
    assert ours.makespan < 1.02 * plain.makespan
    assert ours.busy == pytest.approx(plain.busy, rel=0.02)
