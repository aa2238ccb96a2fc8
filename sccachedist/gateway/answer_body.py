"""Receives a worker's answer: its head in memory, and the result to a file beside that of the inputs.

The inputs stay as they are until the answer is whole: if it breaks off, another worker gets them. What becomes of the
job is not decided here.
"""

from collections.abc import Callable
from pathlib import Path

import attrs

from sccachedist.errors import DecodeError, LimitExceeded
from sccachedist.files import NewFile
from sccachedist.web.bodies import OCTETS, require_type
from sccachedist.web.request_head import Head
from sccachedist.wire.gateway import MOST_ANSWER_HEAD, WORKER_ANSWER, Built, HeadReader, WorkerAnswer


@attrs.frozen
class ReceivedAnswer:
    """A whole answer.

    :param result: the file with the result, if there is one; its receiver has to remove it.
    """

    said: WorkerAnswer
    result: Path | None


class AnswerBody:
    """Takes the body of an answer.

    :param directory: where the file is made when the first byte of a result comes.
    :param is_wanted: returns whether the answer still counts; if it does not, the rest is ignored.
    :param limit: the most bytes of a result.
    :param broken: called when the body ends before it is complete, with the error, or None if the worker has gone.
    """

    def __init__(
        self,
        head: Head,
        directory: Path,
        is_wanted: Callable[[], bool],
        limit: int,
        broken: Callable[[BaseException | None], None],
    ) -> None:
        require_type(OCTETS, head)
        self._directory, self._is_wanted, self._limit, self._broken = directory, is_wanted, limit, broken
        self._reader: HeadReader[WorkerAnswer] = HeadReader(WORKER_ANSWER, MOST_ANSWER_HEAD)
        self._file: NewFile | None = None
        self._size = 0
        self._is_over = False

    def write(self, chunk: bytes) -> None:
        """Read the next bytes of the head, or store those of the result."""
        result = self._reader.feed(chunk)
        self._size += len(result)
        if self._size > self._limit:
            raise LimitExceeded("outputs_bytes", f"an answer of more than {self._limit} bytes")
        if result and self._is_wanted():
            if self._file is None:
                self._file = NewFile(self._directory, suffix=".answer")
            self._file.write(result)

    def complete(self) -> ReceivedAnswer:
        """Return the answer."""
        said = self._reader.finish()
        if isinstance(said, Built) and not self._size:
            raise DecodeError("an answer without its result")
        self._is_over = True
        if self._file is not None:
            self._file.close()
        return ReceivedAnswer(said, None if self._file is None else self._file.path)

    def abort(self, error: BaseException | None = None) -> None:
        """Remove the file, unless :meth:`complete` has handed it over."""
        if self._is_over:
            return
        self._is_over = True
        if self._file is not None:
            self._file.discard()
        self._broken(error)
