"""The object store of a build server: what is fetched from it and kept there, and what happens while it fails."""

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
from sccachedist.objects.store import ObjectStore
from sccachedist.peers.streams import Sink
from sccachedist.server import store_source
from sccachedist.server.store_source import (
    FIRST_PAUSE_SECS,
    LOOK_SECS,
    MOST_PUTS,
    PATIENCE_SECS,
    REST_SECS,
    WRONG_SECS,
    StoreSource,
)
from sccachedist.toolchains.fetching import Fetching
from sccachedist.toolchains.pace import FIRST_SECS
from sccachedist.wire.archive_id import ArchiveId
from tests.toolchains.stocks import ARCHIVES, CLANG, GCC, RUSTC, Stock, used

BUSY, GONE, MISSING = PeerError("status 503", status=503), PeerError("refused"), PeerError("no object", status=404)
WRONG_KEY, FULL = PeerError("it does not know the access key", status=403), PeerError("it is full", status=507)
NONE = ArchiveId("0" * 64)


@attrs.define
class FakeStore:
    """A store that waits until a test lets it answer."""

    url: str = "https://objects.example/farm/"
    looks: Requests[str, bool] = attrs.field(factory=Requests)
    gets: Requests[str, bytes] = attrs.field(factory=Requests)
    puts: Requests[tuple[str, bytes, bool], bool] = attrs.field(factory=Requests)
    is_closed: bool = False

    async def look(self, name: str) -> bool:
        return await self.looks.ask(name)

    async def get(self, name: str, sink: Sink) -> None:
        sink(await self.gets.ask(name))

    async def put(self, name: str, file: Path, *, replace: bool) -> bool:
        return await self.puts.ask((name, file.read_bytes(), replace))

    async def close(self) -> None:
        self.is_closed = True


@attrs.define
class Having:
    """A build server with a store."""

    stock: Stock
    store: FakeStore = attrs.field(factory=FakeStore)
    source: StoreSource = attrs.field(init=False)
    fetching: Fetching = attrs.field(init=False)

    def __attrs_post_init__(self) -> None:
        store, toolchains = cast(ObjectStore, self.store), self.stock.toolchains
        self.source = StoreSource(store, toolchains, lambda each: self.fetching.begin(each), self.clock, lambda: 1.0)
        self.fetching = Fetching(toolchains, (self.source,))
        toolchains.brought = self.source.keep

    @property
    def clock(self) -> Clock:
        return self.stock.clock

    @property
    def trouble(self) -> str:
        return self.source.facts.trouble

    def fetch(self, toolchain: ArchiveId = GCC) -> Deferred[None]:
        return Deferred.fromCoroutine(self.fetching.fetch(toolchain))

    def has(self, toolchain: ArchiveId = GCC) -> Deferred[bool]:
        return Deferred.fromCoroutine(self.source.has(toolchain))

    def bring(self, archive: bytes = ARCHIVES[0]) -> None:
        """A client brings a toolchain."""
        assert outcome(self.stock.bring(archive)) is None

    def put(self, *, replace: bool = False) -> tuple[str, bytes, bool]:
        return (GCC, ARCHIVES[0], replace)


@pytest.fixture
def having(tmp_path: Path) -> Iterator[Having]:
    made = Having(Stock(tmp_path))
    yield made
    Deferred.fromCoroutine(made.fetching.stop())
    assert outcome(Deferred.fromCoroutine(made.source.close())) is None
    assert made.store.is_closed
    made.stock.close()


def test_found(having: Having) -> None:
    """What the store has is on its way as soon as that is known; all who ask meanwhile share one look."""
    first, second = having.has(), having.has()
    assert having.store.looks.waiting == [GCC]
    having.store.looks.answer(GCC, True)
    assert (outcome(first), outcome(second)) == (True, True)
    assert having.store.gets.waiting == [GCC]
    having.store.gets.answer(GCC, ARCHIVES[0])
    assert used(having.stock, GCC) == ARCHIVES[0]
    assert having.fetching.results == {("store", "fetched"): 1}
    assert having.store.puts.waiting == []  # no client has brought it


