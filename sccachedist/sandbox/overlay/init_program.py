"""The protocol with the program that waits in a sandbox for a command and runs it: ``sandbox/programs/init.c``.

The program reads its stdin to the end: the bytes that :func:`orders` makes. If there are none, it ends. It is the first
process of the sandbox: it also waits for orphaned processes. When the command has ended, it kills what is left and
waits for that. Then it writes to the descriptor that the orders name what :func:`ending` reads, and ends. How the
sandbox is set up is not known here: :mod:`sccachedist.sandbox.overlay.sandbox` does it.
"""

import os
import resource
import struct
from collections.abc import Sequence
from itertools import accumulate, chain, islice

import attrs

from sccachedist.errors import BuildError
from sccachedist.outcomes import SentLocal
from sccachedist.sandbox.command import refuse_nul, variables
from sccachedist.sandbox.programs import built_program
from sccachedist.wire.messages import CompileCommand

# The address at which the program keeps its orders, and their most bytes: Linux accepts no longer command line.
_ROOM_ADDRESS, _ROOM = 0x10000000, 8 * 1024 * 1024
_PATH = "/bin:/usr/bin"  # the default of the C library
_MOST_ERRORS = 4096  # as the kernel numbers them
_MOST_CODE = 255
_MICROSECOND = 1e-6
# The program's report: a result, and the kernel's struct rusage, which has two times in two words each.
_WORD, _REPORT = struct.Struct("=Q"), struct.Struct("=q4q14q")
#: The bytes of a report; the first one counts.
REPORT_SIZE = _REPORT.size


@attrs.frozen
class CommandEnd:
    """What became of a command.

    :param exit_code: as a shell shows it.
    :param failure: why the command could not be run; empty if it could.
    :param used: what it took, with all that it started.
    """

    exit_code: int
    failure: str
    used: resource.struct_rusage


def init_program() -> bytes:
    """Return the program, an ELF file.

    :raises BuildError: there is none for this machine.
    """
    return built_program("init")


def orders(command: CompileCommand, report_fd: int, own_fd: int) -> bytes:
    """Encode a command for the program; PWD is set, as every shell does.

    :param report_fd: the program's descriptor for the report that :func:`ending` reads.
    :param own_fd: another descriptor that the command must not inherit.
    :raises BuildError: the command line is too long or holds NUL.
    """
    environment = dict(variables(command)) | {"PWD": command.cwd}
    lists = (
        _names(command.executable, environment.get("PATH", _PATH)),
        (command.executable, *command.arguments),
        [f"{name}={value}" for name, value in environment.items()],
    )
    texts = [command.cwd, *chain(*lists)]
    refuse_nul(texts)
    packed = [each.encode() + b"\0" for each in texts]
    sizes = (_WORD.size * (len(each) + 1) for each in lists)
    _, arguments, environ, text = accumulate(sizes, initial=_ROOM_ADDRESS + 5 * _WORD.size)
    addresses = accumulate(map(len, packed), initial=text)
    words = [report_fd, own_fd, next(addresses), arguments, environ]
    for each in lists:
        words += [*islice(addresses, len(each)), 0]
    told = b"".join((*map(_WORD.pack, words), *packed))
    if len(told) > _ROOM:
        raise BuildError(SentLocal.INPUTS, "the sandbox did not run the command: its command line is too long")
    return told


def ending(report: bytes) -> CommandEnd:
    """Read what the program says when no other process is left in its sandbox.

    :raises BuildError: it is nothing that the program says.
    """
    if len(report) == REPORT_SIZE:
        result, *used = _REPORT.unpack(report)
        if -_MOST_ERRORS < result <= _MOST_CODE:
            failure = os.strerror(-result) if result < 0 else ""
            return CommandEnd(max(0, result), failure, _usage(*used))
    raise BuildError(SentLocal.NOT_EXECUTED, "the sandbox's first program has said what it cannot say")


def _usage(user_s: int, user_us: int, system_s: int, system_us: int, *rest: int) -> resource.struct_rusage:
    times = user_s + user_us * _MICROSECOND, system_s + system_us * _MICROSECOND
    return resource.struct_rusage((*times, *rest))


def _names(executable: str, path: str) -> Sequence[str]:
    """Return the paths at which to look for a program, as a shell does."""
    if "/" in executable:
        return [executable]
    return [f"{directory or '.'}/{executable}" for directory in path.split(":")]
