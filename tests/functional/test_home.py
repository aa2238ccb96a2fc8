"""Options with which compiles stay at home, by real compilers and the published client, and options that look alike.

One farm and one client for all. What the client makes with an option is what a local compile makes: object, side file
and words. Which of the two did it is told by the client's statistics.
"""

import re
import shlex
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from farmkit.farm import Farm
from farmkit.launch import OUR_SCHEDULER, OUR_SERVER, adding
from farmkit.processes import Command, inherited
from farmkit.published_client import Client, Statistics
from tests.functional.conftest import client_of_a_module, running_farm

pytestmark = pytest.mark.functional

_FILES = {
    "unit.c": '#include "own.h"\n#define FIVE 5\n\nint five = FIVE;\n\nint more(int x)\n{\n    return own() + x;\n}\n',
    "own.h": "static inline int own(void)\n{\n    return 3;\n}\n",
    "lib.rs": "#[inline(never)]\npub fn sum(x: &[u64]) -> u64 {\n    x.iter().sum()\n}\n",
    "list": "src:*\n",
    "samples": "more:10000:100\n 1: 100\n",
    "tools/as": '#!/bin/sh\nexec /usr/bin/as --defsym OTHER=1 "$@"\n',
}
# The names of what compilers pass to each other: random ones, which their assembler's listings begin with.
_TEMPORARY = re.compile(rb"/tmp/[\w-]+\.s")

# Reports with times or addresses in them: that they are there is enough.
_DIFFER = re.compile(r".*\.gz|.*\.\d+r\.\w+")


@pytest.fixture(scope="module")
def farm(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Farm]:
    """A farm whose administrator keeps one more option at home."""
    launch = adding(OUR_SERVER, policy='local_options = ["-fno-plt", "-C lto*"]')
    yield from running_farm(Farm(tmp_path_factory.mktemp("farm"), OUR_SCHEDULER, launch))


@pytest.fixture(scope="module")
def client(farm: Farm, all_toolchains: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Client]:
    """One client for all."""
    yield from client_of_a_module(farm, all_toolchains, tmp_path_factory)


AT_HOME = [
    "gcc -march=native",
    "gcc -O2 -mtune=native",
    "gcc -g3",
    "gcc -gdwarf-4 -ggdb3",
    "gcc -g3 -g",
    "gcc -dM",
    "gcc -B{tools}",
    "gcc -B {tools}",
    "gcc --prefix={tools}",
    "COMPILER_PATH={tools} gcc",
    "gcc -specs=list",
    "gcc -finput-charset=ISO-8859-1",
    "gcc -fexec-charset=CP1252",
    "gcc -Wa,-a=unit.lst",
    "gcc -Wa,-L,-ahln=unit.lst",
    "gcc -Xassembler -a=unit.lst",
    "gcc -Wa,--MD=unit.deps",
    "gcc -aux-info unit.aux",
    "gcc -fstack-usage",
    "gcc -fcallgraph-info",
    "gcc -fdump-tree-original",
    "gcc -fdump-final-insns=unit.gkd",
    "gcc -da",
    "gcc -O2 -fopt-info-all=unit.opt",
    "gcc -O2 -fsave-optimization-record",
    "gcc --stack-usage",
    "gcc --machine=arch=native",
    "gcc --for-assembler=-a=unit.lst",
    "gcc --debug=3",
    "gcc --output=unit.o",
    "gcc -fno-plt",
    "clang -coverage",
    "clang --output=unit.o",
    "clang -fno-integrated-as -Xassembler -a=unit.lst",
    "clang -march=native",
    "clang -O2 -mtune=native",
    "clang -gdwarf-4 -fdebug-macro",
    "clang -gdwarf-5 -gembed-source",
    "clang -fprofile-instr-generate -fcoverage-mapping",
    "clang -frewrite-includes",
    "clang -dM",
    "clang -fno-integrated-as -B{tools}",
    "COMPILER_PATH={tools} clang -fno-integrated-as",
    "clang -fno-integrated-as -Wa,-a=unit.lst",
    "clang -fprofile-sample-use=samples -gdwarf-4",
    "clang -fprofile-instr-generate -fprofile-list=list",
    "clang -fstack-usage",
    "clang -O2 -fsave-optimization-record",
    "clang -O2 -foptimization-record-file=unit.opt",
    "clang -MJunit.json",
    "clang -O2 -foptimization-record-passes=inline",
    "clang -flto=thin -fthin-link-bitcode=unit.bc",
    "clang -Wshadow-all -Wall --serialize-diagnostics unit.dia",
    "CC_LOG_DIAGNOSTICS=1 CC_LOG_DIAGNOSTICS_FILE=unit.log clang -Weverything",
    "clang --analyze",
    "clang -H",
    "gcc -S -fverbose-asm",
    "clang -gdwarf-4 -gsplit-dwarf=split",
    "CCC_OVERRIDE_OPTIONS=+-fstack-usage clang",
    "rustc -C target-cpu=native",
    "rustc -Ctarget-cpu=native",
    "rustc --codegen target-cpu=native",
    "rustc -C debuginfo=2 -C split-debuginfo=unpacked",
    "rustc -C lto=off",
    "RUSTC_BOOTSTRAP=1 rustc -Z tune-cpu=native",
    "RUSTC_BOOTSTRAP=1 rustc -Z dump-mono-stats",
]

