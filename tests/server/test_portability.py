"""Which compiles stay at home, by their commands alone."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sccachedist.server.portability import LocalOptions, reason_to_stay
from sccachedist.server.portability_rows import ROWS, Family, Why
from sccachedist.wire.messages import CompileCommand

NONE = LocalOptions.of(())
DOCUMENTED = Path(__file__).parents[2] / "doc" / "compatibility.rst"


def command(compiler: str, options: str, **variables: str) -> CompileCommand:
    """What a client sends: it says what the text is, and of gcc's that it is preprocessed."""
    given = tuple(options.split())
    match compiler:
        case "rustc":
            arguments = ("--crate-name", "unit", "lib.rs", "--out-dir", "/w", *given)
            if "--target" not in given:
                arguments += ("--target=x86_64-unknown-linux-gnu",)
        case "gcc":
            arguments = ("-x", "cpp-output", "-c", "u.c", "-o", "u.o", "-fpreprocessed", *given)
        case _:
            arguments = ("-x", "cpp-output", "-c", "u.c", "-o", "u.o", *given)
    return CompileCommand(f"/usr/bin/{compiler}", arguments, tuple(variables.items()), "/w")


def why(compiler: str, options: str, own: LocalOptions = NONE, **variables: str) -> str | None:
    return reason_to_stay(command(compiler, options, **variables), own)


