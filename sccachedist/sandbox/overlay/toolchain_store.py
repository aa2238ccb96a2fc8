"""Unpacks and removes the toolchains of a build directory, in a sandbox worker: synchronous.

A toolchain is unpacked under another name and renamed when it is whole: under its own name it is whole or missing. It
is removed by renaming, which is fast for any size; a sweep deletes the files later. When that happens is not known
here: :mod:`sccachedist.builders.worker_builder` decides.
"""

import contextlib
import itertools
import os
import uuid
from pathlib import Path

from sccachedist.builders.worker_protocol import Grown, Unpacked, UnpackToolchain, unheard
from sccachedist.disks import on_disk
from sccachedist.sandbox.archive.growing_archive import GrowingArchive
from sccachedist.sandbox.job_root import place_toolchain, root_at
from sccachedist.sandbox.overlay.layout import TOOLCHAINS

_GONE = "gone-"


def unpack_toolchain(
    request: UnpackToolchain, growing: GrowingArchive | None = None, grown: Grown = unheard
) -> Unpacked:
    """Unpack an archive under its toolchain's name, instead of what may be left there unused.

    :param growing: how much of the archive is there, during its upload: the name appears only when it is whole.
    :param grown: called with the size so far.
    :raises ToolchainError: it is no archive that may be unpacked.
    :raises LimitExceeded: it is too large.
    :raises DiskError: the archive cannot be read, or the disk is full.
    """
    with on_disk(Path(request.archive), Path(TOOLCHAINS).absolute()):
        remove_toolchain(request.toolchain)
        part = _part(request.toolchain)
        part.mkdir()
        try:
            with root_at(part) as root:
                unpacked = place_toolchain(request, root, growing, grown)
            while growing is not None and growing.goes_on():
                pass
        except BaseException:
            with contextlib.suppress(OSError):  # the builder sends a RemoveToolchain
                _put_away(part)
            raise
        part.chmod(0o755)  # an archive may set another mode for "./"
        part.rename(Path(TOOLCHAINS, request.toolchain))
    return unpacked


def remove_toolchain(name: str) -> None:
    """Remove an unpacked toolchain, and what a killed worker has unpacked of it."""
    for place in (Path(TOOLCHAINS, name), _part(name)):
        if place.exists():
            _put_away(place)


def remove_all() -> None:
    """Remove every toolchain, whole or not."""
    for entry in list(Path(TOOLCHAINS).iterdir()):
        if not entry.name.startswith(_GONE):
            _put_away(entry)


def sweep() -> None:
    """Delete the files of all removed toolchains, at the lowest priority; also of those that are removed meanwhile.

    :raises OSError: something cannot be removed.
    """
    if not (child := os.fork()):
        is_clean = False
        try:
            os.nice(19)
            is_clean = swept()
        finally:
            os._exit(not is_clean)
    _, status = os.waitpid(child, 0)
    if status:
        raise OSError(f"what was removed of {os.path.abspath(TOOLCHAINS)} could not be emptied")


def _part(name: str) -> Path:
    return Path(TOOLCHAINS, f"part-{name}")


def _put_away(tree: Path) -> Path:
    """Rename a tree in its directory: a full disk has no room for another directory."""
    return tree.rename(Path(TOOLCHAINS, f"{_GONE}{uuid.uuid4()}"))


def swept() -> bool:
    """Delete until nothing is left but what could not be removed at the first try; returns whether nothing is left."""
    stuck: set[Path] = set()
    while found := set(Path(TOOLCHAINS).glob(f"{_GONE}*")) - stuck:
        for tree in found:
            try:
                _remove(tree)
            except OSError:
                stuck.add(tree)
    return not any(map(os.path.lexists, stuck))


def _remove(tree: Path) -> None:
    """Remove a tree of any depth: the directories in each are moved to the top before it is removed."""
    if tree.is_symlink() or not tree.is_dir():
        tree.unlink()
        return
    numbers, pending = itertools.count(), [tree]
    while pending:
        directory = pending.pop()
        with os.scandir(directory) as entries:
            for entry in entries:
                if entry.is_dir(follow_symlinks=False):
                    pending.append(Path(entry.path).rename(f"{tree}-{next(numbers)}"))
                else:
                    os.unlink(entry.path)
        directory.rmdir()
