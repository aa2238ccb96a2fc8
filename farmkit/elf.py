"""Beginnings of ELF files: programs, shared libraries and object files for any machine, of which nothing can run."""

import struct

X86_64, I686, AARCH64, S390X = 62, 3, 183, 22
#: Types of files, and of segments.
OBJECT, EXECUTABLE, SHARED = 1, 2, 3
LOAD, INTERPRETER = 1, 3


def elf(machine: int, kind: int = EXECUTABLE, *segments: int, wide: bool = True, little: bool = True) -> bytes:
    """The header of a file and of its segments.

    :param segments: their types.
    :param wide: whether addresses have 64 bits.
    :param little: whether the first byte of a number is its lowest.
    """
    order = "<" if little else ">"
    ident = b"\x7fELF" + bytes([1 + wide, 2 - little, 1]) + bytes(9)
    size, segment = (64, 56) if wide else (52, 32)
    offset = size if segments else 0
    layout = f"{order}HHI{'QQQ' if wide else 'III'}IHHHHHH"
    header = struct.pack(layout, kind, machine, 1, 0, offset, 0, 0, size, segment, len(segments), 0, 0, 0)
    return ident + header + b"".join(struct.pack(f"{order}I{segment - 4}x", each) for each in segments)
