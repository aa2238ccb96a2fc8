"""Run one sandboxed process to its end, with what it writes bounded: synchronous, for a sandbox worker.

It tells "the sandbox did not start" from "the command ended": only a command that was executed has an exit
code. It does not know what the command is for.
"""

import contextlib
import json
import os
import selectors
import subprocess
from collections.abc import Callable
from typing import IO, cast

import attrs

from sccachedist.errors import BuildError, LimitExceeded

_CHUNK = 64 * 1024


@attrs.frozen
class Ended:
    """How a command ended, and all that it wrote."""

    exit_code: int
    stdout: bytes
    stderr: bytes


def run_sandboxed(arguments: Callable[[int], list[str]], stdio_bytes: int) -> Ended:
    """Run a bubblewrap command line; when this returns or raises, no process of the sandbox is left.

    :param arguments: makes the command line for a status descriptor.
    :param stdio_bytes: how much may come from stdout, and as much from stderr.
    :raises BuildError: the sandbox did not start, or the command could not be executed.
    :raises LimitExceeded: the command wrote too much, and was killed.
    """
    status_end, status_fd = os.pipe()
    with open(status_end, "rb", buffering=0) as status:
        try:
            process = _started(arguments(status_fd), status_fd)
        finally:
            os.close(status_fd)
        try:
            stdout, stderr = _drained(process, stdio_bytes)
            process.wait()
        except BaseException:
            process.kill()
            raise
        finally:
            _reap(process)
        return Ended(_exit_code(status.read(), stderr), stdout, stderr)


def _started(arguments: list[str], status_fd: int) -> subprocess.Popen[bytes]:
    try:
        return subprocess.Popen(
            [argument.encode() for argument in arguments],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            pass_fds=(status_fd,),
            env={},
        )
    except FileNotFoundError as error:
        raise BuildError(f"there is no {arguments[0]}: install bubblewrap or correct builder.bwrap_path") from error
    except OSError as error:
        raise BuildError(f"cannot run {arguments[0]}: {error.strerror}") from error


def _drained(process: subprocess.Popen[bytes], most: int) -> tuple[bytes, bytes]:
    """Read stdout and stderr side by side to their ends."""
    stdout, stderr = cast(IO[bytes], process.stdout), cast(IO[bytes], process.stderr)
    with stdout, stderr, selectors.DefaultSelector() as selector:
        written = {stdout.fileno(): bytearray(), stderr.fileno(): bytearray()}
        for descriptor in written:
            selector.register(descriptor, selectors.EVENT_READ)
        while selector.get_map():
            for key, _ in selector.select():
                chunk = os.read(key.fd, _CHUNK)
                if not chunk:
                    selector.unregister(key.fd)
                written[key.fd] += chunk
                if len(written[key.fd]) > most:
                    raise LimitExceeded("stdio_bytes", f"a compile wrote more than {most} bytes")
        return bytes(written[stdout.fileno()]), bytes(written[stderr.fileno()])


def _reap(process: subprocess.Popen[bytes]) -> None:
    """Wait for bubblewrap, and for the first process of its sandbox: that one is the last to end."""
    process.wait()
    with contextlib.suppress(ChildProcessError):
        while True:
            os.waitpid(-1, 0)


def _exit_code(status: bytes, stderr: bytes) -> int:
    for line in status.splitlines():
        if (code := json.loads(line).get("exit-code")) is not None:
            return int(code)
    words = stderr[-1000:].decode(errors="replace").strip()
    raise BuildError(f"the sandbox did not run the command: {words}")
