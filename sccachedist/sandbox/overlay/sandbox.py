"""Runs one command in bubblewrap, which is started before the command is known: synchronous, for a sandbox worker.

It tells "the sandbox did not start" from "the command ended": only a command that was executed has an exit
code. It does not know what the command is for.
"""

import contextlib
import json
import os
import resource
import signal
import socket
import subprocess
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import IO, BinaryIO, cast

import attrs

from sccachedist.errors import BuildError
from sccachedist.outcomes import SentLocal
from sccachedist.sandbox.overlay.init_program import REPORT_SIZE, ending, orders
from sccachedist.sandbox.processes import Ended, drained, feed, running
from sccachedist.wire.messages import CompileCommand

_LINES = 4096  # more bytes than bubblewrap writes to its status
_ADVICE = "install bubblewrap or correct builder.bwrap_path"


@attrs.define(eq=False)
class Sandbox:
    """A sandbox whose first program waits for a command; it can run one command.

    :param init_fd: the descriptor of that program.
    :param status: the pipe with bubblewrap's JSON lines.
    :param report: both ends of the pipe to which that program writes how the command ended, the reading end first.
    :param blocked: has an end when bubblewrap has mounted everything.
    :param finish: called with the first process then, before a command is told; an ``OSError`` forbids the command.
    """

    _process: subprocess.Popen[bytes]
    _init_fd: int
    _status: BinaryIO
    _report: tuple[BinaryIO, BinaryIO]
    _blocked: socket.socket
    _finish: Callable[[int], None]
    _said: bytes = attrs.field(default=b"", init=False)
    _is_finished: bool = attrs.field(default=False, init=False)
    _is_over: bool = attrs.field(default=False, init=False)

    @property
    def alive(self) -> bool:
        """Whether it still waits: a host without memory may have killed it."""
        return self._process.poll() is None

    def finish(self) -> None:
        """Wait until the sandbox is set up.

        :raises OSError: it is not, and no command can run in it.
        """
        if not self._is_finished:
            self._blocked.recv(1)
            self._finish(self._first_process())
            self._is_finished = True

    def run(
        self,
        command: CompileCommand,
        stdio_bytes: int,
        watch: Callable[[], None],
        ended: Callable[[resource.struct_rusage], None],
    ) -> Ended:
        """Run the command to its end; no process of it is left then, nor after an error.

        What is left then of the sandbox, its first process and bubblewrap, has nothing more to do than to end. They
        are waited for when the block of :func:`sandbox` ends, for they take their time.

        :param stdio_bytes: the most bytes of stdout, and the most of stderr.
        :param watch: raises when the command has hit another limit; called now and then, and at the end.
        :param ended: called with what the command took. Of one that was killed, that includes what the sandbox took:
            bubblewrap waits for the first process of the sandbox, which waits for all others.
        :raises BuildError: the sandbox did not start, or the command could not be executed.
        :raises LimitExceeded: the command went beyond a limit.
        """
        report, reported = self._report
        words = orders(command, reported.fileno(), self._init_fd)
        refused: OSError | None = None
        try:
            self.finish()
        except OSError as error:
            words, refused = b"", error  # the first process then ends without a command
        reported.close()  # else report.read() would never end
        feed(cast(IO[bytes], self._process.stdin), [words])
        try:
            stdout, stderr = drained(self._process, stdio_bytes, watch, report)
            said = report.read(REPORT_SIZE)
        except BaseException:
            self._end_command()
            self._wait(ended)
            raise
        if said:
            end = ending(said)
            self._is_over = True
            ended(end.used)
            watch()
            if end.failure:
                raise BuildError(SentLocal.NOT_EXECUTED, f"the sandbox did not run the command: {end.failure}")
            return Ended(end.exit_code, stdout, stderr)
        self._wait(ended)
        watch()
        if refused is not None:
            text = Ended(0, stdout, stderr).last_words or refused
            raise BuildError(SentLocal.SANDBOX, f"the sandbox did not run the command: {text}") from refused
        return _with_exit_code(self._said + self._status.read(), Ended(self._process.returncode, stdout, stderr))

    def end(self) -> None:
        """Kill the sandbox if it still waits."""
        if not self._is_over and self.alive and (first := self._first_process()):
            _kill([first])

    def _wait(self, ended: Callable[[resource.struct_rusage], None]) -> None:
        """Wait until nothing of the sandbox is left."""
        for pid, status, used in _waited():
            if pid == self._process.pid:
                self._process.returncode = os.waitstatus_to_exitcode(status)
            ended(used)

    def _end_command(self) -> None:
        """Kill the command. The first process then ends what is left, and what all of them took is counted.

        If there is no command, or the kernel does not name it, kill the first process itself.
        """
        if first := self._first_process():
            children: list[int] = []
            with contextlib.suppress(OSError):
                children = [*map(int, Path(f"/proc/{first}/task/{first}/children").read_text().split())]
            _kill(children or [first])

    def _first_process(self) -> int:
        """Return the id of the first process, which waits or has run the command; 0 if the sandbox did not start."""
        while b"\n" not in self._said and (more := self._status.read(_LINES)):
            self._said += more
        line, ended, _ = self._said.partition(b"\n")
        return int(json.loads(line)["child-pid"]) if ended else 0


