"""Whose fault a failed compile is, by what real compilers said."""

import pytest

from sccachedist.outcomes import Suspicion
from sccachedist.policy import OnFailure
from sccachedist.sandbox.result.failure_policy import suspicion

OURS = [
    "cc1: error while loading shared libraries: libisl.so.23: cannot open shared object file",
    "/lib/libstdc++.so.6: version `GLIBCXX_3.4.32' not found (required by /usr/lib/gcc/cc1plus)",
    "gcc: fatal error: cannot execute 'cc1plus': execvp: No such file or directory\ncompilation terminated.",
    "gcc: fatal error: cannot execute 'as': vfork: Resource temporarily unavailable",
    "gcc: fatal error: Killed signal terminated program cc1plus\ncompilation terminated.",
    "g++: internal compiler error: Segmentation fault signal terminated program cc1plus",
    "{standard input}: Assembler messages:\n{standard input}:8: Error: file not found: data.bin",
    "<stdin>:1:9: error: Could not find incbin file 'data.bin'",
    "cc1: error: cannot load plugin ./p.so: ./p.so: cannot open shared object file",
    "cc1plus: out of memory allocating 1677721600 bytes after a total of 135168 bytes",
    "virtual memory exhausted: Cannot allocate memory",
    "terminate called after throwing an instance of 'std::bad_alloc'\n  what():  std::bad_alloc",
    "LLVM ERROR: out of memory\nAllocation failed\nStack dump:\n0. Program arguments: clang -cc1",
    "fatal error: error in backend: IO failure on output stream: No space left on device",
    "/tmp/ccX1.s: Fatal error: can't write 512 bytes to section .text of a.o: 'No space left on device'",
    "error: unable to open output file 'a.o': 'Read-only file system'",
    "clang: error: unable to execute command: Killed\nclang: error: clang frontend command failed due to signal",
    "error: could not exec the linker `cc`: No such file or directory (os error 2)",
    "error: linking with `cc` failed: exit status: 1\n  = note: /usr/bin/ld: cannot find -lssl",
    "error: could not compile `x`: process didn't exit successfully: `rustc` (signal: 9, SIGKILL: kill)",
    '{"message":"can\'t find crate for `serde`","code":{"code":"E0463"}}',
    "memory allocation of 1073741824 bytes failed",
    "error: failed to write file: Disk quota exceeded (os error 122)",
    "thread 'rustc' panicked at 'failed to spawn thread: Os { code: 11, kind: WouldBlock }'",
    "error: the compiler unexpectedly panicked. this is a bug.",
    "error: couldn't read `src/data.txt`: Permission denied (os error 13)",
    "cc1: fatal error: a.c: Input/output error",
    # What the compilers say of text that was preprocessed at home, and compiles there.
    "a.c:6:13: error: this statement may fall through [-Werror=implicit-fallthrough=]\na.c:8:5: note: here\n",
    "cc1: all warnings being treated as errors",
    "cc1: some warnings being treated as errors",
    "a.c:5:14: error: equality comparison with extraneous parentheses [-Werror,-Wparentheses-equality]",
    "a.c:7:14: error: result of comparison of unsigned expression >= 0 is always true"
    " [-Werror,-Wtautological-unsigned-zero-compare]",
    "clang: error: argument unused during compilation: '-D UP' [-Werror,-Wunused-command-line-argument]",
    "clang: error: language not recognized: 'c++-module-cpp-output'",
    "{standard input}:2: Error: junk at end of line, first unrecognized character is `#'",
    "a.c:3:9: error: ISO C forbids an empty translation unit [-Wpedantic]",
    # What compilers and macros say when they lack data or files that were not sent.
    "cc1: error: conversion from ISO-8859-1 to UTF-8 not supported by iconv",
    "error: proc macro panicked\n --> o.rs:1:1\n  = help: message: the schema is nowhere to be seen",
    "error: proc-macro derive panicked\n --> d.rs:1:10\n  = help: message: no schema",
    "error: custom attribute panicked\n --> a.rs:1:1\n  = help: message: no schema",
    "error: the schema is nowhere to be seen\n --> s.rs:1:1\n"
    "  = note: this error originates in the macro `pm::says` (in Nightly builds, run with -Z macro-backtrace)",
    "error: could not find native static library `foo`, perhaps an -L flag is missing?",
]

