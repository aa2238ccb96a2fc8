"""Brings records to their file, once a second and in a thread: no request waits for a disk, be it full or dead.

A record becomes its line when it comes: all of them at once, in a thread, would keep the interpreter from the reactor
for as long as they take together. What does not fit into the queue, or is not taken by the disk, is dropped and
counted.
"""

from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.threads import deferToThreadPool
from twisted.logger import LogLevel

from sccachedist.config import RecordFileSettings
from sccachedist.daemon.logs import Logger, QuietLog
from sccachedist.daemon.periodic import PeriodicService
from sccachedist.errors import DiskError
from sccachedist.records.lines import LineFile, line_of
from sccachedist.records.ring import Entry
from sccachedist.waiters import Waiters

log = Logger()

#: Seconds between two writes, and the records that may wait for one.
WRITE_SECS, MOST_WAITING = 1.0, 10_000
#: Seconds that a role waits at its end for the last write.
STOP_SECS = 5.0


class LineWriter(PeriodicService):
    """Takes records for a file, if there is one.

    :ivar dropped: how many were not written.
    """

    def __init__(self, file: LineFile | None, reactor: Any) -> None:
        super().__init__(WRITE_SECS, self.write, reactor)
        self._file, self._reactor, self._quiet_log = file, reactor, QuietLog(reactor.seconds)
        self._waiting: list[bytes] = []
        self._left: list[LineFile] = []
        self._is_busy = False
        self._over = Waiters()
        self.dropped = 0

    def take(self, entry: Entry) -> None:
        """Take a record, if there is room for it."""
        if len(self._waiting) < MOST_WAITING:
            self._waiting.append(line_of(entry))
        else:
            self.dropped += 1

    def reopen(self) -> None:
        """Open the file by its name again, with the next write."""
        if self._file is not None:
            self._left.append(self._file)

    def use(self, settings: RecordFileSettings) -> None:
        """Write to the file that these settings name, if they name one: also what waits."""
        self.reopen()
        self._file = _file_of(settings)
        if self._file is None:
            self.dropped += len(self._waiting)
            self._waiting.clear()

    def write(self) -> None:
        """Write what waits, unless the disk is still at work."""
        if not self._is_busy and (self._waiting or self._left):
            self._is_busy = True
            Deferred.fromCoroutine(self._write()).addErrback(lambda failure: log.failure("records", failure))

    def stopService(self) -> Deferred[None]:  # type: ignore[override]
        """Write what waits, and stop; not for ever, if the disk does not answer."""
        super().stopService()
        return Deferred.fromCoroutine(self._finish())

    async def _finish(self) -> None:
        for _ in range(2):  # what is written now, and what has come since
            self.write()
            if self._is_busy:
                await self._over.wait().addTimeout(STOP_SECS, self._reactor, lambda *_: None)
            if self._is_busy:  # the disk does not answer
                return

    async def _write(self) -> None:
        lines, self._waiting = self._waiting, []
        left, self._left = self._left, []
        try:
            await deferToThreadPool(self._reactor, self._reactor.getThreadPool(), _work, self._file, lines, left)
            self._quiet_log.forget("records")
        except DiskError as error:
            self.dropped += len(lines)
            form = "{count} records are not written: {error}"
            self._quiet_log.tell(
                log, LogLevel.warn, "records", form, why=str(error), count=len(lines), error=str(error)
            )
        finally:
            self._is_busy = False
            self._over.wake()


def _work(file: LineFile | None, lines: list[bytes], left: list[LineFile]) -> None:
    for each in left:
        each.close()
    if file is not None and lines:
        file.write(lines)


def record_writer(settings: RecordFileSettings, reactor: Any) -> LineWriter:
    """What writes records to the file that the configuration names, if it names one."""
    return LineWriter(_file_of(settings), reactor)


def _file_of(settings: RecordFileSettings) -> LineFile | None:
    if settings.file is None:
        return None
    return LineFile(settings.file, settings.rotate_bytes, settings.keep_files)
