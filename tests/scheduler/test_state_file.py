"""The file that keeps drains over a restart, on disks and among files of all kinds."""

import json
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import attrs
import pytest
from twisted.internet.defer import Deferred, execute
from twisted.internet.task import Clock
from twisted.logger import capturedLogs, formatEvent

from farmkit.deferreds import outcome, pending
from sccachedist.errors import ConfigError
from sccachedist.scheduler import state_file
from sccachedist.scheduler.out_of_service import Drain, OutOfService, Pause
from sccachedist.scheduler.state_file import DISK_SECS, StateFile
from tests.scheduler.farms import A, B

STATE = {"v": 1, "drains": {str(A): {"by": "ann", "reason": "", "since": 1.0, "until": None}}, "paused": None}


@attrs.define
class Scheduler:
    """One that keeps its state in a file, and what it logs."""

    path: Path
    state: OutOfService = attrs.field(factory=OutOfService)
    in_thread: Callable[..., Deferred[Any]] = execute
    clock: Clock = attrs.field(factory=Clock)
    file: StateFile = attrs.field(init=False)

    def __attrs_post_init__(self) -> None:
        self.file = StateFile(self.path, self.state, lambda *call: self.in_thread(*call), self.clock)

    def start(self) -> list[str]:
        """Start; returns the lines of its log."""
        return self.logging(self.file.startService)

    def logging(self, work: Callable[[], object]) -> list[str]:
        with capturedLogs() as events:
            work()
        return [formatEvent(event) for event in events]

    def drain(self) -> list[str]:
        return self.logging(lambda: self.state.drain(B, Drain("bob")))

    def end(self) -> None:
        outcome(Deferred.fromCoroutine(self.file.close()))

    @property
    def kept(self) -> Any:
        return json.loads(self.path.read_bytes())


@pytest.fixture(name="scheduler")
def first(tmp_path: Path) -> Iterator[Scheduler]:
    scheduler = Scheduler(tmp_path / "state.json")
    yield scheduler
    if not scheduler.file._is_writing:
        scheduler.end()


def test_kept(scheduler: Scheduler) -> None:
    """The next process knows what this one was told, as soon as that is answered; a pause is told to the log."""
    assert scheduler.start() == []
    scheduler.state.drain(A, Drain("ann", "disk", 1.0, 5.0))
    scheduler.state.set_pause(Pause("ann", "move", 2.0))
    outcome(Deferred.fromCoroutine(scheduler.file.kept()))
    assert scheduler.path.stat().st_mode & 0o777 == 0o600
    scheduler.end()
    later = Scheduler(scheduler.path)
    lines = later.start()
    assert (later.state.drains, later.state.pause) == (scheduler.state.drains, scheduler.state.pause)
    assert lines[0].endswith("state.json: 1 drains are taken over")
    assert lines[1] == "the farm is paused, since ann paused it: move; sccachedist resume ends that"
    later.end()


def test_none_is_kept() -> None:
    """Without a path, a drain lasts as long as the process."""
    state = OutOfService()
    file = StateFile(None, state, execute, Clock())
    file.startService()
    state.drain(A, Drain())
    outcome(Deferred.fromCoroutine(file.close()))


def test_while_it_is_written(scheduler: Scheduler) -> None:
    """What changes meanwhile is written next; who waits, waits for that."""
    scheduler.start()
    works: list[tuple[Deferred[Any], Any]] = []

    def later(*call: Any) -> Deferred[Any]:
        works.append((Deferred(), call))
        return works[-1][0]

    scheduler.in_thread = later
    scheduler.state.drain(A, Drain())
    scheduler.state.drain(B, Drain())
    waiting = Deferred.fromCoroutine(scheduler.file.kept())
    for number in range(2):
        assert len(works) == number + 1
        assert pending(waiting)
        done, (function, *arguments) = works[number]
        done.callback(function(*arguments))
    outcome(waiting)
    assert len(scheduler.kept["drains"]) == 2


