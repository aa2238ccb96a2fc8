"""Run one command under bubblewrap to its end: synchronous, for a sandbox worker.

It tells "the sandbox did not start" from "the command ended": only a command that was executed has an exit
code. It does not know what the command is for.
"""

import contextlib
import json
import os
import subprocess
from collections.abc import Callable
from typing import BinaryIO

import attrs

from sccachedist.builders.processes import Ended, drained, running
from sccachedist.errors import BuildError

_ADVICE = "install bubblewrap or correct builder.bwrap_path"


def run_sandboxed(
    arguments: Callable[[int, int], list[str]], filter_fd: int, stdio_bytes: int, watch: Callable[[], None]
) -> Ended:
    """Run a bubblewrap command line; when this returns or raises, no process of the sandbox is left.

    :param arguments: makes the command line for a status descriptor and that of the filter.
    :param filter_fd: a file that bubblewrap reads; it may have been read before.
    :param stdio_bytes: how much may come from stdout, and as much from stderr.
    :param watch: raises when the command has hit another limit; it is asked now and then, and at the end.
    :raises BuildError: the sandbox did not start, or the command could not be executed.
    :raises LimitExceeded: the command went beyond a limit, and was killed.
    """
    status_end, status_fd = os.pipe()
    with open(status_end, "rb", buffering=0) as status, open(status_fd, "wb") as given:
        os.lseek(filter_fd, 0, os.SEEK_SET)
        ended = _run(arguments(status_fd, filter_fd), given, filter_fd, stdio_bytes, watch)
        watch()
        return attrs.evolve(ended, exit_code=_exit_code(status.read(), ended))


def _run(arguments: list[str], status: BinaryIO, filter_fd: int, stdio_bytes: int, watch: Callable[[], None]) -> Ended:
    inherited = [status.fileno(), filter_fd]
    try:
        with running(arguments, _ADVICE, stdin=subprocess.DEVNULL, environment={}, inherited=inherited) as process:
            status.close()  # its reader waits for the last one to do so
            stdout, stderr = drained(process, stdio_bytes, watch)
        return Ended(process.returncode, stdout, stderr)
    finally:
        _reap()


def _reap() -> None:
    """Wait for the first process of the sandbox: that one is the last to end."""
    with contextlib.suppress(ChildProcessError):
        while True:
            os.waitpid(-1, 0)


def _exit_code(status: bytes, ended: Ended) -> int:
    for line in status.splitlines():
        if (code := json.loads(line).get("exit-code")) is not None:
            return int(code)
    raise BuildError(f"the sandbox did not run the command: {ended.last_words}")
