"""Toolchains that are fetched: from which source, once, verified, and what a job that waits for one sees."""

from collections.abc import Iterator
from pathlib import Path

import attrs
import pytest
from twisted.internet.defer import Deferred

from farmkit.deferreds import outcome
from farmkit.fakes import Requests
from sccachedist.errors import LimitExceeded, PeerError, ToolchainError
from sccachedist.toolchains.cache import BEGIN_SECS, FETCH_WAITS_SECS, JOB_WAITS_SECS
from sccachedist.toolchains.fetching import MOST_FETCHES, Fetching, NoLongerWanted, Sink, Take
from sccachedist.toolchains.uploads import STALLED_SECS
from sccachedist.wire.archive_id import ArchiveId
from tests.toolchains.stocks import ARCHIVES, CLANG, GCC, RUSTC, Stock, named, used

ARCHIVE = ARCHIVES[0]


@attrs.define
class FakeSource:
    """A source: each try waits until a test gives bytes, and then ends it."""

    name: str
    tries: int = 1
    sinks: dict[ArchiveId, Sink] = attrs.field(factory=dict)
    asked: Requests[ArchiveId, None] = attrs.field(factory=Requests)

    async def fetch(self, toolchain: ArchiveId, take: Take) -> None:
        async def bring(sink: Sink) -> None:
            self.sinks[toolchain] = sink
            await self.asked.ask(toolchain)

        for left in reversed(range(self.tries)):
            try:
                return await take(bring)
            except ToolchainError:
                if not left:
                    raise
        return None

    def give(self, archive: bytes, toolchain: ArchiveId | None = None) -> None:
        """All that it has."""
        name = toolchain or named(archive)
        self.sinks[name](archive)
        self.asked.answer(name, None)


@attrs.define
class Fetched:
    """A stock and two sources for it."""

    stock: Stock
    first: FakeSource = attrs.field(factory=lambda: FakeSource("first"))
    second: FakeSource = attrs.field(factory=lambda: FakeSource("second"))
    fetching: Fetching = attrs.field(init=False)

    def __attrs_post_init__(self) -> None:
        self.fetching = Fetching(self.stock.toolchains, (self.first, self.second))

    def fetch(self, toolchain: ArchiveId = GCC) -> Deferred[None]:
        return Deferred.fromCoroutine(self.fetching.fetch(toolchain))

    def job(self, toolchain: ArchiveId = GCC) -> Deferred[None]:
        """A job that waits."""
        self.stock.toolchains.look_for = self.fetching.begin
        return Deferred.fromCoroutine(self.stock.toolchains.wait_until_present(toolchain))


@pytest.fixture
def fetched(tmp_path: Path) -> Iterator[Fetched]:
    made = Fetched(Stock(tmp_path, capacity=5000))
    yield made
    Deferred.fromCoroutine(made.fetching.stop())
    made.stock.close()


def test_fetched_once(fetched: Fetched) -> None:
    """All who want a toolchain wait for one fetch of it, and see how far it is."""
    both = [fetched.fetch(), fetched.fetch()]
    assert fetched.first.asked.waiting == [GCC]
    fetched.first.sinks[GCC](ARCHIVE[:7])
    assert fetched.stock.toolchains.under_way() == ((GCC, 7),)
    fetched.first.sinks[GCC](ARCHIVE[7:])
    fetched.first.asked.answer(GCC, None)
    assert [outcome(each) for each in both] == [None, None]
    assert used(fetched.stock, GCC) == ARCHIVE
    assert fetched.fetching.results == {("first", "fetched"): 1}
    assert fetched.fetching.bytes == {"first": len(ARCHIVE)}
    assert outcome(fetched.fetch()) is None
    assert fetched.first.asked.waiting == []


def test_next_source(fetched: Fetched) -> None:
    """If a source does not have it, the next is asked; if none has it, the error has all reasons."""
    fetch = fetched.fetch()
    fetched.first.asked.answer(GCC, PeerError("it is gone"))
    fetched.second.give(ARCHIVE)
    assert outcome(fetch) is None
    vain = fetched.fetch(CLANG)
    fetched.first.asked.answer(CLANG, PeerError("it is gone"))
    fetched.second.asked.answer(CLANG, PeerError("it never was"))
    error = outcome(vain)
    assert isinstance(error, ToolchainError)
    assert "first: it is gone; second: it never was" in str(error)
    assert CLANG not in fetched.stock.toolchains
    assert fetched.stock.toolchains.under_way() == ()


def test_other_bytes(fetched: Fetched) -> None:
    """What is not the toolchain is never used, and nothing of it stays; the source may know another place."""
    fetched.first.tries = 2
    fetch = fetched.fetch()
    fetched.first.give(b"something else", GCC)
    assert GCC not in fetched.stock.toolchains
    fetched.first.give(ARCHIVE)
    assert outcome(fetch) is None
    assert used(fetched.stock, GCC) == ARCHIVE
    assert len(fetched.stock.files()) == 1


def test_too_large(fetched: Fetched) -> None:
    """A source that sends without end is cut off at the limit of an upload."""
    fetch = fetched.fetch()
    fetched.first.sinks[GCC](bytes(400))
    with pytest.raises(LimitExceeded, match="toolchain_bytes") as raised:
        fetched.first.sinks[GCC](bytes(200))
    fetched.first.asked.answer(GCC, raised.value)
    fetched.second.asked.answer(GCC, PeerError("not here"))
    assert isinstance(outcome(fetch), ToolchainError)
    assert fetched.stock.files() == set()