REMOTE = [
    "gcc -march=x86-64-v2 -mtune=generic",
    "gcc -g2 -Wa,--noexecstack",
    "gcc -g3 -g0",
    "gcc -g3 -g2",
    "gcc -gsplit-dwarf -g",
    "gcc -B/usr/bin",
    "gcc -fexec-charset=UTF-8 -finput-charset=utf-8",
    "gcc -fdump-passes -fdump-noaddr -dA",
    "gcc -O2 -fopt-info -fprofile-generate -frandom-seed=unit",
    "gcc -frecord-gcc-switches -fverbose-asm",
    "clang -gdwarf-4 -g3",
    "clang -gdwarf-4 -fdebug-macro -fno-debug-macro",
    "clang -march=x86-64-v2 -B{tools}",
    "clang -fsanitize=address -fsanitize-ignorelist=list",
    "COMPILER_PATH={tools} clang -O2 -fsave-optimization-record -fno-save-optimization-record",
    "rustc -C target-cpu=x86-64-v2 -C debuginfo=2",
    "rustc -C split-debuginfo=unpacked -C save-temps=no",
    "rustc -C instrument-coverage",
]


def test_the_reason_in_the_log(farm: Farm, client: Client, tmp_path: Path) -> None:
    """The first few have a line: which option it was, and what would come of it. Those behind are counted."""
    same_as_at_home(client, tmp_path, "gcc -march=native")
    assert "answered 500: a compile with '-march=native' is made for the machine" in farm.server.log.read_text()


@pytest.mark.parametrize("line", AT_HOME)
def test_a_compile_that_stays_at_home(client: Client, tmp_path: Path, line: str) -> None:
    """Nothing of it differs from a local one, and the build server has run nothing."""
    before = client.statistics()
    same_as_at_home(client, tmp_path, line)
    after = client.statistics()
    assert (after.total_remote, after.errors) == (before.total_remote, before.errors + 1)


def test_a_large_environment(client: Client, tmp_path: Path) -> None:
    """It hides no option."""
    before = client.statistics()
    same_as_at_home(client, tmp_path, f"LARGE={'x' * 100_000} LARGER={'x' * 120_000} gcc -march=native")
    after = client.statistics()
    assert (after.total_remote, after.errors) == (before.total_remote, before.errors + 1)


@pytest.mark.parametrize("line", REMOTE)
def test_a_compile_that_looks_like_one(client: Client, tmp_path: Path, line: str) -> None:
    """It is remote, and what it makes is the same."""
    before = client.statistics()
    same_as_at_home(client, tmp_path, line)
    after = client.statistics()
    assert (after.total_remote, after.errors) == (before.total_remote + 1, before.errors)


@pytest.mark.parametrize("language", [("-x", "c-header"), ()], ids=["named", "by suffix"])
@pytest.mark.parametrize("compiler", ["gcc", "clang"])
def test_a_precompiled_header(client: Client, tmp_path: Path, compiler: str, language: tuple[str, ...]) -> None:
    """It has the macros that it is made for."""
    (tmp_path / "macros.h").write_text("#define FIVE 5\n")
    (tmp_path / "user.c").write_text('#include "macros.h"\nint five = FIVE;\n')
    made = "macros.h.gch" if compiler == "gcc" else "macros.h.pch"
    before = client.statistics()
    client.compiling((compiler, *language, "-c", "macros.h", "-o", made), tmp_path).run(300)
    assert client.statistics() == Statistics(before.remote, before.errors + 1)
    assert (tmp_path / made).exists()
    used = ("-include", "macros.h") if compiler == "gcc" else ("-include-pch", made)
    ended = Command((compiler, *used, "-c", "user.c", "-o", "user.o"), inherited(), tmp_path).run()
    assert ended.returncode == 0, ended


def same_as_at_home(client: Client, folder: Path, line: str) -> None:
    """Compile through the client and locally, each in a clean folder, and compare all that is there then."""
    work = folder / "work"
    through, locally = (made_by(client, work, line, remote=remote) for remote in (True, False))
    assert through == locally


def made_by(client: Client, work: Path, line: str, *, remote: bool) -> tuple[int, dict[str, bytes]]:
    """Give the exit status, and all files but the sources."""
    shutil.rmtree(work, ignore_errors=True)
    for name, text in _FILES.items():
        (work / name).parent.mkdir(parents=True, exist_ok=True)
        (work / name).write_text(text)
    (work / "tools" / "as").chmod(0o755)
    words = shlex.split(line.format(tools=work / "tools"))
    variables = dict(word.split("=", 1) for word in words if word[0].isupper())
    compiler, *options = [word for word in words if not word[0].isupper()]
    arguments = (compiler, *options, "-c", "unit.c", "-o", "unit.o")
    if compiler == "rustc":
        kinds = ("--edition=2021", "--crate-type", "lib", "--emit=dep-info,metadata,link", "--out-dir", str(work))
        arguments = (compiler, "--crate-name", "unit", "lib.rs", *kinds, *options)
    command = client.compiling(arguments, work) if remote else Command(arguments, inherited(), work)
    ended = Command(command.arguments, {**command.environment, **variables}, work).run(300)
    files = {str(path.relative_to(work)): path.read_bytes() for path in work.rglob("*") if path.is_file()}
    made = {name: octets for name, octets in files.items() if name not in _FILES}
    return ended.returncode, {
        name: b"" if _DIFFER.fullmatch(name) else _TEMPORARY.sub(b"", made[name]) for name in made
    }
