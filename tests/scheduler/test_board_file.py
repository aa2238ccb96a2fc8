"""The board of the only scheduler, on disks and among files of all kinds."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import attrs
import pytest
from twisted.internet.defer import Deferred, execute
from twisted.logger import capturedLogs, formatEvent

from farmkit.deferreds import outcome
from sccachedist.cluster.board import BoardChanges, Posted
from sccachedist.cluster.store import StoreError
from sccachedist.scheduler.board_file import BoardFile

A, B = "127.0.0.1:1", "127.0.0.2:1"


@attrs.define
class Disk:
    """A file, and the runs of a scheduler that use it."""

    path: Path
    in_thread: Callable[..., Deferred[Any]] = execute

    def board(self) -> BoardFile:
        return BoardFile(self.path, lambda *call: self.in_thread(*call), lambda: 7.0)

    def read(self) -> tuple[Posted, list[str]]:
        """What the next run finds, and what its log says."""
        with capturedLogs() as events:
            found = outcome(Deferred.fromCoroutine(self.board().read()))
        return found, [formatEvent(event) for event in events]


@pytest.fixture
def disk(tmp_path: Path) -> Disk:
    return Disk(tmp_path / "state.json.servers")


def write(board: BoardFile, servers: dict[str, bytes | None], *, replaces_all: bool = False) -> Deferred[bool]:
    return Deferred.fromCoroutine(board.write(BoardChanges(servers, None, replaces_all)))


def test_the_next_run_finds_it(disk: Disk) -> None:
    """What is there at the end, for this user alone."""
    assert disk.read() == (Posted(7.0, {}), [])
    board = disk.board()
    assert outcome(Deferred.fromCoroutine(board.time())) == 7.0
    assert outcome(write(board, {A: b"a", B: b"\0\xff"}, replaces_all=True))
    assert outcome(write(board, {A: None, "other": None}))
    assert disk.read() == (Posted(7.0, {B: b"\0\xff"}), [])
    assert disk.path.stat().st_mode & 0o777 == 0o600
    assert outcome(write(disk.board(), {A: b"b"}, replaces_all=True))
    assert disk.read()[0].servers == {A: b"b"}
    board.close()


def test_without_news(disk: Disk) -> None:
    """The disk has rest."""
    assert outcome(write(disk.board(), {}))
    assert not disk.path.exists()


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"[]",
        b"[" * 100_000,
        json.dumps({"v": 2, "servers": {}}).encode(),
        json.dumps({"v": 1, "servers": []}).encode(),
        json.dumps({"v": 1, "servers": {A: 5}}).encode(),
        json.dumps({"v": 1, "servers": {A: "no base 64"}}).encode(),
        json.dumps({"v": 1, "servers": {str(number): "" for number in range(10_001)}}).encode(),
    ],
)
def test_none_of_ours(disk: Disk, content: bytes) -> None:
    """It is not recalled, a line says so, and it is overwritten."""
    disk.path.write_bytes(content)
    posted, (line,) = disk.read()
    assert posted.servers == {}
    assert "state.json.servers is not recalled: it " in line
    outcome(write(disk.board(), {A: b"a"}, replaces_all=True))
    assert disk.read()[0].servers == {A: b"a"}


def test_of_others(disk: Disk) -> None:
    """A file that another user could have written is not believed."""
    disk.path.write_text(json.dumps({"v": 1, "servers": {A: ""}}))
    disk.path.chmod(0o666)
    posted, (line,) = disk.read()
    assert posted.servers == {}
    assert "others can write to it" in line


def test_a_disk_that_takes_nothing(disk: Disk) -> None:
    """The board is away then."""

    def full(*_: Any) -> Deferred[Any]:
        raise OSError(28, "No space left on device")

    disk.in_thread = full
    error = outcome(write(disk.board(), {A: b"a"}))
    assert isinstance(error, StoreError)
    assert str(error).endswith("state.json.servers: No space left on device")
