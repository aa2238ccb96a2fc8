"""What the program of a trial job is told, and what it has found: ``programs/probe.c``."""

import struct
from collections.abc import Iterator

from sccachedist.sandbox.programs import built_program

_RESULT = struct.Struct("=q")

#: The first letters of words that have it read a file, and open one to read and to write.
READ, OPEN = "<", ">"
#: The word that has it try to change what is mounted.
CHANGE = "*"


def trial_program() -> bytes:
    """Give the program, an ELF file.

    :raises BuildError: there is none for this machine.
    """
    return built_program("probe")


def read_by_it(made: bytes) -> Iterator[bytes | None]:
    """What it has found of each word; None of what it could not read."""
    start = 0
    while start < len(made):
        (result,) = _RESULT.unpack_from(made, start)
        start += _RESULT.size
        yield made[start : start + result] if result >= 0 else None
        start += max(result, 0)
