"""The arguments and the output of a trial job's program, ``probe.c``; what it should find is not known here."""

import struct
from collections.abc import Iterator

from sccachedist.sandbox.programs import built_program

_RESULT = struct.Struct("=q")

#: How the arguments begin that have it read a file, or open one for reading and for writing.
READ, OPEN = "<", ">"
#: The argument that has it try to change every mount.
CHANGE = "*"


def trial_program() -> bytes:
    """Return the program, an ELF file.

    :raises BuildError: there is none for this machine.
    """
    return built_program("probe")


def read_by_it(made: bytes) -> Iterator[bytes | None]:
    """Yield what it has found for each argument; None for a file that it could not read."""
    start = 0
    while start < len(made):
        (result,) = _RESULT.unpack_from(made, start)
        start += _RESULT.size
        yield made[start : start + result] if result >= 0 else None
        start += max(result, 0)
