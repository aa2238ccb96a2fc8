"""The compilers of this machine, as the published client packs them, unpack as GNU tar unpacks them."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from farmkit.busybox_jobs import id_of
from sccachedist.builders.worker_protocol import UnpackLimits, UnpackToolchain, limits_from
from sccachedist.config import ServerLimits
from sccachedist.sandbox.beneath import DIRECTORY, Lookup, Root, openat2, walk
from sccachedist.sandbox.job_root import place_toolchain
from tests.sandbox.test_unpack import picture

pytestmark = pytest.mark.functional

LOOKUPS = {"openat2": openat2, "walk": walk}
COMPILERS = {"gcc": "cc1", "clang": "clang", "rustc": "rustc"}


@pytest.fixture(scope="module")
def archives(all_toolchains: Path) -> dict[str, Path]:
    """A packed toolchain of each compiler."""
    files = (path for path in all_toolchains.rglob("*") if path.is_file())
    packed = {path: _names(path) for path in files if _is_gzipped(path)}
    return {
        compiler: next(path for path, names in packed.items() if _holds(names, program))
        for compiler, program in COMPILERS.items()
    }


def _is_gzipped(path: Path) -> bool:
    with path.open("rb") as file:
        return file.read(2) == b"\x1f\x8b"


def _names(archive: Path) -> list[str]:
    return subprocess.run(["tar", "-tzf", archive], capture_output=True, text=True, check=True).stdout.splitlines()


def _holds(names: list[str], program: str) -> bool:
    return any(name.endswith(f"/{program}") or f"/{program}-" in name for name in names)


@pytest.mark.parametrize("compiler", COMPILERS)
@pytest.mark.parametrize("lookup", LOOKUPS)
def test_as_gnu_tar(archives: dict[str, Path], tmp_path: Path, compiler: str, lookup: str) -> None:
    """Kinds, modes, times of files, contents, links and which names are one file."""
    archive = archives[compiler]
    ours, theirs = tmp_path / "ours", tmp_path / "theirs"
    ours.mkdir()
    theirs.mkdir()
    _unpack(archive, ours, LOOKUPS[lookup])
    subprocess.run(["tar", "-xpzf", archive, "-C", theirs], check=True)
    pictures = picture(ours), picture(theirs)
    assert pictures[0] == pictures[1]
    assert len(pictures[0]) > 5
    shutil.rmtree(ours)
    shutil.rmtree(theirs)


def _unpack(archive: Path, place: Path, lookup: Lookup) -> None:
    request = UnpackToolchain(id_of(archive), str(archive), limits_from(ServerLimits(), UnpackLimits))
    descriptor = os.open(place, DIRECTORY)
    try:
        place_toolchain(request, Root(descriptor, lookup))
    finally:
        os.close(descriptor)
