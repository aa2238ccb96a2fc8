"""How many files and connections this process may have open at a time. What they are for is not known here."""

import contextlib
import resource
from pathlib import Path
from typing import TypeVar

import attrs

from sccachedist.config import ConnectionLimits
from sccachedist.daemon.logs import Logger

log = Logger()

L = TypeVar("L", bound=ConnectionLimits)

#: Descriptors that are kept for other uses than incoming connections: files, calls to peers, the log.
RESERVED = 512
_MOST = Path("/proc/sys/fs/nr_open")


def affordable(limits: L) -> L:
    """Raise the descriptor limit to what ``limits`` may need; if that fails, return limits that fit."""
    there = raise_to(limits.connections + RESERVED)
    if there >= limits.connections + RESERVED:
        return limits
    connections = max(1, there - RESERVED, there // 2)
    log.warn(
        "limits.connections: {given} are not to be had with {there} descriptors, {connections} are (see ulimit -Hn)",
        given=limits.connections,
        there=there,
        connections=connections,
    )
    return attrs.evolve(limits, connections=connections)


def raise_to(wanted: int) -> int:
    """Raise the descriptor limit to ``wanted``, or as far as possible. Returns the new limit, never a lower one."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if _less(soft, wanted) and _less(hard, wanted):
        with contextlib.suppress(ValueError, OSError):  # only root may, and not every root (in a container)
            most = min(wanted, _most_of_the_system())
            resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if _less(soft, wanted):
        soft = wanted if not _less(hard, wanted) else hard
        with contextlib.suppress(ValueError, OSError):  # macOS's real limit is below the one that it reports
            resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return soft if _less(soft, wanted) else wanted


def _less(limit: int, wanted: int) -> bool:
    return limit != resource.RLIM_INFINITY and limit < wanted


def _most_of_the_system() -> int:
    return int(_MOST.read_text()) if _MOST.exists() else resource.RLIM_INFINITY