def test_client_is_faster(fetched: Fetched) -> None:
    """A client that brings the same toolchain meanwhile ends the fetch; no other source is asked."""
    fetch = fetched.fetch()
    fetched.first.sinks[GCC](ARCHIVE[:5])
    assert outcome(fetched.stock.bring(ARCHIVE)) is None
    with pytest.raises(NoLongerWanted) as raised:
        fetched.first.sinks[GCC](ARCHIVE[5:])
    fetched.first.asked.answer(GCC, raised.value)
    assert outcome(fetch) is None
    assert fetched.second.asked.waiting == []
    assert fetched.fetching.results == {("first", "not_wanted"): 1}


def test_fetch_is_faster(fetched: Fetched) -> None:
    """A client whose upload is slower than the fetch has brought it in vain, which is no error."""
    upload = fetched.stock.begin(GCC)
    upload.write(ARCHIVE[:5])
    fetch = fetched.fetch()
    fetched.first.give(ARCHIVE)
    assert outcome(fetch) is None
    upload.write(ARCHIVE[5:])
    assert outcome(fetched.stock.publish(upload.complete())) is None
    assert fetched.stock.toolchains.uploaded["not_wanted"] == 1


def test_few_at_a_time(fetched: Fetched) -> None:
    """Not all toolchains are fetched at once; the next one's turn comes when one has ended."""
    archives = [b"archive %d" % number for number in range(MOST_FETCHES + 1)]
    fetches = [fetched.fetch(named(archive)) for archive in archives]
    assert len(fetched.first.asked.waiting) == MOST_FETCHES
    for archive in archives:
        fetched.first.give(archive)
    assert [outcome(each) for each in fetches] == [None] * len(archives)


def test_stop(fetched: Fetched) -> None:
    """A daemon that stops ends its fetches, leaves nothing of them, and begins no more."""
    fetch = fetched.fetch()
    fetched.first.sinks[GCC](ARCHIVE[:5])
    Deferred.fromCoroutine(fetched.fetching.stop())
    assert fetched.first.asked.waiting == []
    assert isinstance(outcome(fetch), Exception)
    assert fetched.stock.files() == set()
    assert isinstance(outcome(fetched.fetch()), ToolchainError)


def test_job_waits_for_a_fetch(fetched: Fetched) -> None:
    """A job waits while a toolchain is looked for, and longer while its bytes flow."""
    job, clock = fetched.job(), fetched.stock.clock
    clock.advance(JOB_WAITS_SECS - 1)
    fetched.first.sinks[GCC](ARCHIVE[:1])
    for size in range(2, 20):
        clock.advance(STALLED_SECS)
        fetched.first.sinks[GCC](ARCHIVE[size - 1 : size])
    assert clock.seconds() > JOB_WAITS_SECS * 2
    fetched.first.sinks[GCC](ARCHIVE[19:])
    fetched.first.asked.answer(GCC, None)
    assert outcome(job) is None


def test_job_does_not_wait_for_ever(fetched: Fetched) -> None:
    """Neither a search that takes long nor bytes that only trickle keep a job for ever."""
    search, clock = fetched.job(), fetched.stock.clock
    trickle = fetched.job(CLANG)
    for second in range(int(FETCH_WAITS_SECS)):
        fetched.first.sinks[CLANG](ARCHIVES[1][second : second + 1])
        clock.advance(1)
        assert search.called is (second + 1 >= JOB_WAITS_SECS)
    assert isinstance(outcome(search), ToolchainError)
    clock.advance(STALLED_SECS)
    assert isinstance(outcome(trickle), ToolchainError)


def test_job_whose_fetch_fails(fetched: Fetched) -> None:
    """It goes home at once, unless a client is bringing the toolchain."""
    job = fetched.job()
    fetched.first.asked.answer(GCC, PeerError("no"))
    fetched.second.asked.answer(GCC, PeerError("no"))
    assert isinstance(outcome(job), ToolchainError)
    job = fetched.job()
    upload = fetched.stock.receive(ARCHIVE)
    fetched.first.asked.answer(GCC, PeerError("no"))
    fetched.second.asked.answer(GCC, PeerError("no"))
    assert not job.called
    outcome(fetched.stock.publish(upload))
    assert outcome(job) is None


def test_nothing_to_fetch(fetched: Fetched) -> None:
    """A toolchain that a client is bringing here is not looked for elsewhere, nor is any without a source."""
    upload = fetched.stock.receive(ARCHIVE)
    job = fetched.job()
    assert fetched.first.asked.waiting == []
    outcome(fetched.stock.publish(upload))
    assert outcome(job) is None
    fetched.fetching = Fetching(fetched.stock.toolchains, ())
    job = fetched.job(RUSTC)
    fetched.stock.clock.advance(BEGIN_SECS)
    assert isinstance(outcome(job), ToolchainError)


def test_lent(fetched: Fetched) -> None:
    """An archive that is lent to another server is not evicted until it is taken back."""
    outcome(fetched.stock.bring(ARCHIVE))
    path = outcome(Deferred.fromCoroutine(fetched.stock.toolchains.lend(GCC)))
    fetched.stock.toolchains.forget(GCC)
    assert path.read_bytes() == ARCHIVE
    fetched.stock.toolchains.take_back(GCC)
    assert GCC not in fetched.stock.toolchains
    assert outcome(Deferred.fromCoroutine(fetched.stock.toolchains.lend(GCC))).__class__ is ToolchainError
