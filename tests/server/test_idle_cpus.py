"""How many CPUs are offered of a host that has other work."""

from collections.abc import Iterable

import pytest

from sccachedist.server.idle_cpus import IDLE_SECS, IdleCpus

#: Ten looks, a second apart, and one more.
LONG = round(IDLE_SECS) + 1


def offers(idle: IdleCpus, foreign: Iterable[float], since: float = 0.0, *, is_contended: bool = False) -> list[int]:
    """What is offered at looks that come once a second."""
    return [idle.looked(used, since + second, is_contended=is_contended) for second, used in enumerate(foreign)]


@pytest.mark.parametrize(("used", "offered"), [(0.0, 4), (0.2, 4), (0.3, 3), (1.2, 3), (2.5, 1), (4.0, 0), (9.0, 0)])
def test_the_first_look(used: float, offered: int) -> None:
    """A daemon that begins offers what is idle: a CPU of which others use less than a quarter."""
    assert offers(IdleCpus(4, 4), [used]) == [offered]


def test_it_is_given_back_at_once() -> None:
    """After two looks: one alone may be wrong, and so may the first of two be."""
    assert offers(IdleCpus(2, 2), [0, 0, 2, 2, 2]) == [2, 2, 2, 0, 0]
    assert offers(IdleCpus(2, 2), [0, 2, 0, 0, 0, 2, 0, 0, 0]) == [2] * 9


@pytest.mark.parametrize("bursts", [[2.0, 0.0], [2.0, 0.0, 0.0], [1.0, 1.0, 0.0, 0.0]])
def test_a_load_that_comes_and_goes(bursts: list[float]) -> None:
    """A program that works every other second, or every third one, has its CPUs all the time."""
    settled = offers(IdleCpus(2, 2), [0.0] * 3 + bursts * 20)[8:]
    assert set(settled) == {2 - max(bursts)}


def test_it_is_offered_again_when_it_was_idle_for_a_while() -> None:
    """A program that works in bursts keeps its CPU."""
    idle = IdleCpus(2, 2)
    assert offers(idle, [2.0])[-1] == 0
    assert offers(idle, [0.0] * LONG, 1.0) == [0] * (LONG - 1) + [2]
    assert offers(IdleCpus(2, 2), [2.0, *([0.0] * 8 + [2.0]) * 10])[-1] == 0


def test_as_many_as_were_idle_all_the_time() -> None:
    """What was busy for a moment counts as busy."""
    assert offers(IdleCpus(4, 4), [4.0, *[0.0] * 5, 1.0, *[0.0] * 5])[-1] == 3


@pytest.mark.parametrize("steady", [0.1 * tenths for tenths in range(41)])
def test_no_flapping(steady: float) -> None:
    """A load that stays about the same changes nothing after its first seconds."""
    wobbling = [steady + (-1) ** second * 0.12 for second in range(100)]
    settled = offers(IdleCpus(4, 4), wobbling)[2 * LONG :]
    assert len(set(settled)) == 1


def test_a_load_that_gets_less_than_it_wants() -> None:
    """Where tasks wait for CPUs beside other programs, half as much is offered, until they wait no more."""
    idle = IdleCpus(4, 4)
    assert offers(idle, [1.0])[-1] == 3
    assert offers(idle, [1.0] * 4, 1.0, is_contended=True) == [3, 1, 1, 0]
    assert offers(idle, [1.0] * LONG, 5.0) == [0] * (LONG - 1) + [3]


def test_jobs_that_wait_for_each_other() -> None:
    """Where nothing else runs, tasks that wait are the farm's own."""
    assert set(offers(IdleCpus(4, 4), [0.1] * 30, is_contended=True)) == {4}


def test_looks_that_come_late() -> None:
    """A daemon that was held up knows of no more than its looks say."""
    idle = IdleCpus(2, 2)
    assert idle.looked(2.0, 0.0) == 0
    assert idle.looked(0.0, 100.0) == 0
    assert idle.looked(0.0, 200.0) == 2


def test_a_part_of_the_host() -> None:
    """Others may use what is not offered."""
    assert offers(IdleCpus(2, 8), [6.0, 7.0, 7.0, 8.0, 8.0]) == [2, 2, 1, 1, 0]


def test_more_than_there_are() -> None:
    """A host has no more idle CPUs than it has, also if its operator names more."""
    assert offers(IdleCpus(16, 2), [0.0, 1.0, 1.0]) == [2, 2, 1]
