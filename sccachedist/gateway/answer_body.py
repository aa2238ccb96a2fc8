"""Receives a worker's answer: its head in memory, and the result, too, if it is small, or to a file beside the inputs'.

The inputs stay as they are until the answer is whole: if it breaks off, another worker gets them. What becomes of the
job is not decided here.
"""

from collections.abc import Callable
from pathlib import Path

import attrs

from sccachedist.budgets import Budget
from sccachedist.errors import DecodeError, LimitExceeded
from sccachedist.files import NewFile
from sccachedist.web.bodies import OCTETS, require_type
from sccachedist.web.request_head import Head
from sccachedist.wire.gateway import MOST_ANSWER_HEAD, WORKER_ANSWER, Built, HeadReader, WorkerAnswer

#: An answer of so many bytes stays in memory: to make a file and to remove it takes as long as the rest of a request.
IN_MEMORY = 1 << 18


@attrs.frozen
class ReceivedAnswer:
    """A whole answer.

    :param result: the result, or the file with it, which its receiver has to remove; None if there is none.
    """

    said: WorkerAnswer
    result: bytes | Path | None


class AnswerBody:
    """Takes the body of an answer.

    :param directory: where the file is made when the first byte of a result comes.
    :param is_wanted: returns whether the answer still counts; if it does not, the rest is ignored.
    :param limit: the most bytes of a result.
    :param memory: the budget for bodies in memory; if it has no room, a small result goes to a file, too.
    :param broken: called when the body ends before it is complete, with the error, or None if the worker has gone.
    """

    def __init__(
        self,
        head: Head,
        directory: Path,
        is_wanted: Callable[[], bool],
        limit: int,
        memory: Budget,
        broken: Callable[[BaseException | None], None],
    ) -> None:
        require_type(OCTETS, head)
        length = head.length
        is_small = length is not None and length <= IN_MEMORY and memory.has_room_for(head.sender, length)
        self._memory = memory.open(head.sender, length if length is not None and is_small else 0)
        self._kept: bytearray | None = bytearray() if is_small else None
        self._directory, self._is_wanted, self._limit, self._broken = directory, is_wanted, limit, broken
        self._reader: HeadReader[WorkerAnswer] = HeadReader(WORKER_ANSWER, MOST_ANSWER_HEAD)
        self._file: NewFile | None = None
        self._size = 0
        self._is_over = False

    def write(self, chunk: bytes) -> None:
        """Read the next bytes of the head, or store those of the result."""
        if self._is_over:
            return
        result = self._reader.feed(chunk)
        self._size += len(result)
        if self._size > self._limit:
            raise LimitExceeded("outputs_bytes", f"an answer of more than {self._limit} bytes")
        if result and self._is_wanted():
            self._keep(result)

    def _keep(self, octets: bytes) -> None:
        if self._kept is not None:
            self._kept += octets
            return
        if self._file is None:
            self._file = NewFile(self._directory, suffix=".answer")
        self._file.write(octets)

    def complete(self) -> ReceivedAnswer | None:
        """Return the answer; None if it has given way to another one."""
        if self._is_over:
            return None
        said = self._reader.finish()
        if isinstance(said, Built) and not self._size:
            raise DecodeError("an answer without its result")
        self._is_over = True
        self._memory.close()
        if self._file is not None:
            self._file.close()
            return ReceivedAnswer(said, self._file.path)
        return ReceivedAnswer(said, bytes(self._kept) if self._kept else None)

    def abort(self, error: BaseException | None = None) -> None:
        """Keep nothing, unless :meth:`complete` has handed it over."""
        if not self._is_over:
            self.give_way()
            self._broken(error)

    def give_way(self) -> None:
        """Keep nothing of it, nor of what still comes: another answer has begun that is for the same job."""
        if self._is_over:
            return
        self._is_over = True
        self._memory.close()
        self._reader, self._kept = HeadReader(WORKER_ANSWER, MOST_ANSWER_HEAD), None
        if self._file is not None:
            self._file.discard()
