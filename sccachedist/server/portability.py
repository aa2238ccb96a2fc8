"""Decides which compiles would mean something else here than on their client's machine, so the client does them: pure.

A compile is portable unless a row of a table matches it. Such a compile would be made for another machine, would miss a
file that it reads, would write a file that is not brought back, or would lose text that preprocessing has removed and
the object keeps. Compiles that fail on the farm need no row: the client repeats them anyway (``policy.on_failure``).

The rows are in :mod:`sccachedist.server.portability_rows`. :mod:`sccachedist.server.job_runner` asks as soon as the
command is there, before it takes any input.
"""

import posixpath
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from itertools import zip_longest

import attrs

from sccachedist.server.portability_rows import ROWS, Family, Row, Why, Words, assembles
from sccachedist.wire.messages import CompileCommand


@attrs.frozen
class LocalOptions:
    """Further options with which a compile stays at its client: ``policy.local_options``.

    :param words: arguments, or pairs of arguments with a blank between them.
    :param starts: prefixes of such arguments.
    """

    words: frozenset[str]
    starts: tuple[str, ...]

    @classmethod
    def of(cls, given: Iterable[str]) -> "LocalOptions":
        """Split configured options into whole ones and prefixes, which end with ``*``."""
        given = tuple(given)
        starts = tuple(option[:-1] for option in given if option.endswith("*"))
        return cls(frozenset(option for option in given if not option.endswith("*")), starts)

    def among(self, arguments: Words) -> str | None:
        """Return the first of them in a command line."""
        if not self.words and not self.starts:
            return None
        for argument, following in zip_longest(arguments, arguments[1:], fillvalue=""):
            for option in (argument, f"{argument} {following}"):
                if option in self.words or option.startswith(self.starts):
                    return option
        return None


def reason_to_stay(command: CompileCommand, own: LocalOptions) -> str | None:
    """Return why the client has to do a compile; None if it means the same here."""
    family = _family(command)
    if (found := _found(family, command)) is not None:
        option, why = found
        return f"a compile with {_short(option)} {why.value}"
    if (mine := own.among(command.arguments)) is not None:
        return f"a compile with {_short(mine)} stays at home (policy.local_options)"
    return None


_NAMES = {
    "rustc": Family.RUSTC,
    "nvc": Family.NVHPC,
    "nvc++": Family.NVHPC,
    "nvfortran": Family.NVHPC,
    "cicc": Family.OTHER,
    "ptxas": Family.OTHER,
    "cudafe++": Family.OTHER,
    "cl": Family.OTHER,
}


def _family(command: CompileCommand) -> Family:
    """Tell the family by the compiler's name; a ``cc`` is gcc if it has the option that clients add only for gcc."""
    name = posixpath.basename(command.executable).lower().removesuffix(".exe")
    if (known := _NAMES.get(name)) is not None:
        return known
    return Family.GCC if "-fpreprocessed" in command.arguments else Family.CLANG


def _found(family: Family, command: CompileCommand) -> tuple[str, Why] | None:
    words: Words = command.arguments
    match family:
        case Family.RUSTC:
            return _row_of(family, tuple(_rustc_words(words)))
        case Family.NVHPC:
            words = tuple(_joined(words, {"-tp": "-tp=", "-gpu": "-gpu="}))
            if not any(word.startswith("-tp") for word in words):
                return "no -tp", Why.MACHINE
            return _row_of(family, words)
        case Family.CLANG:
            words = _as_clang_sees(command)
            return (
                _row_of(family, words)
                or _header(words)
                or _reported(command)
                or (_tools(command) if assembles(words) else None)
            )
        case Family.GCC:
            words = tuple(_as_gcc_sees(words))
            return _row_of(family, words) or _header(words) or _tools(command)
    return None


_HEADERS = frozenset(("h", "hh", "hp", "hxx", "hpp", "h++", "tcc"))


def _header(words: Words) -> tuple[str, Why] | None:
    """Return the source if it is a header by its name alone: for such a one a client says no language."""
    if words[:1] in (("-c",), ("-S",)) and words[1:] and words[1].rpartition(".")[2].lower() in _HEADERS:
        return words[1], Why.TEXT
    return None


def _row_of(family: Family, words: Words) -> tuple[str, Why] | None:
    by_two, by_three = _BY_START[family]
    settled: set[Row] = set()  # rows that a later option cancels, or that do not matter here: each is asked once
    for word in reversed(words):
        settled |= _OFF.get(word, _NO_ROWS)
        for row in by_three.get(word[:3]) or by_two.get(word[:2], ()):
            if row not in settled and _speaks_of(row, word):
                if row.when(words):
                    return word, row.why
                settled.add(row)
    return None


def _speaks_of(row: Row, word: str) -> bool:
    return any(word.startswith(start) and row.rest.fullmatch(word, len(start)) for start in row.starts)


def _short(option: str) -> str:
    return repr(option[:200])


