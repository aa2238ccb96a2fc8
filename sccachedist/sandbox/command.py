"""What a compile command means in any sandbox: pure functions.

How a sandbox is started is not known here; each kind builds its own command line with these.
"""

import posixpath
import re
from collections.abc import Iterable

from sccachedist.errors import BuildError
from sccachedist.outcomes import SentLocal
from sccachedist.wire.messages import CompileCommand

#: The variables in which compilers look for one, as gcc and LLVM do.
_TEMPORARY = frozenset(("TMPDIR", "TMP", "TEMP", "TEMPDIR"))


def inside(command: CompileCommand, output: str) -> str:
    """Return an output's place in the root: a relative one is relative to ``cwd``."""
    return posixpath.join(command.cwd, output)


def directories(command: CompileCommand, outputs: Iterable[str]) -> list[str]:
    """Return the directories that a compile expects to exist: its ``cwd`` and those of its outputs."""
    return [command.cwd, *(posixpath.dirname(inside(command, output)) for output in outputs)]


def temporary_directories(command: CompileCommand) -> list[str]:
    """Return the directories for temporary files that a command's environment names, without those that cannot be.

    They are there on the client's machine. Without it a ``clang`` that runs an assembler fails, and gcc
    takes another one.
    """
    named = [value for name, value in command.env_vars if name in _TEMPORARY and value and "\0" not in value]
    return [posixpath.join(command.cwd, directory) for directory in dict.fromkeys(named)]


def variables(command: CompileCommand) -> list[tuple[str, str]]:
    """Return the environment without invalid names, which the published build server skips too."""
    return [(name, value) for name, value in command.env_vars if name and "=" not in name]


def refuse_nul(arguments: Iterable[str]) -> None:
    """Check that no argument holds NUL: such an argument cannot be passed to a program.

    :raises BuildError: one does.
    """
    if any("\0" in argument for argument in arguments):
        raise BuildError(SentLocal.INPUTS, "a compile command holds NUL")


def env_arguments(command: CompileCommand) -> list[str]:
    """Return the arguments with which the ``env`` program runs ``command``, with the command's variables only.

    :raises BuildError: ``env`` would take the executable for a variable.
    """
    if "=" in command.executable:
        raise BuildError(SentLocal.INPUTS, f"an executable with = in its name is not run: {command.executable!r}")
    environment = [f"{name}={value}" for name, value in (*variables(command), ("PWD", command.cwd))]
    return ["-i", "--", *environment, command.executable, *command.arguments]


def check_executed(command: CompileCommand, exit_code: int, stderr: bytes) -> None:
    """Tell a command that ``env`` could not execute from one that ended with the same status.

    It compares stderr with the messages of busybox and of the BSDs. A compiler that writes the same is mistaken for
    that: the cost is one more compile, at the client.

    :raises BuildError: it was not executed.
    """
    name = re.escape(command.executable.encode())
    if exit_code in (126, 127) and re.match(rb"env: (can't execute '%b'|%b): " % (name, name), stderr):
        raise BuildError(
            SentLocal.NOT_EXECUTED,
            f"the sandbox did not run the command: {stderr[:1000].decode(errors='replace').strip()}",
        )
