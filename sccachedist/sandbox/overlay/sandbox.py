"""Runs one command in bubblewrap, which is started before the command is known: synchronous, for a sandbox worker.

It tells "the sandbox did not start" from "the command ended": only a command that was executed has an exit
code. It does not know what the command is for.
"""

import contextlib
import json
import os
import signal
import subprocess
from collections.abc import Callable, Iterator
from typing import IO, BinaryIO, cast

import attrs

from sccachedist.errors import BuildError
from sccachedist.sandbox.overlay.init_program import failure, orders
from sccachedist.sandbox.processes import Ended, drained, feed, running
from sccachedist.wire.messages import CompileCommand

_ADVICE = "install bubblewrap or correct builder.bwrap_path"


@attrs.frozen
class Sandbox:
    """A sandbox whose first program waits for a command; it can run one command.

    :param init_fd: the descriptor of that program.
    :param status: the pipe with bubblewrap's JSON lines.
    :param report: both ends of the pipe to which that program writes an error, the reading end first.
    """

    _process: subprocess.Popen[bytes]
    _init_fd: int
    _status: BinaryIO
    _report: tuple[BinaryIO, BinaryIO]

    @property
    def alive(self) -> bool:
        """Whether it still waits: a host without memory may have killed it."""
        return self._process.poll() is None

    def run(self, command: CompileCommand, stdio_bytes: int, watch: Callable[[], None]) -> Ended:
        """Run the command to its end; no process of the sandbox is left then.

        :param stdio_bytes: the most bytes of stdout, and the most of stderr.
        :param watch: raises when the command has hit another limit; called now and then, and at the end.
        :raises BuildError: the sandbox did not start, or the command could not be executed.
        :raises LimitExceeded: the command went beyond a limit.
        """
        report, reported = self._report
        words = orders(command, reported.fileno(), self._init_fd)
        reported.close()  # else report.read() would never end
        feed(cast(IO[bytes], self._process.stdin), [words])
        stdout, stderr = drained(self._process, stdio_bytes, watch)
        ended = Ended(self._process.wait(), stdout, stderr)
        _reap()
        watch()
        if reason := failure(report.read()):
            raise BuildError(f"the sandbox did not run the command: {reason}")
        return attrs.evolve(ended, exit_code=_exit_code(self._status.read(), ended))

    def end(self) -> None:
        """Kill the sandbox if it still waits."""
        if self.alive and (told := self._status.readline()):  # no line: the sandbox has not started
            os.kill(json.loads(told)["child-pid"], signal.SIGKILL)


@contextlib.contextmanager
def sandbox(arguments: Callable[[int, int, int], list[str]], filter_fd: int, init_fd: int) -> Iterator[Sandbox]:
    """Start bubblewrap, without waiting until the sandbox is set up; when the block ends, no process of it is left.

    :param arguments: makes bubblewrap's command line for three descriptors: the status, the filter, the program.
    :param filter_fd: a file that bubblewrap reads, from its beginning.
    :param init_fd: the program of :mod:`sccachedist.sandbox.overlay.init_program`.
    :raises BuildError: there is no bubblewrap.
    """
    os.lseek(filter_fd, 0, os.SEEK_SET)
    with _pipe() as (status, given), _pipe() as report:
        fds = given.fileno(), filter_fd, init_fd
        try:
            inherited = [*fds, report[1].fileno()]
            with running(arguments(*fds), _ADVICE, environment={}, inherited=inherited) as process:
                given.close()  # else reading the status would never end
                made = Sandbox(process, init_fd, status, report)
                try:
                    yield made
                finally:
                    made.end()
        finally:
            _reap()


@contextlib.contextmanager
def _pipe() -> Iterator[tuple[BinaryIO, BinaryIO]]:
    """Open a pipe: the end to read from, then the end to write to."""
    reader, writer = os.pipe()
    with open(reader, "rb", buffering=0) as to_read, open(writer, "wb", buffering=0) as to_write:
        yield to_read, to_write


def _reap() -> None:
    """Wait for all children, so for the sandbox's first process, which is its last to end."""
    with contextlib.suppress(ChildProcessError):
        while True:
            os.waitpid(-1, 0)


def _exit_code(status: bytes, ended: Ended) -> int:
    for line in status.splitlines():
        if (code := json.loads(line).get("exit-code")) is not None:
            return int(code)
    raise BuildError(f"the sandbox did not run the command: {ended.last_words}")
