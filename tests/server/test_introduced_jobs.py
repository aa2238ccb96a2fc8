"""Jobs that a build server learns of from their clients' tokens alone."""

import pytest

from sccachedist.errors import BadTransition, UnknownJob
from sccachedist.server.jobs import TOKEN_SECS, UNCLAIMED_SECS, Issue, ServerCore
from tests.server.cores import CLANG, GCC, JOB, open_core, with_job


def test_introduced() -> None:
    """A job that only its client's token speaks of lives like any other; the token may come with each request."""
    core = open_core()
    for _ in range(2):
        core.introduce(JOB, GCC, present=False, now=0.0)
    assert core.awaits_toolchain(JOB)
    assert core.toolchain_arrived(JOB, now=1.0)
    assert core.claim(JOB, now=2.0) == GCC
    core.introduce(JOB, GCC, present=True, now=3.0)
    assert core.running == 1


@pytest.mark.parametrize("end", ["claimed", "dropped", "dropped in its upload", "expired"])
def test_not_again(end: str) -> None:
    """A token opens its job once: when that is over, in whatever way, it opens nothing."""
    core = open_core()
    core.introduce(JOB, GCC, present=True, now=0.0)
    if end == "claimed":
        core.claim(JOB, now=0.0)
    if end == "dropped in its upload":
        core.begin_upload(JOB, now=0.0)
    if end == "expired":
        core.expire(now=UNCLAIMED_SECS + 1)
    core.drop(JOB)
    core.introduce(JOB, GCC, present=True, now=1000.0)
    with pytest.raises(UnknownJob):
        core.claim(JOB, now=1000.0)


@pytest.mark.parametrize(
    ("issue", "opens"),
    [
        (Issue(), True),
        (Issue(at=1000), True),
        (Issue(time=99999.0), True),
        (Issue(at=1000, time=1000.0 + TOKEN_SECS), True),
        (Issue(at=1000, time=1001.0 + TOKEN_SECS), False),
        (Issue(at=99999, time=1000.0), True),
    ],
)
def test_old_tokens(issue: Issue, opens: bool) -> None:
    """A token opens nothing when it is old, by its scheduler's clock and as far as that is known."""
    core = open_core()
    core.introduce(JOB, GCC, present=True, now=0.0, issue=issue)
    assert core.taken == opens


def test_introduced_to_one_that_is_gone() -> None:
    """The scheduler has been told that it is gone: a job that comes after all would be one that nobody knows."""
    core = open_core()
    core.end()
    core.introduce(JOB, GCC, present=True, now=0.0)
    assert core.taken == 0


def test_introduced_as_another() -> None:
    """No token changes a job's toolchain."""
    core = with_job("ready")
    with pytest.raises(BadTransition, match="job 7 is assigned already"):
        core.introduce(JOB, CLANG, present=True, now=0.0)


def test_introduced_while_starting() -> None:
    """A build server that cannot work yet takes no job from a client either; one that is drained or leaves does."""
    core = ServerCore()
    core.introduce(JOB, GCC, present=True, now=0.0)
    with pytest.raises(UnknownJob):
        core.claim(JOB, now=0.0)
    core.open()
    core.drain(True)
    core.leave()
    core.introduce(JOB, GCC, present=True, now=0.0)
    assert core.claim(JOB, now=0.0) == GCC
