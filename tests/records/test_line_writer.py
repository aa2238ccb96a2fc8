"""Records on their way to a file: in a thread, bounded, and never in the way of a request."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import attrs
import pytest
from twisted.internet.defer import Deferred
from twisted.internet.testing import MemoryReactorClock
from twisted.logger import capturedLogs
from twisted.python.failure import Failure

from farmkit.deferreds import outcome, pending
from sccachedist.errors import DiskError
from sccachedist.records.line_writer import MOST_WAITING, STOP_SECS, WRITE_SECS, LineWriter
from sccachedist.records.lines import LineFile, line_of
from tests.records.test_lines import job


class SlowThreads(MemoryReactorClock):
    """A reactor whose threads do their work when the test says so."""

    def __init__(self) -> None:
        super().__init__()
        self.work: list[Callable[[], None]] = []

    def getThreadPool(self) -> "SlowThreads":  # noqa: N802
        return self

    def callFromThread(self, function: Callable[..., Any], *arguments: Any) -> None:  # noqa: N802
        function(*arguments)

    def callInThreadWithCallback(  # noqa: N802
        self, done: Callable[[bool, Any], None], function: Callable[..., Any], *arguments: Any
    ) -> None:
        def run() -> None:
            try:
                result = function(*arguments)
            except Exception:
                done(False, Failure())
            else:
                done(True, result)

        self.work.append(run)


@attrs.define
class RecordedFile:
    """A file that only notes what it is given."""

    written: list[bytes] = attrs.field(factory=list)
    closed: int = 0
    fault: DiskError | None = None

    def write(self, lines: Sequence[bytes]) -> None:
        if self.fault is not None:
            raise self.fault
        self.written += lines

    def close(self) -> None:
        self.closed += 1


@attrs.define
class Setup:
    """A writer that runs."""

    file: RecordedFile = attrs.field(factory=RecordedFile)
    reactor: SlowThreads = attrs.field(factory=SlowThreads)
    writer: LineWriter = attrs.field(init=False)

    def __attrs_post_init__(self) -> None:
        file: Any = self.file
        self.writer = LineWriter(file, self.reactor)
        self.writer.startService()

    def threads(self) -> None:
        work, self.reactor.work = self.reactor.work, []
        for each in work:
            each()


@pytest.fixture
def setup() -> Setup:
    return Setup()


def test_once_a_second(setup: Setup) -> None:
    """What has come is written together, and nothing if nothing has come."""
    setup.reactor.advance(WRITE_SECS)
    assert setup.reactor.work == []
    for number in (1, 2):
        setup.writer.take(job(number))
    assert setup.reactor.work == []
    setup.reactor.advance(WRITE_SECS)
    setup.threads()
    assert setup.file.written == [line_of(job(1)), line_of(job(2))]


def test_a_dead_disk(setup: Setup) -> None:
    """While the disk does not answer, records wait; those beyond the queue are dropped and counted."""
    setup.writer.take(job(1))
    setup.reactor.advance(WRITE_SECS)
    for _ in range(MOST_WAITING + 7):
        setup.writer.take(job(2))
    setup.reactor.advance(10 * WRITE_SECS)
    assert (len(setup.reactor.work), setup.writer.dropped) == (1, 7)
    setup.threads()
    setup.reactor.advance(WRITE_SECS)
    setup.threads()
    assert len(setup.file.written) == 1 + MOST_WAITING


def test_a_full_disk(setup: Setup) -> None:
    """What a disk does not take is counted, with one line in the log; later records are written."""
    setup.file.fault = DiskError("the disk of /x: No space left")
    with capturedLogs() as events:
        for _ in range(3):
            setup.writer.take(job(1))
            setup.reactor.advance(WRITE_SECS)
            setup.threads()
    assert (setup.writer.dropped, len(events)) == (3, 1)
    setup.file.fault = None
    setup.writer.take(job(2))
    setup.reactor.advance(WRITE_SECS)
    setup.threads()
    assert setup.file.written == [line_of(job(2))]


def test_reopened(setup: Setup) -> None:
    """SIGHUP closes the file in the thread, with the next write."""
    setup.writer.reopen()
    assert setup.file.closed == 0
    setup.reactor.advance(WRITE_SECS)
    setup.threads()
    assert setup.file.closed == 1


def stopped(setup: Setup) -> Deferred[None]:
    return setup.writer.stopService()


def test_at_the_end(setup: Setup) -> None:
    """What waits is written before the role ends, also what came while the disk was at work."""
    setup.writer.take(job(1))
    setup.reactor.advance(WRITE_SECS)
    setup.writer.take(job(2))
    ending = stopped(setup)
    assert pending(ending)
    setup.threads()
    setup.threads()
    outcome(ending)
    assert setup.file.written == [line_of(job(1)), line_of(job(2))]


def test_a_dead_disk_at_the_end(setup: Setup) -> None:
    """A disk that does not answer holds the end up for some seconds and no longer."""
    setup.writer.take(job(1))
    ending = stopped(setup)
    setup.reactor.advance(STOP_SECS)
    outcome(ending)


def test_a_real_file(tmp_path: Path) -> None:
    """The whole way."""
    reactor = SlowThreads()
    writer = LineWriter(LineFile(tmp_path / "jobs.jsonl", 10_000, 1), reactor)
    writer.startService()
    writer.take(job(1))
    reactor.advance(WRITE_SECS)
    reactor.work.pop()()
    assert (tmp_path / "jobs.jsonl").read_text().count("\n") == 1