AT_HOME = [
    ("gcc clang", "-march=native", Why.MACHINE),
    ("gcc clang", "-mtune=native", Why.MACHINE),
    ("gcc clang", "-mcpu=native", Why.MACHINE),
    ("gcc clang", "-mcpu=native+crypto", Why.MACHINE),
    ("gcc clang", "-march=x86-64 -O2 -march=native", Why.MACHINE),
    ("clang-cl", "/clang:-march=native", Why.MACHINE),
    ("nvc nvc++", "-tp=native", Why.MACHINE),
    ("nvc", "-tp native", Why.MACHINE),
    ("nvc", "-tp=zen3 -gpu=ccnative,cc80", Why.MACHINE),
    ("nvc", "-O2", Why.MACHINE),
    ("rustc", "-C target-cpu=native", Why.MACHINE),
    ("rustc", "-Ctarget-cpu=native", Why.MACHINE),
    ("rustc", "-C target_cpu=native", Why.MACHINE),
    ("rustc", "--codegen target-cpu=native", Why.MACHINE),
    ("rustc", "--codegen=target-cpu=native", Why.MACHINE),
    ("rustc", "-Z tune-cpu=native", Why.MACHINE),
    ("rustc", "-Ztune-cpu=native", Why.MACHINE),
    ("gcc", "-B/opt/tools", Why.NOT_PACKED),
    ("gcc", "-B /opt/tools", Why.NOT_PACKED),
    ("gcc", "-Btools/", Why.NOT_PACKED),
    ("gcc", "--prefix=/opt/tools", Why.NOT_PACKED),
    ("clang", "-fno-integrated-as -B/opt/tools", Why.NOT_PACKED),
    ("gcc", "-specs=my.specs", Why.NOT_SENT),
    ("gcc", "-fplugin=p.so", Why.NOT_SENT),
    ("gcc", "-fauto-profile", Why.NOT_SENT),
    ("gcc", "-fauto-profile=p.afdo", Why.NOT_SENT),
    ("gcc", "-fbranch-probabilities", Why.NOT_SENT),
    ("clang", "-fprofile-sample-use=p", Why.NOT_SENT),
    ("clang", "-fprofile-list=l", Why.NOT_SENT),
    ("clang", "-fsanitize-coverage-allowlist=l", Why.NOT_SENT),
    ("clang", "-fxray-attr-list=l", Why.NOT_SENT),
    ("clang", "-fbasic-block-sections=list=l", Why.NOT_SENT),
    ("clang", "-fpass-plugin=p.so", Why.NOT_SENT),
    ("rustc", "-Z profile-sample-use=p", Why.NOT_SENT),
    ("gcc", "-finput-charset=ISO-8859-1", Why.NOT_PACKED),
    ("gcc", "-finput-charset=UTF-16LE", Why.NOT_PACKED),
    ("gcc", "-fexec-charset=CP1252", Why.NOT_PACKED),
    ("gcc", "-fwide-exec-charset=UTF-16", Why.NOT_PACKED),
    ("gcc", "-Wa,-a=u.lst", Why.SIDE_FILE),
    ("gcc", "-Wa,-ahlms=u.lst", Why.SIDE_FILE),
    ("gcc", "-Wa,--listing-lhs-width=4,-alh=u.lst,-L", Why.SIDE_FILE),
    ("gcc", "-Wa,-MD,u.d", Why.SIDE_FILE),
    ("gcc", "-Wa,--MD=u.d", Why.SIDE_FILE),
    ("gcc", "-Wa,--MD -Wa,u.d", Why.SIDE_FILE),
    ("gcc", "-Xassembler -a=u.lst", Why.SIDE_FILE),
    ("clang", "-fno-integrated-as -Wa,-a=u.lst", Why.SIDE_FILE),
    ("gcc", "-aux-info u.aux", Why.SIDE_FILE),
    ("gcc", "-aux-info=u.aux", Why.SIDE_FILE),
    ("gcc", "-time=t", Why.SIDE_FILE),
    ("gcc clang", "-fstack-usage", Why.SIDE_FILE),
    ("gcc clang", "-coverage", Why.SIDE_FILE),
    ("gcc", "--stack-usage", Why.SIDE_FILE),
    ("gcc", "--dump-tree-original", Why.SIDE_FILE),
    ("gcc", "--dump=a", Why.SIDE_FILE),
    ("gcc", "--for-assembler=-a=u.lst", Why.SIDE_FILE),
    ("gcc", "--for-assembler -a=u.lst", Why.SIDE_FILE),
    ("clang", "-no-integrated-as -Xassembler -a=u.lst", Why.SIDE_FILE),
    ("gcc", "--machine=arch=native", Why.MACHINE),
    ("gcc", "--machine-tune=native", Why.MACHINE),
    ("gcc", "--specs=my.specs", Why.NOT_SENT),
    ("gcc", "--input-charset=KOI8-R", Why.NOT_PACKED),
    ("gcc", "--debug=3", Why.TEXT),
    ("gcc", "--trace-includes", Why.TEXT),
    ("gcc clang", "--output=other.o", Why.MISREAD),
    ("gcc clang", "--language=c-header", Why.MISREAD),
    ("gcc", "-fcallgraph-info=su,da", Why.SIDE_FILE),
    ("gcc", "-fdump-tree-original", Why.SIDE_FILE),
    ("gcc", "-fdump-final-insns=x", Why.SIDE_FILE),
    ("gcc", "-da", Why.SIDE_FILE),
    ("gcc", "-dAa", Why.SIDE_FILE),
    ("gcc", "-fopt-info-vec-missed=o", Why.SIDE_FILE),
    ("gcc", "-fdiagnostics-format=sarif-file", Why.SIDE_FILE),
    ("gcc clang", "-fsave-optimization-record", Why.SIDE_FILE),
    ("clang", "-fsave-optimization-record=yaml", Why.SIDE_FILE),
    ("clang", "-fno-save-optimization-record -fsave-optimization-record", Why.SIDE_FILE),
    ("clang", "-foptimization-record-file=o", Why.SIDE_FILE),
    ("clang", "-ftime-trace", Why.SIDE_FILE),
    ("clang", "-ftime-trace=t.json", Why.SIDE_FILE),
    ("clang", "-fproc-stat-report=p", Why.SIDE_FILE),
    ("clang", "-MJu.json", Why.SIDE_FILE),
    ("clang", "-foptimization-record-passes=inline", Why.SIDE_FILE),
    ("clang", "-flto=thin -fthin-link-bitcode=u.bc", Why.SIDE_FILE),
    ("clang", "-ftime-report -mllvm -info-output-file=u.txt", Why.SIDE_FILE),
    ("clang", "--serialize-diagnostics u.dia", Why.SIDE_FILE),
    ("clang", "-g -gsplit-dwarf=split", Why.SIDE_FILE),
    ("rustc", "-C save-temps", Why.SIDE_FILE),
    ("rustc", "-Csave-temps=yes", Why.SIDE_FILE),
    ("rustc", "-C debuginfo=2 -C split-debuginfo=unpacked", Why.SIDE_FILE),
    ("rustc", "-g -C split-debuginfo=unpacked", Why.SIDE_FILE),
    ("rustc", "-Z self-profile", Why.SIDE_FILE),
    ("rustc", "-Z remark-dir=r", Why.SIDE_FILE),
    ("rustc", "-Z dump_mir=all", Why.SIDE_FILE),
    ("rustc", "-Z llvm-time-trace", Why.SIDE_FILE),
    ("gcc", "-g3", Why.TEXT),
    ("gcc", "-ggdb3", Why.TEXT),
    ("gcc", "-g3 -g", Why.TEXT),
    ("gcc", "-g1 -g3 -gdwarf-4", Why.TEXT),
    ("clang", "-g -fdebug-macro", Why.TEXT),
    ("clang", "-gdwarf-5 -gembed-source", Why.TEXT),
    ("clang", "-fprofile-instr-generate -fcoverage-mapping", Why.TEXT),
    ("clang", "-frewrite-includes", Why.TEXT),
    ("gcc clang", "-dM", Why.TEXT),
    ("gcc clang", "-H", Why.TEXT),
    ("clang", "--trace-includes", Why.TEXT),
    ("clang", "-emit-ast", Why.TEXT),
    ("clang", "--analyze", Why.TEXT),
    ("gcc", "-fverbose-asm -S", Why.TEXT),
]

