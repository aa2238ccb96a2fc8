"""The protocol with the program that waits in a sandbox for a command and runs it: ``sandbox/programs/init.c``.

The program reads its stdin to the end: the bytes that :func:`orders` makes. If there are none, it ends. If it cannot
run the command, it writes the error's number to the descriptor that the orders name. It is the first process of the
sandbox: it also waits for orphaned processes. When the command has ended, it kills what is left and waits for that;
then it ends with the command's exit code as a shell shows it. How the sandbox is set up is not known here:
:mod:`sccachedist.sandbox.overlay.sandbox` does it.
"""

import os
import struct
from collections.abc import Sequence
from itertools import accumulate, chain, islice

from sccachedist.errors import BuildError
from sccachedist.outcomes import SentLocal
from sccachedist.sandbox.command import refuse_nul, variables
from sccachedist.sandbox.programs import built_program
from sccachedist.wire.messages import CompileCommand

# The address at which the program keeps its orders, and their most bytes: Linux accepts no longer command line.
_ROOM_ADDRESS, _ROOM = 0x10000000, 8 * 1024 * 1024
_PATH = "/bin:/usr/bin"  # the default of the C library
_MOST_ERRORS = 4096  # as the kernel numbers them
_WORD, _REPORT = struct.Struct("=Q"), struct.Struct("=q")


def init_program() -> bytes:
    """Return the program, an ELF file.

    :raises BuildError: there is none for this machine.
    """
    return built_program("init")


def orders(command: CompileCommand, report_fd: int, own_fd: int) -> bytes:
    """Encode a command for the program; PWD is set, as every shell does.

    :param report_fd: the program's descriptor for the error that :func:`failure` reads.
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


def failure(report: bytes) -> str:
    """Return why the program could not run the command; empty if it could."""
    if not report:
        return ""
    if len(report) != _REPORT.size or not -_MOST_ERRORS < (result := _REPORT.unpack(report)[0]) < 0:
        return "its first program has said what it cannot say"
    return os.strerror(-result)


def _names(executable: str, path: str) -> Sequence[str]:
    """Return the paths at which to look for a program, as a shell does."""
    if "/" in executable:
        return [executable]
    return [f"{directory or '.'}/{executable}" for directory in path.split(":")]
