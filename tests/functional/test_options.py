"""Compile options, one set at a time, by the published client: what comes back is what a local compile makes."""

from collections.abc import Iterator
from pathlib import Path

import attrs
import pytest

from demo.client import Client
from demo.farm import Farm
from demo.processes import Command, inherited
from tests.functional.conftest import share_toolchains

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
    """One client for all: clang takes a while to pack."""
    folder = tmp_path_factory.mktemp("client")
    toolchains = share_toolchains(all_toolchains, folder / "toolchains")
    with Client(folder, farm.scheduler_url, farm.client_token, toolchains) as client:
        yield client


@pytest.mark.parametrize("source", STANDARDS)
@pytest.mark.parametrize("compiler", [GCC, CLANG], ids=lambda compiler: compiler.name)
@pytest.mark.parametrize(
    ("options", "made"),
    [
        ("", ""),
        ("-O2 -fPIC", ""),
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
