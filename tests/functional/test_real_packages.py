"""Real packages, as a source index has them: ``configure``, CMake, and a build in which each warning is an error.

Each is configured and built in one place twice, by the published client on a farm and without: equal in status and in
every file that is left, but for logs. A configure run asks its compiler some hundred questions by compiles that fail.
"""

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import attrs
import pytest

from farmkit.farm import Farm
from farmkit.published_client import Client
from tests.functional.conftest import client_of_a_module

pytestmark = pytest.mark.functional

_WARNINGS = "-Wall -Wextra -Werror"


@attrs.frozen
class Package:
    """A source distribution, where in it the tree to build is, and how that is built from a folder beside it.

    :param built: at least so many object files are there in the end.
    """

    name: str
    tree: str
    compiler: str
    commands: tuple[str, ...]
    built: int = 0


PACKAGES = [
    Package(
        "pynacl==1.5.0",
        "PyNaCl-1.5.0/src/libsodium",
        "gcc",
        ("{tree}/configure --quiet --disable-dependency-tracking CC={cc}",),
    ),
    Package("pycares==4.4.0", "pycares-4.4.0/deps/c-ares", "gcc", ("cmake {tree} -DCMAKE_C_COMPILER={cc}",)),
    Package(
        "ujson==5.10.0",
        "ujson-5.10.0/deps/double-conversion",
        "clang++",
        (f"cmake {{tree}} -DCMAKE_CXX_COMPILER={{cc}} -DCMAKE_CXX_FLAGS='{_WARNINGS}' -DBUILD_TESTING=ON", "make -j3"),
        built=20,
    ),
]
#: What tells of a run rather than of what it found: logs, and CMake's notes of them.
_OF_THE_RUN = (".log", ".yaml", "config.status")


@pytest.fixture(scope="module")
def client(farm: Farm, all_toolchains: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Client]:
    """One client for all."""
    yield from client_of_a_module(farm, all_toolchains, tmp_path_factory)


@pytest.mark.parametrize("package", PACKAGES, ids=lambda package: package.name.partition("=")[0])
def test_a_package_is_built_as_at_home(client: Client, tmp_path: Path, package: Package) -> None:
    """It finds what it finds at home, and makes the same objects."""
    tree = fetched(package, tmp_path)
    before = client.statistics()
    farmed = built(package, tree, f"{client.sccache} {package.compiler}", client.environment)
    assert client.statistics().total_remote > before.total_remote + 10
    at_home = built(package, tree, package.compiler, dict(os.environ))
    assert farmed.keys() == at_home.keys()
    assert [name for name, octets in farmed.items() if octets != at_home[name]] == []
    assert sum(name.endswith(".o") for name in farmed) >= package.built


def fetched(package: Package, folder: Path) -> Path:
    """The tree of a package."""
    download = ["download", "--quiet", "--no-deps", "--no-binary", ":all:", "--dest", str(folder), package.name]
    subprocess.run([sys.executable, "-m", "pip", *download], check=True)
    (archive,) = folder.glob("*.tar.gz")
    shutil.unpack_archive(archive, folder / "source")
    return folder / "source" / package.tree


def built(package: Package, tree: Path, compiler: str, environment: dict[str, str]) -> dict[str, bytes]:
    """Build a package from nothing; its files by their names. The compiler has one name in both builds."""
    shutil.rmtree(folder := tree.parent / "build", ignore_errors=True)
    folder.mkdir()
    (cc := tree.parent / "cc").write_text(f'#!/bin/sh\nexec {compiler} "$@"\n')
    cc.chmod(0o755)
    for command in package.commands:
        line = command.format(tree=tree, cc=cc)
        ended = subprocess.run(line, shell=True, cwd=folder, env=environment, capture_output=True, check=False)
        assert ended.returncode == 0, (line, ended.stdout[-2000:], ended.stderr[-2000:])
    made = (path for path in folder.rglob("*") if path.is_file() and not path.name.endswith(_OF_THE_RUN))
    return {str(path.relative_to(folder)): path.read_bytes() for path in made}
