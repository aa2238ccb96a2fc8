"""Where the data of a sparse file belong, in the forms that GNU tar and bsdtar write: an old one, and three of PAX.

What is in the file is not known here.
"""

from typing import BinaryIO

import attrs

from sccachedist.errors import DecodeError
from sccachedist.sandbox.archive.fields import BLOCK, decimal, exactly, natural

_MAP = b"GNU.sparse.map"
_NAME = b"GNU.sparse.name"
_MAJOR = b"GNU.sparse.major"
_SIZES = (b"GNU.sparse.realsize", b"GNU.sparse.size")
#: The first form of PAX has a record for each number.
_PARTS = (b"GNU.sparse.offset", b"GNU.sparse.numbytes")
#: The keys of PAX headers that tell of sparse files.
SPARSE_KEYS = (_MAP, _NAME, _MAJOR, *_SIZES, *_PARTS)

#: How many pieces of data a file may have.
MOST_SEGMENTS = 65_536
_DIGITS = 20
_ENTRY = 24


@attrs.frozen
class SparseMap:
    """What a file is made of; all the rest of it is zeros.

    :param size: the bytes of the whole file.
    :param segments: the offset and the length of each piece of data, in order.
    """

    size: int
    segments: tuple[tuple[int, int], ...]


def joined(found: dict[bytes, bytes], key: bytes, value: bytes) -> None:
    """Take a record of a PAX header; those of :data:`_PARTS` make a map as the later forms have it."""
    if key in _PARTS:
        found[_MAP] = found[_MAP] + b"," + value if _MAP in found else value
    else:
        found[key] = value


def sparse_name(extended: dict[bytes, bytes]) -> bytes:
    """The name of a sparse file, whose header may have another one; empty if it has no own."""
    return extended.get(_NAME, b"")


def sparse_map(
    stream: BinaryIO, header: bytes, extended: dict[bytes, bytes], stored: int
) -> tuple[SparseMap, int] | None:
    """Return the map of a file, and how many bytes of it follow; None if it is not sparse.

    :param stream: at the end of the header. What belongs to the map is read.
    :param stored: how many bytes follow there.
    :raises DecodeError: it contradicts itself.
    """
    if header[156:157] == b"S":
        size, numbers = natural(header[483:495]), _old_map(stream, header)
    else:
        told = next((extended[key] for key in _SIZES if key in extended), None)
        if told is None:
            if _MAP in extended or _MAJOR in extended:
                raise DecodeError("a sparse member does not tell its size")
            return None
        size = decimal(told)
        if _MAP in extended:
            numbers = [decimal(word) for word in extended[_MAP].split(b",") if word]
        else:
            numbers, read = _map_before_data(stream, stored)
            stored -= read
    found = SparseMap(size, tuple(zip(numbers[::2], numbers[1::2], strict=False)))
    _check(found, len(numbers), stored)
    return found, stored


def _check(found: SparseMap, numbers: int, stored: int) -> None:
    at = 0
    for offset, length in found.segments:
        if offset < at:
            raise DecodeError("the map of a sparse member is not in order")
        at = offset + length
    if at > found.size or numbers % 2 or sum(length for _, length in found.segments) != stored:
        raise DecodeError("the map of a sparse member does not fit its size")


def _old_map(stream: BinaryIO, header: bytes) -> list[int]:
    numbers: list[int] = []
    entries, goes_on = header[386:482], header[482]
    while True:
        for at in range(0, len(entries) - _ENTRY + 1, _ENTRY):
            if entries[at + 12] == 0:
                break
            numbers += (natural(entries[at : at + 12]), natural(entries[at + 12 : at + _ENTRY]))
        if not goes_on:
            return numbers
        _bound(len(numbers))
        block = exactly(stream, BLOCK)
        entries, goes_on = block[:504], block[504]


def _map_before_data(stream: BinaryIO, stored: int) -> tuple[list[int], int]:
    """Read a map as the last form of PAX has it: lines of numbers, first how many pairs follow; and return its size."""
    text, read, wanted = b"", 0, 1
    while text.count(b"\n") < wanted:
        if read == stored:
            raise DecodeError("the map of a sparse member is cut off")
        text += exactly(stream, BLOCK)
        read += BLOCK
        first, newline, _ = text.partition(b"\n")
        if not newline and len(text) > _DIGITS:
            raise DecodeError("a sparse member has no map")
        wanted = 1 + 2 * decimal(first)
        _bound(wanted)
    return [decimal(line) for line in text.split(b"\n")[1:wanted]], read


def _bound(numbers: int) -> None:
    if numbers > 2 * MOST_SEGMENTS:
        raise DecodeError(f"a sparse member has more than {MOST_SEGMENTS} pieces")
