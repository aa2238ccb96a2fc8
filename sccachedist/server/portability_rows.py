"""The table of options with which a compile stays at its client: pure values.

Each row was found by compiling with its options locally and on a farm: the results had other bytes, a file was missing,
or the farm failed. Options that the published client keeps local itself have no row. ``doc/compatibility.rst`` has the
table too; :mod:`sccachedist.server.portability` matches a command with it.
"""

import enum
import re
from collections.abc import Callable, Sequence
from typing import TypeAlias

import attrs

Words: TypeAlias = Sequence[str]


def _pattern(text: str) -> re.Pattern[str]:
    return re.compile(text, re.DOTALL)


class Family(enum.Enum):
    """Compilers that understand the same options."""

    GCC = "gcc"
    CLANG = "clang"
    NVHPC = "nvhpc"
    RUSTC = "rustc"
    OTHER = "other"


class Why(enum.Enum):
    """Why a compile stays at its client; the text follows "a compile with OPTION"."""

    MACHINE = "is made for the machine that compiles"
    NOT_SENT = "reads files that are not sent"
    NOT_PACKED = "needs data or programs that are not in the toolchain"
    SIDE_FILE = "writes a file that is not brought back"
    MISREAD = "is not what its client takes it for"
    TEXT = "keeps what only the text before preprocessing has"


@attrs.frozen(eq=False)
class Row:
    """Options with which a compile stays at its client.

    :param starts: prefixes of such an argument.
    :param rest: a pattern for the whole rest of the argument.
    :param off: the argument that cancels it, if it comes later.
    :param when: whether the option matters in a command with these words.
    """

    families: tuple[Family, ...]
    starts: tuple[str, ...]
    why: Why
    rest: re.Pattern[str] = attrs.field(default="", converter=_pattern)
    off: str = ""
    when: Callable[[Words], bool] = lambda _: True


# Functions for ``when``: other options that decide whether an option matters.

_DEBUG = re.compile(r"-g(?:[123]|gdb[123]?|dwarf.*|lldb|sce|mlt|full|line-.*|codeview)?")
_LEVEL = re.compile(r"-g(?:gdb|stabs\+?|vms|xcoff\+?)?([0-9])")
_RUSTC_DEBUG = re.compile(r"-g|-C debuginfo=.*")


def _has_debug(words: Words) -> bool:
    """Whether clang makes debug information."""
    for word in reversed(words):
        if word in ("-g0", "-ggdb0"):
            return False
        if word.startswith("-g") and _DEBUG.fullmatch(word):
            return True
    return False


def _keeps_macros(words: Words) -> bool:
    """Whether gcc's debug information has macros: the last level decides; an assembler's has none."""
    levels = [match[1] for word in words if (match := _LEVEL.fullmatch(word))]
    return levels[-1] == "3" and tuple(words[:2]) != ("-x", "assembler")


def assembles(words: Words) -> bool:
    """Whether clang runs another program to assemble."""
    return "-fno-integrated-as" in words or "-no-integrated-as" in words


def _is_unpacked(words: Words) -> bool:
    """Whether rustc writes debug information to separate files; for macOS it does not."""
    levels = ["2" if word == "-g" else word.partition("=")[2] for word in words if _RUSTC_DEBUG.fullmatch(word)]
    return levels[-1:] not in ([], ["0"], ["none"]) and not any("-apple-" in word for word in words)


# The table. ``rest`` matches the whole rest of an argument: nothing if it is empty, anything with _ANY.

_GCC, _CLANG, _RUSTC, _NVHPC = (Family.GCC,), (Family.CLANG,), (Family.RUSTC,), (Family.NVHPC,)
_C = (*_GCC, *_CLANG)
_ANY = r".*"
_VALUE = r"(?:=.*)?"
_UNLESS_OFF = r"(?!=(?:n|no|off|false)$)(?:=.*)?"
_LISTING = r"(?:.*,)?-(?:a[a-z]*=[^,]+|-?MD(?:[=,].*)?)(?:,.*)?"
_FOREIGN = r"(?!(?i:utf-?8|(?:us-)?ascii)$).+"
_FOREIGN_OUTPUT = r"(?!(?i:utf-?8|(?:us-)?ascii|utf-(?:16|32)[lb]e)$).+"