@contextlib.contextmanager
def sandbox(
    arguments: Callable[[int, int, int, int], list[str]], filter_fd: int, init_fd: int, finish: Callable[[int], None]
) -> Iterator[Sandbox]:
    """Start bubblewrap, without waiting until the sandbox is set up; when the block ends, no process of it is left.

    :param arguments: makes bubblewrap's command line for four descriptors: the status, one that it reads a byte from
        and closes when everything is mounted, the filter, the program.
    :param filter_fd: a file that bubblewrap reads, from its beginning.
    :param init_fd: the program of :mod:`sccachedist.sandbox.overlay.init_program`.
    :param finish: completes the sandbox from outside, see :class:`Sandbox`.
    :raises BuildError: there is no bubblewrap.
    """
    os.lseek(filter_fd, 0, os.SEEK_SET)
    with _pipe() as (status, given), _pipe() as report, _blocking() as (blocked, block):
        fds = given.fileno(), block.fileno(), filter_fd, init_fd
        try:
            inherited = [*fds, report[1].fileno()]
            with running(arguments(*fds), _ADVICE, environment={}, inherited=inherited) as process:
                for each in (given, block):  # else reading from the other end would never end
                    each.close()
                made = Sandbox(process, init_fd, status, report, blocked, finish)
                try:
                    yield made
                finally:
                    made.end()
        finally:
            for _ in _waited():
                pass


@contextlib.contextmanager
def _pipe() -> Iterator[tuple[BinaryIO, BinaryIO]]:
    """Open a pipe: the end to read from, then the end to write to."""
    reader, writer = os.pipe()
    with open(reader, "rb", buffering=0) as to_read, open(writer, "wb", buffering=0) as to_write:
        yield to_read, to_write


@contextlib.contextmanager
def _blocking() -> Iterator[tuple[socket.socket, socket.socket]]:
    """Open a pair of sockets; a byte waits at the second one."""
    ours, theirs = socket.socketpair()
    with ours, theirs:
        ours.send(b"\0")
        yield ours, theirs


def _kill(pids: Iterable[int]) -> None:
    for pid in pids:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)


def _waited() -> Iterator[tuple[int, int, resource.struct_rusage]]:
    """Wait for all children, so for the sandbox's first process, which is its last to end; yield what wait4 says."""
    with contextlib.suppress(ChildProcessError):
        while True:
            yield os.wait4(-1, 0)


def _with_exit_code(status: bytes, ended: Ended) -> Ended:
    for line in status.splitlines():
        if (code := json.loads(line).get("exit-code")) is not None:
            return attrs.evolve(ended, exit_code=int(code))
    raise BuildError(SentLocal.SANDBOX, f"the sandbox did not run the command: {ended.last_words}")