@pytest.mark.parametrize(
    ("content", "why"),
    [
        (b"", "it is no JSON"),
        (b"[" * 100_000, "it is no JSON"),
        (b"\xff", "it is no JSON"),
        (b"{}", "it is no state of a scheduler"),
        (json.dumps(STATE | {"v": 2}).encode(), "or of a later release"),
    ],
)
def test_broken(scheduler: Scheduler, content: bytes, why: str) -> None:
    """It is put aside, one line says so, and another one is written."""
    scheduler.path.write_bytes(content)
    (line,) = scheduler.start()
    assert "is not taken over" in line
    assert why in line
    assert scheduler.path.with_name("state.json.broken").read_bytes() == content
    assert scheduler.drain() == []
    assert list(scheduler.kept["drains"]) == [str(B)]


def test_too_large(scheduler: Scheduler, monkeypatch: pytest.MonkeyPatch) -> None:
    """No file fills the memory."""
    monkeypatch.setattr(state_file, "MOST_BYTES", 10)
    scheduler.path.write_text(json.dumps(STATE))
    (line,) = scheduler.start()
    assert "it has more than 10 bytes" in line


def test_of_others(scheduler: Scheduler, tmp_path: Path) -> None:
    """A file that another user could have written is not believed, nor a link followed, nor a pipe waited for."""
    scheduler.path.write_text(json.dumps(STATE))
    scheduler.path.chmod(0o666)
    (line,) = scheduler.start()
    assert "others can write to it" in line
    scheduler.end()
    elsewhere = tmp_path / "elsewhere"
    elsewhere.write_text(json.dumps(STATE))
    scheduler.path.symlink_to(elsewhere)
    other = Scheduler(scheduler.path)
    assert len(other.start()) == 1
    other.end()
    os.mkfifo(scheduler.path)
    third = Scheduler(scheduler.path)
    (line,) = third.start()
    assert "it is no regular file" in line
    assert third.state.drains == {}
    third.end()


def test_a_disk_that_takes_nothing(scheduler: Scheduler) -> None:
    """One line says that drains are forgotten at a restart; when the disk is well again, they are kept."""
    scheduler.start()

    def full(*_: Any) -> Deferred[Any]:
        raise OSError(28, "No space left on device")

    scheduler.in_thread = full
    (line,) = scheduler.drain()
    assert line.endswith("cannot be written: No space left on device; drains do not outlast a restart")
    assert scheduler.drain() == []
    assert list(scheduler.state.drains) == [B]
    scheduler.in_thread = execute
    assert scheduler.drain() == []
    assert list(scheduler.kept["drains"]) == [str(B)]


def test_a_dead_disk(scheduler: Scheduler) -> None:
    """No administrator waits for it for ever, nor does the end of the scheduler."""
    scheduler.start()
    never = Deferred[None]()  # kept here: the garbage collector ends what waits for one that is not kept
    scheduler.in_thread = lambda *_: never
    scheduler.drain()
    waiting = Deferred.fromCoroutine(scheduler.file.close())
    assert pending(waiting)
    scheduler.clock.advance(DISK_SECS)
    outcome(waiting)


def test_a_directory_that_is_not_there(tmp_path: Path) -> None:
    """The scheduler runs all the same, and one line says what it does not do."""
    scheduler = Scheduler(tmp_path / "missing" / "state.json")
    (line,) = scheduler.start()
    assert line.endswith("cannot be written: No such file or directory; drains do not outlast a restart")
    assert scheduler.drain() == []
    scheduler.end()


def test_a_file_that_cannot_be_moved(scheduler: Scheduler) -> None:
    """What cannot be put aside is not overwritten either."""
    scheduler.path.write_text("no state")
    scheduler.path.with_name("state.json.broken").mkdir()
    (line,) = scheduler.start()
    assert "it stays as it is (Is a directory), and no drain is kept" in line
    scheduler.drain()
    assert scheduler.path.read_text() == "no state"


def test_two_schedulers(scheduler: Scheduler) -> None:
    """The second one does not start: they would overwrite each other's drains."""
    scheduler.start()
    other = Scheduler(scheduler.path)
    with pytest.raises(ConfigError, match=r"admin\.state: .* is in use by another scheduler"):
        other.start()
    scheduler.end()
    assert other.start() == []
    other.end()
