"""The jobs that are over, kept in two files that outlast a restart.

They take 16 bytes for each job, before the job runs: a process that is killed has forgotten nothing. The bytes are not
brought to the disk one by one; a machine that loses its power may forget what the kernel had not written yet, half a
minute of jobs as a rule, and such a job could be run again by its own client.

What the disk does not take is remembered as long as the process lasts, and the log says so once.
"""

import os
import stat
import struct
from contextlib import suppress
from pathlib import Path

from sccachedist.logs import Logger
from sccachedist.server.spent import GENERATION_IDS, Generation, SpentJobs
from sccachedist.wire.messages import JobId

log = Logger()

#: A record: an id and when its token was issued. The first record of a file has the mark instead.
_RECORD = struct.Struct("<QQ")


class KeptSpentJobs(SpentJobs):
    """The ids of jobs that are over, in memory and in two files.

    :param path: of the file with the newer generation; the older one's ends in ``.old``.
    """

    def __init__(self, path: Path) -> None:
        super().__init__()
        self._path, self._old = path, path.with_name(f"{path.name}.old")
        self._file: int | None = None
        self._troubled = False

    def open(self) -> None:
        """Read what an earlier process has kept, and go on from there."""
        self.close()
        self._newer, self._older, self.mark = Generation(), Generation(), 0
        for path, generation in ((self._old, self._older), (self._path, self._newer)):
            self._read(path, generation)
        self._append_to(self._path)

    def close(self) -> None:
        """Keep nothing more."""
        if self._file is not None:
            os.close(self._file)
            self._file = None

    def _read(self, path: Path, generation: Generation) -> None:
        try:
            with open(_opened(path, os.O_RDONLY), "rb") as file:
                content = file.read((GENERATION_IDS + 1) * _RECORD.size)
        except FileNotFoundError:
            return
        except OSError as error:
            self._trouble(error)
            return
        records = _RECORD.iter_unpack(content[: len(content) // _RECORD.size * _RECORD.size])
        _, mark = next(records, (0, 0))
        self.mark = max(self.mark, mark)
        for job_id, issued in records:
            generation.add(JobId(job_id), issued)

    def _append_to(self, path: Path) -> None:
        try:
            self._file = _opened(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
            size = os.fstat(self._file).st_size
            if size % _RECORD.size:  # the last record of an earlier process was cut off
                os.ftruncate(self._file, size - size % _RECORD.size)
            if size < _RECORD.size:
                self._write(0, self.mark)
        except OSError as error:
            self._trouble(error)

    def _turn(self) -> None:
        self.close()
        try:
            self._path.rename(self._old)
        except OSError as error:
            self._trouble(error)
        self._append_to(self._path)

    def _keep(self, job_id: JobId, issued: int) -> None:
        self._write(job_id, issued)

    def _write(self, first: int, second: int) -> None:
        if self._file is None:
            return
        try:
            if os.write(self._file, _RECORD.pack(first, second)) < _RECORD.size:
                raise OSError("it took a part")
        except OSError as error:
            with suppress(OSError):
                size = os.fstat(self._file).st_size
                os.ftruncate(self._file, size - size % _RECORD.size)
            self._trouble(error)

    def _trouble(self, error: OSError) -> None:
        if not self._troubled:
            self._troubled = True
            log.warn(
                "{path}: jobs that are over are not remembered over a restart: {error}", path=self._path, error=error
            )


def _opened(path: Path, flags: int) -> int:
    """A descriptor of a regular file of ours. What else stands there makes room for one.

    :raises OSError: it cannot be.
    """
    mode = 0o600
    try:
        descriptor = os.open(path, flags | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC, mode)
    except FileNotFoundError:
        raise
    except OSError:
        _clear(path)
        return os.open(path, flags | os.O_NOFOLLOW | os.O_CLOEXEC, mode)
    found = os.fstat(descriptor)
    if stat.S_ISREG(found.st_mode) and found.st_uid == os.geteuid() and found.st_nlink == 1:
        return descriptor
    os.close(descriptor)
    _clear(path)
    return os.open(path, flags | os.O_NOFOLLOW | os.O_CLOEXEC, mode)


def _clear(path: Path) -> None:
    """Move away what is none of ours."""
    path.replace(path.with_name(f"{path.name}.broken"))
