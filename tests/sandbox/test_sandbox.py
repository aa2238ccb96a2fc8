"""A sandbox between its start and its command, with another program in place of bubblewrap."""

import os
import struct
import sys
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import wraps
from tempfile import TemporaryFile
from typing import ParamSpec

import pytest

from sccachedist.errors import BuildError, LimitExceeded
from sccachedist.sandbox.overlay.sandbox import Sandbox, sandbox
from sccachedist.sandbox.processes import Ended
from sccachedist.wire.messages import CompileCommand

P = ParamSpec("P")
COMMAND = CompileCommand("/bin/cc", (), (), "/")

#: Says what bubblewrap would, and writes what it is told to stdout.
_PROGRAM = """
import os, sys
assert "SECRET" not in os.environ
status, block = map(int, sys.argv[1:])
os.write(status, b'{ "child-pid": ')
os.write(status, b'7 }\\n')
assert os.read(block, 1)
os.close(block)
told = sys.stdin.buffer.read()
os.write(1, b"told" if told else b"told nothing")
os.write(status, b'{ "exit-code": 3 }\\n')
"""


def _arguments(status: int, block: int, filter_fd: int, init_fd: int) -> list[str]:
    return [sys.executable, "-S", "-c", _PROGRAM, str(status), str(block)]


class Finish:
    """Notes the processes that it was called with."""

    def __init__(self, error: OSError | None = None) -> None:
        self.error, self.processes = error, list[int]()

    def __call__(self, process: int) -> None:
        self.processes.append(process)
        if self.error is not None:
            raise self.error


@contextmanager
def made(finish: Finish, arguments: Callable[[int, int, int, int], list[str]] = _arguments) -> Iterator[Sandbox]:
    with TemporaryFile() as some, sandbox(arguments, some.fileno(), some.fileno(), finish) as waiting:
        yield waiting


def run(waiting: Sandbox) -> Ended:
    return waiting.run(COMMAND, 1000, lambda: None, lambda _: None)


def in_a_process_of_its_own(test: Callable[P, None]) -> Callable[P, None]:
    """As a worker is: a sandbox waits for all children of its process, and this one may have others."""

    @wraps(test)
    def forked(*arguments: P.args, **named: P.kwargs) -> None:
        if (child := os.fork()) == 0:
            try:
                test(*arguments, **named)
            except BaseException:
                traceback.print_exc()
                os._exit(1)
            os._exit(0)
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0

    return forked


@pytest.mark.parametrize("early", [True, False])
@in_a_process_of_its_own
def test_it_is_finished_once_before_its_command(early: bool) -> None:
    """Ahead of the job, or when the job comes."""
    finish = Finish()
    with made(finish) as waiting:
        if early:
            waiting.finish()
        assert run(waiting) == Ended(3, b"told", b"")
    assert finish.processes == [7]


@in_a_process_of_its_own
def test_one_that_cannot_be_finished_gets_no_command() -> None:
    """A command that could read the kernel's secrets must not run."""
    with made(Finish(PermissionError(1, "not permitted"))) as waiting:
        with pytest.raises(OSError, match="not permitted"):
            waiting.finish()
        with pytest.raises(BuildError, match="told nothing"):
            run(waiting)


@in_a_process_of_its_own
def test_one_that_ends_at_once() -> None:
    """Its last words say why."""

    def arguments(*_: int) -> list[str]:
        return ["/bin/sh", "-c", "echo no user namespaces >&2"]

    finish = Finish()
    with (
        TemporaryFile() as some,
        sandbox(arguments, some.fileno(), some.fileno(), finish) as waiting,
        pytest.raises(BuildError, match="no user namespaces"),
    ):
        run(waiting)


#: Says how its command ended, and lasts until its output is closed: a sandbox whose own end takes its time.
_SLOW_END = """
import os, select, sys
status, block, *report = map(int, sys.argv[1:])
os.write(status, b'{ "child-pid": %d }\\n' % os.getpid())
os.read(block, 1)
os.close(block)
told = sys.stdin.buffer.read()
os.write(1, b"out")
os.write(2, b"err")
os.write(int.from_bytes(told[:8], sys.byteorder), bytes(report))
closed = select.poll()
closed.register(1, 0)
closed.poll()
"""


def says(report: bytes) -> Callable[[int, int, int, int], list[str]]:
    def arguments(status: int, block: int, filter_fd: int, init_fd: int) -> list[str]:
        return [sys.executable, "-S", "-c", _SLOW_END, *map(str, (status, block, *report))]

    return arguments


def report_of(result: int) -> bytes:
    return struct.pack("=19q", result, 2, *[0] * 17)


@in_a_process_of_its_own
def test_its_own_end_is_not_waited_for() -> None:
    """A client waits for what its command gave, and not for what is left of the sandbox, which ends by itself."""
    took: list[float] = []
    with made(Finish(), says(report_of(3))) as waiting:
        ended = waiting.run(COMMAND, 1000, lambda: None, lambda used: took.append(used.ru_utime))
        assert waiting.alive
    assert (ended, took, waiting.alive) == (Ended(3, b"out", b"err"), [2.0], False)


@pytest.mark.parametrize(
    ("report", "why"), [(report_of(-2), "No such file or directory"), (b"none", "said what it cannot say")]
)
@in_a_process_of_its_own
def test_a_command_that_could_not_run(report: bytes, why: str) -> None:
    """Why it could not, in place of an exit code."""
    with made(Finish(), says(report)) as waiting, pytest.raises(BuildError, match=why):
        run(waiting)


@in_a_process_of_its_own
def test_too_much_output_before_the_end() -> None:
    """It counts, though the command has ended."""
    with made(Finish(), says(report_of(0))) as waiting, pytest.raises(LimitExceeded):
        waiting.run(COMMAND, 2, lambda: None, lambda _: None)


@in_a_process_of_its_own
def test_nothing_of_the_daemons_environment() -> None:
    """A job can read the environment of its first process: that has nothing of the daemon's."""
    os.environ["SECRET"] = "of the daemon"
    with made(Finish()) as waiting:
        assert run(waiting).exit_code == 3