REMOTE = [
    ("gcc clang", ""),
    ("gcc clang", "-O2 -fPIC -Wall -Wextra -Werror -std=c11 -DNAME=native -fno-strict-aliasing -pthread"),
    ("gcc clang", "-march=x86-64-v2 -mtune=generic -m64 -mabi=sysv -msse4.2"),
    ("gcc clang", "-Wa,--noexecstack -Wa,-L -Wa,-alh"),
    ("gcc", "-Wa,-I,dir -Wa,-g -Xassembler --noexecstack"),
    ("gcc clang", "-g -gdwarf-4 -gsplit-dwarf -ggdb -g2 -ggdb2 -gz -gno-column-info"),
    ("gcc clang", "--coverage --std=c11 --param=a=1 --debug --pedantic --"),
    ("gcc", "--machine=arch=x86-64 --strict-aliasing --for-assembler=-L --debug=2"),
    ("gcc", "-g3 -g0"),
    ("gcc", "-g3 -g2"),
    ("gcc", "-ggdb3 -g1"),
    ("clang", "-g3 -ggdb3"),
    ("clang", "-fdebug-macro"),
    ("clang", "-g -fdebug-macro -fno-debug-macro"),
    ("clang", "-fdebug-macro -g0"),
    ("clang", "-gembed-source -gno-embed-source -g"),
    ("clang", "-g -grecord-command-line -frecord-command-line"),
    ("clang", "-gsplit-dwarf=split"),
    ("clang", "-g -gsplit-dwarf=single"),
    ("clang", "-fsave-optimization-record -fno-save-optimization-record"),
    ("clang", "-ftime-trace-granularity=5 -ftime-report"),
    ("clang", "-Wa,-a=u.lst"),
    ("clang", "-B/opt/tools -fcolor-diagnostics"),
    ("gcc", "-B/usr/bin -B/usr/bin/ -B/usr/lib/gcc/x86_64-linux-gnu/12 -B/usr/lib/gcc-cross/aarch64-linux-gnu/12"),
    ("gcc clang", "-fprofile-generate -fprofile-arcs --coverage -fprofile-dir=p -frandom-seed=1"),
    ("clang", "-fprofile-use=p -fprofile-instr-use=p -fsanitize-ignorelist=l -fplugin=p.so -fmodule-file=m=m.pcm"),
    ("gcc", "-fexec-charset=UTF-8 -finput-charset=utf8 -fwide-exec-charset=UTF-32LE -finput-charset=ASCII"),
    ("gcc", "-fdump-passes -fdump-noaddr -fdump-unnumbered -fdump-unnumbered-links -fdump-tree-original=stderr"),
    ("gcc", "-dA -dD -dp -dH -dP -dN -dU"),
    ("gcc", "-S -dA"),
    ("gcc", "-S -fverbose-asm -fno-verbose-asm"),
    ("clang", "-S -fverbose-asm -emit-llvm"),
    ("gcc", "-fopt-info -fopt-info-vec -fopt-info-vec=stderr -fdiagnostics-format=json"),
    ("gcc", "-frecord-gcc-switches -grecord-gcc-switches -g -flto -fverbose-asm -fsanitize=address"),
    ("gcc", "-fstack-protector-strong -fstack-clash-protection -fdebug-prefix-map=/a=/b -fcompare-debug"),
    ("rustc", "-C target-cpu=x86-64-v2 -C opt-level=3 -C debuginfo=2 -C codegen-units=1 -C embed-bitcode=no"),
    ("rustc", "-C split-debuginfo=unpacked"),
    ("rustc", "-C debuginfo=2 -C split-debuginfo=packed"),
    ("rustc", "-C debuginfo=0 -C split-debuginfo=unpacked"),
    ("rustc", "-g -C split-debuginfo=unpacked --target aarch64-apple-darwin"),
    ("rustc", "-C profile-use=p.profdata"),
    ("rustc", "-C save-temps=no -C profile-generate=/p -C instrument-coverage -Z tune-cpu=generic --cfg native"),
    ("nvc", "-tp=zen3 -gpu=cc80 -O2"),
    ("cicc ptxas cudafe++ cl.exe", "-arch=native -march=native -O2"),
]


