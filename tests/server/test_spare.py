"""What a host can spare for jobs, and why that is less than it has."""

from sccachedist.outcomes import Lack
from sccachedist.server.idle_cpus import IDLE_SECS
from sccachedist.server.memory_room import PRESUMED_BYTES, JobMemory
from sccachedist.server.spare import GRACE_SECS, UNSEEN, CpuUse, Spare
from sccachedist.wire.abilities import Offer
from sccachedist.wire.messages import job_capacity

MUCH, NONE = JobMemory(None, 0, 0), JobMemory(0, 0, 0)
BUSY = CpuUse(8.0, is_contended=True)


def test_all_of_it() -> None:
    """With or without a look at its CPUs, an idle host offers its CPUs and a few slots beside them."""
    whole = Offer(job_capacity(4))
    assert Spare(4, 0, 8).offer == whole
    assert Spare(4, 0, 8).looked(None, MUCH, 0.0) == whole
    assert Spare(4, 0, 8).looked(CpuUse(0.1), MUCH, 0.0) == whole


def test_what_is_idle() -> None:
    """Where others work, no more jobs are taken than there are idle CPUs."""
    assert Spare(4, 0, 8).looked(CpuUse(5.0), MUCH, 0.0) == Offer(3, Lack.BUSY.word)
    assert Spare(4, 0, 8).looked(BUSY, MUCH, 0.0) == Offer(0, Lack.BUSY.word)


def test_nothing_is_seen_yet() -> None:
    """A host of which only idle CPUs are wanted offers none before it has looked, and loses no time by that."""
    spare = Spare(4, 0, 8)
    assert spare.looked(UNSEEN, MUCH, 0.0) == Offer(0, Lack.BUSY.word)
    assert spare.looked(CpuUse(0.0), MUCH, 1.0) == Offer(job_capacity(4))


def test_memory() -> None:
    """The lesser of both counts, and is named."""
    assert Spare(4, 0, 8).looked(None, JobMemory(2 * PRESUMED_BYTES, 0, 0), 0.0) == Offer(2, Lack.NO_MEMORY.word)
    assert Spare(4, 0, 8).looked(CpuUse(7.0), JobMemory(2 * PRESUMED_BYTES, 0, 0), 0.0) == Offer(1, Lack.BUSY.word)


def test_jobs_that_still_run() -> None:
    """They go home when nothing was offered for a while because of other work; a moment's offer begins that again."""
    spare = Spare(2, 0, 8)
    spare.looked(BUSY, MUCH, 0.0)
    spare.looked(BUSY, MUCH, GRACE_SECS - 1)
    assert not spare.is_over(GRACE_SECS - 1)
    assert spare.is_over(GRACE_SECS)
    spare.looked(CpuUse(0.0), MUCH, GRACE_SECS)
    spare.looked(CpuUse(0.0), MUCH, GRACE_SECS + IDLE_SECS)
    assert not spare.is_over(10 * GRACE_SECS)


def test_jobs_without_memory_beside_them() -> None:
    """They run on, and end."""
    spare = Spare(2, 0, 8)
    spare.looked(None, NONE, 0.0)
    assert spare.offer == Offer(0, Lack.NO_MEMORY.word)
    assert not spare.is_over(10 * GRACE_SECS)


def test_other_settings() -> None:
    """A host that is told another number of CPUs looks again; another reserve holds from the next look on."""
    spare = Spare(2, 0, 8)
    spare.looked(BUSY, MUCH, 0.0)
    spare.take(2, PRESUMED_BYTES)
    assert spare.looked(BUSY, MUCH, 1.0).slots == 0
    spare.take(8, PRESUMED_BYTES)
    assert spare.most == job_capacity(8)
    assert spare.looked(CpuUse(0.0), JobMemory(3 * PRESUMED_BYTES, 0, 0), 2.0) == Offer(2, Lack.NO_MEMORY.word)
