"""The sandbox worker: the process that touches strangers' files, so that a network daemon need not.

A plain synchronous program, ``python -m sccachedist.builders.overlay.worker HOME``, that serves one
request after the other until its stdin ends. It is started ahead of need. It owns no state that outlives it:
killed at any moment, its processes and mounts are gone with it.
"""

import os
import sys
from typing import BinaryIO

from sccachedist.builders.overlay import namespaces
from sccachedist.builders.overlay.job import run_job
from sccachedist.builders.overlay.requests import (
    ANSWER,
    FRAME_LENGTH,
    REQUEST,
    Answer,
    Done,
    RemoveAll,
    RemoveToolchain,
    Request,
    RunJob,
    UnpackToolchain,
    failed,
    frame,
)
from sccachedist.builders.overlay.unpacked import remove_all, remove_toolchain, unpack_toolchain
from sccachedist.errors import SccachedistError
from sccachedist.wire.bincode import decode, encode


def main() -> None:
    """Set up, say so, and serve."""
    requests, answers = sys.stdin.buffer, sys.stdout.buffer
    os.umask(0o022)
    os.chdir(sys.argv[1])
    try:
        namespaces.enter()
    except SccachedistError as error:
        _send(answers, failed(error))
        return
    _send(answers, Done())
    while header := requests.read(FRAME_LENGTH.size):
        (size,) = FRAME_LENGTH.unpack(header)
        _send(answers, _serve(decode(REQUEST, requests.read(size))))


def _serve(request: Request) -> Answer:
    try:
        _perform(request)
    except (SccachedistError, OSError) as error:
        return failed(error)
    return Done()


def _perform(request: Request) -> None:
    match request:
        case RunJob():
            run_job(request)
        case UnpackToolchain():
            unpack_toolchain(request)
        case RemoveToolchain():
            remove_toolchain(request.toolchain)
        case RemoveAll():
            remove_all()


def _send(answers: BinaryIO, answer: Answer) -> None:
    answers.write(frame(encode(ANSWER, answer)))
    answers.flush()


if __name__ == "__main__":
    main()
