"""What the headers of a tar archive are made of: blocks, numbers and texts."""

import re
from typing import BinaryIO

from sccachedist.errors import DecodeError

BLOCK = 512

#: The largest size of a file.
LARGEST = 2**63 - 1


def number(field: bytes) -> int:
    """Read an octal or a base-256 number.

    :raises DecodeError: it is neither, or its size is above that of the largest file.
    """
    if field[0] & 0x80:
        value = int.from_bytes(field, "big", signed=True)
        if not field[0] & 0x40:
            value = int.from_bytes(field, "big") - (0x80 << 8 * (len(field) - 1))
        if abs(value) > LARGEST:
            raise DecodeError("a number in a header is out of range")
        return value
    digits = field.strip(b" \0")
    if not re.fullmatch(rb"[0-7]*", digits):
        raise DecodeError("a number in a header is not octal")
    return int(digits or b"0", 8)


def natural(field: bytes) -> int:
    """Read a number that is not negative.

    :raises DecodeError: as :func:`number` does, or it is.
    """
    if (value := number(field)) < 0:
        raise DecodeError("a number in a header is negative")
    return value


def decimal(text: bytes) -> int:
    """Read a number as PAX headers have it.

    :raises DecodeError: it is no number, or negative or above the size of the largest file.
    """
    if not re.fullmatch(rb"[0-9]{1,19}", text) or int(text) > LARGEST:
        raise DecodeError("a member's size in a PAX header is not a number")
    return int(text)


def text(field: bytes) -> bytes:
    """What stands before the first NUL."""
    return field.partition(b"\0")[0]


def exactly(stream: BinaryIO, size: int) -> bytes:
    """Read so many bytes.

    :raises DecodeError: there are fewer.
    """
    data = stream.read(size)
    if len(data) < size:
        raise DecodeError("the archive is cut off")
    return data