@pytest.mark.parametrize(("compilers", "options", "reason"), AT_HOME)
def test_what_stays_at_home(compilers: str, options: str, reason: Why) -> None:
    """The reason names an option, and says what would come of it."""
    for compiler in compilers.split():
        told = why(compiler, options)
        assert told is not None
        assert told.endswith(reason.value)


@pytest.mark.parametrize(("compilers", "options"), REMOTE)
def test_what_is_compiled_here(compilers: str, options: str) -> None:
    """What looks alike and means the same everywhere."""
    for compiler in compilers.split():
        assert why(compiler, options) is None


@pytest.mark.parametrize("language", ["c-header", "c++-header", "objective-c-header", "objective-c++-header"])
@pytest.mark.parametrize("compiler", ["gcc", "clang"])
def test_a_precompiled_header(compiler: str, language: str) -> None:
    """It is made of its macros, which preprocessed text has no more."""
    arguments = ("-x", language, "-c", "h.h", "-o", "h.h.gch", *(["-fpreprocessed"] if compiler == "gcc" else []))
    told = reason_to_stay(CompileCommand(f"/usr/bin/{compiler}", arguments, (), "/w"), NONE)
    assert told == f"a compile with '{language}' keeps what only the text before preprocessing has"


@pytest.mark.parametrize("source", ["h.h", "dir.c/h.H", "h.hpp", "h.h++", "h.tcc"])
@pytest.mark.parametrize("compiler", ["gcc", "clang"])
def test_a_precompiled_header_by_its_name(compiler: str, source: str) -> None:
    """For such a source a client says no language."""
    arguments = ("-c", source, "-o", "h.gch", *(["-fpreprocessed"] if compiler == "gcc" else []))
    told = reason_to_stay(CompileCommand(f"/usr/bin/{compiler}", arguments, (), "/w"), NONE)
    assert told == f"a compile with '{source}' keeps what only the text before preprocessing has"


def test_an_assemblers_debug_information_has_no_macros() -> None:
    """What gcc assembles with ``-g3`` is the same everywhere."""
    arguments = ("-x", "assembler", "-c", "u.S", "-o", "u.o", "-fpreprocessed", "-g3")
    assert reason_to_stay(CompileCommand("/usr/bin/gcc", arguments, (), "/w"), NONE) is None


