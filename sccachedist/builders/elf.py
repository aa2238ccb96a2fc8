"""Programs for Linux that need nothing but the kernel, made of a few instructions for each kind of machine."""

import platform
import struct
from collections.abc import Mapping

from sccachedist.errors import BuildError

#: Where a program that asks for room has it, all zeros at first.
ROOM_ADDRESS = 0x10000000

_ADDRESS, _ALIGNMENT = 0x400000, 0x10000
_HEADER, _SEGMENT = struct.Struct("<16sHHIQQQIHHHHHH"), struct.Struct("<IIQQQQQQ")
_LOADED, _EXECUTED, _WRITTEN = 1, 5, 6
_IDENT = b"\x7fELF" + bytes([2, 1, 1]) + bytes(9)  # 64 bits, little endian
_NUMBERS = {"x86_64": 62, "aarch64": 183}  # ELF's, by machine


def program(listings: Mapping[str, str], room: int = 0) -> bytes:
    """Make the program for this machine, an ELF file: its header, its segments, and the code.

    :param listings: by machine, lines of code in hexadecimal digits, with what they mean behind two spaces.
    :param room: how many bytes it can write to.
    :raises BuildError: there is none for this machine.
    """
    if (machine := platform.machine()) not in listings:
        raise BuildError(f"no sandbox on {machine}: only on {' and '.join(listings)}")
    code = b"".join(bytes.fromhex(line.partition("  ")[0]) for line in listings[machine].splitlines())
    count = 2 if room else 1
    start = _HEADER.size + count * _SEGMENT.size
    size = start + len(code)
    sizes = (_HEADER.size, _SEGMENT.size, count, 0, 0, 0)
    header = _HEADER.pack(_IDENT, 2, _NUMBERS[machine], 1, _ADDRESS + start, _HEADER.size, 0, 0, *sizes)
    segments = [_SEGMENT.pack(_LOADED, _EXECUTED, 0, _ADDRESS, _ADDRESS, size, size, _ALIGNMENT)]
    if room:
        segments.append(_SEGMENT.pack(_LOADED, _WRITTEN, 0, ROOM_ADDRESS, ROOM_ADDRESS, 0, room, _ALIGNMENT))
    return b"".join((header, *segments, code))
