"""A file system in memory that a test can fill: root only."""

import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import attrs


@attrs.frozen
class SmallDisk:
    """A small file system.

    :param path: where it is mounted.
    :param size: its bytes.
    """

    path: Path
    size: int

    @contextmanager
    def mounted(self) -> Iterator[None]:
        """Have it at its place."""
        self.path.mkdir(parents=True)
        subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={self.size}", "tmpfs", self.path], check=True)
        try:
            yield
        finally:
            subprocess.run(["umount", "--lazy", self.path], check=True)

    @contextmanager
    def full(self, room: int = 0) -> Iterator[None]:
        """Leave only so many bytes on it, for a while."""
        state, filler = os.statvfs(self.path), self.path / "filler"
        with filler.open("wb") as file:
            os.posix_fallocate(file.fileno(), 0, state.f_bavail * state.f_bsize - room)
        try:
            yield
        finally:
            filler.unlink()
