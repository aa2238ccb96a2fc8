"""Toolchains that other build servers have: which of them is asked, and when the search ends."""

from collections.abc import Iterator
from pathlib import Path
from typing import cast

import attrs
import pytest
from twisted.internet.defer import Deferred
from twisted.internet.task import Clock

from farmkit.deferreds import outcome, pending
from farmkit.fakes import Requests
from sccachedist.errors import PeerError, ToolchainError
from sccachedist.peers.pins import Pins
from sccachedist.peers.streams import Sink, Streams
from sccachedist.server.farm_source import FIRST_PAUSE_SECS, MOST_PAUSE_SECS, SEARCH_SECS, FarmSource
from sccachedist.toolchains.fetching import Fetching
from sccachedist.toolchains.pace import FIRST_SECS
from sccachedist.wire.addresses import ServerId
from sccachedist.wire.archive_id import ArchiveId
from sccachedist.wire.holders import Holders, ToolchainHolder
from tests.toolchains.stocks import ARCHIVES, GCC, Stock, used

A, B = (ToolchainHolder(ServerId.parse(f"127.0.0.{n}:10501"), bytes([n]) * 32, f"token {n}") for n in (1, 2))
URLS = {each: f"https://{each.server_id}/api/v1/distserver/toolchain/{GCC}" for each in (A, B)}
BUSY = PeerError("status 503", status=503)


@attrs.define
class FakeStreams:
    """Build servers that wait until a test lets them answer; each is asked with its own pin and token."""

    pins: Pins
    asked: Requests[str, bytes] = attrs.field(factory=Requests)

    async def download(self, url: str, sink: Sink, *, token: str, idle: float, limit: float) -> None:
        holder = next(each for each, known in URLS.items() if known == url)
        assert token == holder.token
        assert self.pins.digest(str(holder.server_id.host).encode(), holder.server_id.port) == holder.cert_digest
        assert (idle, limit) == (5.0, 500)
        sink(await self.asked.ask(url))


@attrs.define
class Search:
    """A build server that lacks a toolchain, and what it hears of others."""

    stock: Stock
    pins: Pins = attrs.field(factory=Pins)
    streams: FakeStreams = attrs.field(init=False)
    elsewhere: Requests[ArchiveId, bool] = attrs.field(factory=Requests)
    scheduler: Requests[ArchiveId, Holders] = attrs.field(factory=Requests)
    fetching: Fetching = attrs.field(init=False)

    def __attrs_post_init__(self) -> None:
        self.streams = FakeStreams(self.pins)
        streams = cast(Streams, self.streams)
        source = FarmSource(
            self.scheduler.ask, streams, self.pins, lambda: 500, self.clock, lambda: 1.0, self.elsewhere.ask
        )
        self.fetching = Fetching(self.stock.toolchains, (source,))

    @property
    def clock(self) -> Clock:
        return self.stock.clock

    def begin(self) -> Deferred[None]:
        return Deferred.fromCoroutine(self.fetching.fetch(GCC))

    def says(self, *holders: ToolchainHolder, coming: bool = False) -> None:
        self.scheduler.answer(GCC, Holders(holders, coming))

    def gives(self, holder: ToolchainHolder, what: bytes | Exception = ARCHIVES[0]) -> None:
        self.streams.asked.answer(URLS[holder], what)


@pytest.fixture
def search(tmp_path: Path) -> Iterator[Search]:
    made = Search(Stock(tmp_path))
    yield made
    Deferred.fromCoroutine(made.fetching.stop())


def test_holder_gives_it(search: Search) -> None:
    """The first holder that the scheduler names is asked."""
    fetch = search.begin()
    search.says(A, B)
    search.gives(A)
    assert outcome(fetch) is None
    assert used(search.stock, GCC) == ARCHIVES[0]
    assert search.streams.asked.waiting == []


@pytest.mark.parametrize("wrong", [PeerError("it is gone"), BUSY, b"something else"])
def test_next_holder(search: Search, wrong: bytes | Exception) -> None:
    """One that is gone, is busy or lies is passed over."""
    fetch = search.begin()
    search.says(A, B)
    search.gives(A, wrong)
    search.gives(B)
    assert outcome(fetch) is None
    assert used(search.stock, GCC) == ARCHIVES[0]


def test_slow_holder(search: Search) -> None:
    """One that sends a little now and then is not waited for."""
    fetch = search.begin()
    search.says(A, B)
    search.clock.advance(FIRST_SECS + 1)
    search.gives(A)
    assert search.streams.asked.waiting == [URLS[B]]
    search.gives(B)
    assert outcome(fetch) is None


def test_nobody_has_it(search: Search) -> None:
    """Then the search is over at once, and also if the one that had it has gone."""
    for holders in ((), (A,)):
        fetch = search.begin()
        search.says(*holders)
        for holder in holders:
            search.gives(holder, PeerError("it is gone"))
        assert isinstance(outcome(fetch), ToolchainError)


def test_scheduler_does_not_say(search: Search) -> None:
    """A scheduler that does not answer, or is a published one, ends it too."""
    fetch = search.begin()
    search.scheduler.answer(GCC, PeerError("status 404", status=404))
    assert isinstance(outcome(fetch), ToolchainError)


def test_all_are_busy(search: Search) -> None:
    """While all who have it are busy, the scheduler is asked again: soon others have it."""
    fetch = search.begin()
    search.says(A)
    search.gives(A, BUSY)
    search.elsewhere.answer(GCC, False)
    assert search.scheduler.waiting == []
    search.clock.advance(FIRST_PAUSE_SECS)
    search.says(A, B)
    search.gives(A, BUSY)
    search.gives(B)
    assert outcome(fetch) is None


def test_busy_and_had_elsewhere(search: Search) -> None:
    """Servers that are busy are not waited for if another source has it."""
    fetch = search.begin()
    search.says(A)
    search.gives(A, BUSY)
    search.elsewhere.answer(GCC, True)
    assert isinstance(outcome(fetch), ToolchainError)


def test_client_brings_it_to_another(search: Search) -> None:
    """While a client brings it to another server, the scheduler is asked again, less and less often, for a while."""
    fetch, asked = search.begin(), 0
    while pending(fetch):
        if search.scheduler.waiting:
            search.says(coming=True)
            asked += 1
        search.clock.advance(0.1)
    assert isinstance(outcome(fetch), ToolchainError)
    assert SEARCH_SECS - MOST_PAUSE_SECS <= search.clock.seconds() <= SEARCH_SECS + 1
    assert SEARCH_SECS / MOST_PAUSE_SECS <= asked <= 2 * SEARCH_SECS / MOST_PAUSE_SECS


def test_all_lie(search: Search) -> None:
    """If two have sent something else, no third is asked: perhaps it is this server's own fault."""
    fetch = search.begin()
    search.says(A, B, A)
    search.gives(A, b"something else")
    search.gives(B, b"another thing")
    error = outcome(fetch)
    assert isinstance(error, ToolchainError)
    assert "is not toolchain" in str(error)


def test_stop_in_the_middle_of_a_pause(search: Search) -> None:
    """A daemon that stops leaves no call behind."""
    fetch = search.begin()
    search.says(coming=True)
    outcome(Deferred.fromCoroutine(search.fetching.stop()))
    assert not pending(fetch)
    outcome(fetch)
    assert search.clock.getDelayedCalls() == []
