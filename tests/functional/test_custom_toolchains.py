"""Toolchains that users pack themselves and name in the client's configuration, under ``[[dist.toolchains]]``."""

import os
import re
import shutil
from collections.abc import Mapping
from pathlib import Path

import pytest

from farmkit.busybox_jobs import id_of, write_archive
from farmkit.farm import Farm
from farmkit.processes import Command, inherited
from farmkit.projects import CXX, LIBRARIES, C, Language, write_project, write_workspace
from farmkit.published_client import Client, Override, Statistics

pytestmark = pytest.mark.functional

_PACKING_SECS = 120

# A language, and the compiler for it in the archive: of clang, icecc packs the one only, which knows both.
GCC = {C: "/usr/bin/gcc", CXX: "/usr/bin/g++"}
CLANG = {Language("clang", ".c", C.part): "/usr/bin/clang", Language("clang++", ".cc", CXX.part): "/usr/bin/clang"}


def made_by_icecc(folder: Path, compiler: str) -> Path:
    """The archive that Debian's icecc makes of a compiler and of the one for C++ beside it."""
    folder.mkdir()
    packed = Command(("icecc-create-env", str(program(compiler))), inherited(), folder).run(_PACKING_SECS)
    assert packed.returncode == 0, packed
    (archive,) = folder.glob("*.tar.gz")
    return archive


def program(name: str) -> Path:
    found = shutil.which(name)
    assert found, f"{name} is needed"
    return Path(found)


@pytest.mark.parametrize("compilers", [GCC, CLANG], ids=["gcc", "clang"])
def test_an_archive_of_icecc_compiles(farm: Farm, tmp_path: Path, compilers: Mapping[Language, str]) -> None:
    """One archive for C and C++: all is compiled with it and remotely, to what a local compile makes."""
    archive = made_by_icecc(tmp_path / "icecc", next(iter(compilers)).compiler)
    overrides = [Override(program(each.compiler), archive, packed) for each, packed in compilers.items()]
    projects = [write_project(tmp_path / each.compiler, each, 1) for each in compilers]
    compiles = [(project, source) for project in projects for source in project.sources]
    with Client(tmp_path / "client", farm.scheduler_url, farm.client_token, tmp_path / "tc", overrides) as client:
        for project, source in compiles:
            remote, local = (
                made(command, project.object_of(source))
                for command in (
                    client.compiling(project.compile_command(source), project.folder),
                    Command(project.compile_command(source), inherited(), project.folder),
                )
            )
            assert remote == local
        assert client.statistics() == Statistics({str(farm.server_id): len(compiles)}, errors=0)
    assert id_of(archive) in toolchains_of(farm)


def made(command: Command, file: Path) -> bytes:
    ended = command.run()
    assert ended.returncode == 0, ended
    return file.read_bytes()


def toolchains_of(farm: Farm) -> set[str]:
    """The archive ids of all that was uploaded."""
    return {path.name for path in (farm.server_folder / "cache" / "tc").rglob("*") if path.is_file()}


def test_an_archive_for_rustc_compiles(farm: Farm, tmp_path: Path) -> None:
    """Cargo's library crates go to the rustc of the archive, which has another name than the client's."""
    rustc = Path(rustc_says("sysroot"), "bin", "rustc")
    own = rustc.with_name("rustc-of-the-farm")
    archive = write_archive(tmp_path / "rust.tar.gz", {str(own): rustc, **libraries_of(rustc)})
    override = Override(rustc, archive, str(own))
    built = write_workspace(tmp_path / "workspace")
    with Client(tmp_path / "client", farm.scheduler_url, farm.client_token, tmp_path / "tc", [override]) as client:
        ended = client.cargo_build(tmp_path / "workspace").run(120)
        assert ended.returncode == 0, ended
        assert client.statistics() == Statistics({str(farm.server_id): len(LIBRARIES)}, errors=0)
    assert id_of(archive) in toolchains_of(farm)
    assert Command((str(built),), inherited(), tmp_path).run().returncode == 0


def rustc_says(what: str) -> str:
    return Command(("rustc", "--print", what), inherited(), Path("/")).run().stdout.strip()


def libraries_of(rustc: Path) -> dict[str, Path]:
    """What it loads, and the crates that every crate is built upon, by the names that it knows them by."""
    listed = Command(("ldd", str(rustc)), inherited(), Path("/")).run().stdout
    names = re.findall(r"(/\S+) \(0x", listed)
    crates = [path for path in Path(rustc_says("target-libdir")).iterdir() if path.is_file()]
    return {os.path.normpath(name): Path(name) for name in (*names, *map(str, crates))}
