"""The body of ``run_job``: a big endian ``u32``, as many bytes of bincode, then the inputs to the end.

The body may come in pieces of any size. Neither the command nor the inputs are decoded here: the sandbox worker does
that, because to make the hundred thousand texts of a command would hold up all other requests.
"""

from collections.abc import Callable

from sccachedist.errors import DecodeError, LimitExceeded
from sccachedist.wire.bincode import encode
from sccachedist.wire.messages import RUN_JOB_REQUEST, RunJobRequest

_PREFIX = 4

#: Called with the part of the command that has arrived, and the bytes that it will have; raises to refuse the command.
Look = Callable[[bytearray, int], None]


class FrameHead:
    """Separates the command at the start of a body from the inputs behind it.

    :param limit: the most bytes of the command.
    :param look: checks the command while it arrives.
    """

    def __init__(self, limit: int, look: Look = lambda octets, size: None) -> None:
        self._limit, self._look = limit, look
        self._prefix = b""
        self._size: int | None = None
        self._command = bytearray()

    def feed(self, chunk: bytes) -> bytes:
        """Take the next piece of the body and return those of its bytes that belong to the inputs.

        :raises LimitExceeded: the command is too long; no byte of it is kept.
        :raises DecodeError: ``look`` finds that it is no command.
        """
        if self._size is None:
            due = _PREFIX - len(self._prefix)
            self._prefix, chunk = self._prefix + chunk[:due], chunk[due:]
            if len(self._prefix) < _PREFIX:
                return b""
            self._size = int.from_bytes(self._prefix, "big")
            if self._size > self._limit:
                raise LimitExceeded("command_bytes", f"a compile command of {self._size} bytes")
            self._look(self._command, self._size)
        missing = self._size - len(self._command)
        if missing and chunk:
            self._command += chunk[:missing]
            self._look(self._command, self._size)
        return chunk[missing:]

    def finish(self) -> bytes:
        """The encoded command, once it has arrived or the body has ended.

        :raises DecodeError: the body ended before its command did.
        """
        if self._size is None or len(self._command) < self._size:
            raise DecodeError("the body of run_job ends within its command")
        return bytes(self._command)


def frame(request: RunJobRequest, inputs: bytes) -> bytes:
    """A whole body, as a client sends it."""
    command = encode(RUN_JOB_REQUEST, request)
    return len(command).to_bytes(_PREFIX, "big") + command + inputs
