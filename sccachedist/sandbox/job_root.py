"""Puts toolchains and inputs into a job's root directory, and collects outputs from it: for the kinds that have one.

Synchronous. It does not know how the compile is run in between. How a path is kept inside the root is in
:mod:`sccachedist.sandbox.beneath`.
"""

import contextlib
import os
from collections.abc import Iterable, Iterator
from pathlib import Path

from sccachedist.builders.worker_protocol import Grown, RunJob, Size, Unpacked, UnpackToolchain, unheard
from sccachedist.errors import DecodeError, LimitExceeded, ToolchainError
from sccachedist.sandbox.archive.growing_archive import GrowingArchive
from sccachedist.sandbox.archive.opened import opened_inputs, opened_toolchain
from sccachedist.sandbox.archive.unpack import unpack
from sccachedist.sandbox.beneath import DIRECTORY, Root
from sccachedist.sandbox.command import directories, inside, temporary_directories
from sccachedist.sandbox.result.outputs import OutputSizes, check_outputs, returned_outputs
from sccachedist.sandbox.result.result_writer import CHUNK


@contextlib.contextmanager
def root_at(directory: str | Path) -> Iterator[Root]:
    """Open a directory as a root."""
    descriptor = os.open(directory, DIRECTORY)
    try:
        yield Root(descriptor)
    finally:
        os.close(descriptor)


def place_toolchain(
    request: UnpackToolchain, root: Root, growing: GrowingArchive | None = None, grown: Grown = unheard
) -> Unpacked:
    """Unpack a toolchain; returns what there is to say of it.

    :param growing: how much of the archive is there, during its upload.
    :param grown: called with the size so far.
    :raises ToolchainError: it is no archive that may be unpacked.
    :raises LimitExceeded: it is too large.
    """
    try:
        with opened_toolchain(request, growing) as (stream, limits):
            return unpack(stream, root, limits, grown).unpacked
    except DecodeError as error:
        raise ToolchainError(f"toolchain {request.toolchain} cannot be unpacked: {error}") from error


def place_inputs(job: RunJob, root: Root) -> Size:
    """Unpack the inputs over the toolchain, and make the directories that the compile expects; returns their size.

    :raises DecodeError: the inputs are damaged, or a path leads out of the root.
    :raises LimitExceeded: they are too many or too large.
    """
    with opened_inputs(job) as (stream, limits):
        tally = unpack(stream, root, limits)
    for directory in directories(job.command, job.outputs):
        root.make_directories(directory.encode(), made=tally.directory)
    for directory in temporary_directories(job.command):
        with contextlib.suppress(DecodeError, LimitExceeded, OSError):  # then the compiler finds what it finds
            root.make_directories(directory.encode(), made=tally.directory)
    return tally.size


def outputs_below(job: RunJob, root: Root, exit_code: int) -> Iterator[tuple[str, Iterable[bytes]]]:
    """Yield the outputs that exist; read each before the next. The job's processes have ended before.

    :raises BuildError: the compile succeeded without making a required output, or an output is no regular file.
    :raises LimitExceeded: one is too large, or all together are.
    """
    made, sizes = set(), OutputSizes(job.limits.output_bytes, job.limits.outputs_bytes)
    for output in returned_outputs(job.command, job.outputs):
        try:
            descriptor = root.open_regular(inside(job.command, output).encode())
        except FileNotFoundError:
            continue
        made.add(output)
        with open(descriptor, "rb", buffering=0) as file:
            sizes.add(output, os.fstat(descriptor).st_size)
            yield output, iter(lambda file=file: file.read(CHUNK), b"")  # type: ignore[misc]
    check_outputs(job.command, job.outputs, made, exit_code)
