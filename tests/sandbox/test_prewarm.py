"""Places that are made before their jobs come, without a system underneath."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import cast

import attrs
import pytest

from sccachedist.errors import BuildError
from sccachedist.outcomes import SentLocal
from sccachedist.sandbox.overlay.job import Opened, Place
from sccachedist.sandbox.overlay.prewarm import Prewarm

GCC, GCC_AGAIN, CLANG = Place("gcc", (1, 1), 100), Place("gcc", (1, 2), 100), Place("clang", (1, 3), 100)


@attrs.define(eq=False)
class Made:
    """A place of no substance."""

    place: Place
    alive: bool = True
    is_finished: bool = False

    def fits(self, place: Place) -> bool:
        return self.alive and self.place == place

    def finish(self) -> None:
        self.is_finished = True


@attrs.define
class Maker:
    """Makes and removes them, one at a time."""

    made: list[Made] = attrs.field(factory=list)
    broken: bool = False

    @contextmanager
    def make(self, place: Place) -> Iterator[Opened]:
        assert not any(each.alive for each in self.made), "the last one is removed first"
        if self.broken:
            raise BuildError(SentLocal.SANDBOX, "no sandbox")
        self.made.append(Made(place))
        yield cast(Opened, self.made[-1])
        self.made[-1].alive = False


@pytest.fixture
def maker() -> Maker:
    return Maker()


@pytest.fixture
def ahead(maker: Maker) -> Prewarm:
    return Prewarm(maker.make)


def test_nothing_is_made_for_nobody(maker: Maker, ahead: Prewarm) -> None:
    """Which toolchain comes first is not known."""
    ahead.refill()
    assert maker.made == []


def test_one_is_ready_and_none_serves_twice(maker: Maker, ahead: Prewarm) -> None:
    """What a job has used is removed, and the next job finds another one."""
    first, stood_ready = ahead.acquire(GCC)
    assert not stood_ready
    ahead.refill()
    ahead.refill()
    assert [each.alive for each in maker.made] == [False, True]
    second, stood_ready = ahead.acquire(GCC)
    assert (second is first, stood_ready) == (False, True)
    assert len(maker.made) == 2
    assert not ahead.acquire(GCC)[1]
    assert len(maker.made) == 3


@pytest.mark.parametrize("place", [GCC_AGAIN, CLANG, attrs.evolve(GCC, size=1)])
def test_what_does_not_fit(maker: Maker, ahead: Prewarm, place: Place) -> None:
    """A toolchain that was unpacked again is another one."""
    ahead.acquire(GCC)
    ahead.refill()
    assert not ahead.acquire(place)[1]
    ahead.refill()
    assert [each.place for each in maker.made] == [GCC, GCC, place, place]


def test_one_that_has_died(maker: Maker, ahead: Prewarm) -> None:
    """It costs its job nothing."""
    ahead.acquire(GCC)
    ahead.refill()
    maker.made[-1].alive = False
    here, stood_ready = ahead.acquire(GCC)
    assert (cast(Made, here).alive, stood_ready) == (True, False)


def test_one_that_cannot_be_made(maker: Maker, ahead: Prewarm) -> None:
    """The next job is told why, and the one after it is served."""
    ahead.acquire(GCC)
    maker.broken = True
    ahead.refill()
    with pytest.raises(BuildError, match="no sandbox"):
        ahead.acquire(GCC)
    maker.broken = False
    assert cast(Made, ahead.acquire(GCC)[0]).alive
