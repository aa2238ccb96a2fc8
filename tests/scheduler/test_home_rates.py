"""Build servers that send far more jobs home than the others."""

import pytest

from sccachedist.job_phases import JobPhase
from sccachedist.scheduler.core import SchedulerCore
from sccachedist.scheduler.events import Fault, ServerAvoided, ServerUnfit
from sccachedist.scheduler.home_rates import HALF_LIFE_SECS, HomeRates, Record
from sccachedist.scheduler.jobs import CLAIM_SECS
from sccachedist.wire.extension import Availability, Health, ServerReport
from sccachedist.wire.messages import JobState
from tests.scheduler.farms import FIRST_JOB, A, B, Ours, assigned, farm, heartbeat


def rates(*jobs: tuple[int, int]) -> tuple[HomeRates, list[Record]]:
    """Servers that have ended so many jobs and sent so many of them home."""
    farm_rates, records = HomeRates(), [Record() for _ in jobs]
    for record, (ended, home) in zip(records, jobs, strict=True):
        farm_rates.add(record, ended, home, 0.0)
    return farm_rates, records


@pytest.mark.parametrize(
    ("others", "its", "avoided"),
    [
        ((20, 0), (3, 3), True),
        ((20, 0), (2, 2), False),  # too few to tell
        ((20, 0), (100, 10), False),  # a small part
        ((20, 4), (10, 8), True),
        ((20, 4), (10, 7), False),  # the others are hardly better: the jobs are to blame
        ((20, 20), (10, 10), False),
        ((0, 0), (10, 10), False),  # nobody to compare with
    ],
)
def test_avoided(others: tuple[int, int], its: tuple[int, int], avoided: bool) -> None:
    """It has to be bad, and far worse than all others together."""
    farm_rates, _ = rates(others)
    record = Record()
    assert farm_rates.add(record, *its, 0.0) is avoided
    assert (record.avoided.until > 0) is avoided


def test_again_and_again() -> None:
    """After that, one job is enough, and it is avoided for twice as long; until one of its jobs succeeds."""
    farm_rates, (_, record) = rates((20, 0), (4, 4))
    assert record.avoided.until == 10.0
    assert not farm_rates.add(record, 4, 4, 5.0), "these were given to it before"
    for now, secs in ((100.0, 20.0), (200.0, 40.0)):
        assert farm_rates.add(record, 1, 1, now)
        assert record.avoided.until == now + secs
    assert not farm_rates.add(record, 1, 0, 300.0)
    assert not farm_rates.add(record, 1, 1, 300.0)


def test_forgotten() -> None:
    """What was long ago counts little."""
    farm_rates, records = rates((20, 0), (4, 2))
    assert not farm_rates.add(records[1], 1, 1, 20 * HALF_LIFE_SECS)
    assert farm_rates.add(records[0], 5, 0, 20 * HALF_LIFE_SECS) is False
    assert farm_rates.add(records[1], 2, 2, 20 * HALF_LIFE_SECS)


def test_told_in_sums() -> None:
    """Our server tells of all jobs since its start, and numbers that fall or cannot be do no harm."""
    farm_rates, (_, record) = rates((20, 0), (0, 0))
    for ended, home in ((2, 2), (2, 2), (2, 2), (1, 1), (0, 9)):
        assert not farm_rates.told(record, ended, home, 0.0)
    assert farm_rates.told(record, 5, 12, 0.0)


def report(number: int, unfit: str = "", ended: int = 0, sent_home: int = 0) -> ServerReport:
    availability = Availability.DRAINING if unfit else Availability.OPEN
    return ServerReport(number, 5, availability, (), (), health=Health(unfit, ended, sent_home))


def test_unfit(core: SchedulerCore) -> None:
    """A server that says that it is unfit gets no jobs; both changes are told once, and the reason is shown."""
    core.heartbeat(A, heartbeat(), 0.0, report(1))
    assert core.placement.has_room()
    unfit = ServerUnfit(1.0, A, "the disk is full")
    assert core.heartbeat(A, heartbeat(), 1.0, report(2, "the disk is full")) == (unfit,)
    assert core.heartbeat(A, heartbeat(), 2.0, report(3, "the disk is full")) == ()
    assert not core.placement.has_room()
    (shown,) = core.snapshot({}, 2.0).servers
    assert (shown.unfit, shown.is_open) == ("the disk is full", False)
    assert core.heartbeat(A, heartbeat(), 3.0, report(4)) == (ServerUnfit(3.0, A, ""),)
    assert core.placement.has_room()


def test_a_server_of_ours_that_sends_home() -> None:
    """It gets no jobs while another has room, although it takes each of them."""
    core = SchedulerCore(FIRST_JOB)
    core.heartbeat(A, heartbeat(), 0.0, report(1))
    core.heartbeat(B, heartbeat(), 0.0, report(1))
    core.heartbeat(B, heartbeat(), 1.0, report(2, ended=20))
    events = core.heartbeat(A, heartbeat(), 1.0, report(2, ended=4, sent_home=4))
    assert events == (ServerAvoided(1.0, A, 11.0, Fault.SENDS_HOME),)
    given = [core.reserve(1.0) for _ in range(3)]
    assert {job.server_id for job in given} == {B}
    last = core.reserve(1.0)
    assert last.server_id == A, "better than nothing"
    core.confirm(last, assigned(), 1.0)
    assert core.snapshot({}, 1.0).servers[0].avoided_secs == 10.0, "that it takes jobs is not the point"
    core.release(given[0], 1.0, failed=False)
    assert core.reserve(1.0).server_id == B


def test_a_published_server_whose_clients_do_not_come() -> None:
    """A published server says nothing, but that clients never come for its jobs tells that it does not take them."""
    core = farm(4, 4)
    for _ in range(4):
        job = core.reserve(0.0, [A])
        core.confirm(job, assigned(), 0.0)
        core.update(job.job_id, B, JobState.COMPLETE, 0.0)
        core.confirm(core.reserve(0.0, [B]), assigned(), 0.0)
    now = CLAIM_SECS[JobPhase.READY] + 1
    for server_id in (A, B):
        core.heartbeat(server_id, heartbeat(4), now)
    avoided = [event for event in core.expire(now) if isinstance(event, ServerAvoided)]
    assert [(event.server_id, event.why) for event in avoided] == [(A, Fault.SENDS_HOME)]
    assert core.reserve(now).server_id == B


def test_ours_is_not_counted_twice(core: SchedulerCore, ours: Ours) -> None:
    """What our server's heartbeats tell is all that counts of it."""
    job = ours.allocate()
    core.update(job.job_id, A, JobState.COMPLETE, 0.0)
    assert core.snapshot({}, 0.0).servers[0].sent_home == 0.0
