"""Toolchain archives that come in: verified before they are believed, brought once for all who need them."""

import errno
import os
from pathlib import Path

import pytest
from twisted.internet.defer import CancelledError, Deferred

from farmkit.deferreds import outcome, pending
from sccachedist.budgets import Party
from sccachedist.errors import DiskError, LimitExceeded, ToolchainError
from sccachedist.toolchains.cache import BEGIN_SECS
from sccachedist.toolchains.uploads import STALLED_SECS
from tests.support.broken_disks import failing
from tests.toolchains.stocks import ARCHIVES, CLANG, GCC, Stock, named, named_of_old, used

GCC_BYTES, CLANG_BYTES, _ = ARCHIVES


@pytest.mark.parametrize("name", [named, named_of_old])
def test_published(stock: Stock, name: object) -> None:
    """An archive of any release is kept where the published build server keeps it, and can be used."""
    toolchain = name(GCC_BYTES)  # type: ignore[operator]
    assert toolchain not in stock.toolchains
    assert outcome(stock.publish(stock.receive(GCC_BYTES, toolchain))) is None
    assert toolchain in stock.toolchains
    assert stock.path(toolchain).read_bytes() == GCC_BYTES
    assert stock.files() == {toolchain}
    assert used(stock, toolchain) == GCC_BYTES


@pytest.mark.parametrize("wrong", [b"", GCC_BYTES[:-1], GCC_BYTES + b"\0", CLANG_BYTES])
def test_something_else(stock: Stock, wrong: bytes) -> None:
    """What is not what its name says is not kept, and does not stand in the way of the right one."""
    assert isinstance(outcome(stock.publish(stock.receive(wrong, GCC))), ToolchainError)
    assert (GCC in stock.toolchains, stock.files()) == (False, set())
    outcome(stock.bring(GCC_BYTES))
    assert used(stock, GCC) == GCC_BYTES


def test_there_as_soon_as_it_is_verified(stock: Stock) -> None:
    """No job waits until an archive is on the disk for good."""
    stock.threads.at_once = False
    outcome(stock.bring(GCC_BYTES))
    assert used(stock, GCC) == GCC_BYTES
    stock.threads.work()
    assert used(stock, GCC) == GCC_BYTES


def test_followed(stock: Stock) -> None:
    """Who works on an archive meanwhile hears how far it has come, and that it is what it should be."""
    upload = stock.begin(GCC)
    upload.write(GCC_BYTES[:100])
    upload.write(GCC_BYTES[100:])
    outcome(stock.publish(upload.complete()))
    assert stock.followers[0].told == [100, len(GCC_BYTES), "whole"]


def test_followed_in_vain(stock: Stock) -> None:
    """Who works on what is not what it should be, or breaks off, is told to stop."""
    outcome(stock.publish(stock.receive(b"poison", GCC)))
    stock.begin(GCC).abort()
    stock.begin(GCC)
    assert [follower.told for follower in stock.followers] == [[6, "abandoned"], ["abandoned"], []]


def test_too_large(stock: Stock) -> None:
    """An archive is refused as soon as it is larger than the limit."""
    upload = stock.begin(GCC)
    upload.write(b"x" * stock.limit)
    with pytest.raises(LimitExceeded, match="toolchain_bytes"):
        upload.write(b"x")
    upload.abort()
    upload.abort()
    assert stock.files() == set()


# -- several at once --


def test_waited_for(stock: Stock) -> None:
    """Jobs wait for a toolchain that a client brings, and all get it."""
    upload = stock.begin(GCC)
    arrivals = [Deferred.fromCoroutine(stock.toolchains.wait_until_present(GCC)) for _ in range(3)]
    arrivals[0].cancel()
    assert isinstance(outcome(arrivals[0]), CancelledError)
    upload.write(GCC_BYTES)
    assert [pending(arrival) for arrival in arrivals[1:]] == [True, True]
    outcome(stock.publish(upload.complete()))
    assert [outcome(arrival) for arrival in arrivals[1:]] == [None, None]
    assert outcome(Deferred.fromCoroutine(stock.toolchains.wait_until_present(GCC))) is None


