"""Opens the archives of a job and of a toolchain, as the client sent them, with their limits.

What becomes of the members is not known here.
"""

import contextlib
from collections.abc import Iterator
from typing import BinaryIO

from sccachedist.builders.worker_protocol import RunJob, UnpackToolchain
from sccachedist.sandbox.archive.compression import gunzip, inflate
from sccachedist.sandbox.archive.growing_archive import GrowingArchive, GrowingFile
from sccachedist.sandbox.archive.tally import MemberLimits


@contextlib.contextmanager
def opened_toolchain(
    request: UnpackToolchain, growing: GrowingArchive | None = None
) -> Iterator[tuple[BinaryIO, MemberLimits]]:
    """Open a toolchain as a stream of tar.

    :param growing: how much of it is there, during its upload.
    """
    limits = request.limits
    with open(request.archive, "rb", buffering=0) as file:
        packed = file if growing is None else GrowingFile(file, growing)
        members = MemberLimits("toolchain_entries", limits.toolchain_entries, limits.path_bytes, limits.path_depth)
        most = limits.toolchain_unpacked_bytes
        yield gunzip(packed, "toolchain_unpacked_bytes", most, limits.compression_ratio), members


@contextlib.contextmanager
def opened_inputs(job: RunJob) -> Iterator[tuple[BinaryIO, MemberLimits]]:
    """Open the inputs of a job as a stream of tar."""
    limits = job.limits
    with open(job.inputs, "rb") as packed:
        members = MemberLimits("inputs_entries", limits.inputs_entries, limits.path_bytes, limits.path_depth)
        most = limits.inputs_unpacked_bytes
        yield inflate(packed, "inputs_unpacked_bytes", most, limits.compression_ratio), members
