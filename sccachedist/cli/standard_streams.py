"""The standard streams of a command, and its end: one line and a status, never a traceback.

It does not know the commands.
"""

import contextlib
import io
import os
import signal
import sys
from collections.abc import Iterator

from sccachedist.errors import ConfigError, PeerError
from sccachedist.printable import printable

#: What a shell adds to the number of the signal that ended a program.
_BY_SIGNAL = 128


def escape_what_cannot_be_written() -> None:
    """Have characters that the locale's encoding lacks, and those of file names that are not UTF-8, written escaped."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")


def open_missing_streams() -> None:
    """Open ``/dev/null`` for each standard stream that the caller closed, as the published programs do.

    Otherwise the next file or socket would get the number of a standard stream, and with it what is meant for that.
    """
    for name, mode in (("stdin", "r"), ("stdout", "w"), ("stderr", "w")):
        if getattr(sys, name) is None:  # in this order, so that each gets its own number
            setattr(sys, name, open(os.devnull, mode, encoding="utf-8"))  # noqa: SIM115 - for as long as the process


@contextlib.contextmanager
def ends_in_a_line(program: str) -> Iterator[None]:
    """End the process with a line on standard error and a status, for every error that is not a bug.

    A reader that closes the other end of the pipe, like ``head``, ends the command without a word, as it ends others.

    :param program: the name that the line begins with.
    """
    try:
        try:
            yield
        finally:
            sys.stdout.flush()
    except (ConfigError, PeerError) as error:
        raise SystemExit(f"{program}: {printable(str(error))}") from error
    except BrokenPipeError as error:
        _forget_output()
        raise SystemExit(_BY_SIGNAL + signal.SIGPIPE) from error
    except OSError as error:
        _forget_output()
        raise SystemExit(f"{program}: {printable(_why(error))}") from error
    except KeyboardInterrupt as error:
        raise SystemExit(_BY_SIGNAL + signal.SIGINT) from error


def _forget_output() -> None:
    """Send what is still to be printed nowhere: the interpreter tries it once more at its end."""
    with contextlib.suppress(OSError), open(os.devnull, "wb") as nowhere:
        os.dup2(nowhere.fileno(), sys.stdout.fileno())


def _why(error: OSError) -> str:
    """The system's words, with the file if it names one."""
    words = error.strerror or str(error)
    return words if error.filename is None else f"{os.fsdecode(error.filename)}: {words}"
