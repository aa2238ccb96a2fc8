"""Toolchains from gateways: one that lies or drips keeps none from the jobs of the others."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import attrs
import pytest
from twisted.internet.defer import Deferred

from farmkit.deferreds import outcome, pending
from sccachedist.errors import PeerError, ToolchainError
from sccachedist.toolchains.fetching import Fetching
from sccachedist.toolchains.pace import FIRST_SECS
from sccachedist.wire.archive_id import ArchiveId
from sccachedist.worker.gateway_source import GatewaySource
from tests.toolchains.stocks import ARCHIVES, GCC, Stock


@attrs.define(eq=False)
class FakeSession:
    """A session with a gateway that sends what a test says."""

    url: str
    sinks: list[Callable[[bytes], None]] = attrs.field(factory=list)
    sent: Deferred[None] = attrs.field(factory=Deferred)

    async def toolchain(self, toolchain: ArchiveId, sink: Callable[[bytes], None]) -> None:
        assert toolchain == GCC
        self.sinks.append(sink)
        await self.sent

    def sends(self, octets: bytes) -> None:
        self.sinks[0](octets)


@attrs.define
class Worker:
    """A worker with a session at each of two gateways."""

    stock: Stock
    one: FakeSession = attrs.field(factory=lambda: FakeSession("https://one:1"))
    two: FakeSession = attrs.field(factory=lambda: FakeSession("https://two:1"))

    def fetches(self) -> Deferred[None]:
        sessions: Any = [self.one, self.two]
        source = GatewaySource(lambda: sessions, self.stock.clock)
        return Deferred.fromCoroutine(Fetching(self.stock.toolchains, [source]).fetch(GCC))


@pytest.fixture
def worker(tmp_path: Path) -> Worker:
    return Worker(Stock(tmp_path))


def _two_gives_it(worker: Worker, fetched: Deferred[None]) -> None:
    worker.two.sends(ARCHIVES[0])
    worker.two.sent.callback(None)
    assert outcome(fetched) is None
    assert GCC in worker.stock.toolchains


def test_something_else(worker: Worker) -> None:
    """The next gateway is asked, and what it sends is used."""
    fetched = worker.fetches()
    worker.one.sends(b"something else")
    worker.one.sent.callback(None)
    _two_gives_it(worker, fetched)


def test_a_drip(worker: Worker) -> None:
    """A gateway that sends a little now and then is given up."""
    fetched = worker.fetches()
    worker.one.sends(b"x")
    worker.stock.clock.advance(FIRST_SECS + 1)
    with pytest.raises(PeerError) as slow:
        worker.one.sends(b"x")
    worker.one.sent.errback(slow.value)
    _two_gives_it(worker, fetched)


def test_gone(worker: Worker) -> None:
    """A gateway that has gone is passed over; without any other the toolchain cannot be had."""
    fetched = worker.fetches()
    for session in (worker.one, worker.two):
        assert pending(fetched)
        session.sent.errback(PeerError("it has gone"))
    assert isinstance(outcome(fetched), ToolchainError)
