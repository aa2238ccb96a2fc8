"""Toolchains that a build server fetches before it joins."""

from collections.abc import Iterator
from pathlib import Path

import attrs
import pytest
from twisted.internet.defer import Deferred

from farmkit.deferreds import outcome, pending
from farmkit.fakes import Requests
from sccachedist.errors import PeerError
from sccachedist.server.warming import WARM_SECS, Warming
from sccachedist.toolchains.fetching import Fetching
from sccachedist.wire.holders import Popular
from tests.toolchains.stocks import ARCHIVES, CLANG, GCC, RUSTC, Stock
from tests.toolchains.test_fetching import FakeSource


@attrs.define
class Joining:
    """A build server that is about to join."""

    stock: Stock
    most: int = 2
    source: FakeSource = attrs.field(factory=lambda: FakeSource("servers"))
    scheduler: Requests[str, tuple[Popular, ...]] = attrs.field(factory=Requests)
    fetching: Fetching = attrs.field(init=False)

    def __attrs_post_init__(self) -> None:
        self.fetching = Fetching(self.stock.toolchains, (self.source,))

    def warm(self, *popular: tuple[str, int]) -> Deferred[None]:
        warming = Warming(lambda: self.scheduler.ask("popular"), self.fetching, self.most, 1000, self.stock.clock)
        warm = Deferred.fromCoroutine(warming.warm())
        if self.scheduler.waiting and popular:
            self.scheduler.answer("popular", tuple(Popular(*each) for each in popular))
        return warm


@pytest.fixture
def joining(tmp_path: Path) -> Iterator[Joining]:
    made = Joining(Stock(tmp_path))
    yield made
    Deferred.fromCoroutine(made.fetching.stop())


def test_fetched_in_advance(joining: Joining) -> None:
    """The first ones that have room are fetched, and the server waits for them; what is no toolchain is passed over."""
    warm = joining.warm((GCC, 600), (RUSTC, 500), (CLANG, 400), (RUSTC, 0))
    assert joining.source.asked.waiting == [GCC, CLANG]
    joining.source.give(ARCHIVES[0])
    assert pending(warm)
    joining.source.give(ARCHIVES[1])
    assert outcome(warm) is None
    assert GCC in joining.stock.toolchains
    assert outcome(joining.warm(("nonsense", 1))) is None


def test_not_for_long(joining: Joining) -> None:
    """A toolchain that takes long does not keep it from joining: it comes later."""
    warm = joining.warm((GCC, 600))
    joining.stock.clock.advance(WARM_SECS)
    assert outcome(warm) is None
    joining.source.give(ARCHIVES[0])
    assert GCC in joining.stock.toolchains


def test_none_in_advance(joining: Joining) -> None:
    """A fetch that fails, a scheduler that does not say or is silent, and the key that switches it off."""
    warm = joining.warm((GCC, 600))
    joining.source.asked.answer(GCC, PeerError("it is gone"))
    assert outcome(warm) is None
    warm = joining.warm()
    joining.scheduler.answer("popular", PeerError("status 404", status=404))
    assert outcome(warm) is None
    warm = joining.warm()
    joining.stock.clock.advance(WARM_SECS)
    assert outcome(warm) is None
    joining.most = 0
    assert outcome(joining.warm()) is None
    assert joining.scheduler.waiting == []
