"""Reads files that an operator has named, some of them again while a daemon serves: it waits for none of them.

A pipe may never say anything, a device may never end, and a daemon that reads one serves no client meanwhile. What the
files hold is not known here.
"""

import errno
import os
from pathlib import Path
from stat import S_ISDIR, S_ISREG

#: The most bytes of a configuration, and of a file with certificates or a key.
MOST_BYTES = 1 << 22


def read_given(path: Path, most: int = MOST_BYTES) -> bytes:
    """The content of a regular file, or of one that a link leads to.

    :raises OSError: it is none, it has more than ``most`` bytes, or it cannot be read; ``strerror`` says which.
    """
    descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC)
    try:
        mode = os.fstat(descriptor).st_mode
        if S_ISDIR(mode):
            raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR))
        if not S_ISREG(mode):
            raise OSError(errno.EINVAL, "expected a regular file")
        content = bytearray()
        while len(content) <= most and (piece := os.read(descriptor, most + 1 - len(content))):
            content += piece
    finally:
        os.close(descriptor)
    if len(content) > most:
        raise OSError(errno.EFBIG, f"larger than {most} bytes")
    return bytes(content)
