"""The program that waits in a sandbox for a command line, and runs the command: ``programs/init.c``.

It reads its orders from its stdin to the end: what :func:`orders` makes. Where there are none it just ends; where the
command cannot be run, the descriptor named in them gets the error's number. It is the first process of the sandbox, of
which a program expects more than to compile: it waits for what is orphaned, and ends with the command's exit code as a
shell shows it.
"""

import os
import struct
from collections.abc import Sequence
from itertools import accumulate, chain, islice

from sccachedist.errors import BuildError
from sccachedist.sandbox.command import refuse_nul, variables
from sccachedist.sandbox.programs import built_program
from sccachedist.wire.messages import CompileCommand

# Where the program has its orders, and the most bytes of them; Linux takes no command line that is longer.
_ROOM_ADDRESS, _ROOM = 0x10000000, 8 * 1024 * 1024
_PATH = "/bin:/usr/bin"  # where nothing is said of it, as the C library has it
_MOST_ERRORS = 4096  # as the kernel numbers them
_WORD, _REPORT = struct.Struct("=Q"), struct.Struct("=q")


def init_program() -> bytes:
    """Give the program, an ELF file.

    :raises BuildError: there is none for this machine.
    """
    return built_program("init")


def orders(command: CompileCommand, report_fd: int, own_fd: int) -> bytes:
    """Make what the program reads to run a command; PWD is set as every shell does.

    :param report_fd: a descriptor of the program for what :func:`failure` reads.
    :param own_fd: another one that the command is not to have.
    :raises BuildError: no command line can be so long, or hold what this one holds.
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
        raise BuildError("the sandbox did not run the command: its command line is too long")
    return told


def failure(report: bytes) -> str:
    """What has kept the program from running the command; empty where nothing has."""
    if not report:
        return ""
    if len(report) != _REPORT.size or not -_MOST_ERRORS < (result := _REPORT.unpack(report)[0]) < 0:
        return "its first program has said what it cannot say"
    return os.strerror(-result)


def _names(executable: str, path: str) -> Sequence[str]:
    """Where a program may be: looked for as a shell does."""
    if "/" in executable:
        return [executable]
    return [f"{directory or '.'}/{executable}" for directory in path.split(":")]
