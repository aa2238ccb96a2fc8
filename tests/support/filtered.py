"""A program under a seccomp filter, as in a container: ``python -m tests.support.filtered FILE PROGRAM ARGUMENT...``.

FILE has the numbers of the system calls that are answered with EPERM, in JSON.
"""

import ctypes
import errno
import json
import os
import struct
import sys
from pathlib import Path

_LOAD, _IF_EQUAL, _RETURN = 0x20, 0x15, 0x06
_ALLOW, _ERRNO = 0x7FFF0000, 0x50000
_NO_NEW_PRIVS, _SECCOMP = 38, 22

#: ``unshare`` of x86-64 and of the architectures that have the generic table.
UNSHARE = {"x86_64": 272}.get(os.uname().machine, 97)


class _Filter(ctypes.Structure):
    _fields_ = (("length", ctypes.c_ushort), ("steps", ctypes.c_char_p))


def main() -> None:
    """Become the program."""
    numbers = json.loads(Path(sys.argv[1]).read_text())
    steps = [(_LOAD, 0, 0, 0)]
    for number in numbers:
        steps += [(_IF_EQUAL, 0, 1, number), (_RETURN, 0, 0, _ERRNO | errno.EPERM)]
    octets = b"".join(struct.pack("HBBI", *step) for step in (*steps, (_RETURN, 0, 0, _ALLOW)))
    libc, program = ctypes.CDLL(None), _Filter(len(octets) // 8, octets)
    assert libc.prctl(_NO_NEW_PRIVS, 1, 0, 0, 0) == 0
    assert libc.prctl(_SECCOMP, 2, ctypes.byref(program)) == 0
    os.execvp(sys.argv[2], sys.argv[2:])


if __name__ == "__main__":
    main()
