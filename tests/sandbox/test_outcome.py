"""The end of a compile as the client needs it told."""

import pytest

from sccachedist.errors import BuildError, CompileFailed
from sccachedist.outcomes import SentLocal, Suspicion
from sccachedist.policy import OnFailure
from sccachedist.sandbox.processes import Ended
from sccachedist.sandbox.result.outcome import reported, reported_code
from sccachedist.wire.messages import CompileCommand, ProcessOutput

GCC = CompileCommand("/usr/bin/gcc", ("-c", "x.c", "-o", "x.o"), (), "/x")


@pytest.mark.parametrize(
    ("exit_code", "cwd", "code"),
    [
        (0, "/home/me", 0),
        (1, "/home/me", 256),
        (4, "/", 1024),
        (255, "/", 65280),
        (128, "/", 32768),
        (2, "/prefix/disk-C/x", 2),
    ],
)
def test_codes(exit_code: int, cwd: str, code: int) -> None:
    """A Unix client gets a wait status, a Windows client the exit code itself."""
    assert reported_code(exit_code, cwd) == code


@pytest.mark.parametrize("exit_code", [129, 134, 137, 139, 192])
@pytest.mark.parametrize("cwd", ["/", "/prefix/disk-C/x"])
def test_a_killed_compiler_is_no_result(exit_code: int, cwd: str) -> None:
    """The client has to try by itself."""
    with pytest.raises(BuildError) as caught:
        reported_code(exit_code, cwd)
    assert caught.value.sent_local is SentLocal.SIGNAL


def ended(exit_code: int, stderr: bytes = b"") -> Ended:
    """A compiler that has run."""
    return Ended(exit_code, b"out", stderr)


def test_what_a_client_is_told() -> None:
    """The code as a wait status, and what the compiler wrote."""
    assert reported(GCC, OnFailure.VERIFY, ended(0, b"note")) == ProcessOutput(0, b"out", b"note")


@pytest.mark.parametrize(
    ("policy", "stderr", "kind"),
    [
        (OnFailure.VERIFY, b"x.c:1: error: no", Suspicion.VERIFY),
        (OnFailure.SUSPICIOUS, b"x.c: No such file or directory", Suspicion.MISSING_FILE),
    ],
)
def test_a_failure_that_the_client_repeats(policy: OnFailure, stderr: bytes, kind: Suspicion) -> None:
    """The client gets no result; the error says whether each failure is treated so, and else what is suspicious."""
    with pytest.raises(CompileFailed, match="failed with status 1") as caught:
        reported(GCC, policy, ended(1, stderr))
    assert caught.value.routine is (kind is Suspicion.VERIFY)
    assert (caught.value.sent_local, caught.value.kind) == (SentLocal.SUSPICIOUS, kind.word)
