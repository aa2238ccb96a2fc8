"""The body of ``run_job``: a big endian ``u32``, as many bytes of bincode, then the inputs to the end.

Takes the body in whatever pieces it comes. What the inputs hold is not looked at.
"""

from sccachedist.errors import DecodeError, LimitExceeded
from sccachedist.wire.bincode import decode, encode
from sccachedist.wire.messages import RUN_JOB_REQUEST, RunJobRequest

_PREFIX = 4


class FrameHead:
    """Separates the command at the start of a body from the inputs behind it.

    :param limit: how many bytes of bincode are taken at most.
    """

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._kept = bytearray()
        self._request: RunJobRequest | None = None

    def feed(self, chunk: bytes) -> bytes:
        """Take the next piece of the body and give back those of its bytes that belong to the inputs.

        :raises LimitExceeded: the command is too long; no byte of it is kept.
        :raises DecodeError: the command is none.
        """
        if self._request is not None:
            return chunk
        chunk = self._keep(chunk, _PREFIX)
        if len(self._kept) < _PREFIX:
            return b""
        end = _PREFIX + self._command_size()
        inputs = self._keep(chunk, end)
        if len(self._kept) == end:
            self._request = decode(RUN_JOB_REQUEST, bytes(self._kept[_PREFIX:]))
            self._kept.clear()
        return inputs

    def finish(self) -> RunJobRequest:
        """The command, when it is there or the body has ended.

        :raises DecodeError: the body ended before its command did.
        """
        if self._request is None:
            raise DecodeError("the body of run_job ends within its command")
        return self._request

    def _command_size(self) -> int:
        size = int.from_bytes(self._kept[:_PREFIX], "big")
        if size > self._limit:
            raise LimitExceeded("command_bytes", f"a compile command of {size} bytes")
        return size

    def _keep(self, chunk: bytes, end: int) -> bytes:
        """Keep bytes until there are ``end`` of them; returns the others."""
        missing = max(0, end - len(self._kept))
        self._kept += chunk[:missing]
        return chunk[missing:]


def frame(request: RunJobRequest, inputs: bytes) -> bytes:
    """A whole body, as a client sends it."""
    command = encode(RUN_JOB_REQUEST, request)
    return len(command).to_bytes(_PREFIX, "big") + command + inputs
