"""When a build server is unfit, and when it tests itself."""

import pytest

from sccachedist.errors import (
    BuildError,
    CompileFailed,
    DiskError,
    DiskFull,
    LimitExceeded,
    SccachedistError,
    StaysHome,
    ToolchainError,
)
from sccachedist.outcomes import SentLocal, Suspicion
from sccachedist.server.fitness import (
    LONGEST_REASON,
    MOST_RELAPSE_SECS,
    MOST_RETRY_SECS,
    RELAPSE_SECS,
    RETRY_SECS,
    SUSPICION_SECS,
    Fitness,
)
from sccachedist.wire.extension import Health

FULL = DiskFull("the disk of /spool: No space left on device")
BROKEN = BuildError(SentLocal.SANDBOX, "no namespaces for a sandbox")


def test_a_disk_fails() -> None:
    """One job is enough, and the test comes at once; when that has passed, the server is fit."""
    fitness = Fitness()
    fitness.failed(FULL, now=5.0)
    fitness.failed(FULL, now=5.5)
    assert (fitness.reason, fitness.test_at) == (str(FULL), 5.0), "the second was on its way already"
    fitness.tested("", now=6.0)
    assert (fitness.reason, fitness.test_at) == ("", None)


def test_the_test_fails() -> None:
    """It is repeated, less and less often, and says what was found last."""
    fitness, now, pauses = Fitness(), 0.0, []
    fitness.failed(FULL, now)
    for number in range(9):
        fitness.tested(f"still full {number}", now)
        assert fitness.test_at is not None
        pauses.append(fitness.test_at - now)
        now = fitness.test_at
    assert pauses[:3] == [RETRY_SECS, 2 * RETRY_SECS, 4 * RETRY_SECS]
    assert pauses[-1] == MOST_RETRY_SECS
    assert fitness.reason == "still full 8"


def test_relapses() -> None:
    """Where jobs fail at a disk although the test passes, the next test comes later and later, until a job succeeds."""
    fitness, now, pauses = Fitness(), 0.0, []
    for _ in range(8):
        fitness.failed(FULL, now)
        assert fitness.test_at is not None
        pauses.append(fitness.test_at - now)
        fitness.tested("", now)
    assert pauses[:3] == [0.0, RELAPSE_SECS, 2 * RELAPSE_SECS]
    assert pauses[-1] == MOST_RELAPSE_SECS
    fitness.succeeded()
    fitness.failed(FULL, now)
    assert fitness.test_at == now


def test_a_suspicion() -> None:
    """A job that clients can bring about causes a test, now and then, and nothing else before that has failed."""
    fitness = Fitness()
    fitness.failed(BROKEN, now=1.0)
    assert (fitness.reason, fitness.test_at) == ("", 1.0)
    fitness.tested("", now=1.0)
    fitness.failed(BROKEN, now=2.0)
    assert (fitness.reason, fitness.test_at) == ("", 1.0 + SUSPICION_SECS)
    fitness.tested("the sandbox does not work", now=11.0)
    assert fitness.reason == "the sandbox does not work"


@pytest.mark.parametrize(
    "error",
    [
        CompileFailed(Suspicion.NO_MEMORY, "exit status 1"),
        StaysHome("-march=native"),
        LimitExceeded("job_secs", "too long"),
        SccachedistError("anything else"),
        KeyboardInterrupt(),
    ],
)
def test_a_jobs_own_fault(error: BaseException) -> None:
    """What a job's own content brings about says nothing of the server."""
    fitness = Fitness()
    fitness.failed(error, now=0.0)
    assert fitness == Fitness(ended=1)


def test_a_toolchain_cannot_be_used() -> None:
    """It counts as sent home, so that the scheduler can compare; another client's upload may be at fault."""
    fitness = Fitness()
    fitness.failed(ToolchainError("not an archive"), now=0.0)
    assert (fitness.health, fitness.test_at) == (Health("", 1, 1), None)


def test_a_look_at_the_disks() -> None:
    """A disk that is nearly full makes the server unfit before a job fails."""
    fitness = Fitness()
    fitness.looked("", now=0.0)
    assert fitness == Fitness()
    fitness.looked("the disk of /tc: less than 4 MiB are free", now=1.0)
    assert (fitness.reason[:9], fitness.test_at) == ("the disk ", 1.0 + RETRY_SECS)
    fitness.looked("the disk of /spool: less than 4 MiB are free", now=2.0)
    assert fitness.test_at == 1.0 + RETRY_SECS
    fitness.looked("", now=2.0)
    assert fitness.reason, "only a test shows that it is fit"


def test_health() -> None:
    """The scheduler is told the reason, in one line that is not too long, and how jobs have ended."""
    fitness = Fitness()
    for _ in range(3):
        fitness.succeeded()
    fitness.failed(CompileFailed(Suspicion.VERIFY, "exit status 1"), now=0.0)
    fitness.failed(DiskError("the disk\nof /spool: " + "x" * 1000), now=0.0)
    health = fitness.health
    assert (health.ended, health.sent_home, len(health.unfit)) == (5, 1, LONGEST_REASON)
    assert health.unfit.startswith("the disk of /spool: x")