def test_not_found(having: Having) -> None:
    """What the store lacks is no trouble."""
    look = having.has()
    having.store.looks.answer(GCC, False)
    assert outcome(look) is False
    fetch = having.fetch()
    having.store.gets.answer(GCC, MISSING)
    assert isinstance(outcome(fetch), ToolchainError)
    assert having.trouble == ""
    assert having.store.gets.waiting == []


def test_slow_look(having: Having) -> None:
    """A client does not wait long for a store: it brings the toolchain, though the answer may come later."""
    look = having.has()
    having.clock.advance(LOOK_SECS)
    assert outcome(look) is False
    having.store.looks.answer(GCC, True)
    assert having.store.gets.waiting == []


@pytest.mark.parametrize("error", [WRONG_KEY, GONE, BUSY])
def test_trouble(having: Having, error: PeerError) -> None:
    """A store that fails is left alone for a while, in which clients bring toolchains; then it may work again."""
    look = having.has()
    having.store.looks.answer(GCC, error)
    assert outcome(look) is False
    assert having.trouble == str(error)
    assert outcome(having.has(CLANG)) is False
    assert having.store.looks.waiting == []
    having.clock.advance(REST_SECS)
    look = having.has(CLANG)
    having.store.looks.answer(CLANG, False)
    assert outcome(look) is False
    assert having.trouble == ""


def test_checked(having: Having) -> None:
    """It is looked whether the store works, though nothing of it is needed."""
    having.source.check()
    having.store.looks.answer(NONE, WRONG_KEY)
    assert having.trouble == str(WRONG_KEY)
    having.source.check()
    having.store.looks.answer(NONE, False)
    assert having.trouble == ""


def test_busy(having: Having) -> None:
    """A store that is busy is asked again for a while."""
    fetch = having.fetch()
    having.store.gets.answer(GCC, BUSY)
    having.clock.advance(FIRST_PAUSE_SECS)
    having.store.gets.answer(GCC, BUSY)
    having.clock.advance(2 * FIRST_PAUSE_SECS)
    having.store.gets.answer(GCC, ARCHIVES[0])
    assert outcome(fetch) is None
    assert having.trouble == ""
    fetch = having.fetch(CLANG)
    while pending(fetch):
        having.store.gets.answer(CLANG, BUSY)
        having.clock.advance(PATIENCE_SECS)
    assert isinstance(outcome(fetch), ToolchainError)
    assert having.trouble == str(BUSY)


def test_refused(having: Having) -> None:
    """One that refuses the credentials is not asked again."""
    fetch = having.fetch()
    having.store.gets.answer(GCC, WRONG_KEY)
    assert isinstance(outcome(fetch), ToolchainError)
    assert having.trouble == str(WRONG_KEY)


def test_slow(having: Having) -> None:
    """One that sends a little now and then is not waited for."""
    fetch = having.fetch()
    having.clock.advance(max(FIRST_SECS, PATIENCE_SECS) + 1)
    having.store.gets.answer(GCC, ARCHIVES[0])
    assert isinstance(outcome(fetch), ToolchainError)
    assert "bytes in 11 s" in having.trouble


@pytest.mark.parametrize("wrong", [b"something else", b"", b"x" * 501])
def test_wrong(having: Having, wrong: bytes) -> None:
    """What is not the toolchain is not used, is not there for any client, and is replaced when one has brought it."""
    fetch = having.fetch()
    having.store.gets.answer(GCC, wrong)
    assert isinstance(outcome(fetch), ToolchainError)
    assert GCC not in having.stock.toolchains
    assert having.trouble == ""
    assert outcome(having.has()) is False
    having.bring()
    having.store.puts.answer(having.put(replace=True), True)
    assert having.source.results == {"kept": 1, "there": 0, "failed": 0}
    again = having.has()
    having.store.looks.answer(GCC, True)
    assert outcome(again) is True


