"""Toolchain archives that are here: kept over restarts, within bounds, as long as the disk keeps them."""

import errno
import os
import shutil
from pathlib import Path

import pytest
from twisted.internet.defer import CancelledError, Deferred, succeed
from twisted.logger import capturedLogs, formatEvent

from farmkit.deferreds import outcome
from sccachedist.errors import ToolchainError
from sccachedist.wire.archive_id import ArchiveId
from sccachedist.wire.machines import ANY, UNKNOWN
from tests.support.broken_disks import failing
from tests.toolchains.stocks import ARCHIVES, CLANG, GCC, RUSTC, Stock, named_of_old, used

GCC_BYTES, CLANG_BYTES, RUSTC_BYTES = ARCHIVES

# -- restarts --


def test_restart(stock: Stock) -> None:
    """A restart, also one of the published build server, keeps the toolchains and removes what was unfinished."""
    stock.put(GCC_BYTES)
    stock.put(CLANG_BYTES, named_of_old(CLANG_BYTES))
    unfinished = stock.begin(RUSTC)
    unfinished.write(RUSTC_BYTES[:10])
    stock.restart()
    assert stock.files() == {GCC, named_of_old(CLANG_BYTES)}
    assert RUSTC not in stock.toolchains
    assert used(stock, GCC) == GCC_BYTES
    assert used(stock, named_of_old(CLANG_BYTES)) == CLANG_BYTES


@pytest.mark.parametrize("content", [b"", GCC_BYTES[:-1], CLANG_BYTES])
def test_damaged(stock: Stock, content: bytes) -> None:
    """An archive that was cut off or exchanged while nobody watched is never used: it is brought again."""
    stock.put(content, GCC)
    stock.restart()
    assert GCC in stock.toolchains
    assert isinstance(used(stock, GCC), ToolchainError)
    assert (stock.files(), stock.evicted) == (set(), [GCC])
    outcome(stock.bring(GCC_BYTES))
    assert used(stock, GCC) == GCC_BYTES


def test_verified_once(stock: Stock) -> None:
    """An archive from before a restart is hashed once, also when two jobs need it at the same moment."""
    stock.put(GCC_BYTES)
    stock.restart()
    stock.threads.at_once = False
    jobs = [stock.use(GCC, succeed(None)) for _ in range(2)]
    assert len(stock.threads.waiting) == 1
    stock.threads.work()
    assert [outcome(job) for job in jobs] == [GCC_BYTES, GCC_BYTES]
    assert used(stock, GCC) == GCC_BYTES


def test_job_goes_while_it_is_verified(stock: Stock) -> None:
    """A job that is given up meanwhile leaves the toolchain to those that need it, and to eviction."""
    stock.capacity = 400
    stock.put(GCC_BYTES)
    stock.restart()
    stock.threads.at_once = False
    given_up, other = stock.use(GCC, succeed(None)), stock.use(GCC, succeed(None))
    given_up.cancel()
    assert isinstance(outcome(given_up), CancelledError)
    stock.threads.work()
    assert outcome(other) == GCC_BYTES
    stock.threads.at_once = True
    assert outcome(stock.bring(CLANG_BYTES)) is None


def test_foreign_files(stock: Stock) -> None:
    """What is not a toolchain is left alone, whatever it is."""
    tc = stock.cache / "tc"
    (tc / "a" / "b").mkdir(parents=True)
    for name in ("README", "a/notes", "a/b/notes", "a/b/" + "g" * 64, "a/b/" + "A" * 64):
        (tc / name).write_bytes(b"foreign")
    (tc / "a" / "b" / "ab").mkdir()
    (tc / "a" / "b" / ("ab" * 32)).symlink_to("/nonexistent")
    before = stock.files()
    stock.restart()
    assert ArchiveId("ab" * 32) not in stock.toolchains
    outcome(stock.bring(GCC_BYTES))
    assert stock.files() == before | {GCC}


# -- room --


def test_least_recently_used_goes(stock: Stock) -> None:
    """Where there is no room the toolchain goes that was not used for the longest time, and its files with it."""
    stock.capacity = 700
    stock.restart()
    outcome(stock.bring(GCC_BYTES))
    outcome(stock.bring(CLANG_BYTES))
    used(stock, GCC)
    outcome(stock.bring(RUSTC_BYTES))
    assert (stock.files(), stock.evicted) == ({GCC, RUSTC}, [CLANG])
    assert isinstance(used(stock, CLANG), ToolchainError)


def test_order_after_a_restart(stock: Stock) -> None:
    """What was used last is known after a restart."""
    stock.capacity = 700
    stock.put(GCC_BYTES, mtime=2)
    stock.put(CLANG_BYTES, mtime=1)
    stock.restart()
    outcome(stock.bring(RUSTC_BYTES))
    assert stock.files() == {GCC, RUSTC}
    used(stock, GCC)
    assert stock.path(GCC).stat().st_mtime > 2


def test_in_use(stock: Stock) -> None:
    """A toolchain that a job uses stays, however much its room is needed."""
    stock.capacity = 400
    stock.restart()
    outcome(stock.bring(GCC_BYTES))
    until: Deferred[None] = Deferred()
    job = stock.use(GCC, until)
    assert isinstance(outcome(stock.bring(CLANG_BYTES)), ToolchainError)
    assert (stock.files(), stock.evicted) == ({GCC}, [])
    until.callback(None)
    assert outcome(job) == GCC_BYTES
    assert outcome(stock.bring(CLANG_BYTES)) is None
    assert stock.files() == {CLANG}


