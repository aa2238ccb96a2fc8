"""Decides which failed compiles the client repeats locally, by their messages: the farm may be at fault, not the code.

Pure. A false suspicion costs a second compile, at the client, that fails in the same way; a missed one breaks a user's
build. The list is documented in ``doc/operations.rst``, "When a compile fails". What the client is told otherwise,
decides :mod:`sccachedist.sandbox.result.outcome`.
"""

import re

from sccachedist.outcomes import Suspicion
from sccachedist.policy import OnFailure

#: Why a failed compile is repeated though its messages do not point at the farm.
_VERIFIED = Suspicion.VERIFY, "it is compiled again where it came from (policy.on_failure)"

#: Bytes of each end of a compiler's output that are searched: the cause of its death stands first or last.
_LOOKED_AT = 256 * 1024

#: A shell's exit codes for a program that it cannot execute or find; some compilers' drivers are scripts.
_NOT_EXECUTED = (126, 127)

#: For each kind of suspicion what the client is told, and patterns of what compilers say.
_SIGNS: dict[Suspicion, tuple[str, ...]] = {
    # Programs and libraries that are not in the toolchain, or not for this machine.
    Suspicion.MISSING_LIBRARY: (
        "a library is missing",
        r"error while loading shared libraries|cannot open shared object",
        r"version [`'][\w.]+' not found|wrong elf class|cpu isa level is lower",
    ),
    Suspicion.NOT_EXECUTED: (
        "a program cannot be executed",
        r"exec format error|cannot execute|could not exec|posix_spawn|unable to execute command",
    ),
    # A file that the source needs and the client did not send. A header is none of these: the client has preprocessed.
    Suspicion.MISSING_FILE: (
        "a file is missing",
        r"no such file or directory|file not found|could not find incbin file|os error 2\b",
        r"can(?:no|')t open|unable to open|cannot find -l",
        r"can't find crate|error\[e0(?:460|461|462|463|464|514)\]",
        r"could not find native static library|not supported by iconv",
    ),
    # The compiler here sees preprocessed text: without comments, with macros expanded, in a language of its own. That
    # can cause any warning, and a warning that is an error ends the compile.
    Suspicion.PREPROCESSED: (
        "the text was preprocessed",
        r"error: [^\n]*\[-w|warnings being treated as errors",
        r"language not recognized|junk at end of line",
    ),
    # A macro is a program: it may read any file of the client's machine.
    Suspicion.MACRO: (
        "a macro failed",
        r"(?:proc[ -]macro|proc-macro derive|custom attribute) panicked|this error originates in the",
    ),
    # Less memory than on the client's machine; the same for disk and processes below.
    Suspicion.NO_MEMORY: (
        "the memory is full",
        r"out of memory|cannot allocate memory|memory exhausted|bad_alloc|memory allocation of \d+ bytes",
        r"allocation failed|failed to map segment|os error 12\b",
    ),
    Suspicion.NO_SPACE: (
        "the disk is full",
        r"no space left on device|disk quota exceeded|file too large|os error (?:27|28|122)\b",
    ),
    Suspicion.TOO_MANY: (
        "too many processes or files",
        r"resource temporarily unavailable|can(?:no|')t fork|failed to spawn|os error 11\b",
        r"too many open files|os error 24\b",
    ),
    # A child was killed, and its parent ended with a status of its own.
    Suspicion.KILLED: (
        "a process was killed",
        r"signal terminated program|due to signal|signal: \d+|segmentation fault|bus error|illegal instruction",
        r"internal compiler error|compiler unexpectedly panicked|stack dump:|bad system call",
    ),
    # What a sandbox forbids a compile.
    Suspicion.SANDBOX: (
        "the sandbox is in the way",
        r"operation not permitted|permission denied|read-only file system|os error (?:1|13|30)\b",
        r"function not implemented|network is unreachable|could not resolve host|bwrap: ",
    ),
    Suspicion.BROKEN_DISK: (
        "the disk is broken",
        r"input/output error|structure needs cleaning|stale file handle|os error 5\b",
    ),
}
_KINDS = tuple(_SIGNS)
_SIGN = re.compile("|".join(f"({'|'.join(_SIGNS[kind][1:])})" for kind in _KINDS).encode(), re.IGNORECASE)


def suspicion(policy: OnFailure, exit_code: int, stdout: bytes, stderr: bytes) -> tuple[Suspicion, str] | None:
    """Return why the client has to repeat a failed compile: the kind, and what the client is told.

    None if its user gets this result.

    :param exit_code: of a compiler that was not killed.
    """
    if policy is OnFailure.REPORT or exit_code == 0:
        return None
    if exit_code in _NOT_EXECUTED:
        return Suspicion.NOT_EXECUTED, f"a program was not found or not executed (exit status {exit_code})"
    return _sign(stderr) or _sign(stdout) or (_VERIFIED if policy is OnFailure.VERIFY else None)


def _sign(words: bytes) -> tuple[Suspicion, str] | None:
    looked_at = words if len(words) <= 2 * _LOOKED_AT else words[:_LOOKED_AT] + b"\n" + words[-_LOOKED_AT:]
    if (match := _SIGN.search(looked_at)) is None or match.lastindex is None:
        return None
    kind = _KINDS[match.lastindex - 1]
    return kind, f"{_SIGNS[kind][0]}, it says {match[0].decode(errors='replace')!r}"
