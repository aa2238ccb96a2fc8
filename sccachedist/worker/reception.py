"""Takes what a gateway sends for one place: nothing, or a job and its inputs, which go to a file as they come.

It does not read the inputs' content. An error is kept, and the rest of the body thrown away, so that the gateway can be
told why the job does not run here.
"""

from collections.abc import Callable
from pathlib import Path
from typing import Self

from sccachedist.budgets import Budget, Party
from sccachedist.config import WorkerLimits
from sccachedist.errors import DecodeError, LimitExceeded, SccachedistError
from sccachedist.files import NewFile
from sccachedist.wire.gateway import WORKER_JOB, HeadReader, WorkerJob

#: Bytes of a job's head beside the client's command.
_BESIDE = 4096


class Reception:
    """Takes the body.

    :param spool: the directory for the file.
    :param disk: is charged for it, in the name of ``party``.
    :param come: called with the job as soon as it is known; an error that it raises refuses the job.
    :param refused: called once, as soon as :attr:`error` is there.
    :ivar job: the job; None if none has come.
    :ivar error: why the job cannot be run; None if it can.
    """

    def __init__(
        self,
        spool: Path,
        limits: WorkerLimits,
        disk: Budget,
        party: Party,
        come: Callable[[WorkerJob], None],
        refused: Callable[[], None],
    ) -> None:
        self._spool, self._limits, self._come, self._refused = spool, limits, come, refused
        self._head = HeadReader(WORKER_JOB, limits.command_bytes + _BESIDE)
        self._room = disk.open(party)
        self._file: NewFile | None = None
        self.job: WorkerJob | None = None
        self.error: SccachedistError | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        """Remove the file."""
        self._room.close()
        if self._file is not None:
            self._file.discard()

    def take(self, chunk: bytes) -> None:
        """Take the next piece of the body.

        :raises DecodeError: it is not what a gateway sends, so that not even the job is known.
        """
        if self.error is not None:
            return
        carried = self._head.feed(chunk)
        try:
            if self.job is None and self._head.is_whole:
                self.job = self._head.finish()
                self._come(self.job)
                self._file = NewFile(self._spool, suffix=".inputs")
            if carried and self._file is not None:
                self._store(self._file, carried)
        except SccachedistError as error:
            self.error = error
            self._refused()

    def finish(self) -> Path | None:
        """The file with the inputs; None if no job has come.

        :raises DecodeError: the body has ended within the job.
        :raises DiskError: the file cannot be closed.
        """
        if self._head.is_empty:
            return None
        self._head.finish()
        if self._file is None:
            raise DecodeError("no inputs have come")
        self._file.close()
        return self._file.path

    def _store(self, file: NewFile, octets: bytes) -> None:
        if self._room.amount + len(octets) > self._limits.inputs_bytes:
            raise LimitExceeded("inputs_bytes", f"inputs of more than {self._limits.inputs_bytes} bytes")
        self._room.grow(len(octets))
        file.write(octets)
