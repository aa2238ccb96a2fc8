"""Run one command under bubblewrap to its end: synchronous, for a sandbox worker.

It tells "the sandbox did not start" from "the command ended": only a command that was executed has an exit
code. It does not know what the command is for.
"""

import contextlib
import json
import os
import signal
import subprocess
from collections.abc import Callable, Iterator
from typing import BinaryIO

import attrs

from sccachedist.builders.processes import Ended, drained, running
from sccachedist.errors import BuildError

_ADVICE = "install bubblewrap or correct builder.bwrap_path"


def run_sandboxed(
    arguments: Callable[[int, int, int], list[str]],
    filter_fd: int,
    stdio_bytes: int,
    prepare: Callable[[], None],
    watch: Callable[[], None],
) -> Ended:
    """Run a bubblewrap command line; when this returns or raises, no process of the sandbox is left.

    :param arguments: makes the command line for a descriptor that holds the command back, one for the status, and that
        of the filter.
    :param filter_fd: a file that bubblewrap reads; it may have been read before.
    :param stdio_bytes: how much may come from stdout, and as much from stderr.
    :param prepare: what has to be done before the command begins, while the sandbox starts.
    :param watch: raises when the command has hit another limit; it is asked now and then, and at the end.
    :raises BuildError: the sandbox did not start, or the command could not be executed.
    :raises LimitExceeded: the command went beyond a limit, and was killed.
    """
    os.lseek(filter_fd, 0, os.SEEK_SET)
    with _pipe() as (blocked, block), _pipe() as (status, given):
        inherited = [blocked.fileno(), given.fileno(), filter_fd]
        try:
            with running(
                arguments(*inherited), _ADVICE, stdin=subprocess.DEVNULL, environment={}, inherited=inherited
            ) as process:
                blocked.close()
                given.close()  # its reader waits for the last one to do so
                _prepare(prepare, status)
                block.close()
                stdout, stderr = drained(process, stdio_bytes, watch)
            ended = Ended(process.returncode, stdout, stderr)
        finally:
            _reap()
        watch()
        return attrs.evolve(ended, exit_code=_exit_code(status.read(), ended))


@contextlib.contextmanager
def _pipe() -> Iterator[tuple[BinaryIO, BinaryIO]]:
    """A pipe's end to read from and its end to write to."""
    reader, writer = os.pipe()
    with open(reader, "rb", buffering=0) as to_read, open(writer, "wb", buffering=0) as to_write:
        yield to_read, to_write


def _prepare(prepare: Callable[[], None], status: BinaryIO) -> None:
    try:
        prepare()
    except BaseException:
        if told := status.readline():  # else it did not start
            os.kill(json.loads(told)["child-pid"], signal.SIGKILL)
        raise


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
