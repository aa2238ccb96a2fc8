"""One compile from its inputs to its answer, in a sandbox worker: synchronous code.

It works in the home of its builder, a directory with the unpacked toolchains and a place to mount at.
Everything that the job makes lies in a file system of its own in memory, which is gone when this returns.
"""

import contextlib
import functools
import os
import posixpath
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

from sccachedist.builders.answer import write_answer
from sccachedist.builders.confine import Root
from sccachedist.builders.inflate import inflate
from sccachedist.builders.outcome import reported_code, required_outputs
from sccachedist.builders.overlay.bwrap import bwrap_arguments
from sccachedist.builders.overlay.namespaces import mount_overlay, scratch
from sccachedist.builders.overlay.requests import RunJob
from sccachedist.builders.overlay.sandbox import Ended, run_sandboxed
from sccachedist.builders.unpack import EntryLimit, unpack
from sccachedist.errors import BuildError, LimitExceeded
from sccachedist.wire.messages import ProcessOutput

TOOLCHAINS = "toolchains"
SCRATCH = "scratch"

_UPPER, _WORK, _ROOT, _SHARED_MEMORY = (f"{SCRATCH}/{name}" for name in ("upper", "work", "root", "shm"))


def run_job(job: RunJob) -> None:
    """Run the compile and write its answer.

    :raises BuildError: there is no result that may be shown to a user.
    :raises DecodeError: the inputs or a path are not honest.
    :raises LimitExceeded: the job is too large.
    """
    with scratch(SCRATCH, job.limits.scratch_bytes), _mounted_root(job.toolchain) as root:
        _place_inputs(job, root)
        ended = _compile(job)
        # Decided before the outputs are read: a signal has priority over what is missing.
        output = ProcessOutput(reported_code(ended.exit_code, job.command.cwd), ended.stdout, ended.stderr)
        write_answer(Path(job.answer), output, _outputs(job, root, ended.exit_code), as_json=job.as_json)


@contextlib.contextmanager
def _mounted_root(toolchain: str) -> Iterator[Root]:
    for directory in (_UPPER, _WORK, _ROOT, _SHARED_MEMORY):
        Path(directory).mkdir(mode=0o755)
    mount_overlay(_ROOT, f"{TOOLCHAINS}/{toolchain}", _UPPER, _WORK)
    descriptor = os.open(_ROOT, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        yield Root(descriptor)
    finally:
        os.close(descriptor)


def _place_inputs(job: RunJob, root: Root) -> None:
    limits = job.limits
    with open(job.inputs, "rb") as packed:
        stream = inflate(packed, "inputs_unpacked_bytes", limits.inputs_unpacked_bytes)
        unpack(stream, root, EntryLimit("inputs_entries", limits.inputs_entries))
    root.make_directories(job.command.cwd.encode())
    for output in job.outputs:
        root.make_directories(posixpath.dirname(_inside(job, output)).encode())


def _compile(job: RunJob) -> Ended:
    arguments = functools.partial(
        bwrap_arguments, job.bwrap, str(Path(_ROOT).absolute()), str(Path(_SHARED_MEMORY).absolute())
    )
    return run_sandboxed(lambda status_fd: arguments(status_fd, job.command), job.limits.stdio_bytes)


def _outputs(job: RunJob, root: Root, exit_code: int) -> Iterator[tuple[str, BinaryIO]]:
    required = required_outputs(job.command, job.outputs) if exit_code == 0 else ()
    for output in job.outputs:
        try:
            descriptor = root.open_regular(_inside(job, output).encode())
        except FileNotFoundError:
            if output in required:
                raise BuildError(f"the compiler succeeded without making {output!r}") from None
            continue
        with open(descriptor, "rb", buffering=0) as file:
            if os.fstat(descriptor).st_size > job.limits.output_bytes:
                raise LimitExceeded("output_bytes", f"the output {output!r} is too large")
            yield output, file


def _inside(job: RunJob, output: str) -> str:
    """Give an output's place in the root."""
    return posixpath.join(job.command.cwd, output)