def test_under_way(stock: Stock) -> None:
    """What clients are bringing can be seen, with the bytes of the farthest upload, and no more when it is here."""
    assert stock.toolchains.under_way() == ()
    slow, quick = stock.begin(GCC), stock.begin(GCC)
    slow.write(GCC_BYTES[:3])
    assert stock.toolchains.under_way() == ((GCC, 3),)
    quick.write(GCC_BYTES[:7])
    assert stock.toolchains.under_way() == ((GCC, 7),)
    quick.write(GCC_BYTES[7:])
    outcome(stock.publish(quick))
    assert stock.toolchains.under_way() == ()
    slow.abort()


def test_two_toolchains_at_once(stock: Stock) -> None:
    """Uploads of different toolchains do not wait for each other."""
    first, second = stock.begin(GCC), stock.begin(CLANG)
    arrival = Deferred.fromCoroutine(stock.toolchains.wait_until_present(GCC))
    second.write(CLANG_BYTES)
    outcome(stock.publish(second.complete()))
    assert pending(arrival)
    first.write(GCC_BYTES)
    outcome(stock.publish(first.complete()))
    assert outcome(arrival) is None


@pytest.mark.parametrize("how", ["aborted", "wrong"])
def test_it_does_not_arrive(stock: Stock, how: str) -> None:
    """Who waits for somebody that goes away, or brings something else, is told; the next one may bring it."""
    upload = stock.begin(GCC)
    arrival = Deferred.fromCoroutine(stock.toolchains.wait_until_present(GCC))
    upload.write(b"part")
    if how == "aborted":
        upload.abort()
    else:
        outcome(stock.publish(upload.complete()))
    assert isinstance(outcome(arrival), ToolchainError)
    assert stock.files() == set()
    stock.begin(GCC)


def test_nobody_brings_it(stock: Stock) -> None:
    """Where no upload begins, there is soon nothing to wait for."""
    arrival = Deferred.fromCoroutine(stock.toolchains.wait_until_present(GCC))
    stock.clock.advance(BEGIN_SECS)
    assert isinstance(outcome(arrival), ToolchainError)


@pytest.mark.field(3)
def test_stalled_and_nobody_else_comes(stock: Stock) -> None:
    """Who waits for an upload that does not go on is told before long: it compiles locally, its build goes on."""
    slow = stock.begin(GCC)
    arrival = Deferred.fromCoroutine(stock.toolchains.wait_until_present(GCC))
    for _ in range(3):
        stock.clock.advance(STALLED_SECS - 1)
        slow.write(b"part")
    assert pending(arrival)
    stock.clock.pump([STALLED_SECS, STALLED_SECS])
    assert isinstance(outcome(arrival), ToolchainError)
    assert stock.clock.getDelayedCalls() == []


# -- several uploads of one toolchain --


def kept(stock: Stock) -> int:
    """The bytes on the disk, and what they are charged for."""
    size = sum(path.stat().st_size for path in (stock.cache / "incoming").iterdir())
    assert stock.disk.used == size
    return size


def test_stored_once(stock: Stock) -> None:
    """Many clients that bring the same are written to the disk once, in whatever order they are ahead."""
    uploads = [stock.begin(GCC) for _ in range(40)]
    for at in range(0, len(GCC_BYTES), 60):
        for upload in uploads:
            upload.write(GCC_BYTES[at : at + 60])
        assert kept(stock) == at + 60
        uploads.reverse()
    assert [outcome(stock.publish(upload.complete())) for upload in uploads] == [None] * 40
    assert (stock.files(), used(stock, GCC), kept(stock)) == ({GCC}, GCC_BYTES, 0)
    assert stock.followers[0].told == [60, 120, 180, 240, 300, "whole"]


