"""How the Linux kernel's build asks its compiler, as ``scripts/Kconfig.include`` and ``Kbuild.include`` do, by a farm.

Sources and outputs that are devices, options that a compiler may not have, assembler from a pipe. Each probe runs in a
shell with the client before the compiler and without: equal in status, words and files. None that the client sends is
given back, but those that fail.
"""

import shutil
from collections.abc import Iterator
from pathlib import Path

import attrs
import pytest

from farmkit.farm import Farm
from farmkit.processes import Command, inherited
from farmkit.published_client import Client
from tests.functional.conftest import client_of_a_module

pytestmark = pytest.mark.functional

_UNIT = "int more(int x)\n{\n    return x + 1;\n}\n"
_GOTO = 'int f(int x) { asm goto ("jmp %l0" : : : : out); out: return x; }'

#: Shell commands; ``$CC`` is the compiler. Those of the first list are compiles that succeed on the farm.
REMOTE = [
    "$CC -Werror -Wframe-larger-than=1 -c -x c /dev/null -o probe.o",
    "$CC -Werror -fno-PIE -fcf-protection=none -x c -c /dev/null -o probe.o",
    "$CC -Wa,--fatal-warnings -c -x assembler-with-cpp /dev/null -o probe.o",
    "$CC -c -x assembler /dev/null -o probe.o",
    "$CC -c unit.c -o /dev/null",
    "$CC -c -x c /dev/null -o /dev/null",
    "$CC -MD -MF /dev/null -c unit.c -o unit.o",
    "$CC -Wp,-MMD,unit.d -c unit.c -o unit.o",
    "$CC -nostdinc -include /dev/null -c unit.c -o unit.o",
    "$CC -c null.c -o probe.o",
    "$CC -c unit.c -o beside/unit.o",
]
HERE = [
    "$CC -Werror -S -x c /dev/null -o probe.s",
    "$CC -Werror -fstack-protector-strong -S -x c /dev/null -o /dev/null",
    "echo 'int x;' | $CC -c -x c - -o probe.o",
    f"echo '{_GOTO}' | $CC -O2 -x c - -c -o /dev/null",
    "printf '%b\\n' '.cfi_startproc\\n.cfi_endproc' | $CC -c -x assembler-with-cpp -o probe.o -",
    "$CC -E -dM -x c /dev/null | grep -c __STDC__",
    "echo __GNUC__ | $CC -E -P -x c -",
]
FAILING = [
    "$CC -Werror -fno-such-option -c -x c /dev/null -o probe.o",
    "$CC -Werror -Wno-such-warning -Wsuch-warning -c -x c /dev/null -o probe.o",
    "$CC -Wa,--no-such-option -c -x assembler-with-cpp /dev/null -o probe.o",
    "$CC -c unit.c -o /dev/full",
    "$CC -c unit.c -o missing/unit.o",
]


@pytest.fixture(scope="module")
def client(farm: Farm, all_toolchains: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Client]:
    """One client for all."""
    yield from client_of_a_module(farm, all_toolchains, tmp_path_factory)


@attrs.frozen
class Probed:
    """What came of a probe: its status and its standard output, and the files that it made."""

    status: int
    words: str
    files: dict[str, bytes]


@pytest.mark.parametrize("compiler", ["gcc", "clang"])
@pytest.mark.parametrize("probe", [*REMOTE, *HERE, *FAILING])
def test_a_probe(farm: Farm, client: Client, tmp_path: Path, probe: str, compiler: str) -> None:
    """It ends as without a farm, and a device is no reason to send it home."""
    before, logged = client.statistics(), len(farm.server.log.read_text())
    through = probed(tmp_path / "work", probe, f"{client.sccache} {compiler}", client.environment)
    after = client.statistics()
    assert through == probed(tmp_path / "work", probe, compiler, inherited())
    if probe in REMOTE:
        assert (after.total_remote, after.errors) == (before.total_remote + 1, before.errors)
        assert "answered 5" not in farm.server.log.read_text()[logged:]


def probed(work: Path, probe: str, compiler: str, environment: dict[str, str]) -> Probed:
    """Run it in a clean folder."""
    shutil.rmtree(work, ignore_errors=True)
    (work / "beside").mkdir(parents=True)
    (work / "unit.c").write_text(_UNIT)
    (work / "null.c").symlink_to("/dev/null")
    ended = Command(("sh", "-c", probe), {**environment, "CC": compiler}, work).run(300)
    made = {str(path.relative_to(work)): path for path in work.rglob("*") if path.is_file()}
    assert Path("/dev/null").is_char_device()
    return Probed(ended.returncode, ended.stdout, {name: path.read_bytes() for name, path in made.items()})
