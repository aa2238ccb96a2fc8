"""Is it the code or is it us? What a failed compile says that it might not say on the user's own machine: pure.

A false suspicion costs a second compile, at the client, that fails in the same way; a missed one breaks a user's
build. The list is documented in ``doc/operations.rst``, "When a compile fails".
"""

import re

from sccachedist.policy import OnFailure

#: Why a failed compile is repeated of which nothing says that the farm may be at fault.
VERIFIED = "it is compiled again where it came from (policy.on_failure)"

#: How much of each end of a compiler's words is looked at: what it dies of stands first or last.
_LOOKED_AT = 256 * 1024

#: As a shell tells of a program that it cannot execute or find; the drivers of compilers are scripts now and then.
_NOT_EXECUTED = (126, 127)

_SIGNS = {
    # Programs and libraries that are not in the toolchain, or not for this machine.
    "a library is missing": (
        r"error while loading shared libraries|cannot open shared object",
        r"version [`'][\w.]+' not found|wrong elf class|cpu isa level is lower",
    ),
    "a program cannot be executed": (
        r"exec format error|cannot execute|could not exec|posix_spawn|unable to execute command",
    ),
    # What the source needs and was not sent. A header that is not there is no case: its client has preprocessed.
    "a file is missing": (
        r"no such file or directory|file not found|could not find incbin file|os error 2\b",
        r"can(?:no|')t open|unable to open|cannot find -l",
        r"can't find crate|error\[e0(?:460|461|462|463|464|514)\]",
        r"could not find native static library|not supported by iconv",
    ),
    # The compiler here sees preprocessed text: without comments, with macros expanded, in a language of its own. Any
    # warning may come of that, and one that is an error ends the compile.
    "the text was preprocessed": (
        r"error: [^\n]*\[-w|warnings being treated as errors",
        r"language not recognized|junk at end of line",
    ),
    # A macro is a program, which reads what its author likes.
    "a macro failed": (r"(?:proc[ -]macro|proc-macro derive|custom attribute) panicked|this error originates in the",),
    # Less room than at home.
    "the memory is full": (
        r"out of memory|cannot allocate memory|memory exhausted|bad_alloc|memory allocation of \d+ bytes",
        r"allocation failed|failed to map segment|os error 12\b",
    ),
    "the disk is full": (r"no space left on device|disk quota exceeded|file too large|os error (?:27|28|122)\b",),
    "too many processes or files": (
        r"resource temporarily unavailable|can(?:no|')t fork|failed to spawn|os error 11\b",
        r"too many open files|os error 24\b",
    ),
    # A child died, and its parent made of that a status of its own.
    "a process was killed": (
        r"signal terminated program|due to signal|signal: \d+|segmentation fault|bus error|illegal instruction",
        r"internal compiler error|compiler unexpectedly panicked|stack dump:|bad system call",
    ),
    # What a sandbox keeps from a compile, and what breaks under it.
    "the sandbox is in the way": (
        r"operation not permitted|permission denied|read-only file system|os error (?:1|13|30)\b",
        r"function not implemented|network is unreachable|could not resolve host|bwrap: ",
    ),
    "the disk is broken": (r"input/output error|structure needs cleaning|stale file handle|os error 5\b",),
}
_KINDS = tuple(_SIGNS)
_SIGN = re.compile("|".join(f"({'|'.join(_SIGNS[kind])})" for kind in _KINDS).encode(), re.IGNORECASE)


def suspicion(policy: OnFailure, exit_code: int, stdout: bytes, stderr: bytes) -> str | None:
    """Give why its client has to repeat a compile that failed; None where it is the user's.

    :param exit_code: that of a compiler which was not itself killed.
    """
    if policy is OnFailure.REPORT or exit_code == 0:
        return None
    if exit_code in _NOT_EXECUTED:
        return f"a program was not found or not executed (exit status {exit_code})"
    return _sign(stderr) or _sign(stdout) or (VERIFIED if policy is OnFailure.VERIFY else None)


def _sign(words: bytes) -> str | None:
    looked_at = words if len(words) <= 2 * _LOOKED_AT else words[:_LOOKED_AT] + b"\n" + words[-_LOOKED_AT:]
    if (match := _SIGN.search(looked_at)) is None or match.lastindex is None:
        return None
    return f"{_KINDS[match.lastindex - 1]}, it says {match[0].decode(errors='replace')!r}"
