"""The archives of a job and of a toolchain as they were sent, opened with the limits that they have.

What is made of what is in them is not known here.
"""

import contextlib
from collections.abc import Iterator
from typing import BinaryIO

from sccachedist.builders.inflate import gunzip, inflate, unpacked_limit
from sccachedist.builders.requests import RunJob, UnpackToolchain
from sccachedist.builders.unpack import MemberLimits


@contextlib.contextmanager
def opened_toolchain(request: UnpackToolchain) -> Iterator[tuple[BinaryIO, MemberLimits]]:
    """Open a toolchain as a stream of tar."""
    with open(request.archive, "rb") as packed:
        limit = unpacked_limit(
            "toolchain_unpacked_bytes", request.toolchain_unpacked_bytes, request.compression_ratio, packed
        )
        members = MemberLimits("toolchain_entries", request.toolchain_entries, request.path_bytes)
        yield gunzip(packed, *limit), members


@contextlib.contextmanager
def opened_inputs(job: RunJob) -> Iterator[tuple[BinaryIO, MemberLimits]]:
    """Open the inputs of a job as a stream of tar."""
    limits = job.limits
    with open(job.inputs, "rb") as packed:
        limit = unpacked_limit("inputs_unpacked_bytes", limits.inputs_unpacked_bytes, limits.compression_ratio, packed)
        yield inflate(packed, *limit), MemberLimits("inputs_entries", limits.inputs_entries, limits.path_bytes)
