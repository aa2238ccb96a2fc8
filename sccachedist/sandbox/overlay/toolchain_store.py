"""The unpacked toolchains of a build directory, from the side of a sandbox worker: synchronous.

One is unpacked beside its place and renamed when it is whole: under its name there is always the whole of it or
nothing. To remove it is to rename it, which takes no time however large it is; what was renamed is emptied later, by a
sweep.
"""

import contextlib
import itertools
import os
import uuid
from pathlib import Path

from sccachedist.builders.worker_protocol import Grown, Size, UnpackToolchain, unheard
from sccachedist.disks import on_disk
from sccachedist.sandbox.archive.growing_archive import GrowingArchive
from sccachedist.sandbox.job_root import place_toolchain, root_at
from sccachedist.sandbox.overlay.layout import TOOLCHAINS

_GONE = "gone-"


def unpack_toolchain(request: UnpackToolchain, growing: GrowingArchive | None = None, grown: Grown = unheard) -> Size:
    """Unpack an archive under its name, where nobody uses what may be left there; returns what it takes.

    :param growing: how far it has come, where it is not there yet: nothing has its name before it is whole.
    :param grown: told meanwhile.
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
                size = place_toolchain(request, root, growing, grown)
            while growing is not None and growing.goes_on():
                pass
        except BaseException:
            with contextlib.suppress(OSError):  # it is asked for once more
                _put_away(part)
            raise
        part.chmod(0o755)  # whatever the archive says of "./"
        part.rename(Path(TOOLCHAINS, request.toolchain))
    return size


def remove_toolchain(name: str) -> None:
    """Remove what was unpacked under a name, and what was begun by a worker that was killed."""
    for place in (Path(TOOLCHAINS, name), _part(name)):
        if place.exists():
            _put_away(place)


def remove_all() -> None:
    """Remove every toolchain, whole or not."""
    for entry in list(Path(TOOLCHAINS).iterdir()):
        if not entry.name.startswith(_GONE):
            _put_away(entry)


def sweep() -> None:
    """Empty what was put away, also by others meanwhile or before, while whoever has more to do goes first.

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
    """Nothing is made for that: a full disk has no room for it."""
    return tree.rename(Path(TOOLCHAINS, f"{_GONE}{uuid.uuid4()}"))


def swept() -> bool:
    """Go on until nothing is left, or only what was tried once and cannot be removed."""
    stuck: set[Path] = set()
    while found := set(Path(TOOLCHAINS).glob(f"{_GONE}*")) - stuck:
        for tree in found:
            try:
                _remove(tree)
            except OSError:
                stuck.add(tree)
    return not any(map(os.path.lexists, stuck))


def _remove(tree: Path) -> None:
    """Remove a tree, however deep: the directories in each are moved to the top before it goes."""
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