@pytest.mark.parametrize("capacity", [0, 299, 300, 500])
def test_less_room_than_before(stock: Stock, capacity: int) -> None:
    """A cache that was made smaller is cut down at the start, which it never prevents."""
    stock.put(GCC_BYTES, mtime=1)
    stock.put(CLANG_BYTES, mtime=2)
    stock.capacity = capacity
    stock.restart()
    assert stock.files() == ({CLANG} if capacity >= 300 else set())


# -- disks --


def test_removed_behind_our_back(stock: Stock) -> None:
    """An archive that somebody else removed is an error for one job; the next one may bring it again."""
    outcome(stock.bring(GCC_BYTES))
    stock.path(GCC).unlink()
    assert isinstance(used(stock, GCC), ToolchainError)
    assert GCC not in stock.toolchains
    outcome(stock.bring(GCC_BYTES))
    assert used(stock, GCC) == GCC_BYTES


def test_a_cache_that_has_vanished(stock: Stock) -> None:
    """It is made again by the next client that brings a toolchain."""
    outcome(stock.bring(GCC_BYTES))
    shutil.rmtree(stock.cache)
    assert isinstance(used(stock, GCC), ToolchainError)
    outcome(stock.bring(GCC_BYTES))
    assert used(stock, GCC) == GCC_BYTES


@pytest.mark.parametrize("gone", [False, True])
def test_a_disk_that_does_not_keep_it(stock: Stock, monkeypatch: pytest.MonkeyPatch, gone: bool) -> None:
    """An archive that does not get to the disk is here no more, and can be brought again."""
    stock.threads.at_once = False
    outcome(stock.bring(GCC_BYTES))
    if gone:
        stock.path(GCC).unlink()
    with monkeypatch.context() as broken:
        broken.setattr("os.fsync", failing(errno.EIO))
        stock.threads.work()
    assert (GCC in stock.toolchains, stock.evicted) == ((True, []) if gone else (False, [GCC]))
    stock.threads.at_once = True
    if not gone:
        assert stock.files() == set()
        outcome(stock.bring(GCC_BYTES))
        assert used(stock, GCC) == GCC_BYTES


def test_a_disk_that_cannot_be_read(stock: Stock, monkeypatch: pytest.MonkeyPatch) -> None:
    """The toolchain is not here any more, which is told at once: the next client is asked for it."""
    stock.put(GCC_BYTES)
    stock.restart()
    with monkeypatch.context() as broken:
        broken.setattr(Path, "open", failing(errno.EIO))
        assert "Input/output error" in str(used(stock, GCC))
    assert (GCC in stock.toolchains, stock.evicted) == (False, [GCC])
    outcome(stock.bring(GCC_BYTES))
    assert used(stock, GCC) == GCC_BYTES


def test_a_loss_is_heard_of_first(stock: Stock) -> None:
    """Whose job finds out that a toolchain is gone is told when the next client will be asked for it, not before."""
    outcome(stock.bring(GCC_BYTES))
    stock.path(GCC).unlink()
    stock.heard = Deferred()
    using = stock.use(GCC, succeed(None))
    assert (stock.evicted, using.called) == ([GCC], False)
    stock.heard.callback(None)
    assert isinstance(outcome(using), ToolchainError)


def test_use_without_touching(stock: Stock, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the time of use cannot be noted, the toolchain can still be used."""
    outcome(stock.bring(GCC_BYTES))

    def fail(*_: object) -> None:
        raise OSError(30, "Read-only file system")

    monkeypatch.setattr(os, "utime", fail)
    assert used(stock, GCC) == GCC_BYTES


def test_its_machine(stock: Stock) -> None:
    """Which machine a toolchain needs is news once, and is known again after a restart."""
    stock.put(GCC_BYTES)
    stock.restart()
    assert stock.toolchains.machine_of(GCC) == UNKNOWN
    assert stock.toolchains.looked_at(GCC, 183)
    assert not stock.toolchains.looked_at(GCC, 183)
    assert not stock.toolchains.looked_at(CLANG, 62)
    stock.restart()
    news = stock.toolchains.log.news(1000)
    assert (news.held, news.built_for) == ((GCC,), (183,))


@pytest.mark.parametrize("kept", [b"", b"x86_64", b"-1", b"70000", b"9" * 5000])
def test_a_machine_that_was_not_kept(stock: Stock, kept: bytes) -> None:
    """An attribute that somebody else has written is no machine that is out of bounds."""
    stock.put(GCC_BYTES)
    os.setxattr(stock.cache / "tc" / GCC[0] / GCC[1] / GCC, "user.sccachedist.machine", kept[:4000])
    stock.restart()
    assert stock.toolchains.machine_of(GCC) in (UNKNOWN, ANY)


def test_unwanted(stock: Stock) -> None:
    """It is removed, and the scheduler hears of it; one that is in use when it is so no longer, one not here never."""
    outcome(stock.bring(ARCHIVES[0]))
    stock.toolchains.forget(CLANG)
    with capturedLogs() as events:
        over: Deferred[None] = Deferred()
        using = stock.use(GCC, over)
        stock.toolchains.forget(GCC)
        stock.toolchains.forget(GCC)
        assert GCC in stock.toolchains
        over.callback(None)
        outcome(using)
    assert [formatEvent(event) for event in events] == [
        f"toolchain {GCC} is in use: it is removed when no job uses it",
        f"toolchain {GCC} is removed: an administrator wants that",
    ]
    assert (stock.evicted, stock.toolchains.removed["unwanted"], stock.path(GCC).exists()) == ([GCC], 1, False)


def test_those_that_went_are_forgotten(stock: Stock) -> None:
    """However many clients bring theirs, what is known of one ends with it."""
    for number in range(20):
        outcome(stock.bring(b"%d" % (10**400 + number)))
    assert len(stock.toolchains._verified) == len(stock.toolchains) == 2
