"""The unpacked toolchains of a build directory, from the side of a sandbox worker: synchronous.

One is unpacked beside its place and renamed when it is whole, and renamed away before it is removed: under
its name there is always the whole of it or nothing.
"""

import contextlib
import itertools
import os
import uuid
from pathlib import Path

from sccachedist.builders.arrival import Arrival
from sccachedist.builders.overlay.job import TOOLCHAINS
from sccachedist.builders.requests import UnpackToolchain
from sccachedist.builders.rooted import place_toolchain, root_at
from sccachedist.disks import on_disk


def unpack_toolchain(request: UnpackToolchain, arrival: Arrival | None = None) -> None:
    """Unpack an archive under its name, where nobody uses what may be left there.

    :param arrival: how far it has come, where it is not there yet: nothing has its name before it is whole.
    :raises ToolchainError: it is no archive that may be unpacked.
    :raises LimitExceeded: it is too large.
    :raises DiskError: it cannot be read, or there is no room for what is in it.
    """
    with on_disk(Path(request.archive), Path(TOOLCHAINS).absolute()):
        remove_toolchain(request.toolchain)
        part = _part(request.toolchain)
        part.mkdir()
        try:
            with root_at(part) as root:
                place_toolchain(request, root, arrival)
            while arrival is not None and arrival.goes_on():
                pass
        except BaseException:
            with contextlib.suppress(OSError):  # it is asked for once more
                _remove_tree(part)
            raise
        part.chmod(0o755)  # whatever the archive says of "./"
        part.rename(Path(TOOLCHAINS, request.toolchain))


def remove_toolchain(name: str) -> None:
    """Remove what was unpacked under a name, and what was begun by a worker that was killed."""
    for place in (Path(TOOLCHAINS, name), _part(name)):
        if place.exists():
            _remove_tree(place)


def _part(name: str) -> Path:
    return Path(TOOLCHAINS, f"part-{name}")


def remove_all() -> None:
    """Remove every toolchain, whole or not."""
    for entry in list(Path(TOOLCHAINS).iterdir()):
        _remove_tree(entry)


def _remove_tree(tree: Path) -> None:
    """Remove a tree, however deep: each directory in it is moved to the top before it is emptied.

    Nothing is made for that: a full disk has no room for it.
    """
    grave, numbers = Path(TOOLCHAINS, f"gone-{uuid.uuid4()}"), itertools.count()
    emptied, pending = [], [tree]
    while pending:
        directory = pending.pop().rename(f"{grave}-{next(numbers)}")
        emptied.append(directory)
        with os.scandir(directory) as entries:
            for entry in entries:
                if entry.is_dir(follow_symlinks=False):
                    pending.append(Path(entry.path))
                else:
                    os.unlink(entry.path)
    for directory in emptied:
        directory.rmdir()
