"""Compiles that succeed at home and fail in a sandbox: with the settings that a farm has, they succeed.

What is sent is preprocessed text, without comments, macros and files that are not declared.
"""

import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import attrs
import pytest

from farmkit.farm import Farm
from farmkit.processes import Command, inherited
from farmkit.published_client import Client, share_toolchains
from tests.functional.conftest import client_of_a_module

pytestmark = pytest.mark.functional

_FALLS = "int f(int x)\n{\n    switch (x) {\n    case 1:\n        x++;\n        /* fall through */\n    case 2:\n"
_FALLS += "        return x;\n    }\n    return 0;\n}\n"
_SAME = "#define SAME(a, b) ((a) == (b))\nint f(int a, int b)\n{\n    if (SAME(a, b))\n        b++;\n    return b;\n}\n"
_LIMIT = "#define LIMIT 0\nint f(unsigned x)\n{\n    return (x) >= LIMIT;\n}\n"
_ASSEMBLY = "/* it's a comment */\n#ifdef UP\n.globl f\nf:\n    ret\n#endif\n"
_MODULE = "export module m;\nexport int f() { return 3; }\n"
_MACROS = """\
extern crate proc_macro;
use proc_macro::TokenStream;

fn schema() -> Result<String, std::io::Error> {
    std::fs::read_to_string("schema.txt")
}

#[proc_macro]
pub fn panics(_: TokenStream) -> TokenStream {
    format!("pub const N: usize = {};", schema().expect("no schema").len()).parse().unwrap()
}

#[proc_macro]
pub fn says(_: TokenStream) -> TokenStream {
    match schema() {
        Ok(text) => format!("pub const N: usize = {};", text.len()).parse().unwrap(),
        Err(_) => "compile_error!(\\"the schema is nowhere\\");".parse().unwrap(),
    }
}
"""
_RUST = "rustc --edition=2021 --crate-name user --crate-type lib --emit=dep-info,metadata,link --out-dir out"


@attrs.frozen
class Row:
    """A compile, and what lies beside it.

    :param files: by their names; ``before`` are commands that no farm sees.
    :param differs: whether each compile makes another object, at home too: a temporary name is in it.
    """

    command: str
    files: dict[str, str]
    before: tuple[str, ...] = ()
    differs: bool = False


ROWS = {
    "comments": Row("gcc -Wextra -Werror -c x.c -o out/x.o", {"x.c": _FALLS}),
    "macros": Row("clang -Wall -Werror -c x.c -o out/x.o", {"x.c": _SAME}),
    "macros that are numbers": Row(
        "clang -Wall -Werror -Wtautological-unsigned-zero-compare -c x.c -o out/x.o", {"x.c": _LIMIT}
    ),
    "arguments that no longer apply": Row(
        "clang -Werror=unused-command-line-argument -DUP -c x.S -o out/x.o", {"x.S": _ASSEMBLY}
    ),
    "a language of sources": Row("clang -std=c++20 -c m.cppm -o out/m.o", {"m.cppm": _MODULE}, differs=True),
    "a character set that is not packed": Row(
        "gcc -finput-charset=ISO-8859-1 -c x.c -o out/x.o", {"x.c": 'char f[] = "\\303\\244";\n'}
    ),
    "a macro that panics": Row(
        f"{_RUST} --extern macros=libmacros.so user.rs",
        {"macros.rs": _MACROS, "user.rs": "macros::panics!();\n", "schema.txt": "four"},
        ("rustc --edition=2021 --crate-name macros --crate-type proc-macro macros.rs",),
    ),
    "a macro that says an error": Row(
        f"{_RUST} --extern macros=libmacros.so user.rs",
        {"macros.rs": _MACROS, "user.rs": "macros::says!();\n", "schema.txt": "four"},
        ("rustc --edition=2021 --crate-name macros --crate-type proc-macro macros.rs",),
    ),
    "a library of the path": Row(
        f"{_RUST} -L native=. user.rs",
        {
            "foo.c": "int foo(void) { return 3; }\n",
            "user.rs": '#[link(name = "foo", kind = "static")]\nextern "C" { pub fn foo() -> i32; }\n',
        },
        ("gcc -c foo.c", "ar crs libfoo.a foo.o"),
    ),
}
#: What preprocesses less has other trouble.
REWRITTEN = {
    "an assembler's source": Row("gcc -DUP -c x.S -o out/x.o", {"x.S": _ASSEMBLY}),
    "comments": ROWS["comments"],
}


@pytest.fixture(scope="module")
def client(farm: Farm, all_toolchains: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Client]:
    """One client for all."""
    yield from client_of_a_module(farm, all_toolchains, tmp_path_factory)


@pytest.fixture(scope="module")
def rewriting(farm: Farm, all_toolchains: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Client]:
    """One that sends files with their includes in place and their macros as they are."""
    folder = tmp_path_factory.mktemp("rewriting")
    toolchains, dist = share_toolchains(all_toolchains, folder / "toolchains"), "rewrite_includes_only = true"
    with Client(folder, farm.scheduler_url, farm.client_token, toolchains, dist=dist) as client:
        yield client


@pytest.mark.parametrize("row", ROWS.values(), ids=ROWS)
def test_with_the_usual_settings(client: Client, tmp_path: Path, row: Row) -> None:
    """Its status, and all that it makes, are those of a compile without a farm."""
    assert made(client, tmp_path / "work", row) == made(None, tmp_path / "work", row)


@pytest.mark.parametrize("row", REWRITTEN.values(), ids=REWRITTEN)
def test_with_rewritten_includes(rewriting: Client, tmp_path: Path, row: Row) -> None:
    """The same of a client that sends them."""
    assert made(rewriting, tmp_path / "work", row) == made(None, tmp_path / "work", row)


def made(client: Client | None, folder: Path, row: Row) -> dict[str, bytes]:
    """What a compile makes, through a client or without one."""
    shutil.rmtree(folder, ignore_errors=True)
    (folder / "out").mkdir(parents=True)
    for name, text in row.files.items():
        (folder / name).write_text(text)
    for line in row.before:
        assert Command(tuple(line.split()), inherited(), folder).run().returncode == 0
    words = tuple(row.command.split())
    command = Command(words, dict(os.environ), folder) if client is None else client.compiling(words, folder)
    ended = command.run(300)
    assert ended.returncode == 0, ended
    found = (folder / "out").rglob("*")
    return {str(path.relative_to(folder)): b"" if row.differs else path.read_bytes() for path in found}
