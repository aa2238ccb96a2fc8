"""Toolchain archives that come in while a disk is full, fails or is broken."""

import errno
import io
import os
from pathlib import Path
from typing import Any

import pytest

from farmkit.deferreds import outcome
from sccachedist.errors import DiskError
from tests.support.broken_disks import NUMBERS, break_files, failing
from tests.toolchains.stocks import ARCHIVES, GCC, Stock, used

GCC_BYTES, CLANG_BYTES, _ = ARCHIVES


def test_full_disk(stock: Stock, monkeypatch: pytest.MonkeyPatch) -> None:
    """A disk that takes only a part of what is written is an error then, not a damaged toolchain later."""
    break_files(monkeypatch, errno.ENOSPC, taken=len(GCC_BYTES) - 1)
    upload = stock.begin(GCC)
    with pytest.raises(DiskError, match="No space left"):
        upload.write(GCC_BYTES)
    upload.abort()
    assert stock.files() == set()


@pytest.mark.parametrize("goes_back", ["at once", "never"])
def test_a_full_disk_that_has_room_again(stock: Stock, monkeypatch: pytest.MonkeyPatch, goes_back: str) -> None:
    """What a disk took of a piece that it did not take whole stands before nothing that others of the same bring."""
    room = [len(GCC_BYTES) - 50]

    class Filling(io.FileIO):
        def write(self, data: Any) -> int:
            taken = super().write(data[: room[0]])
            room[0] -= taken
            return taken

        def truncate(self, size: int | None = None) -> int:
            if goes_back == "never":
                raise OSError(errno.EIO, os.strerror(errno.EIO))
            return super().truncate(size)

    monkeypatch.setattr("sccachedist.files.FileIO", Filling)
    uploads = [stock.begin(GCC) for _ in range(3)]
    uploads[0].write(GCC_BYTES[:100])
    with pytest.raises(DiskError, match="No space left"):
        uploads[0].write(GCC_BYTES[100:])
    uploads[0].abort()
    room[0] = 10_000
    if goes_back == "never":
        with pytest.raises(DiskError):
            uploads[1].write(GCC_BYTES)
        uploads[1] = stock.begin(GCC)
    uploads[1].write(GCC_BYTES)
    assert stock.disk.used == len(GCC_BYTES) + (100 if goes_back == "never" else 0)
    assert outcome(stock.publish(uploads[1].complete())) is None
    assert used(stock, GCC) == GCC_BYTES
    assert (stock.files(), stock.disk.used) == ({GCC}, 0)


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
            stock.begin(GCC)
    outcome(stock.bring(GCC_BYTES))
    assert used(stock, GCC) == GCC_BYTES


def test_a_disk_without_room_for_another_file(stock: Stock, monkeypatch: pytest.MonkeyPatch) -> None:
    """An upload that parts from the others and gets no file costs its sender nothing once it is over."""
    first, other = stock.begin(GCC), stock.begin(GCC)
    first.write(GCC_BYTES[:200])
    with monkeypatch.context() as broken:
        broken.setattr("sccachedist.files.FileIO", failing(errno.ENOSPC))
        with pytest.raises(DiskError, match="incoming"):
            other.write(GCC_BYTES[:100] + b"poison")
    other.abort()
    assert stock.disk.used == 200
    outcome(stock.publish(stock.receive(GCC_BYTES)))
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
