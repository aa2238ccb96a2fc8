"""The control groups of single workers, below the one that :mod:`sccachedist.builders.cgroups` makes for a builder."""

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path

#: What the name of a worker's group begins with; its process id follows.
WORKER = "worker-"


def worker_groups(parent: str | Path) -> Iterator[Path]:
    """The groups of a builder's workers.

    :raises OSError: the builder has no group.
    """
    with os.scandir(parent) as entries:
        yield from [Path(entry.path) for entry in entries if entry.name.startswith(WORKER)]


def sweep(parent: str | Path) -> None:
    """Remove the groups of workers that are gone, as far as they are empty."""
    for group in worker_groups(parent):
        if not os.path.exists(f"/proc/{group.name.removeprefix(WORKER)}"):
            with contextlib.suppress(OSError):
                os.rmdir(group)
