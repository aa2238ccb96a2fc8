"""Toolchain archives that come in: verified before they are believed, brought once for all who need them."""

import errno
import os
from pathlib import Path

import pytest
from twisted.internet.defer import CancelledError, Deferred

from sccachedist.errors import DiskError, LimitExceeded, ToolchainError
from sccachedist.server.toolchains import STALLED_SECS
from tests.server.stocks import ARCHIVES, CLANG, GCC, Stock, named, named_of_old, used
from tests.support.broken_disks import NUMBERS, break_files, failing
from tests.support.ends import outcome, pending

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
    """Who works on what is not what it should be, breaks off or stalls, is told to stop."""
    outcome(stock.publish(stock.receive(b"", GCC)))
    stock.begin(GCC).abort()
    stock.begin(GCC)
    stock.clock.advance(STALLED_SECS + 1)
    stock.begin(GCC)
    assert [follower.told for follower in stock.followers] == [[0, "abandoned"], ["abandoned"], ["abandoned"], []]


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


def test_brought_once(stock: Stock) -> None:
    """While one client brings a toolchain others that need it only wait, and all get it."""
    upload = stock.begin(GCC)
    assert stock.toolchains.receive(GCC) is None
    arrivals = [Deferred.fromCoroutine(stock.toolchains.arrival(GCC)) for _ in range(3)]
    arrivals[0].cancel()
    assert isinstance(outcome(arrivals[0]), CancelledError)
    upload.write(GCC_BYTES)
    assert [pending(arrival) for arrival in arrivals[1:]] == [True, True]
    outcome(stock.publish(upload.complete()))
    assert [outcome(arrival) for arrival in arrivals[1:]] == [None, None]
    assert outcome(Deferred.fromCoroutine(stock.toolchains.arrival(GCC))) is None
    assert stock.toolchains.receive(GCC) is None


def test_two_toolchains_at_once(stock: Stock) -> None:
    """Uploads of different toolchains do not wait for each other."""
    first, second = stock.begin(GCC), stock.begin(CLANG)
    arrival = Deferred.fromCoroutine(stock.toolchains.arrival(GCC))
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
    arrival = Deferred.fromCoroutine(stock.toolchains.arrival(GCC))
    upload.write(b"part")
    if how == "aborted":
        upload.abort()
    else:
        outcome(stock.publish(upload.complete()))
    assert isinstance(outcome(arrival), ToolchainError)
    assert stock.files() == set()
    stock.begin(GCC)


def test_nobody_brings_it(stock: Stock) -> None:
    """There is nothing to wait for where nobody has begun."""
    assert isinstance(outcome(Deferred.fromCoroutine(stock.toolchains.arrival(GCC))), ToolchainError)


def test_stalled(stock: Stock) -> None:
    """An upload that does not go on is replaced by the next client's, and those who waited get that one."""
    slow = stock.begin(GCC)
    slow.write(GCC_BYTES[:10])
    arrival = Deferred.fromCoroutine(stock.toolchains.arrival(GCC))
    stock.clock.advance(STALLED_SECS)
    assert stock.toolchains.receive(GCC) is None
    stock.clock.advance(0.1)
    fast = stock.receive(GCC_BYTES)
    slow.abort()
    assert pending(arrival)
    outcome(stock.publish(fast))
    assert outcome(arrival) is None


@pytest.mark.field(3)
def test_stalled_and_nobody_else_comes(stock: Stock) -> None:
    """Who waits for an upload that does not go on is told before long: it compiles locally, its build goes on."""
    slow = stock.begin(GCC)
    arrival = Deferred.fromCoroutine(stock.toolchains.arrival(GCC))
    for _ in range(3):
        stock.clock.advance(STALLED_SECS - 1)
        slow.write(b"part")
    assert pending(arrival)
    stock.clock.pump([STALLED_SECS, STALLED_SECS])
    assert isinstance(outcome(arrival), ToolchainError)
    assert stock.clock.getDelayedCalls() == []


def test_both_come_in(stock: Stock) -> None:
    """A stalled upload that comes in after all, behind the one that replaced it, does no harm."""
    stock.capacity = 400
    stock.restart()
    slow = stock.begin(GCC)
    stock.clock.advance(STALLED_SECS + 1)
    outcome(stock.bring(GCC_BYTES))
    slow.write(GCC_BYTES)
    assert outcome(stock.publish(slow.complete())) is None
    assert (stock.files(), used(stock, GCC), stock.evicted) == ({GCC}, GCC_BYTES, [])


def test_client_goes_when_it_has_sent_all(stock: Stock) -> None:
    """A whole upload is kept, though its client does not wait for the answer."""
    upload = stock.receive(GCC_BYTES)
    outcome(stock.publish(upload))
    upload.abort()
    assert stock.files() == {GCC}
    assert used(stock, GCC) == GCC_BYTES


# -- disks --


def test_full_disk(stock: Stock, monkeypatch: pytest.MonkeyPatch) -> None:
    """A disk that takes only a part of what is written is an error then, not a damaged toolchain later."""
    break_files(monkeypatch, errno.ENOSPC, taken=len(GCC_BYTES) - 1)
    upload = stock.begin(GCC)
    with pytest.raises(DiskError, match="No space left"):
        upload.write(GCC_BYTES)
    upload.abort()
    assert stock.files() == set()


@pytest.mark.parametrize("number", NUMBERS)
def test_a_disk_that_fails(stock: Stock, monkeypatch: pytest.MonkeyPatch, number: int) -> None:
    """The error names the directory, nothing is kept, and the next client may bring the toolchain."""
    with monkeypatch.context() as broken:
        break_files(broken, number)
        upload = stock.begin(GCC)
        with pytest.raises(DiskError, match=f"{stock.cache / 'incoming'}: {os.strerror(number)}"):
            upload.write(GCC_BYTES)
        upload.abort()
        broken.setattr("sccachedist.files.FileIO", failing(number))
        with pytest.raises(DiskError, match="incoming"):
            stock.toolchains.receive(GCC)
    outcome(stock.bring(GCC_BYTES))
    assert used(stock, GCC) == GCC_BYTES


def test_a_disk_that_removes_nothing(stock: Stock, monkeypatch: pytest.MonkeyPatch) -> None:
    """An upload that failed does not stand in the way, though its file stays for a while."""
    with monkeypatch.context() as broken:
        broken.setattr(Path, "unlink", failing(errno.EROFS))
        stock.begin(GCC).abort()
        outcome(stock.publish(stock.receive(CLANG_BYTES, GCC)))
    outcome(stock.bring(GCC_BYTES))
    assert used(stock, GCC) == GCC_BYTES


@pytest.mark.parametrize("failing", ["pathlib.Path.rename", "pathlib.Path.mkdir", "pathlib.Path.unlink"])
def test_broken_disk(stock: Stock, monkeypatch: pytest.MonkeyPatch, failing: str) -> None:
    """When the disk fails an archive is not there, and can be brought once the disk works again."""
    stock.capacity = len(CLANG_BYTES)
    stock.restart()
    outcome(stock.bring(CLANG_BYTES))
    upload = stock.receive(GCC_BYTES)

    def fail(*_: object, **__: object) -> None:
        raise OSError(5, "Input/output error")

    with monkeypatch.context() as broken:
        broken.setattr(failing, fail)
        assert isinstance(outcome(stock.publish(upload)), DiskError)
    assert GCC not in stock.toolchains
    stock.restart()
    outcome(stock.bring(GCC_BYTES))
    assert used(stock, GCC) == GCC_BYTES
