"""Archives that cannot be unpacked are remembered, for a while."""

import pytest

from sccachedist.builders.refusals import MOST, REMEMBERED_SECS, Refusals
from sccachedist.errors import BuildError, DiskFull, LimitExceeded, SccachedistError, ToolchainError
from sccachedist.outcomes import SentLocal
from sccachedist.wire.archive_id import ArchiveId

A = ArchiveId("a" * 64)


@pytest.mark.parametrize(
    "error",
    [ToolchainError("damaged"), LimitExceeded("compression_ratio", "a bomb"), LimitExceeded("path_depth", "deep")],
)
def test_what_will_always_fail(error: SccachedistError) -> None:
    """The next job hears the same at once; after a while it is tried again."""
    refusals = Refusals()
    refusals.check(A, 0.0)
    refusals.note(A, error, 0.0)
    with pytest.raises(type(error)) as caught:
        refusals.check(A, REMEMBERED_SECS - 1)
    assert str(caught.value) == str(error)
    refusals.check(A, REMEMBERED_SECS)


@pytest.mark.parametrize(
    "error",
    [
        BuildError(SentLocal.SANDBOX, "a worker ended"),
        DiskFull("no room"),
        LimitExceeded("job_secs", "slow"),
        LimitExceeded("toolchains_unpacked_bytes", "others are in use"),
    ],
)
def test_what_may_be_better_next_time(error: SccachedistError) -> None:
    """It is the host's trouble, not the archive's."""
    refusals = Refusals()
    refusals.note(A, error, 0.0)
    refusals.check(A, 0.0)


def test_there_is_an_end_to_it() -> None:
    """The oldest are forgotten."""
    refusals, toolchains = Refusals(), [ArchiveId(f"{number:064x}") for number in range(MOST + 1)]
    for toolchain in toolchains:
        refusals.note(toolchain, ToolchainError("damaged"), 0.0)
    refusals.check(toolchains[0], 1.0)
    for toolchain in toolchains[1:]:
        with pytest.raises(ToolchainError):
            refusals.check(toolchain, 1.0)
