"""Small projects in C, C++ and Rust: as many source files as one likes, and a program that adds them up.

They are written to disk and compile with a compiler of the machine; where that runs is not known here.
"""

from pathlib import Path

import attrs

_C_PART = """\
#include <stdio.h>

int part_{n}(int x)
{{
    char text[32];
    snprintf(text, sizeof text, "%d", x + {n});
    return (int)text[0] * {n};
}}
"""

_CXX_PART = """\
#include <numeric>
#include <string>
#include <vector>

int part_{n}(int x)
{{
    std::vector<std::string> words(x + {n}, "part {n}");
    return std::accumulate(words.begin(), words.end(), {n},
                           [](int sum, const std::string &word) {{ return sum + (int)word.size(); }});
}}
"""


@attrs.frozen
class Language:
    """A compiler's name, its files' suffix, and what stands in each file but the last."""

    compiler: str
    suffix: str
    part: str


C = Language("gcc", ".c", _C_PART)
CXX = Language("g++", ".cc", _CXX_PART)


@attrs.frozen
class Project:
    """Source files in one folder that make one program, which ends with status 0 when it works."""

    folder: Path
    compiler: str
    sources: tuple[Path, ...]

    @property
    def program(self) -> Path:
        """What :meth:`link_command` makes."""
        return self.folder / "program"

    def object_of(self, source: Path) -> Path:
        """What :meth:`compile_command` makes of a source file."""
        return source.with_suffix(".o")

    def compile_command(self, source: Path) -> tuple[str, ...]:
        """The compiler's command line for one of the files, to be run in the folder."""
        return (self.compiler, "-O1", "-c", source.name, "-o", self.object_of(source).name)

    def link_command(self) -> tuple[str, ...]:
        """The command line that makes the program of all objects."""
        objects = (self.object_of(source).name for source in self.sources)
        return (self.compiler, *objects, "-o", self.program.name)


def write_project(folder: Path, language: Language, parts: int) -> Project:
    """A project of so many parts, and a main file."""
    folder.mkdir(parents=True)
    sources = {folder / f"part_{n}{language.suffix}": language.part.format(n=n) for n in range(parts)}
    sources[folder / f"main{language.suffix}"] = _main(parts)
    for path, text in sources.items():
        path.write_text(text)
    return Project(folder, language.compiler, tuple(sources))


def _main(parts: int) -> str:
    declarations = "\n".join(f"int part_{n}(int);" for n in range(parts))
    sums = "\n".join(f"    total += part_{n}(1);" for n in range(parts))
    return f"{declarations}\n\nint main(void)\n{{\n    int total = 1;\n{sums}\n    return total <= 1;\n}}\n"


#: The library crates of :func:`write_workspace`; a client sends these away, and binary crates never.
LIBRARIES = ("numbers", "words")

_WORKSPACE = {
    "Cargo.toml": '[workspace]\nresolver = "2"\nmembers = ["numbers", "words", "program"]\n',
    "numbers/src/lib.rs": "pub fn triangle(n: u64) -> u64 {\n    (1..=n).sum()\n}\n",
    "words/src/lib.rs": "pub fn shout(word: &str) -> String {\n    word.to_uppercase()\n}\n",
    "program/src/main.rs": ('fn main() {\n    assert_eq!(words::shout(&numbers::triangle(4).to_string()), "10");\n}\n'),
}
_PACKAGE = '[package]\nname = "{name}"\nversion = "0.1.0"\nedition = "2021"\n\n[dependencies]\n'


def write_workspace(folder: Path) -> Path:
    """A cargo workspace without dependencies: two library crates and a program that uses both.

    :returns: the program, once ``cargo build`` has been run in the folder.
    """
    libraries = "".join(f'{name} = {{ path = "../{name}" }}\n' for name in LIBRARIES)
    manifests = {f"{name}/Cargo.toml": _PACKAGE.format(name=name) for name in LIBRARIES}
    manifests["program/Cargo.toml"] = _PACKAGE.format(name="program") + libraries
    for name, text in (_WORKSPACE | manifests).items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return folder / "target" / "debug" / "program"
