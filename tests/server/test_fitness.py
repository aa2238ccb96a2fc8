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
from sccachedist.memory import FreeMemory
from sccachedist.outcomes import SentLocal, Suspicion
from sccachedist.server.fitness import (
    ENOUGH_MEMORY,
    LEAST_MEMORY,
    LONGEST_REASON,
    MEMORY_SECS,
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


def memory(free: int) -> FreeMemory:
    """So much is left."""
    return FreeMemory(free, "this host")


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
    fitness.looked("", None, now=0.0)
    assert fitness == Fitness()
    fitness.looked("the disk of /tc: less than 4 MiB are free", None, now=1.0)
    assert (fitness.reason[:9], fitness.test_at) == ("the disk ", 1.0 + RETRY_SECS)
    fitness.looked("the disk of /spool: less than 4 MiB are free", None, now=2.0)
    assert fitness.test_at == 1.0 + RETRY_SECS
    fitness.looked("", None, now=2.0)
    assert fitness.reason, "only a test shows that it is fit"


def test_memory() -> None:
    """A server without memory is unfit for some time, and until it has twice as much: the least may come and go."""
    fitness = Fitness()
    fitness.looked("", memory(LEAST_MEMORY), now=0.0)
    assert fitness == Fitness()
    fitness.looked("", memory(LEAST_MEMORY - 1), now=1.0)
    assert fitness.reason == "the memory of this host: less than 64 MiB are free"
    assert fitness.test_at == 1.0 + MEMORY_SECS
    assert fitness.lack("", memory(ENOUGH_MEMORY - 1)) == "the memory of this host: less than 128 MiB are free"
    assert fitness.lack("", memory(ENOUGH_MEMORY)) == ""
    fitness.looked("", memory(ENOUGH_MEMORY), now=2.0)
    assert fitness.reason, "not before a test shows that it is fit"
    fitness.tested("", now=11.0)
    assert fitness.lack("", memory(LEAST_MEMORY)) == "", "a fit server stays so with less"


def test_disk_and_memory() -> None:
    """A disk is told first; memory that cannot be looked at is no reason."""
    fitness = Fitness()
    assert fitness.lack("the disk", memory(0)) == "the disk"
    assert fitness.lack("", None) == ""


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
