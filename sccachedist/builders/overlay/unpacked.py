"""The unpacked toolchains of a build directory, from the side of a sandbox worker: synchronous.

One is unpacked beside its place and renamed when it is whole, and renamed away before it is removed: under
its name there is always the whole of it or nothing.
"""

import itertools
import os
import tempfile
from pathlib import Path

from sccachedist.builders.overlay.job import TOOLCHAINS
from sccachedist.builders.requests import UnpackToolchain
from sccachedist.builders.rooted import place_toolchain, root_at


def unpack_toolchain(request: UnpackToolchain) -> None:
    """Unpack an archive under its name.

    :raises ToolchainError: it is no archive that may be unpacked.
    :raises LimitExceeded: it is too large.
    """
    place = Path(TOOLCHAINS, request.toolchain)
    part = _part(request.toolchain)
    part.mkdir()
    try:
        with root_at(part) as root:
            place_toolchain(request, root)
    except BaseException:
        _remove_tree(part)
        raise
    part.rename(place)


def remove_toolchain(name: str) -> None:
    """Remove what was unpacked under a name, and what was begun by a worker that was killed."""
    for place in (Path(TOOLCHAINS, name), _part(name)):
        if place.exists():
            _remove_tree(place)


def _part(name: str) -> Path:
    return Path(TOOLCHAINS, f"part-{name}")


def remove_all() -> None:
    """Remove every toolchain, whole or not."""
    for entry in Path(TOOLCHAINS).iterdir():
        _remove_tree(entry)


def _remove_tree(tree: Path) -> None:
    """Remove a tree, however deep: each directory in it is moved to the top before it is emptied."""
    grave = Path(tempfile.mkdtemp(dir=TOOLCHAINS, prefix="gone-"))
    names = map(str, itertools.count())
    pending = [tree]
    while pending:
        directory = pending.pop().rename(grave / next(names))
        with os.scandir(directory) as entries:
            for entry in entries:
                if entry.is_dir(follow_symlinks=False):
                    pending.append(Path(entry.path))
                else:
                    os.unlink(entry.path)
    for emptied in grave.iterdir():
        emptied.rmdir()
    grave.rmdir()