def _joined(arguments: Words, joints: Mapping[str, str]) -> Iterator[str]:
    """Join some options with the argument behind them."""
    following = iter(arguments)
    for argument in following:
        joint = joints.get(argument)
        yield argument if joint is None else joint + next(following, "")


# What gcc's long options stand for, the first that fits; ``--name`` stands for ``-fname`` otherwise.
_LONG = (
    ("--debug=", "-g"),
    ("--dump=", "-d"),
    ("--for-assembler=", "-Wa,"),
    ("--machine=", "-m"),
    ("--machine-", "-m"),
    ("--trace-includes", "-H"),
    *((kept, kept) for kept in ("--language=", "--output=", "--specs=")),
    ("--", "-f"),
)


def _as_gcc_sees(words: Words) -> Iterator[str]:
    """Yield the arguments, with long ones in the form that the table has."""
    for word in _joined(words, {"-Xassembler": "-Wa,", "--for-assembler": "-Wa,"}):
        if word[:2] == "--":
            word = next(short + word[len(long) :] for long, short in _LONG if word.startswith(long))
        yield word


def _as_clang_sees(command: CompileCommand) -> Words:
    """Return the arguments, without prefixes for one driver only, and those that ``CCC_OVERRIDE_OPTIONS`` adds."""
    words = [word[7:] if word[1:].startswith("clang:") else word for word in command.arguments]
    for edit in _variable(command, "CCC_OVERRIDE_OPTIONS").removeprefix("#").split():
        if edit[0] in "+^":
            words.append(edit[1:])
        elif edit.startswith("s/"):
            words.append(edit.rstrip("/").rpartition("/")[2])
    return tuple(_joined(words, {"-Xassembler": "-Wa,"}))


def _variable(command: CompileCommand, wanted: str) -> str:
    return next((value for name, value in command.env_vars if name == wanted), "")


def _reported(command: CompileCommand) -> tuple[str, Why] | None:
    """Return the variable that has clang write a file."""
    names = {name for name, value in command.env_vars if value and name.startswith("CC_")}
    for report in ("CC_PRINT_OPTIONS", "CC_PRINT_PROC_STAT", "CC_LOG_DIAGNOSTICS"):
        if {report, f"{report}_FILE"} <= names:
            return f"{report}_FILE", Why.SIDE_FILE
    return None


_PLACES = frozenset(("COMPILER_PATH", "GCC_EXEC_PREFIX"))


def _tools(command: CompileCommand) -> tuple[str, Why] | None:
    """Return the option that has a compiler search for its programs, such as ``as``, outside the toolchain."""
    places = []
    for word, following in zip_longest(command.arguments, command.arguments[1:], fillvalue=""):
        if word[:2] == "-B":
            places.append((word, word[2:] or following))
        elif word[:9] == "--prefix=":
            places.append((word, word[9:]))
    for name, value in command.env_vars:
        if name in _PLACES:
            places += [(f"{name}={value}", place) for place in value.split(":")]
    for option, place in places:
        if place and not _is_packed(place, command.executable):
            return option, Why.NOT_PACKED
    return None


def _is_packed(place: str, executable: str) -> bool:
    """Whether a directory belongs to the compiler, by the paths in its command: clients pack programs from there."""
    place, programs = posixpath.normpath(place), posixpath.dirname(executable)
    own = [f"{posixpath.dirname(programs)}/{name}/gcc" for name in ("lib", "lib64", "libexec")]
    return place == programs or any(place == root or place.startswith((f"{root}/", f"{root}-cross/")) for root in own)


def _rustc_words(arguments: Words) -> Iterator[str]:
    """Yield ``-C name=value`` and ``-Z name=value`` as one word each, from any of their spellings."""
    following = iter(arguments)
    for argument in following:
        if argument in ("-C", "-Z", "--codegen"):
            yield _rustc_word("-Z" if argument == "-Z" else "-C", next(following, ""))
        elif argument.startswith("--codegen="):
            yield _rustc_word("-C", argument.removeprefix("--codegen="))
        elif argument[:2] in ("-C", "-Z"):
            yield _rustc_word(argument[:2], argument[2:])
        else:
            yield argument


def _rustc_word(kind: str, setting: str) -> str:
    name, equals, value = setting.strip().partition("=")
    return f"{kind} {name.replace('_', '-')}{equals}{value}"


def _by_start(family: Family, size: int) -> dict[str, tuple[Row, ...]]:
    """Index the rows of a family by the first letters of their options: most words match no letters."""
    found: defaultdict[str, tuple[Row, ...]] = defaultdict(tuple)
    for row in ROWS:
        for start in row.starts:
            if family in row.families and min(len(start), 3) == size and row not in found[start[:size]]:
                found[start[:size]] += (row,)
    return dict(found)


_BY_START = {family: (_by_start(family, 2), _by_start(family, 3)) for family in Family}
_NO_ROWS: frozenset[Row] = frozenset()
_OFF = {off: frozenset(row for row in ROWS if row.off == off) for off in {row.off for row in ROWS if row.off}}
