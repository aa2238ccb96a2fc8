"""The loop of every sandbox worker: the process that opens clients' files, so that the network daemon need not.

A plain synchronous program that serves one request after the other until its stdin ends. The daemon starts it before
there is work. How a request is served, only the kind of sandbox knows: a :class:`Sandboxes`.
"""

import os
import sys
from typing import BinaryIO, Protocol

import attrs

from sccachedist.builders.worker_protocol import (
    REPLY,
    REQUEST,
    Done,
    Failed,
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
    Unpacked,
    UnpackToolchain,
    failed,
    frame,
    read_frame,
)
from sccachedist.errors import SccachedistError
from sccachedist.sandbox.archive.growing_archive import GrowingArchive
from sccachedist.sandbox.meter import Meter
from sccachedist.wire.bincode import decode, encode


class Sandboxes(Protocol):
    """A kind of sandbox. Each method raises :class:`SccachedistError` or ``OSError`` when it cannot do its work."""

    def set_up(self) -> None:
        """Prepare this process, before its first request."""

    def run_job(self, job: RunJob, meter: Meter) -> None:
        """Run a compile in a sandbox and write its answer; the meter is told of each phase and of all that was used."""

    def tidy(self) -> None:
        """Clean up after a request, once its answer is sent."""

    def unpack_toolchain(self, request: UnpackToolchain, grown: Grown) -> Unpacked:
        """Unpack an archive for jobs; returns what was unpacked. Nothing of it was there before.

        :param grown: called now and then with the size so far.
        """

    def follow_toolchain(self, request: UnpackToolchain, growing: GrowingArchive, grown: Grown) -> Unpacked:
        """Unpack an archive during its upload, if this kind can; jobs can use it only when it is whole."""

    def remove_toolchain(self, toolchain: str) -> None:
        """Remove an unpacked toolchain, or what is there of it; no job uses it."""

    def remove_sandbox(self, sandbox: str) -> None:
        """Remove what a job has left, if anything."""

    def remove_all(self) -> None:
        """Have what this kind ever made be in no way of what it makes from now on; quick, also where that is much."""

    def sweep(self) -> None:
        """Remove for good what was removed, or was there before :meth:`remove_all`; this may take long."""


def serve(sandboxes: Sandboxes) -> None:
    """Set up, send a first answer, and serve requests until stdin ends."""
    requests, answers = sys.stdin.buffer, sys.stdout.buffer
    os.umask(0o022)
    os.setsid()  # the daemon kills this group, so all that the worker starts ends with it
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

    meter = Meter()
    try:
        unpacked = _perform(sandboxes, request, meter, more, grown)
        reply: Done | Failed = Done() if unpacked is None else Done(unpacked.size, machine=unpacked.machine)
    except (SccachedistError, OSError) as error:
        reply = failed(error)
    return attrs.evolve(reply, usage=meter.usage()) if isinstance(request, RunJob) else reply


def _perform(sandboxes: Sandboxes, request: Request, meter: Meter, more: BinaryIO, grown: Grown) -> Unpacked | None:
    match request:
        case RunJob():
            sandboxes.run_job(request, meter)
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
