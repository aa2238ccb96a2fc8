"""Keeps what administrators have taken out of service in a file, so that it outlasts a restart of the scheduler.

The file is replaced as a whole, in a thread: a scheduler that is killed leaves the old content or the new one. If the
disk fails, drains last as long as the process, and the log says so. A file that cannot be taken over is put aside, not
overwritten.
"""

import json
import os
from pathlib import Path

from twisted.application.service import Service
from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IReactorTime
from twisted.logger import LogLevel

from sccachedist.daemon.logs import Logger, QuietLog
from sccachedist.directories import lock_file
from sccachedist.errors import ConfigError, DecodeError
from sccachedist.scheduler.kept_file import InThread, read_json, replace_file, why_not
from sccachedist.scheduler.out_of_service import OutOfService
from sccachedist.waiters import Waiters

log = Logger()

#: The most bytes of a file that is read: ten thousand drains with long reasons are less.
MOST_BYTES = 32 << 20
#: Seconds for which a disk is waited for.
DISK_SECS = 5.0


class StateFile(Service):
    """The file.

    :param path: None for none: then nothing is kept.
    :param state: what it keeps; ``in_thread`` runs a function that blocks.
    """

    def __init__(self, path: Path | None, state: OutOfService, in_thread: InThread, clock: IReactorTime) -> None:
        self._path, self._state, self._in_thread, self._clock = path, state, in_thread, clock
        self._quiet_log = QuietLog(clock.seconds)
        self._lock: int | None = None
        self._is_new = self._is_writing = False
        self._written = Waiters()

    def startService(self) -> None:
        """Take over what an earlier process has kept, and keep what changes from now on.

        :raises ConfigError: another scheduler keeps its state there.
        """
        super().startService()
        if self._path is None:
            return
        try:
            directory = os.open(self._path.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
            try:
                self._lock = lock_file(directory, f"{self._path.name}.lock")
            finally:
                os.close(directory)
        except BlockingIOError as error:
            raise ConfigError(f"admin.state: {self._path} is in use by another scheduler") from error
        except OSError as error:
            self._tell_why(error)
        if self._take(self._path) and self._lock is not None:
            self._state.observe(self._changed)

    async def close(self) -> None:
        """Write what is not written yet, and let another process have the file."""
        await self.kept()
        if self._lock is not None:
            os.close(self._lock)
            self._lock = None

    async def kept(self) -> None:
        """Wait until all changes so far are in the file, or could not be written; not for ever, if the disk is dead."""
        if self._is_writing:
            await self._written.wait().addTimeout(DISK_SECS, self._clock, lambda *_: None)

    def _take(self, path: Path) -> bool:
        """Read the file; returns whether it may be replaced."""
        try:
            self._state.take(read_json(path, MOST_BYTES))
        except FileNotFoundError:
            return True
        except (DecodeError, OSError) as error:
            return self._put_aside(path, error)
        log.info("{file}: {count} drains are taken over", file=str(path), count=len(self._state.drains))
        if (pause := self._state.pause) is not None:
            form = "the farm is paused, since {by} paused it: {reason}; sccachedist resume ends that"
            log.warn(form, by=pause.by, reason=pause.reason)
        return True

    def _put_aside(self, path: Path, error: Exception) -> bool:
        why, aside = why_not(error), path.with_name(f"{path.name}.broken")
        try:
            path.rename(aside)
        except OSError as refusal:
            form = "admin.state: {file} is not taken over: {why}; it stays as it is ({refusal}), and no drain is kept"
            log.warn(form, file=str(path), why=why, refusal=why_not(refusal))
            return False
        log.warn("admin.state: {file} is not taken over: {why}; it is {aside} now", file=path, why=why, aside=aside)
        return True

    def _changed(self) -> None:
        self._is_new = True
        if not self._is_writing:
            self._is_writing = True
            Deferred.fromCoroutine(self._write()).addErrback(lambda failure: log.failure("admin.state", failure))

    async def _write(self) -> None:
        try:
            while self._is_new:
                self._is_new = False
                octets = json.dumps(self._state.to_json(), indent=1).encode()
                try:
                    await self._in_thread(replace_file, self._path, octets)
                except OSError as error:
                    self._tell_why(error)
                else:
                    self._quiet_log.forget("state")
        finally:
            self._is_writing = False
            self._written.wake()

    def _tell_why(self, error: OSError) -> None:
        form, why = "admin.state: {file} cannot be written: {reason}; drains do not outlast a restart", why_not(error)
        self._quiet_log.tell(log, LogLevel.warn, "state", form, why=why, reason=why, file=str(self._path))
