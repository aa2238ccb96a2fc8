"""A network of one's own: its loopback and nothing else. No other program of this machine reaches it, or is reached."""

import contextlib
import ctypes
import os
from collections.abc import Iterator

from tests.faults.network import ip

_CLONE_NEWNET = 0x40000000


@contextlib.contextmanager
def own_network() -> Iterator[None]:
    """Put this thread, and what it starts meanwhile, into a network of its own. For root."""
    libc = ctypes.CDLL(None, use_errno=True)
    before = os.open("/proc/thread-self/ns/net", os.O_RDONLY | os.O_CLOEXEC)
    try:
        assert libc.unshare(_CLONE_NEWNET) == 0, os.strerror(ctypes.get_errno())
        ip("link", "set", "lo", "up")
        yield
    finally:
        libc.setns(before, _CLONE_NEWNET)
        os.close(before)
