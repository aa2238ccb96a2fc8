"""What every sandbox worker does: the process that touches strangers' files, so that a network daemon need not.

A plain synchronous program that serves one request after the other until its stdin ends. It is started ahead of
need. What it does to serve them is known to its kind of sandbox.
"""

import os
import sys
from typing import BinaryIO, Protocol

from sccachedist.builders.worker_protocol import (
    REPLY,
    REQUEST,
    Done,
    FollowToolchain,
    Growing,
    Grown,
    RemoveAll,
    RemoveSandbox,
    RemoveToolchain,
    Reply,
    Request,
    RunJob,
    Size,
    Sweep,
    UnpackToolchain,
    failed,
    frame,
    read_frame,
)
from sccachedist.errors import SccachedistError
from sccachedist.sandbox.archive.growing_archive import GrowingArchive
from sccachedist.wire.bincode import decode, encode


class Sandboxes(Protocol):
    """A kind of sandbox. Each method raises :class:`SccachedistError` or ``OSError`` when it cannot do its work."""

    def set_up(self) -> None:
        """Prepare this process."""

    def run_job(self, job: RunJob) -> None:
        """Run a compile in a sandbox and write its answer."""

    def tidy(self) -> None:
        """Remove what served the last request, after its answer."""

    def unpack_toolchain(self, request: UnpackToolchain, grown: Grown) -> Size:
        """Make of an archive what jobs can use; nothing of it is there yet.

        :param grown: told now and then what it takes by then; what it takes in the end comes back.
        """

    def follow_toolchain(self, request: UnpackToolchain, growing: GrowingArchive, grown: Grown) -> Size:
        """The same with one that comes in, where this can be done: it gets its name when it is whole."""

    def remove_toolchain(self, toolchain: str) -> None:
        """Remove what was made of an archive, or begun; no job uses it."""

    def remove_sandbox(self, sandbox: str) -> None:
        """Remove what is left of a job, if anything is."""

    def remove_all(self) -> None:
        """Remove everything that was ever made, and nothing else."""

    def sweep(self) -> None:
        """Give back what the disk still holds of what was removed; this may take long."""


def serve(sandboxes: Sandboxes) -> None:
    """Set up, say so, and serve."""
    requests, answers = sys.stdin.buffer, sys.stdout.buffer
    os.umask(0o022)
    os.setsid()  # to be killed with all that it starts
    try:
        sandboxes.set_up()
    except (SccachedistError, OSError) as error:
        _send(answers, failed(error))
        return
    _send(answers, Done())
    while (request := read_frame(requests)) is not None:
        _send(answers, _serve(sandboxes, decode(REQUEST, request), requests, answers))
        sandboxes.tidy()


def _serve(sandboxes: Sandboxes, request: Request, more: BinaryIO, answers: BinaryIO) -> Reply:
    def grown(size: Size) -> None:
        _send(answers, Growing(size))

    try:
        return Done(_perform(sandboxes, request, more, grown) or Size())
    except (SccachedistError, OSError) as error:
        return failed(error)


def _perform(sandboxes: Sandboxes, request: Request, more: BinaryIO, grown: Grown) -> Size | None:
    match request:
        case RunJob():
            sandboxes.run_job(request)
        case UnpackToolchain():
            return sandboxes.unpack_toolchain(request, grown)
        case FollowToolchain():
            return sandboxes.follow_toolchain(request.unpacking, GrowingArchive(more), grown)
        case RemoveToolchain():
            sandboxes.remove_toolchain(request.toolchain)
        case RemoveSandbox():
            sandboxes.remove_sandbox(request.sandbox)
        case RemoveAll():
            sandboxes.remove_all()
        case Sweep():
            sandboxes.sweep()
    return None


def _send(answers: BinaryIO, answer: Reply) -> None:
    answers.write(frame(encode(REPLY, answer)))
    answers.flush()
