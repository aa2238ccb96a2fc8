"""Keeps the ids of jobs that are over in two files, so that they outlast a restart.

Each job takes 16 bytes, written before the job runs: a killed process forgets nothing. The bytes are not synced one by
one: a host that loses its power may forget what the kernel had not written yet, usually half a minute of jobs. The
client of such a job could run it again.

If the disk fails, ids are remembered as long as the process runs, and the log says so once. No file stays open: a file
open for writing would keep a failing disk from being made read-only. When an id is spent or refused is not known here:
:mod:`sccachedist.server.spent_tokens` has the rules.
"""

import os
import stat
import struct
from contextlib import suppress
from pathlib import Path

from sccachedist.daemon.logs import Logger
from sccachedist.server.spent_tokens import GENERATION_IDS, Generation, SpentJobs
from sccachedist.wire.messages import JobId

log = Logger()

#: A record: an id and when its token was issued. The first record of a file holds 0 and the mark instead.
_RECORD = struct.Struct("<QQ")


class KeptSpentJobs(SpentJobs):
    """The ids of jobs that are over, in memory and in two files.

    :param path: the file with the newer generation; that of the older one has ``.old`` at its end.
    """

    def __init__(self, path: Path) -> None:
        super().__init__()
        self._path, self._old = path, path.with_name(f"{path.name}.old")
        self._is_open = False
        self._troubled = False

    def open(self) -> None:
        """Read what an earlier process has kept, and keep ids from now on."""
        self._newer, self._older, self.mark = Generation(), Generation(), 0
        for path, generation in ((self._old, self._older), (self._path, self._newer)):
            self._read(path, generation)
        self._is_open = True
        if not self._path.exists():
            self._write(b"")

    def close(self) -> None:
        """Write no more ids."""
        self._is_open = False

    def _read(self, path: Path, generation: Generation) -> None:
        try:
            with open(_opened(path, os.O_RDONLY)[0], "rb") as file:
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

    def _turn(self) -> None:
        try:
            with suppress(FileNotFoundError):  # this generation has no file
                self._path.rename(self._old)
        except OSError as error:
            self._trouble(error)
        self._write(b"")

    def _keep(self, job_id: JobId, issued: int) -> None:
        self._write(_RECORD.pack(job_id, issued))

    def _write(self, record: bytes) -> None:
        if not self._is_open:
            return
        try:
            descriptor, size = _opened(self._path, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
            try:
                if size % _RECORD.size:  # a full disk or a kill has cut off the last record
                    os.ftruncate(descriptor, size - size % _RECORD.size)
                if size < _RECORD.size:
                    record = _RECORD.pack(0, self.mark) + record
                if os.write(descriptor, record) < len(record):
                    raise OSError("it took a part")
            finally:
                os.close(descriptor)
        except OSError as error:
            self._trouble(error)

    def _trouble(self, error: OSError) -> None:
        if not self._troubled:
            self._troubled = True
            log.warn(
                "{path}: jobs that are over are not remembered over a restart: {error}", path=self._path, error=error
            )


def _opened(path: Path, flags: int) -> tuple[int, int]:
    """Open a regular file that this user owns; anything else there is first renamed to ``.broken``.

    :returns: a descriptor, and the size of the file in bytes.
    :raises OSError: it cannot be opened.
    """
    mode = 0o600
    try:
        descriptor = os.open(path, flags | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC, mode)
    except FileNotFoundError:
        raise
    except OSError:
        pass
    else:
        found = os.fstat(descriptor)
        if stat.S_ISREG(found.st_mode) and found.st_uid == os.geteuid() and found.st_nlink == 1:
            return descriptor, found.st_size
        os.close(descriptor)
    _clear(path)
    return os.open(path, flags | os.O_NOFOLLOW | os.O_CLOEXEC, mode), 0


def _clear(path: Path) -> None:
    """Rename a file that this user did not make."""
    path.replace(path.with_name(f"{path.name}.broken"))
