"""Compile options, one set at a time, by the published client: what comes back is what a local compile makes."""

import base64
import shutil
import zlib
from collections.abc import Iterator
from pathlib import Path

import attrs
import pytest

from farmkit.farm import Farm
from farmkit.launch import PUBLISHED_SCHEDULER, PUBLISHED_SERVER
from farmkit.processes import Command, inherited
from farmkit.projects import LIBRARIES, write_workspace
from farmkit.published_client import Client, Statistics
from tests.functional.conftest import client_of_a_module, running_farm

pytestmark = pytest.mark.functional

_UNIT = """\
#include "own.h"
#include <stdio.h>

int count(int x)
{
    int total = own();
    for (int i = 0; i < x; i++)
        total += i;
#ifdef DOUBLED
    total *= 2;
#endif
    puts(__FILE__);
    return total;
}
"""
_BESIDE = {
    "own.h": "static inline int own(void)\n{\n    return 3;\n}\n",
    "forced.h": "#define DOUBLED\n",
    "options": "-O2 -DDOUBLED\n",
}


@attrs.frozen
class Compiler:
    """A compiler, and where it sees that its source has been preprocessed, as all is that clients send away.

    :param debug: its option for debug information: clang's DWARF 5 has the sources' MD5, its DWARF 4 has not.
    :param notes: how many bytes of its coverage notes to compare: clang's describe the text that it reads, behind the
        stamp that binds them to the object.
    """

    name: str
    debug: str
    notes: int | None


GCC = Compiler("gcc", "-g", None)
CLANG = Compiler("clang", "-gdwarf-4", 12)
STANDARDS = {"unit.c": "-std=c11", "unit.cc": "-std=c++17"}


@pytest.fixture(scope="module")
def client(farm: Farm, all_toolchains: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Client]:
    """One client for all."""
    yield from client_of_a_module(farm, all_toolchains, tmp_path_factory)


@pytest.mark.parametrize("source", STANDARDS)
@pytest.mark.parametrize("compiler", [GCC, CLANG], ids=lambda compiler: compiler.name)
@pytest.mark.parametrize(
    ("options", "made"),
    [
        ("", ""),
        ("-O2 -fPIC", ""),
        ("-O3 -march=x86-64-v2 -mtune=generic", ""),
        ("-Wa,--noexecstack", ""),
        ("{debug} -g2 -g1", ""),
        ("{standard} -Wall -Wextra -Werror", ""),
        ("{debug} -O1", ""),
        ("{debug} -gsplit-dwarf", "unit.dwo"),
        ("--coverage -frandom-seed=unit", "unit.gcno"),
        ("-MD -MF unit.d", "unit.d"),
        ("-MMD -MP -MT target", "unit.d"),
        ("-include forced.h -DNAME=__FILE__", ""),
        ("@options", ""),
    ],
)
def test_a_remote_compile_makes_what_a_local_one_does(
    client: Client, tmp_path: Path, options: str, made: str, compiler: Compiler, source: str
) -> None:
    """The same files, with the same contents, and it was remote."""
    for name, text in {source: _UNIT, **_BESIDE}.items():
        (tmp_path / name).write_text(text)
    given = options.format(standard=STANDARDS[source], debug=compiler.debug).split()
    command = (compiler.name, *given, "-c", source, "-o", "unit.o")
    before = client.statistics()
    remote = made_by(client.compiling(command, tmp_path), compiler)
    after = client.statistics()
    assert (after.total_remote, after.errors) == (before.total_remote + 1, before.errors)
    assert remote.keys() == {"unit.o", *made.split()}
    assert remote == made_by(Command(command, inherited(), tmp_path), compiler)


def made_by(command: Command, compiler: Compiler) -> dict[str, bytes]:
    """Compile; take the files that are new in the folder away, and give what can be compared of them."""
    before = set(command.folder.iterdir())
    ended = command.run(120)
    assert ended.returncode == 0, ended
    made = {}
    for path in set(command.folder.iterdir()) - before:
        made[path.name] = path.read_bytes()[: compiler.notes if path.suffix == ".gcno" else None]
        path.unlink()
    return made


@pytest.mark.parametrize("arguments", [(), ("--release",), ("--profile", "small")], ids=" ".join)
def test_a_remote_crate_is_what_a_local_build_makes(client: Client, tmp_path: Path, arguments: tuple[str, ...]) -> None:
    """Cargo's libraries, by profile: equal byte for byte, and so are the lists of what they depend on."""
    write_workspace(tmp_path)
    with (tmp_path / "Cargo.toml").open("a") as manifest:
        manifest.write('[profile.small]\ninherits = "release"\nopt-level = "s"\ndebug = 1\npanic = "abort"\n')
    before = client.statistics()
    remote = libraries_built_by(client.cargo_build(tmp_path, *arguments))
    after = client.statistics()
    assert (after.total_remote, after.errors) == (before.total_remote + len(LIBRARIES), before.errors)
    local = Command(("cargo", "build", "--offline", *arguments), inherited(CARGO_INCREMENTAL="0"), tmp_path)
    assert remote == libraries_built_by(local)


def libraries_built_by(command: Command) -> dict[str, bytes]:
    """Build from nothing; give what there is of the libraries by name."""
    ended = command.run(300)
    assert ended.returncode == 0, ended
    made = {
        path.name: path.read_bytes() for path in (command.folder / "target").glob("*/deps/*") if is_of_library(path)
    }
    assert {Path(name).suffix for name in made} == {".rlib", ".rmeta", ".d"}
    shutil.rmtree(command.folder / "target")
    return made