ROWS = (
    Row((*_C, *_NVHPC), ("-march=", "-mtune=", "-mcpu="), Why.MACHINE, r"native(?:\+.*)?"),
    Row(_NVHPC, ("-tp=", "-gpu="), Why.MACHINE, r"(?:.*,)?(?:host|native|ccnative)(?:,.*)?"),
    Row(_RUSTC, ("-C target-cpu=", "-Z tune-cpu="), Why.MACHINE, "native"),
    Row(_GCC, ("-specs=", "--specs=", "-fplugin=", "-fmodule-mapper="), Why.NOT_SENT, _ANY),
    Row(_GCC, ("-fauto-profile", "-fbranch-probabilities"), Why.NOT_SENT, _VALUE),
    Row(
        _CLANG,
        ("-fprofile-sample-use=", "-fauto-profile=", "-fprofile-remapping-file=", "-fprofile-list="),
        Why.NOT_SENT,
        _ANY,
    ),
    Row(
        _CLANG,
        tuple(f"-fsanitize-coverage-{kind}list=" for kind in ("allow", "ignore", "white", "black")),
        Why.NOT_SENT,
        _ANY,
    ),
    Row(
        _CLANG,
        ("-fxray-always-instrument=", "-fxray-never-instrument=", "-fxray-attr-list=", "-fbasic-block-sections=list="),
        Why.NOT_SENT,
        _ANY,
    ),
    Row(_CLANG, ("-fpass-plugin=", "-frandomize-layout-seed-file=", "-fthinlto-index="), Why.NOT_SENT, _ANY),
    Row(
        _RUSTC,
        ("-Z profile-sample-use=", "-Z codegen-backend=", "-Z llvm-plugins="),
        Why.NOT_SENT,
        _ANY,
    ),
    Row(_GCC, ("-finput-charset=",), Why.NOT_PACKED, _FOREIGN),
    Row(_GCC, ("-fexec-charset=", "-fwide-exec-charset="), Why.NOT_PACKED, _FOREIGN_OUTPUT),
    Row(_GCC, ("-Wa,",), Why.SIDE_FILE, _LISTING),
    Row(_CLANG, ("-Wa,",), Why.SIDE_FILE, _LISTING, when=assembles),
    Row(_GCC, ("-aux-info",), Why.SIDE_FILE, _VALUE),
    Row(_GCC, ("-time=",), Why.SIDE_FILE, _ANY),
    Row(_C, ("-fstack-usage",), Why.SIDE_FILE),
    Row(_C, ("-coverage",), Why.SIDE_FILE),
    Row(_C, ("--output=", "--language="), Why.MISREAD, _ANY),
    Row(_GCC, ("-fcallgraph-info",), Why.SIDE_FILE, _VALUE),
    Row(
        _GCC,
        ("-fdump-",),
        Why.SIDE_FILE,
        r"(?!(?:passes|noaddr|unnumbered|unnumbered-links|internal-locations)$)(?!.*=(?:stderr|stdout|-)$).+",
    ),
    Row(_GCC, ("-d",), Why.SIDE_FILE, r"[ADHIMNPUEpx]*a[aADHIMNPUEpx]*"),
    Row(_GCC, ("-fopt-info",), Why.SIDE_FILE, r"[a-z-]*=(?!(?:stderr|stdout|-)$).+"),
    Row(
        _GCC,
        ("-fdiagnostics-format=", "-fdiagnostics-add-output=", "-fdiagnostics-set-output="),
        Why.SIDE_FILE,
        r"sarif-file|json-file|(?:sarif|experimental-html).*",
    ),
    Row(_C, ("-fsave-optimization-record",), Why.SIDE_FILE, _VALUE, off="-fno-save-optimization-record"),
    Row(
        _CLANG,
        ("-foptimization-record-file=", "-foptimization-record-passes="),
        Why.SIDE_FILE,
        _ANY,
        off="-fno-save-optimization-record",
    ),
    Row(_CLANG, ("-ftime-trace",), Why.SIDE_FILE, _VALUE, off="-fno-time-trace"),
    Row(_CLANG, ("-fproc-stat-report",), Why.SIDE_FILE, _VALUE),
    Row(_CLANG, ("-MJ", "-fthin-link-bitcode=", "-info-output-file=", "--info-output-file="), Why.SIDE_FILE, _ANY),
    Row(_CLANG, ("-serialize-diagnostics", "--serialize-diagnostics"), Why.SIDE_FILE),
    Row(_CLANG, ("-gsplit-dwarf=split",), Why.SIDE_FILE, when=_has_debug),
    Row(_RUSTC, ("-C save-temps",), Why.SIDE_FILE, _UNLESS_OFF),
    Row(_RUSTC, ("-C split-debuginfo=unpacked",), Why.SIDE_FILE, when=_is_unpacked),
    Row(
        _RUSTC,
        ("-Z self-profile", "-Z remark-dir", "-Z dump-mir", "-Z dump-mono-stats", "-Z metrics-dir"),
        Why.SIDE_FILE,
        _VALUE,
    ),
    Row(_RUSTC, ("-Z llvm-time-trace", "-Z nll-facts", "-Z profile-closures"), Why.SIDE_FILE, _UNLESS_OFF),
    Row(_GCC, ("-g3", "-ggdb3", "-gstabs3", "-gstabs+3", "-gvms3", "-gxcoff3"), Why.TEXT, when=_keeps_macros),
    Row(_CLANG, ("-fdebug-macro",), Why.TEXT, off="-fno-debug-macro", when=_has_debug),
    Row(_CLANG, ("-gembed-source",), Why.TEXT, off="-gno-embed-source", when=_has_debug),
    Row(_CLANG, ("-fcoverage-mapping",), Why.TEXT, off="-fno-coverage-mapping"),
    Row(_CLANG, ("-frewrite-includes", "-emit-ast", "--analyze", "--trace-includes"), Why.TEXT),
    Row(_GCC, ("-fverbose-asm",), Why.TEXT, off="-fno-verbose-asm", when=lambda words: "-S" in words),
    Row(_C, ("-H",), Why.TEXT),
    Row(_C, ("-dM", "-dI"), Why.TEXT),
    Row(
        _C,
        ("c-header", "c++-header", "objective-c-header", "objective-c++-header"),
        Why.TEXT,
        when=lambda words: words[0] == "-x",
    ),
)
