"""What a worker's refusal becomes at the gateway."""

import pytest

from sccachedist.errors import (
    BuildError,
    CompileFailed,
    ForeignToolchain,
    LimitExceeded,
    SccachedistError,
    ToolchainError,
)
from sccachedist.gateway.failures import failure_of
from sccachedist.outcomes import SentLocal, Suspicion
from sccachedist.wire.gateway import NotBuilt


@pytest.mark.parametrize(
    ("reason", "kind", "error", "shown"),
    [
        (SentLocal.LIMIT, "sandbox.scratch_bytes", LimitExceeded, "sandbox.scratch_bytes"),
        (SentLocal.TOOLCHAIN, "", ToolchainError, ""),
        (SentLocal.SUSPICIOUS, "no_memory", CompileFailed, "no_memory"),
        (SentLocal.SUSPICIOUS, "a later release's", CompileFailed, Suspicion.VERIFY.word),
        # A worker's disk is none of this host's, which would be unfit for it.
        (SentLocal.DISK, "full", BuildError, "full"),
        (SentLocal.MACHINE, "aarch64", ForeignToolchain, "aarch64"),
        (SentLocal.SANDBOX, "x" * 65, BuildError, ""),
        (SentLocal.SHUTDOWN, "a\nb", BuildError, ""),
    ],
)
def test_what_it_becomes(reason: SentLocal, kind: str, error: type[SccachedistError], shown: str) -> None:
    """The error of the worker, with its reason and the rest of it as far as it is known here."""
    failure = failure_of(NotBuilt(reason, kind, "it\x1b[2Jwent wrong"))
    assert (type(failure), failure.sent_local, failure.kind) == (error, reason, shown)
    assert "\x1b" not in str(failure)
    assert "went wrong" in str(failure)