THEIRS = [
    "a.c:3:5: error: 'x' undeclared (first use in this function)",
    "a.cc:9:1: error: no matching function for call to 'f(int)'\ncompilation terminated due to -Wfatal-errors.",
    "a.c:1:2: error: #error this platform is too old",
    "error[E0425]: cannot find value `x` in this scope\n --> src/lib.rs:1:21",
    "error[E0412]: cannot find type `T` in this scope",
    "error[E0432]: unresolved import `serde`",
    "error: aborting due to 1 previous error",
    "a.c:2:9: warning: unused variable 'signal' [-Wunused-variable]\na.c:3:1: error: expected ';'",
    "{standard input}:5: Error: no such instruction: `frobnicate'",
    "",
]


@pytest.mark.field(1)
@pytest.mark.parametrize("words", OURS)
def test_what_may_be_ours(words: str) -> None:
    """The client compiles locally, and the log says why; on stdout it counts as much."""
    assert suspicion(OnFailure.SUSPICIOUS, 1, b"", words.encode())
    assert suspicion(OnFailure.SUSPICIOUS, 1, words.encode(), b"")
    assert suspicion(OnFailure.REPORT, 1, b"", words.encode()) is None


@pytest.mark.parametrize("words", THEIRS)
def test_what_is_theirs(words: str) -> None:
    """The user reads it at once, unless everything is to be repeated."""
    assert suspicion(OnFailure.SUSPICIOUS, 1, words.encode(), words.encode()) is None
    assert suspicion(OnFailure.VERIFY, 1, b"", words.encode())


@pytest.mark.parametrize("exit_code", [126, 127])
def test_what_did_not_run(exit_code: int) -> None:
    """Shells have a status for it."""
    assert suspicion(OnFailure.SUSPICIOUS, exit_code, b"", b"")
    assert suspicion(OnFailure.REPORT, exit_code, b"", b"") is None


@pytest.mark.parametrize("policy", OnFailure)
def test_success_is_never_suspicious(policy: OnFailure) -> None:
    """Whatever it warns of."""
    assert suspicion(policy, 0, b"", OURS[0].encode()) is None


def test_the_reason_is_in_plain_words() -> None:
    """With what gave it away."""
    why = suspicion(OnFailure.SUSPICIOUS, 1, b"", b"x: LLVM ERROR: Out Of Memory\n")
    assert why == (Suspicion.NO_MEMORY, "the memory is full, it says 'Out Of Memory'")


@pytest.mark.parametrize(
    ("words", "kind"),
    [
        ("x: error while loading shared libraries", Suspicion.MISSING_LIBRARY),
        ("cc1: Exec format error", Suspicion.NOT_EXECUTED),
        ("a.c: No such file or directory", Suspicion.MISSING_FILE),
        ("cc1: all warnings being treated as errors", Suspicion.PREPROCESSED),
        ("error: proc macro panicked", Suspicion.MACRO),
        ("cc1: out of memory", Suspicion.NO_MEMORY),
        ("No space left on device", Suspicion.NO_SPACE),
        ("cannot fork", Suspicion.TOO_MANY),
        ("internal compiler error", Suspicion.KILLED),
        ("Permission denied", Suspicion.SANDBOX),
        ("Input/output error", Suspicion.BROKEN_DISK),
        ("a.c:1:1: error: no", Suspicion.VERIFY),
    ],
)
def test_each_row_has_a_kind(words: str, kind: Suspicion) -> None:
    """Records and metrics count by it."""
    found = suspicion(OnFailure.VERIFY, 1, b"", words.encode())
    assert found is not None
    assert found[0] is kind


def test_long_words() -> None:
    """Both ends of them are looked at, whatever lies between: no time is lost on the rest."""
    much = b"a.c:1: error\n" * 1_000_000
    assert suspicion(OnFailure.SUSPICIOUS, 1, b"", b"cannot fork\n" + much)
    assert suspicion(OnFailure.SUSPICIOUS, 1, b"", much + b"cannot fork\n")
    assert suspicion(OnFailure.SUSPICIOUS, 1, b"", much) is None
