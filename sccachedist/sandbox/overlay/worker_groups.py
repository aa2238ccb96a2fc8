"""Names and removal of workers' control groups, below the parent that :mod:`sccachedist.builders.cgroups` makes.

The limits in them are set by :mod:`sccachedist.sandbox.overlay.resource_limits`.
"""

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path

#: How the name of a worker's group begins; the worker's process id follows.
WORKER = "worker-"


def worker_groups(parent: str | Path) -> Iterator[Path]:
    """Yield the groups of a builder's workers.

    :raises OSError: the builder has no parent group.
    """
    with os.scandir(parent) as entries:
        yield from [Path(entry.path) for entry in entries if entry.name.startswith(WORKER)]


def sweep(parent: str | Path) -> None:
    """Remove the empty groups of workers that have ended."""
    for group in worker_groups(parent):
        if not os.path.exists(f"/proc/{group.name.removeprefix(WORKER)}"):
            with contextlib.suppress(OSError):
                os.rmdir(group)
