"""A sandbox worker that leaves one thing of ``/proc`` open; the name of its bubblewrap says which, see :data:`LEFT`."""

import sys
from pathlib import Path
from unittest import mock

import attrs

from sccachedist.sandbox.overlay import worker
from sccachedist.sandbox.overlay.masks import Masked, close_proc
from sccachedist.sandbox.overlay.namespaces import make_read_only

#: Names of programs, and the mounts that are missing with them.
LEFT = {"bwrap-writable": "/proc", "bwrap-unmasked": "/proc/kpagecount"}


def main() -> None:
    """Serve like that."""
    left = LEFT[Path(sys.argv[2]).name]

    def close_most(mounts: int, masked: Masked) -> None:
        close_proc(mounts, attrs.evolve(masked, files=tuple(file for file in masked.files if file != left)))

    def make_most_read_only(target: str) -> None:
        if target != left:
            make_read_only(target)

    overlay = "sccachedist.sandbox.overlay"
    closed = mock.patch(f"{overlay}.job.close_proc", close_most)
    with closed, mock.patch(f"{overlay}.masks.make_read_only", make_most_read_only):
        worker.main()


if __name__ == "__main__":
    main()
