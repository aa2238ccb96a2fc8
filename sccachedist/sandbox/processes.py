"""Runs a program to its end and bounds its output: synchronous, for a sandbox worker.

It does not know what the program is for. When a ``with`` block or a call here ends, the program has ended too.
"""

import contextlib
import os
import selectors
import subprocess
import time
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from typing import IO, cast

import attrs

from sccachedist.errors import BuildError, LimitExceeded
from sccachedist.outcomes import SentLocal

_CHUNK = 64 * 1024
_LAST_WORDS = 1000
_WATCH_SECS = 0.2
_WORDS = 1024 * 1024  # bytes of output, for programs that the operator installed


@attrs.frozen
class Ended:
    """How a program ended, and all that it wrote.

    :param exit_code: as a shell shows it: 128 plus the signal's number for a killed program.
    """

    exit_code: int
    stdout: bytes
    stderr: bytes

    @property
    def last_words(self) -> str:
        """The end of its stderr, or of its stdout if stderr is empty."""
        return (self.stderr or self.stdout)[-_LAST_WORDS:].decode(errors="replace").strip()


@contextlib.contextmanager
def running(
    arguments: Sequence[str],
    advice: str,
    *,
    environment: Mapping[str, str] | None = None,
    inherited: Collection[int] = (),
) -> Iterator[subprocess.Popen[bytes]]:
    """Start a program, and wait for its end; an error in the block kills it first.

    :param advice: for the operator, if the program is missing.
    :param environment: by default this process's own.
    :param inherited: descriptors that it inherits.
    :raises BuildError: it cannot be started.
    """
    try:
        process = subprocess.Popen(
            [argument.encode() for argument in arguments],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            pass_fds=inherited,
            env=environment,
        )
    except FileNotFoundError as error:
        raise BuildError(SentLocal.SANDBOX, f"there is no {arguments[0]}: {advice}") from error
    except (OSError, ValueError) as error:
        raise BuildError(SentLocal.SANDBOX, f"cannot run {arguments[0]}: {error}") from error
    try:
        yield process
    except BaseException:
        process.kill()
        raise
    finally:
        for pipe in (process.stdin, process.stdout, process.stderr):
            with contextlib.suppress(BrokenPipeError):
                if pipe is not None:
                    pipe.close()
        process.wait()


def unwatched() -> None:
    """Watch nothing."""


def call(
    arguments: Sequence[str],
    advice: str,
    stdin: Iterable[bytes] = (),
    stdio_bytes: int = _WORDS,
    watch: Callable[[], None] = unwatched,
) -> Ended:
    """Run a program that reads all its stdin before it writes much: else both sides would wait for each other.

    :param stdin: the pieces of its stdin; an error in there kills it before it sees an end.
    :param stdio_bytes: the most bytes of stdout, and the most of stderr.
    :param watch: called now and then; an error that it raises kills the program.
    :raises BuildError: it cannot be started.
    :raises LimitExceeded: it wrote too much, and was killed.
    """
    with running(arguments, advice) as process:
        feed(cast(IO[bytes], process.stdin), stdin)
        stdout, stderr = drained(process, stdio_bytes, watch)
        return Ended(shell_code(process.wait()), stdout, stderr)


def called(
    arguments: Sequence[str], advice: str, stdin: Iterable[bytes] = (), watch: Callable[[], None] = unwatched
) -> bytes:
    """Run a program that has to succeed, such as ``docker``; returns its stdout.

    :param watch: as of :func:`call`.
    :raises BuildError: it fails; the text has the end of its output.
    """
    ended = call(arguments, advice, stdin, watch=watch)
    if ended.exit_code:
        raise BuildError(SentLocal.SANDBOX, f"{' '.join(arguments[:2])} failed: {ended.last_words}")
    return ended.stdout


def shell_code(status: int) -> int:
    """Return the exit code that a shell shows, for a status of :class:`subprocess.Popen`."""
    return 128 - status if status < 0 else status


def drained(
    process: subprocess.Popen[bytes],
    most: int,
    watch: Callable[[], None] = unwatched,
    last: IO[bytes] | None = None,
) -> tuple[bytes, bytes]:
    """Read stdout and stderr side by side to their ends.

    :param watch: called now and then; an error that it raises ends this.
    :param last: as soon as it can be read from, what stdout and stderr hold is all that they get. It is not read here.
    :raises LimitExceeded: there is more than ``most`` bytes in one of them.
    """
    look = time.monotonic() + _WATCH_SECS
    stdout, stderr = cast(IO[bytes], process.stdout), cast(IO[bytes], process.stderr)
    with selectors.DefaultSelector() as selector:
        written = {stdout.fileno(): bytearray(), stderr.fileno(): bytearray()}
        for pipe in (stdout, stderr, last):
            if pipe is not None:
                selector.register(pipe, selectors.EVENT_READ)
        patience = _WATCH_SECS
        while selector.get_map():
            if time.monotonic() > look:
                watch()
                look = time.monotonic() + _WATCH_SECS
            ready = selector.select(patience)
            if not ready and not patience:
                break
            for key, _ in ready:
                if key.fileobj is last:
                    patience = 0
                    selector.unregister(last)
                    continue
                chunk = os.read(key.fd, _CHUNK)
                if not chunk:
                    selector.unregister(key.fileobj)
                written[key.fd] += chunk
                if len(written[key.fd]) > most:
                    raise LimitExceeded("stdio_bytes", f"a compile wrote more than {most} bytes")
        return bytes(written[stdout.fileno()]), bytes(written[stderr.fileno()])


def feed(stdin: IO[bytes], pieces: Iterable[bytes]) -> None:
    """Write a program's stdin and close it; a program that ends before it has read all is no error here."""
    with contextlib.suppress(BrokenPipeError):
        stdin.writelines(pieces)
        stdin.close()
