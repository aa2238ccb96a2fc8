"""Reads of the beginning of a file for which machine it is a program, if it is one of ELF. Any bytes may come.

What follows for the toolchain that has it, is in :mod:`sccachedist.wire.machines`.
"""

import struct

_EXECUTABLE, _SHARED, _INTERPRETER = 2, 3, 3
_SEGMENT_TYPE = 4
#: Where the header has the offset of the segments, and the size and number of these, by the width of an address.
_HEADERS = {1: ("28xI10xHH", 52), 2: ("32xQ14xHH", 64)}
_ORDERS = {1: "<", 2: ">"}


def program_machine(head: bytes) -> int | None:
    """The number of the machine; None for a shared library, an object file, and all that is no ELF or cut off.

    A program at a fixed address is known by its type, any other by the interpreter that loads it.
    """
    if len(head) < 6 or not head.startswith(b"\x7fELF"):
        return None
    order, (layout, size) = _ORDERS.get(head[5]), _HEADERS.get(head[4], ("", 0))
    if order is None or not layout or len(head) < size:
        return None
    kind, machine = struct.unpack_from(f"{order}HH", head, 16)
    if kind == _EXECUTABLE:
        return machine or None
    offset, length, count = struct.unpack_from(order + layout, head)
    if kind != _SHARED or length < _SEGMENT_TYPE:
        return None
    segments = range(offset, min(offset + length * count, len(head) - _SEGMENT_TYPE + 1), length)
    is_loaded = any(struct.unpack_from(f"{order}I", head, at)[0] == _INTERPRETER for at in segments)
    return machine or None if is_loaded else None
