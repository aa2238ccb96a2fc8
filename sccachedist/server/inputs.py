"""Receives the body of a ``run_job``: it checks the command as it arrives, and spools the inputs to a file.

It does not read the inputs' content. The sender is charged for every byte in memory and on the disk, until the job is
over.
"""

import os
from collections.abc import Callable
from pathlib import Path

import attrs

from sccachedist.budgets import Hold
from sccachedist.config import ServerLimits
from sccachedist.directories import clear, held
from sccachedist.disks import on_disk
from sccachedist.errors import DecodeError, LimitExceeded
from sccachedist.files import NewFile
from sccachedist.server.command_limits import CommandCheck
from sccachedist.web.bodies import OCTETS, require_type
from sccachedist.web.request_head import Head
from sccachedist.web.responses import prefers_json
from sccachedist.wire.bincode import decode
from sccachedist.wire.messages import RUN_JOB_REQUEST, RunJobRequest
from sccachedist.wire.run_job_frame import FrameHead

#: A command of more bytes and of more texts is not judged: to decode it would hold up all other requests.
JUDGED_BYTES, JUDGED_TEXTS = 128 * 1024, 8192

Judge = Callable[[RunJobRequest], None]


@attrs.frozen
class ReceivedJob:
    """A whole ``run_job``; its receiver has to remove the file.

    :param request: the command as it came, a :data:`~sccachedist.wire.messages.RUN_JOB_REQUEST` within the limits.
    :param as_json: whether the sender prefers the answer as JSON.
    :param room: the sender's charge for the file.
    """

    request: bytes
    inputs: Path
    as_json: bool
    room: Hold

    def charge_answer(self) -> int:
        """Charge the client for the answer's size instead of the inputs': both have the same file. Returns the size.

        :raises LimitExceeded: the client has too much on the disk already.
        """
        with on_disk(self.inputs.parent):
            size = os.stat(self.inputs).st_size
        more = size - self.room.amount
        if more > 0:
            self.room.grow(more)
        else:
            self.room.shrink(-more)
        return size


class InputsSpool:
    """Takes a ``run_job`` body.

    :param directory: gets the file with the inputs.
    :param memory: is charged for the command, ``room`` for the inputs; the caller that opened both closes them.
    :param given_up: called when the body ends before it is complete, with the error, see :meth:`abort`.
    :param judge: called with the command before the inputs are taken; an error that it raises refuses the job.
    :raises LimitExceeded: the announced length is too large.
    :raises DiskError: no file can be made.
    """

    def __init__(
        self,
        head: Head,
        directory: Path,
        limits: ServerLimits,
        memory: Hold,
        room: Hold,
        given_up: Callable[[BaseException | None], None],
        judge: Judge = lambda _: None,
    ) -> None:
        require_type(OCTETS, head)
        self._limited, self._judge = CommandCheck(limits), judge
        self._limits, self._as_json, self._given_up = limits, prefers_json(head), given_up
        self._check((head.length or 0) - limits.command_bytes)
        self._frame, self._memory, self._room = FrameHead(limits.command_bytes, self._look), memory, room
        self._file = NewFile(directory, suffix=".inputs")

    def write(self, chunk: bytes) -> None:
        """Check the next bytes of the command, or store those of the inputs."""
        inputs = self._frame.feed(chunk)
        if kept := len(chunk) - len(inputs):
            self._memory.grow(kept)
        if inputs:
            self._check(self._room.amount + len(inputs))
            self._room.grow(len(inputs))
            self._file.write(inputs)

    def complete(self) -> ReceivedJob:
        """Return the command, and the file with the inputs."""
        received = ReceivedJob(self._frame.finish(), self._file.path, self._as_json, self._room)
        self._file.close()
        return received

    def abort(self, error: BaseException | None = None) -> None:
        """Remove the file, unless :meth:`complete` has handed it over."""
        if not self._file.closed:
            self._file.discard()
            self._given_up(error)

    def _look(self, octets: bytearray, size: int) -> None:
        self._limited.look(octets, size)
        if len(octets) == size and (size <= JUDGED_BYTES or self._limited.texts <= JUDGED_TEXTS):
            try:
                request = decode(RUN_JOB_REQUEST, bytes(octets))
            except DecodeError:  # not UTF-8: the sandbox worker reports it
                return
            self._judge(request)

    def _check(self, size: int) -> None:
        if size > self._limits.inputs_bytes:
            raise LimitExceeded("inputs_bytes", f"inputs of {size} bytes")


def open_spool(spool: Path) -> None:
    """Make the directory for inputs and answers, and remove what an earlier process left in it."""
    clear(held(spool))
