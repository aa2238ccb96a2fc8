"""Build servers that take fewer jobs for now than they have CPUs for: other work has those, or there is no memory."""

import attrs
import pytest

from sccachedist.errors import DecodeError, NoCapacity
from sccachedist.outcomes import Lack, Refusal
from sccachedist.policy import PlacementRule
from sccachedist.scheduler.core import SchedulerCore
from sccachedist.scheduler.heartbeat_bounds import MOST_LACK, MOST_NUMBER
from sccachedist.scheduler.snapshot import ServerView
from sccachedist.wire.abilities import Abilities, Offer
from sccachedist.wire.extension import Health, ServerReport
from sccachedist.wire.host_facts import HostFacts
from sccachedist.wire.messages import JobId, JobState
from tests.scheduler.farms import FIRST_JOB, GCC, A, B, Ours, free_slots

BUSY, SHORT = Lack.BUSY.word, Lack.NO_MEMORY.word


def report(
    server: Ours, slots: int | None, lack: str = BUSY, jobs: dict[JobId, JobState] | None = None
) -> ServerReport:
    """What a server says of itself that has two CPUs, and offers slots; None for all that it has."""
    offer = None if slots is None else Offer(slots, lack)
    plain = server.report(jobs)
    return attrs.evolve(plain, health=Health(), version="1", host=HostFacts(), abilities=Abilities(offer=offer))


@pytest.fixture(name="core")
def _core() -> SchedulerCore:
    return SchedulerCore(FIRST_JOB)


def view(core: SchedulerCore) -> ServerView:
    return core.snapshot({}, 0.0).servers[0]


@pytest.mark.parametrize(("slots", "free"), [(None, 3), (7, 3), (3, 3), (2, 2), (0, 0)])
def test_no_more_than_is_offered(core: SchedulerCore, slots: int | None, free: int) -> None:
    """A server gets as many jobs as it offers, and never more than its CPUs allow."""
    ours = Ours(core)
    ours.beat(report(ours, slots))
    assert free_slots(core) == free
    assert core.views.totals(0).slots == free


def test_as_it_changes(core: SchedulerCore) -> None:
    """Each heartbeat has what holds from then on, and sums are right after any of them."""
    ours = Ours(core)
    for slots in (3, 0, 2, None, 1, 0, None):
        ours.beat(report(ours, slots))
        assert core.views.totals(0).slots == (3 if slots is None else slots)
        assert free_slots(core) == (3 if slots is None else slots)


def test_jobs_that_run_go_on(core: SchedulerCore) -> None:
    """A server that takes back what it has lent keeps its jobs, and gets none until enough have ended."""
    ours = Ours(core)
    ours.beat(report(ours, None))
    given = [core.reserve(0.0).job_id for _ in range(2)]
    running = dict.fromkeys(given, JobState.STARTED)
    ours.beat(report(ours, 1, jobs=running))
    assert free_slots(core) == 0
    assert view(core).taken == 2
    assert core.placement.has_servers(), "a slot will be free, and is worth the wait"
    ours.beat(report(ours, 0, jobs=running))
    assert core.placement.has_servers()


def test_nothing_to_wait_for(core: SchedulerCore) -> None:
    """Where no server offers anything nor has a job that could end, requests go home at once; jobs elsewhere do."""
    ours, other = Ours(core), Ours(core, B)
    ours.beat(report(ours, 0))
    assert not core.placement.has_servers()
    with pytest.raises(NoCapacity) as refused:
        core.reserve(0.0)
    assert refused.value.refusal is Refusal.NO_SERVERS
    other.beat(report(other, None))
    assert core.reserve(0.0).server_id == B


def test_the_least_loaded(core: SchedulerCore) -> None:
    """A server half of which others have counts as half a server."""
    half, whole = Ours(core), Ours(core, B)
    half.beat(report(half, 1))
    whole.beat(report(whole, None))
    assert [core.reserve(0.0, toolchain=GCC).server_id for _ in range(4)].count(A) == 1


def test_the_fastest(core: SchedulerCore) -> None:
    """The same by the other rule."""
    core.placement.rule = PlacementRule.FASTEST
    half = Ours(core)
    half.beat(report(half, 1))
    assert core.reserve(0.0).server_id == A
    assert free_slots(core) == 0


def test_what_is_seen(core: SchedulerCore) -> None:
    """One that offers nothing is busy, and one that offers a part of what it has is open, or full."""
    ours = Ours(core)
    states = []
    for slots, jobs in ((None, 0), (1, 0), (0, 0)):
        ours.beat(report(ours, slots))
        states.append(view(core).state)
        assert view(core).lack == ("" if slots is None else BUSY)
        assert jobs == 0
    assert states == ["open", "open", "busy"]
    ours.beat(report(ours, 1))
    core.reserve(0.0)
    assert view(core).state == "full"


@pytest.mark.parametrize("offer", [Offer(MOST_NUMBER + 1), Offer(1, "x" * (MOST_LACK + 1))])
def test_a_server_that_lies(core: SchedulerCore, offer: Offer) -> None:
    """Numbers and words without end are refused; a word that is not known is one of a later release."""
    ours = Ours(core)
    wrong = attrs.evolve(report(ours, 1), abilities=Abilities(offer=offer))
    with pytest.raises(DecodeError, match="an offer is"):
        ours.beat(wrong)
    ours.beat(report(ours, 1, "too_hot"))
    assert view(core).lack == "too_hot"
