"""The archives of a job and of a toolchain as they were sent, opened with the limits that they have.

What is made of what is in them is not known here.
"""

import contextlib
from collections.abc import Iterator
from typing import BinaryIO

from sccachedist.builders.arrival import Arrival, ArrivingFile
from sccachedist.builders.inflate import gunzip, inflate
from sccachedist.builders.requests import RunJob, UnpackToolchain
from sccachedist.builders.tally import MemberLimits


@contextlib.contextmanager
def opened_toolchain(
    request: UnpackToolchain, arrival: Arrival | None = None
) -> Iterator[tuple[BinaryIO, MemberLimits]]:
    """Open a toolchain as a stream of tar.

    :param arrival: how far it has come, where it is not there yet.
    """
    with open(request.archive, "rb", buffering=0) as file:
        packed = file if arrival is None else ArrivingFile(file, arrival)
        members = MemberLimits("toolchain_entries", request.toolchain_entries, request.path_bytes, request.path_depth)
        most = request.toolchain_unpacked_bytes
        yield gunzip(packed, "toolchain_unpacked_bytes", most, request.compression_ratio), members


@contextlib.contextmanager
def opened_inputs(job: RunJob) -> Iterator[tuple[BinaryIO, MemberLimits]]:
    """Open the inputs of a job as a stream of tar."""
    limits = job.limits
    with open(job.inputs, "rb") as packed:
        members = MemberLimits("inputs_entries", limits.inputs_entries, limits.path_bytes, limits.path_depth)
        most = limits.inputs_unpacked_bytes
        yield inflate(packed, "inputs_unpacked_bytes", most, limits.compression_ratio), members