@pytest.mark.parametrize(
    ("compiler", "options", "name", "value", "stays"),
    [
        ("gcc", "", "COMPILER_PATH", "/opt/tools", True),
        ("gcc", "", "COMPILER_PATH", "/usr/bin:/opt/tools", True),
        ("gcc", "", "COMPILER_PATH", "/usr/bin", False),
        ("gcc", "", "COMPILER_PATH", "", False),
        ("gcc", "", "GCC_EXEC_PREFIX", "/opt/gcc/lib/gcc/", True),
        ("gcc", "", "GCC_EXEC_PREFIX", "/usr/lib/gcc/", False),
        ("clang", "", "COMPILER_PATH", "/opt/tools", False),
        ("clang", "-fno-integrated-as", "COMPILER_PATH", "/opt/tools", True),
        ("clang", "", "CCC_OVERRIDE_OPTIONS", "# +-march=native", True),
        ("clang", "", "CCC_OVERRIDE_OPTIONS", "s/-O1/-fstack-usage/", True),
        ("clang", "", "CCC_OVERRIDE_OPTIONS", "+-O3 x-march=native", False),
        ("rustc", "", "COMPILER_PATH", "/opt/tools", False),
    ],
)
def test_variables(compiler: str, options: str, name: str, value: str, stays: bool) -> None:
    """Those that say which programs a compiler runs, and those that add options."""
    assert (why(compiler, options, NONE, **{name: value}) is not None) == stays


def test_reports_that_clang_writes_for_a_variable() -> None:
    """To a file, that is; what goes to the terminal comes back."""
    assert why("clang", "", CC_PRINT_OPTIONS="1", CC_PRINT_OPTIONS_FILE="o") is not None
    assert why("clang", "", CC_PRINT_PROC_STAT="1", CC_PRINT_PROC_STAT_FILE="o") is not None
    assert why("clang", "", CC_LOG_DIAGNOSTICS="1", CC_LOG_DIAGNOSTICS_FILE="o") is not None
    assert why("clang", "", CC_PRINT_OPTIONS="1") is None
    assert why("gcc", "", CC_PRINT_OPTIONS="1", CC_PRINT_OPTIONS_FILE="o") is None


@pytest.mark.parametrize(
    ("given", "options", "stays"),
    [
        (["-mfoo"], "-mfoo", True),
        (["-mfoo"], "-mfoo2", False),
        (["-mfoo*"], "-mfoo2", True),
        (["-C lto"], "-C lto", True),
        (["-C lto*"], "-C lto=thin", True),
        (["-C lto"], "-C debuginfo=2", False),
        ([], "-mfoo", False),
    ],
)
def test_options_of_an_administrator(given: list[str], options: str, stays: bool) -> None:
    """Whole words, two of them, or how they begin."""
    told = why("rustc", options, LocalOptions.of(given))
    assert (told is not None and "policy.local_options" in told) == stays


def test_a_reason_is_short() -> None:
    """However long the option is that a stranger sends."""
    assert len(why("gcc", "-fdump-" + "x" * 100_000) or "") < 300


@given(st.sampled_from(["gcc", "clang", "rustc", "nvc", "cl"]), st.lists(st.text(max_size=12), max_size=6))
def test_whatever_is_sent(compiler: str, arguments: list[str]) -> None:
    """No command line is an error."""
    sent = CompileCommand(compiler, tuple(arguments), (("CCC_OVERRIDE_OPTIONS", " ".join(arguments)),), "")
    reason_to_stay(sent, LocalOptions.of(["-a*"]))


def test_every_row_is_documented() -> None:
    """And tried above."""
    text = DOCUMENTED.read_text()
    section = text[text.index("Compiles that stay at home") :]
    tried = " ".join(options.replace("_", "-") for _, options, _ in AT_HOME)
    for row in ROWS:
        assert set(row.families) <= set(Family)
        for start in row.starts:
            assert start.rstrip("=") in section, start
        names = [start.rpartition(" ")[2] for start in row.starts]
        assert any(name in tried or name.endswith("-header") for name in names), row
