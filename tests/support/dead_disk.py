"""A file system that answers nothing, as one across a network whose server is gone: root only."""

import ctypes
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

_MNT_DETACH = 2


@contextmanager
def dead_disk(place: Path) -> Iterator[None]:
    """Mount one over a directory, for a while. At the end all that waits for it gets an error."""
    libc = ctypes.CDLL(None, use_errno=True)
    server = os.open("/dev/fuse", os.O_RDWR | os.O_CLOEXEC)  # it never reads what it is asked
    try:
        options = f"fd={server},rootmode=40000,user_id=0,group_id=0"
        done = libc.mount(b"dead", bytes(place), b"fuse", 0, options.encode())
        assert done == 0, os.strerror(ctypes.get_errno())
        try:
            yield
        finally:
            assert libc.umount2(bytes(place), _MNT_DETACH) == 0, os.strerror(ctypes.get_errno())
    finally:
        os.close(server)
