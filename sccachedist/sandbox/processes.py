"""Run a program to its end, with what it writes bounded: synchronous, for a sandbox worker.

It does not know what the program is for. However a block ends, the program has ended too.
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

_CHUNK = 64 * 1024
_LAST_WORDS = 1000
_WATCH_SECS = 0.2
_WORDS = 1024 * 1024  # of our own programs


@attrs.frozen
class Ended:
    """How a program ended, and all that it wrote.

    :param exit_code: as a shell would show it, 128 and the signal's number for one that was killed.
    """

    exit_code: int
    stdout: bytes
    stderr: bytes

    @property
    def last_words(self) -> str:
        """The end of what it complained of, to stdout if not to stderr."""
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

    :param advice: what mends that it is not there.
    :param environment: this process's own, where none is given.
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
        raise BuildError(f"there is no {arguments[0]}: {advice}") from error
    except (OSError, ValueError) as error:
        raise BuildError(f"cannot run {arguments[0]}: {error}") from error
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
    """Look after nothing."""


def call(
    arguments: Sequence[str],
    advice: str,
    stdin: Iterable[bytes] = (),
    stdio_bytes: int = _WORDS,
    watch: Callable[[], None] = unwatched,
) -> Ended:
    """Run a program that writes nothing to speak of before it has read its stdin.

    :param stdin: what it gets to read; an error in there kills it before it sees an end.
    :param stdio_bytes: how much may come from stdout, and as much from stderr.
    :param watch: looks after the program now and then; what it raises kills it.
    :raises BuildError: it cannot be started.
    :raises LimitExceeded: it wrote too much, and was killed.
    """
    with running(arguments, advice) as process:
        feed(cast(IO[bytes], process.stdin), stdin)
        stdout, stderr = drained(process, stdio_bytes, watch)
        return Ended(shell_code(process.wait()), stdout, stderr)


def called(arguments: Sequence[str], advice: str, stdin: Iterable[bytes] = ()) -> bytes:
    """Run a program of ours that has to succeed; returns its stdout.

    :raises BuildError: it does not; the text is what it complains of.
    """
    ended = call(arguments, advice, stdin)
    if ended.exit_code:
        raise BuildError(f"{' '.join(arguments[:2])} failed: {ended.last_words}")
    return ended.stdout


def shell_code(status: int) -> int:
    """Give the exit code that a shell would show."""
    return 128 - status if status < 0 else status


def drained(
    process: subprocess.Popen[bytes], most: int, watch: Callable[[], None] = lambda: None
) -> tuple[bytes, bytes]:
    """Read stdout and stderr side by side to their ends.

    :param watch: looks after the program now and then; what it raises ends this.
    :raises LimitExceeded: there is more than ``most`` bytes in one of them.
    """
    look = time.monotonic() + _WATCH_SECS
    stdout, stderr = cast(IO[bytes], process.stdout), cast(IO[bytes], process.stderr)
    with selectors.DefaultSelector() as selector:
        written = {stdout.fileno(): bytearray(), stderr.fileno(): bytearray()}
        for descriptor in written:
            selector.register(descriptor, selectors.EVENT_READ)
        while selector.get_map():
            if time.monotonic() > look:
                watch()
                look = time.monotonic() + _WATCH_SECS
            for key, _ in selector.select(_WATCH_SECS):
                chunk = os.read(key.fd, _CHUNK)
                if not chunk:
                    selector.unregister(key.fd)
                written[key.fd] += chunk
                if len(written[key.fd]) > most:
                    raise LimitExceeded("stdio_bytes", f"a compile wrote more than {most} bytes")
        return bytes(written[stdout.fileno()]), bytes(written[stderr.fileno()])


def feed(stdin: IO[bytes], pieces: Iterable[bytes]) -> None:
    """Write all that a program gets to read; one that ends without reading everything says why by itself."""
    with contextlib.suppress(BrokenPipeError):
        stdin.writelines(pieces)
        stdin.close()
