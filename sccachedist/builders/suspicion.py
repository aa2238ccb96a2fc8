"""Is it the code or is it us? What a failed compile says that the user's own machine might not: pure.

A false suspicion costs a second compile, on the client's machine, that fails in the same way; a missed one breaks a
user's build. The list is documented in ``doc/operations.rst``, "When a compile fails".
"""

import re

from sccachedist.config import OnFailure

#: How much of each end of a compiler's words is looked at; a signal of ours stands first or last.
_LOOKED_AT = 256 * 1024

#: As a shell tells of a program that it cannot execute or find; compilers' drivers are scripts now and then.
_NOT_EXECUTED = (126, 127)

_SIGNS = (
    # A program or a library that is not in the toolchain, or not for this machine.
    ("a library is missing", r"error while loading shared libraries|cannot open shared object"),
    ("a library does not fit", r"version [`']\w+_[\d.]+' not found|wrong ELF class|CPU ISA level is lower than required"),
    ("a program cannot be executed", r"exec format error|cannot execute|could not exec|posix_spawn|unable to execute command"),
    # A file that the client has not sent: one that the source needs, it would have missed itself.
    ("a file is missing", r"no such file or directory|file not found|could not find incbin file|os error 2\b"),
    ("a file is missing", r"cannot (?:find|open|specify -o)|can't (?:find|open) file|unable to open|couldn't read"),
    ("a crate is missing", r"can't find crate|error\[?E0(?:460|461|463|464|514)\b"),
    # Less room than at home.
    ("out of memory", r"out of memory|cannot allocate memory|memory exhausted|bad_alloc|memory allocation of \d+ bytes"),
    ("out of memory", r"failed to allocate|allocation failed|mmap failed|failed to map segment"),
    ("out of space", r"no space left on device|disk quota exceeded|file too large|os error (?:28|27|122)\b"),
    ("out of processes", r"resource temporarily unavailable|cannot fork|can't fork|vfork|failed to spawn|os error 11\b"),
    ("out of descriptors", r"too many open files|os error 24\b"),
    # A child that was killed; its parent turns that into a status of its own.
    ("a process was killed", r"killed signal|terminated signal|\bsignal: \d+|\bsig(?:kill|segv|bus|abrt|ill|xcpu|sys)\b"),
    ("a process was killed", r"segmentation fault|internal compiler error|compiler unexpectedly panicked|bad system call"),
    ("a process was killed", r"stack dump:|please submit a (?:full )?bug report|died due to signal|illegal instruction"),
    # What the sandbox keeps from a compile.
    ("the sandbox is in the way", r"operation not permitted|permission denied|read-only file system|os error (?:1|13|30)\b"),
    ("the sandbox is in the way", r"function not implemented|network is unreachable|could not resolve host|bwrap: "),
    ("the disk is broken", r"input/output error|structure needs cleaning|stale file handle|os error 5\b"),
)
_SIGN = re.compile(b"|".join(b"(%b)" % pattern.encode() for _, pattern in _SIGNS), re.IGNORECASE)


def suspicion(policy: OnFailure, exit_code: int, stdout: bytes, stderr: bytes) -> str | None:
    """Give why a compile that ended with another status than 0 has to be repeated by its client; None if it need not.

    :param exit_code: that of a compiler which was not itself killed.
    """
    if policy is OnFailure.REPORT or exit_code == 0:
        return None
    if policy is OnFailure.VERIFY:
        return "it is compiled again where it came from (policy.on_failure)"
    if exit_code in _NOT_EXECUTED:
        return f"a program was not found or not executed (exit status {exit_code})"
    for words in (stderr, stdout):
        if sign := _sign(words):
            return sign
    return None


def _sign(words: bytes) -> str | None:
    looked_at = words if len(words) <= 2 * _LOOKED_AT else words[:_LOOKED_AT] + b"\n" + words[-_LOOKED_AT:]
    if (match := _SIGN.search(looked_at)) is None or match.lastindex is None:
        return None
    said = match[0].decode(errors="replace")
    return f"{_SIGNS[match.lastindex - 1][0]}, it says {said!r}"
