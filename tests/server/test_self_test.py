"""The self-test of a build server, on real directories with a builder that is made up."""

import errno
import os
from pathlib import Path
from typing import Any

import attrs
import pytest
from twisted.internet.task import Clock
from twisted.logger import LogLevel, capturedLogs

from farmkit.fakes import FakeBuilder
from sccachedist.disks import LEAST_FILES, complaint_about
from sccachedist.errors import BuildError, DiskFull
from sccachedist.memory import FreeMemory
from sccachedist.outcomes import SentLocal
from sccachedist.server import self_test as module
from sccachedist.server.fitness import ENOUGH_MEMORY, LEAST_MEMORY
from sccachedist.server.self_test import LOOK_SECS, SelfTest

FULL = DiskFull("the disk of /spool: No space left on device")


@attrs.define
class Host:
    """A build server that notes how it is judged."""

    directory: Path
    clock: Clock = attrs.field(factory=Clock)
    builder: FakeBuilder = attrs.field(factory=FakeBuilder)
    judged: list[str] = attrs.field(factory=list)
    memory: FreeMemory | None = None
    test: SelfTest = attrs.field(init=False)

    def __attrs_post_init__(self) -> None:
        self.test = SelfTest(self.builder, [self.directory], lambda: self.memory, self.judged.append, self.clock)
        self.test.startService()

    def proved(self, answer: Exception | None = None) -> None:
        """The trial job ends."""
        self.builder.starting.answer("prove", answer)

    @property
    def is_testing(self) -> bool:
        return bool(self.builder.starting.waiting)


@pytest.fixture
def host(tmp_path: Path) -> Host:
    return Host(tmp_path)


def disk(monkeypatch: pytest.MonkeyPatch, **state: int) -> None:
    """Have all disks look like that."""
    shown: Any = attrs.make_class("State", ["f_bavail", "f_frsize", "f_files", "f_favail"])
    monkeypatch.setattr(os, "statvfs", lambda _: shown(**{"f_bavail": 1 << 20, "f_frsize": 4096} | state))


def test_fit(host: Host) -> None:
    """Nothing is tested while all is well, and nothing is told."""
    host.test.succeeded()
    host.clock.pump([LOOK_SECS] * 3)
    assert (host.is_testing, host.judged) == (False, [])


def test_unfit_and_fit_again(host: Host) -> None:
    """It is judged unfit at once, and fit when the trial job has run."""
    with capturedLogs() as events:
        host.test.failed(FULL)
        assert host.judged == [str(FULL)]
        host.clock.advance(0)
        host.proved(BuildError(SentLocal.SANDBOX, "the sandbox does not work"))
        host.clock.advance(1)
        host.proved()
    assert host.judged == [str(FULL), ""]
    assert [event["log_level"] for event in events if event["log_level"] is not LogLevel.debug] == [
        LogLevel.error,
        LogLevel.info,
    ]


def test_a_disk_fills_up(host: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is noticed before a job fails, and no trial job is run while there is no room."""
    disk(monkeypatch, f_bavail=0, f_files=0, f_favail=0)
    host.clock.advance(LOOK_SECS)
    assert host.judged == [f"the disk of {host.directory}: less than 4 MiB are free"]
    host.clock.pump([1] * 20)
    assert not host.is_testing
    monkeypatch.undo()
    host.clock.pump([1] * 31)
    host.proved()
    assert host.judged[1:] == [""]


def test_memory_ends(host: Host) -> None:
    """It is noticed before a job fails, and no trial job is run until there is enough again."""
    host.memory = FreeMemory(LEAST_MEMORY - 1, "this host")
    host.clock.advance(LOOK_SECS)
    assert host.judged == ["the memory of this host: less than 64 MiB are free"]
    host.memory = FreeMemory(ENOUGH_MEMORY - 1, "this host")
    host.clock.pump([1] * 20)
    assert not host.is_testing
    host.memory = FreeMemory(ENOUGH_MEMORY, "this host")
    host.clock.pump([1] * 31)
    host.proved()
    assert host.judged[1:] == [""]


def test_no_room_for_toolchains(host: Host) -> None:
    """What the builder says counts as much."""
    host.builder.lacks = "the disk of /build: less than 4 MiB are free"
    host.clock.advance(LOOK_SECS)
    assert host.judged == [host.builder.lacks]


@pytest.mark.parametrize(
    ("state", "complains"),
    [
        ({"f_files": 0, "f_favail": 0}, False),  # this file system does not count files
        ({"f_files": 1000, "f_favail": LEAST_FILES}, False),
        ({"f_files": 1000, "f_favail": LEAST_FILES - 1}, True),
        ({"f_files": 0, "f_favail": 0, "f_bavail": 1023}, True),
        ({"f_files": 0, "f_favail": 0, "f_bavail": 1024}, False),
    ],
)
def test_full(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, state: dict[str, int], complains: bool) -> None:
    """Bytes and files count."""
    disk(monkeypatch, **state)
    assert bool(complaint_about([tmp_path])) is complains


def test_a_directory_is_gone(host: Host) -> None:
    """Jobs make it again, so there have to be jobs."""
    host.directory.rmdir()
    host.clock.advance(LOOK_SECS)
    assert host.judged == []
    host.test.failed(FULL)
    host.clock.advance(0)
    host.proved()
    assert host.judged == [str(FULL), ""]


def test_a_disk_does_not_answer(host: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is as good as full."""

    def fail(_: object) -> None:
        raise OSError(errno.EIO, "Input/output error")

    monkeypatch.setattr(os, "statvfs", fail)
    host.clock.advance(LOOK_SECS)
    assert host.judged == [f"the disk of {host.directory}: Input/output error"]


def test_a_disk_that_takes_nothing(host: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    """The test writes to each disk."""

    def refuse(directory: Path) -> None:
        raise FULL

    monkeypatch.setattr(module, "write_to", refuse)
    host.test.failed(FULL)
    host.clock.advance(0)
    assert (host.is_testing, host.judged) == (False, [str(FULL)])


def test_one_test_at_a_time(host: Host) -> None:
    """Jobs that fail during a test start no second one."""
    for _ in range(3):
        host.test.failed(FULL)
        host.clock.advance(0)
    assert host.builder.starting.waiting == ["prove"]


def test_a_fault_in_the_test(host: Host) -> None:
    """A test that fails in an unforeseen way is a failed test."""
    with capturedLogs() as events:
        host.test.failed(FULL)
        host.clock.advance(0)
        host.proved(ZeroDivisionError("oh"))
    assert host.test.fitness.reason == "oh"
    assert [event for event in events if event["log_level"] is LogLevel.critical]


@pytest.mark.parametrize("seconds", [None, 0])
def test_stops(host: Host, seconds: int | None) -> None:
    """When the build server stops, a test ends, and none begins."""
    host.test.failed(FULL)
    if seconds is not None:
        host.clock.advance(seconds)
    host.test.stopService()
    host.clock.advance(1000)
    assert not host.is_testing
    assert host.clock.getDelayedCalls() == []
    host.test.failed(FULL)
    assert host.clock.getDelayedCalls() == []
