"""The archives of a job and of a toolchain as they were sent, opened with the limits that they have.

What is made of what is in them is not known here.
"""

import contextlib
from collections.abc import Iterator
from typing import BinaryIO

from sccachedist.builders.arrival import Arrival, ArrivingFile
from sccachedist.builders.inflate import gunzip, inflate, unpacked_limit
from sccachedist.builders.requests import RunJob, UnpackToolchain
from sccachedist.builders.unpack import MemberLimits


@contextlib.contextmanager
def opened_toolchain(
    request: UnpackToolchain, arrival: Arrival | None = None
) -> Iterator[tuple[BinaryIO, MemberLimits]]:
    """Open a toolchain as a stream of tar.

    :param arrival: how far it has come, where it is not there yet; what may come out of it grows with it.
    """
    with open(request.archive, "rb", buffering=0) as file:

        def limit() -> tuple[str, int]:
            most = request.toolchain_unpacked_bytes
            return unpacked_limit("toolchain_unpacked_bytes", most, request.compression_ratio, file)

        packed = file if arrival is None else ArrivingFile(file, arrival)
        members = MemberLimits("toolchain_entries", request.toolchain_entries, request.path_bytes)
        yield gunzip(packed, *limit(), limit), members


@contextlib.contextmanager
def opened_inputs(job: RunJob) -> Iterator[tuple[BinaryIO, MemberLimits]]:
    """Open the inputs of a job as a stream of tar."""
    limits = job.limits
    with open(job.inputs, "rb") as packed:
        limit = unpacked_limit("inputs_unpacked_bytes", limits.inputs_unpacked_bytes, limits.compression_ratio, packed)
        yield inflate(packed, *limit), MemberLimits("inputs_entries", limits.inputs_entries, limits.path_bytes)