def is_of_library(path: Path) -> bool:
    return path.name.removeprefix("lib").partition("-")[0] in LIBRARIES


# What "llvm-profdata merge" of LLVM 14 makes of ":ir f 1 1 5", a word a line: a function f that was called five times.
_PROFILE = (
    "eNr7n1NQlJ+W2cjOAAaMDGhAgwlCs0H5AgyoCmE0KxrNgMYXUGfACha0MWIVd+BlRtEPU/VgMgtW8QYpNqziCgvZsYofUOfEKp6w"
    "jgurOIMpD1bxBbt5sYp/qOPDKm4gzY9VPMIOu/gdR+ziZk7Yxe1xiDMy9C/0uVvqP/EMPGSgdBquqORAjg90RS+gDAB2fhey"
)


@pytest.mark.parametrize("profile", ["{folder}/calls.profdata", "calls.profdata"])
def test_a_profile_that_a_crate_is_compiled_with(client: Client, tmp_path: Path, profile: str) -> None:
    """The client sends it, and also declares it as an output, in the crate's folder if its name is relative."""
    (tmp_path / "lib.rs").write_text("pub fn one() -> u32 {\n    1\n}\n")
    (tmp_path / "calls.profdata").write_bytes(zlib.decompress(base64.b64decode(_PROFILE)))
    kinds = ("--crate-type", "lib", "--emit=dep-info,metadata,link", "--out-dir", str(tmp_path / "made"))
    use = ("-C", f"profile-use={profile.format(folder=tmp_path)}")
    command = ("rustc", "--crate-name", "one", "lib.rs", *kinds, *use)
    before = client.statistics()
    remote = crate_made_by(client.compiling(command, tmp_path))
    after = client.statistics()
    assert (after.total_remote, after.errors) == (before.total_remote + 1, before.errors)
    assert remote == crate_made_by(Command(command, inherited(), tmp_path))
    assert remote.keys() == {"libone.rlib", "libone.rmeta", "one.d"}


def crate_made_by(command: Command) -> dict[str, bytes]:
    """Compile into an empty folder; give what is in it then."""
    made = command.folder / "made"
    shutil.rmtree(made, ignore_errors=True)
    made.mkdir()
    ended = command.run(300)
    assert ended.returncode == 0, ended
    return {path.name: path.read_bytes() for path in made.iterdir()}


@pytest.mark.parametrize("variable", ["TMPDIR", "TMP", "TEMP", "TEMPDIR"])
@pytest.mark.parametrize("compiler", [GCC, CLANG], ids=lambda compiler: compiler.name)
def test_a_directory_for_temporary_files(client: Client, tmp_path: Path, compiler: Compiler, variable: str) -> None:
    """A compiler that runs an assembler finds the directory that its environment names."""
    (tmp_path / "unit.c").write_text("int one(void)\n{\n    return 1;\n}\n")
    (tmp_path / "temporary").mkdir()
    command = (compiler.name, *(("-fno-integrated-as",) if compiler is CLANG else ()), "-c", "unit.c", "-o", "unit.o")
    for named in (str(tmp_path / "temporary"), "temporary"):
        before = client.statistics()
        through, locally = client.compiling(command, tmp_path), Command(command, inherited(), tmp_path)
        remote, local = (
            made_by(attrs.evolve(each, environment={**each.environment, variable: named}), compiler)
            for each in (through, locally)
        )
        after = client.statistics()
        assert (after.total_remote, after.errors) == (before.total_remote + 1, before.errors)
        assert remote == local


@pytest.mark.parametrize("variables", [(12, 100_000), (20_000, 60)], ids=["large", "many"])
def test_a_large_environment(client: Client, tmp_path: Path, variables: tuple[int, int]) -> None:
    """As much of it as a program can be started with, as a rule, is no matter."""
    (tmp_path / "unit.c").write_text("int one;\n")
    count, size = variables
    compiling = client.compiling(("gcc", "-c", "unit.c", "-o", "unit.o"), tmp_path)
    more = {f"VARIABLE_{number}": "x" * size for number in range(count)}
    before = client.statistics()
    ended = attrs.evolve(compiling, environment={**compiling.environment, **more}).run(120)
    assert ended.returncode == 0, ended
    after = client.statistics()
    assert (after.total_remote, after.errors) == (before.total_remote + 1, before.errors)


def test_files_that_the_client_does_not_ask_for(tmp_path: Path, toolchains: Path) -> None:
    """A compiler's reports stay where a published build server runs it; ours sends such compiles home."""
    (tmp_path / "unit.c").write_text("int one(void)\n{\n    return 1;\n}\n")
    reports = ("-fstack-usage", "-fcallgraph-info", "-fdump-tree-original", "-fsave-optimization-record")
    command = ("gcc", *reports, "-c", "unit.c", "-o", "unit.o")
    (tmp_path / "farm").mkdir()
    for farm in running_farm(Farm(tmp_path / "farm", PUBLISHED_SCHEDULER, PUBLISHED_SERVER)):
        with Client(tmp_path / "client", farm.scheduler_url, farm.client_token, toolchains) as client:
            remote = made_by(client.compiling(command, tmp_path), GCC)
            assert client.statistics() == Statistics({str(farm.server_id): 1}, errors=0)
    local = made_by(Command(command, inherited(), tmp_path), GCC)
    assert remote == {"unit.o": local.pop("unit.o")}
    assert "unit.su" in local