def test_overtaken(stock: Stock) -> None:
    """A client that sends slowly keeps the toolchain from none of those that wait for it."""
    slow = stock.begin(GCC)
    slow.write(GCC_BYTES[:10])
    arrival = Deferred.fromCoroutine(stock.toolchains.wait_until_present(GCC))
    outcome(stock.bring(GCC_BYTES))
    assert outcome(arrival) is None
    slow.write(GCC_BYTES[10:20])
    assert outcome(stock.publish(slow.complete())) is None
    assert (stock.files(), used(stock, GCC), stock.evicted, kept(stock)) == ({GCC}, GCC_BYTES, [], 0)


@pytest.mark.parametrize("at", [0, 1, 150, 299])
@pytest.mark.parametrize("first", ["false", "true"])
def test_false_bytes(stock: Stock, at: int, first: str) -> None:
    """An upload with other bytes than a true one, from wherever on, does not disturb it, be it there first or not."""
    false_bytes = GCC_BYTES[:at] + b"\0" + GCC_BYTES[at + 1 :] + b"\0"
    true, false = stock.begin(GCC), stock.begin(GCC)
    both = [(true, GCC_BYTES), (false, false_bytes)]
    for start in range(0, len(GCC_BYTES), 37):
        for upload, content in both if first == "true" else both[::-1]:
            upload.write(content[start : start + 37])
    assert outcome(stock.publish(true.complete())) is None
    assert outcome(stock.publish(false.complete())) is None, "the toolchain is here"
    assert (stock.files(), used(stock, GCC), kept(stock)) == ({GCC}, GCC_BYTES, 0)


@pytest.mark.parametrize("at", [0, 150])
def test_false_bytes_that_come_in_whole(stock: Stock, at: int) -> None:
    """What is not what it should be is not believed, and the true one goes on."""
    true = stock.begin(GCC)
    true.write(GCC_BYTES[: at + 10])
    false = stock.receive(GCC_BYTES[:at] + b"poison", GCC)
    assert isinstance(outcome(stock.publish(false)), ToolchainError)
    true.write(GCC_BYTES[at + 10 :])
    assert outcome(stock.publish(true.complete())) is None
    assert (stock.files(), used(stock, GCC), kept(stock)) == ({GCC}, GCC_BYTES, 0)


def test_more_behind_it(stock: Stock) -> None:
    """A true archive wins, though another client has sent the same bytes and more behind them."""
    longer = stock.begin(GCC)
    longer.write(GCC_BYTES + b"and more")
    outcome(stock.publish(stock.receive(GCC_BYTES)))
    assert (stock.files(), used(stock, GCC), kept(stock)) == ({GCC}, GCC_BYTES, 0)
    assert stock.followers[0].told == [len(GCC_BYTES) + 8, "abandoned"]
    longer.write(b"and more")
    assert outcome(stock.publish(longer.complete())) is None


def test_less_than_is_there(stock: Stock) -> None:
    """The beginning of a true archive is not the archive."""
    whole = stock.begin(GCC)
    whole.write(GCC_BYTES)
    assert isinstance(outcome(stock.publish(stock.receive(GCC_BYTES[:-1], GCC))), ToolchainError)
    assert outcome(stock.publish(whole.complete())) is None


def test_a_beginning_that_is_copied_later(stock: Stock) -> None:
    """While the beginning of an upload is copied the rest comes in, and others begin; then it is verified."""
    stock.threads.at_once = False
    false = stock.begin(GCC)
    false.write(GCC_BYTES[:150] + b"poison")
    true = stock.begin(GCC)
    true.write(GCC_BYTES)
    assert kept(stock) == 156 + 300
    false.abort()
    third = stock.begin(GCC)
    third.write(GCC_BYTES[:100])
    published = stock.publish(true.complete())
    assert pending(published)
    stock.threads.work()
    assert pending(published)
    stock.threads.work()
    assert outcome(published) is None
    assert outcome(stock.publish(third.complete())) is None
    assert used(stock, GCC) == GCC_BYTES


