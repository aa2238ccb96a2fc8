"""Other networks than this machine's: one of one's own, which no other program reaches, or that of another process."""

import contextlib
import ctypes
import os
from collections.abc import Iterator

from tests.faults.network import ip

_CLONE_NEWNET = 0x40000000


@contextlib.contextmanager
def own_network() -> Iterator[None]:
    """Put this thread, and what it starts meanwhile, into a network with a loopback and nothing else. For root."""
    with _and_back() as libc:
        assert libc.unshare(_CLONE_NEWNET) == 0, os.strerror(ctypes.get_errno())
        ip("link", "set", "lo", "up")
        yield


@contextlib.contextmanager
def network_of(process: int) -> Iterator[None]:
    """Put this thread, and what it starts meanwhile, into the network of another process. For root."""
    with _and_back() as libc, open(f"/proc/{process}/ns/net", "rb") as other:
        assert libc.setns(other.fileno(), _CLONE_NEWNET) == 0, os.strerror(ctypes.get_errno())
        ip("link", "set", "lo", "up")
        yield


@contextlib.contextmanager
def _and_back() -> Iterator[ctypes.CDLL]:
    libc = ctypes.CDLL(None, use_errno=True)
    before = os.open("/proc/thread-self/ns/net", os.O_RDONLY | os.O_CLOEXEC)
    try:
        yield libc
    finally:
        libc.setns(before, _CLONE_NEWNET)
        os.close(before)
