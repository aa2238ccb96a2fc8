"""What is believed of what a worker says."""

import pytest

from sccachedist.errors import (
    BuildError,
    CompileFailed,
    ForeignToolchain,
    LimitExceeded,
    SccachedistError,
    ToolchainError,
)
from sccachedist.gateway.believed import MOST_CPUS, cpus_of, failure_of, usage_of
from sccachedist.outcomes import SentLocal, Suspicion
from sccachedist.wire.gateway import Built, NotBuilt, WorkerState
from sccachedist.wire.usage import NO_EXIT, Usage


@pytest.mark.parametrize(
    ("reason", "kind", "error", "shown"),
    [
        (SentLocal.LIMIT, "sandbox.scratch_bytes", LimitExceeded, "sandbox.scratch_bytes"),
        (SentLocal.LIMIT, "job_secs", LimitExceeded, "job_secs"),
        (SentLocal.LIMIT, "another one each time", LimitExceeded, ""),
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


@pytest.mark.parametrize(("told", "believed"), [(0, 0), (139, 139), (NO_EXIT, NO_EXIT), (2**64 - 1, NO_EXIT)])
def test_exit_codes(told: int, believed: int) -> None:
    """No more than exit codes there are; the rest of what a job took may be any number."""
    assert usage_of(Built(Usage(2**64 - 1, exit_code=told))) == Usage(2**64 - 1, exit_code=believed)


def test_cpus() -> None:
    """No worker has more than any host."""
    assert [cpus_of(WorkerState(cpus, 1, ())) for cpus in (8, 2**64 - 1)] == [8, MOST_CPUS]