def test_many_ways_apart(stock: Stock) -> None:
    """Uploads that part at the same place share what they have in common again."""
    false = stock.begin(GCC)
    false.write(b"poison" + bytes(100))
    trues = [stock.begin(GCC) for _ in range(3)]
    for upload in trues:
        upload.write(GCC_BYTES)
    others = [stock.begin(GCC) for _ in range(3)]
    for upload in others:
        upload.write(b"poisonous")
    assert kept(stock) == 106 + 300 + 9
    assert outcome(stock.publish(trues[2].complete())) is None
    assert (stock.files(), kept(stock)) == ({GCC}, 0)


def test_the_first_goes(stock: Stock) -> None:
    """What one client has brought is not lost for those that sent the same, when it goes."""
    first, second = stock.begin(GCC, Party("first")), stock.begin(GCC, Party("second"))
    first.write(GCC_BYTES[:200])
    second.write(GCC_BYTES[:100])
    first.abort()
    second.write(GCC_BYTES[100:])
    assert outcome(stock.publish(second.complete())) is None
    assert used(stock, GCC) == GCC_BYTES


def test_where_the_first_may_not_go_on(stock: Stock) -> None:
    """Who has too much on the disk does not keep others from bringing a toolchain that it has begun."""
    greedy, modest = Party("greedy"), Party("modest")
    stock.disk.total = 1500
    first, second = stock.begin(GCC, greedy), stock.begin(GCC, modest)
    first.write(GCC_BYTES[:200])
    with stock.disk.open(greedy, 550):
        with pytest.raises(LimitExceeded, match="spool_bytes"):
            first.write(GCC_BYTES[200:])
        second.write(GCC_BYTES)
        assert (stock.disk.held(greedy), stock.disk.held(modest)) == (550, 300)
        assert outcome(stock.publish(second.complete())) is None
    first.abort()
    assert (stock.disk.used, used(stock, GCC)) == (0, GCC_BYTES)


@pytest.mark.parametrize("at", ["digest", "copy"])
def test_a_disk_that_cannot_be_read(stock: Stock, monkeypatch: pytest.MonkeyPatch, at: str) -> None:
    """An upload that cannot be compared or copied is refused; nothing of it is kept, and the next one may come."""
    stock.threads.at_once = False
    other = stock.begin(GCC)
    other.write(GCC_BYTES[:100] + (b"poison" if at == "copy" else GCC_BYTES[100:] + b"more"))
    upload = stock.begin(GCC)
    upload.write(GCC_BYTES)
    published = stock.publish(upload.complete())
    with monkeypatch.context() as broken:
        broken.setattr(os, "pread", failing(errno.EIO))
        stock.threads.work()
    assert isinstance(outcome(published), DiskError)
    other.abort()
    assert kept(stock) == 0
    stock.threads.at_once = True
    outcome(stock.bring(GCC_BYTES))
    assert used(stock, GCC) == GCC_BYTES


def test_a_cache_that_does_not_take_it(stock: Stock, monkeypatch: pytest.MonkeyPatch) -> None:
    """When what was verified cannot be kept, those that still send get no wrong one instead."""
    longer, true, also_true = (stock.begin(GCC) for _ in range(3))
    longer.write(GCC_BYTES + b"and ")
    for each in (true, also_true):
        each.write(GCC_BYTES)
    with monkeypatch.context() as broken:
        broken.setattr(Path, "rename", failing(errno.EIO))
        assert isinstance(outcome(stock.publish(true.complete())), DiskError)
    with pytest.raises(DiskError):
        longer.write(b"more")
    for each in (longer, also_true):  # it is not said of a true one that it is another toolchain
        assert isinstance(outcome(stock.publish(each.complete())), DiskError)
    assert (stock.files(), GCC in stock.toolchains) == (set(), False)


def test_client_goes_when_it_has_sent_all(stock: Stock) -> None:
    """A whole upload is kept, though its client does not wait for the answer."""
    upload = stock.receive(GCC_BYTES)
    outcome(stock.publish(upload))
    upload.abort()
    assert stock.files() == {GCC}
    assert used(stock, GCC) == GCC_BYTES
