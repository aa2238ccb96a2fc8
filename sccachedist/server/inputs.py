"""The body of a ``run_job``: the command is decoded as it comes, the inputs are spooled to a file.

What is in the inputs is not looked at here.
"""

import errno
import os
import tempfile
from pathlib import Path

import attrs

from sccachedist.config import Limits
from sccachedist.errors import LimitExceeded
from sccachedist.server.command_limits import check_command
from sccachedist.web.answers import prefers_json
from sccachedist.web.bodies import require_octets
from sccachedist.web.head import Head
from sccachedist.wire.frame import FrameHead
from sccachedist.wire.messages import RunJobRequest


@attrs.frozen
class ReceivedJob:
    """A whole ``run_job``: who gets it removes the file.

    :param as_json: whether its sender prefers the answer as JSON.
    """

    request: RunJobRequest
    inputs: Path
    as_json: bool


class InputsSpool:
    """Takes a ``run_job`` body.

    :param directory: where the inputs are kept.
    :raises LimitExceeded: more has been announced than is taken.
    """

    def __init__(self, head: Head, directory: Path, limits: Limits) -> None:
        require_octets(head)
        self._limits, self._as_json = limits, prefers_json(head)
        self._check((head.length or 0) - limits.command_bytes)
        self._frame = FrameHead(limits.command_bytes)
        self._size = 0
        descriptor, name = tempfile.mkstemp(dir=directory, suffix=".inputs")
        self._file, self._path = os.fdopen(descriptor, "wb", buffering=0), Path(name)

    def write(self, chunk: bytes) -> None:
        """Decode or store the next bytes."""
        inputs = self._frame.feed(chunk)
        self._size += len(inputs)
        self._check(self._size)
        if self._file.write(inputs) < len(inputs):  # the disk took a part, and would refuse the next
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    def complete(self) -> ReceivedJob:
        """The command, and the file with the inputs."""
        received = ReceivedJob(self._frame.finish(), self._path, self._as_json)
        check_command(received.request, self._limits)
        self._file.close()
        return received

    def abort(self) -> None:
        """Keep nothing, unless it was handed over."""
        if not self._file.closed:
            self._file.close()
            self._path.unlink(missing_ok=True)

    def _check(self, size: int) -> None:
        if size > self._limits.inputs_bytes:
            raise LimitExceeded("inputs_bytes", f"inputs of {size} bytes")
