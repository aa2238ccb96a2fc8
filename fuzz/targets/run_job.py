"""The body of a ``run_job``: its frame in pieces of any size, and what a builder makes of the command in it.

The first byte is the size of the pieces.
"""

from collections.abc import Iterator
from contextlib import suppress

from sccachedist.config import ServerLimits
from sccachedist.errors import SccachedistError
from sccachedist.sandbox.beneath import components
from sccachedist.sandbox.command import check_executed, directories, env_arguments, inside
from sccachedist.sandbox.overlay.init_program import orders
from sccachedist.sandbox.result.outcome import reported_code
from sccachedist.sandbox.result.outputs import check_outputs
from sccachedist.server.command_limits import CommandCheck
from sccachedist.wire.bincode import decode
from sccachedist.wire.messages import RUN_JOB_REQUEST, RunJobRequest
from sccachedist.wire.run_job_frame import FrameHead, frame
from tests.support.exchanges import exchange

LIMIT = 4096
#: The recorded exchanges that ran a job.
_RECORDED = (6, 10, 13, 30)


def seeds() -> Iterator[bytes]:
    """What published clients sent, in pieces of several sizes."""
    for number in _RECORDED:
        for size in (1, 7, 255):
            yield bytes([size]) + exchange(number).body


def attack(data: bytes) -> None:
    """Take the body apart, whole and in pieces."""
    if not data:
        return
    size, body = data[0] or 1, data[1:]
    whole = _taken(body, len(body) or 1)
    assert whole == _taken(body, size)
    if whole is not None:
        request, inputs = whole
        assert _taken(frame(request, inputs), size) == whole
        _prepared(request)


def _taken(body: bytes, size: int) -> tuple[RunJobRequest, bytes] | None:
    head, inputs = FrameHead(LIMIT, CommandCheck(ServerLimits()).look), b""
    try:
        for start in range(0, len(body), size):
            inputs += head.feed(body[start : start + size])
        return decode(RUN_JOB_REQUEST, head.finish()), inputs
    except SccachedistError:
        return None


def _prepared(request: RunJobRequest) -> None:
    command, outputs = request.command, request.outputs
    for path in (*directories(command, outputs), *(inside(command, output) for output in outputs)):
        with suppress(SccachedistError):
            assert sum(-1 if name == b".." else 1 for name in components(path.encode())) >= 0
    with suppress(SccachedistError):
        words, told = (command.executable, *command.arguments), orders(command, 3, 4)
        assert not any("\0" in word for word in words)
        assert b"".join(word.encode() + b"\0" for word in words) in told
    with suppress(SccachedistError):
        env_arguments(command)
        check_executed(command, 127, b"env: can't execute")
    with suppress(SccachedistError):
        check_outputs(command, outputs, outputs[:1], 0)
        reported_code(1, command.cwd)