def test_wrong_a_moment_ago(having: Having) -> None:
    """It is not fetched again at once: jobs waited for all of it. Later, others may have put the right one there."""
    fetch = having.fetch()
    having.store.gets.answer(GCC, b"something else")
    assert isinstance(outcome(fetch), ToolchainError)
    having.clock.advance(WRONG_SECS - 1)
    assert isinstance(outcome(having.fetch()), ToolchainError)
    assert having.store.gets.waiting == []
    having.clock.advance(1)
    again = having.fetch()
    having.store.gets.answer(GCC, ARCHIVES[0])
    assert outcome(again) is None
    assert GCC in having.stock.toolchains


def test_kept(having: Having) -> None:
    """What a client has brought is put into the store if it is not there; another server may be quicker."""
    having.bring()
    having.store.looks.answer(GCC, False)
    having.store.puts.answer(having.put(), True)
    having.bring(ARCHIVES[1])
    having.store.looks.answer(CLANG, True)
    having.bring(ARCHIVES[2])
    having.store.looks.answer(RUSTC, False)
    having.store.puts.answer((RUSTC, ARCHIVES[2], False), False)
    assert having.source.results == {"kept": 1, "there": 2, "failed": 0}
    assert having.store.puts.waiting == []


def test_not_kept(having: Having) -> None:
    """A store that is full can still be read; that it takes nothing is told until it takes something."""
    having.bring()
    having.store.looks.answer(GCC, False)
    having.store.puts.answer(having.put(), FULL)
    assert having.source.results == {"kept": 0, "there": 0, "failed": 1}
    having.source.check()
    having.store.looks.answer(NONE, False)
    assert having.trouble == str(FULL)
    having.bring(ARCHIVES[1])
    having.store.looks.answer(CLANG, False)
    having.store.puts.answer((CLANG, ARCHIVES[1], False), BUSY)
    having.clock.advance(FIRST_PAUSE_SECS)
    having.store.puts.answer((CLANG, ARCHIVES[1], False), True)
    assert having.trouble == ""


def test_kept_later(having: Having) -> None:
    """What a client has brought while the store was away is put there when it is back, if it is here still."""
    for archive, toolchain in zip(ARCHIVES[:2], (GCC, CLANG), strict=True):
        having.bring(archive)
        having.store.looks.answer(toolchain, False)
        having.clock.advance(1.0)
    for archive, toolchain in zip(ARCHIVES[:2], (GCC, CLANG), strict=True):
        having.store.puts.answer((toolchain, archive, False), GONE)
    having.clock.advance(FIRST_PAUSE_SECS)
    for archive, toolchain in zip(ARCHIVES[:2], (GCC, CLANG), strict=True):
        having.clock.advance(PATIENCE_SECS)
        having.store.puts.answer((toolchain, archive, False), GONE)
    assert having.source.results["failed"] == 2
    having.stock.toolchains.forget(CLANG)
    having.source.check()
    having.store.looks.answer(NONE, GONE)
    assert having.store.looks.waiting == []
    having.source.check()
    having.store.looks.answer(NONE, False)
    assert having.store.looks.waiting == [GCC]
    having.store.looks.answer(GCC, False)
    having.store.puts.answer(having.put(), True)
    having.source.check()
    having.store.looks.answer(NONE, False)
    assert having.store.looks.waiting == []


def test_few_at_a_time(having: Having, monkeypatch: pytest.MonkeyPatch) -> None:
    """Few toolchains are put there at a time, each once, and of too many that wait, some are left out."""
    monkeypatch.setattr(store_source, "MOST_WAITING", MOST_PUTS)
    for archive in ARCHIVES:
        having.bring(archive)
    having.source.keep(GCC)
    assert having.store.looks.waiting == [GCC, CLANG]


def test_what_is_remembered_is_bounded(having: Having, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of too many that were wrong, the first is forgotten: then it is looked for again."""
    monkeypatch.setattr(store_source, "_MOST_NOTED", 1)
    for toolchain in (GCC, CLANG):
        fetch = having.fetch(toolchain)
        having.store.gets.answer(toolchain, b"something else")
        assert isinstance(outcome(fetch), ToolchainError)
    assert pending(having.has(GCC))
    assert outcome(having.has(CLANG)) is False
