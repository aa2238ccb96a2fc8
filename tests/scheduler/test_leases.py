"""Slots as leases: what a build server of ours says of its jobs and of itself, in whatever order it arrives."""

from ipaddress import IPv4Address

import attrs
import pytest

from sccachedist.budgets import Party
from sccachedist.errors import DecodeError, LimitExceeded, UnknownServer
from sccachedist.scheduler.core import SchedulerCore
from sccachedist.scheduler.events import Departure, ServerLeft
from sccachedist.scheduler.heartbeat_bounds import MOST_HEARTBEAT_SECS, IdentityInUse
from sccachedist.scheduler.out_of_service import Drain
from sccachedist.wire.addresses import ServerId
from sccachedist.wire.extension import Availability, Health, ServerReport
from sccachedist.wire.messages import JobId, JobState, SchedulerStatus
from tests.scheduler.farms import (
    CLANG,
    FIRST_JOB,
    GCC,
    A,
    B,
    Expired,
    Ours,
    assigned,
    expired,
    farm,
    free_slots,
    heartbeat,
)

PENDING, READY, STARTED, COMPLETE = JobState

# -- what is confirmed stays, what is not is free --


@pytest.mark.field(6)
def test_lost_complete(core: SchedulerCore, ours: Ours) -> None:
    """A job whose end was not heard of frees its slot with the next heartbeat."""
    job = ours.allocate().job_id
    ours.says({job: STARTED})
    ours.beat(ours.report({job: STARTED}), now=5.0)
    assert free_slots(core) == 2
    ours.beat(ours.report(), now=10.0)
    assert (free_slots(core), core.status().in_progress) == (3, 0)


def test_lost_start(core: SchedulerCore, ours: Ours) -> None:
    """A job whose start was not heard of is kept by the heartbeat that names it, however long it takes."""
    job = ours.allocate().job_id
    for now in range(5, 200, 5):
        ours.beat(ours.report({job: STARTED}), float(now))
        assert expired(core, float(now)) == Expired((), ())
    assert core.status().in_progress == 1


def test_unclaimed_is_not_lost(core: SchedulerCore, ours: Ours) -> None:
    """A job that its client has not brought yet is named by nobody, and keeps its slot until its time is over."""
    ours.allocate()
    ours.beat(ours.report(), now=5.0)
    assert core.status().in_progress == 1
    assert core.report(A).unclaimed == 1


def test_a_client_that_does_not_reach_it(core: SchedulerCore, ours: Ours) -> None:
    """No slot is kept for long for a client that may compile locally by now; one that comes late has its job."""
    ours.beat(ours.report({}, GCC))
    job = ours.allocate().job_id
    ours.beat(ours.report({}, GCC), now=8.0)
    assert expired(core, 8.0) == Expired((), ())
    assert expired(core, 8.1) == Expired((), (job,))
    ours.beat(ours.report({job: STARTED}, GCC), now=15.0)
    assert core.status().in_progress == 1


def test_one_client_does_not_take_it_all(core: SchedulerCore) -> None:
    """A client that allocates and does not begin is stopped; when its jobs begin or end, it may go on."""
    for server_id in (A, B):
        core.heartbeat(server_id, heartbeat(cpus=4), 0.0)
    client = Party("greedy")
    jobs = [core.reserve(0.0, client=client) for _ in range(5)]
    with pytest.raises(LimitExceeded, match="unclaimed_jobs"):
        core.reserve(0.0, client=client)
    core.release(core.reserve(0.0, client=Party("modest")), 0.0, failed=False)
    core.confirm(jobs[0], assigned(), 0.0)
    core.update(jobs[0].job_id, jobs[0].server_id, STARTED, 0.0)
    core.release(jobs[1], 0.0, failed=False)
    for _ in range(2):
        core.reserve(0.0, client=client)
    with pytest.raises(LimitExceeded):
        core.reserve(0.0, client=client)


def test_ready_waits_for_its_client(core: SchedulerCore, ours: Ours) -> None:
    """A job whose toolchain has come is not named until its client brings the inputs, and is kept meanwhile."""
    job = ours.allocate().job_id
    ours.beat(ours.report({job: PENDING}), now=1.0)
    ours.says({job: READY}, now=2.0)
    ours.beat(ours.report({}, GCC), now=5.0)
    assert core.status().in_progress == 1


def test_upload_that_broke_off(core: SchedulerCore, ours: Ours) -> None:
    """A client that goes away with its upload frees its slot with the next heartbeat."""
    job = ours.allocate().job_id
    ours.beat(ours.report({job: PENDING}), now=1.0)
    ours.beat(ours.report(), now=6.0)
    assert core.status().in_progress == 0


@pytest.mark.field(15)
def test_long_upload(core: SchedulerCore, ours: Ours) -> None:
    """An upload may take its time as long as it goes on; a client that never begins one is not waited for so long."""
    ours.beat(ours.report())
    job = ours.allocate().job_id
    abandoned = ours.allocate(toolchain=CLANG).job_id
    ours.says({job: PENDING}, now=7.0)
    assert expired(core, 8.0) == Expired((), ())
    assert expired(core, 8.1) == Expired((), (abandoned,))
    for now in range(10, 600, 5):
        ours.beat(ours.report({job: PENDING}), float(now))
        assert expired(core, float(now)) == Expired((), ())
    assert core.status().in_progress == 1


def test_upload_of_a_farm_of_thousands(core: SchedulerCore, ours: Ours) -> None:
    """Where heartbeats are rare, an upload goes on between two of them."""
    job = ours.allocate().job_id
    for now in (1.0, 61.0, 121.0):
        ours.beat(ours.report({job: PENDING}, secs=60), now)
        assert expired(core, now + 59) == Expired((), ())
    assert expired(core, 241.1) == Expired((), (job,))


def test_restarted_scheduler(core: SchedulerCore) -> None:
    """A scheduler that was restarted learns of the jobs that run from the first heartbeat."""
    ours = Ours(core)
    assert ours.beat(ours.report({JobId(99): STARTED, JobId(98): PENDING}))
    assert core.status() == SchedulerStatus(num_servers=1, num_cpus=2, in_progress=2)
    ours.says({JobId(99): COMPLETE})
    ours.says({JobId(99): COMPLETE})
    assert free_slots(core) == 2


def test_more_jobs_than_slots(core: SchedulerCore) -> None:
    """A build server may have more jobs than it should: it gets no other until it has room."""
    ours = Ours(core)
    jobs = dict.fromkeys(map(JobId, range(90, 95)), STARTED)
    ours.beat(ours.report(jobs))
    assert (core.status().in_progress, core.placement.has_room()) == (5, False)
    ours.says(dict.fromkeys(list(jobs)[:3], COMPLETE))
    assert core.placement.has_room()


def test_a_job_id_that_was_invented(core: SchedulerCore, ours: Ours) -> None:
    """A build server that names a job which was never allocated takes its own slots, and no other job's id."""
    following = JobId(FIRST_JOB + 1)
    ours.beat(ours.report({following: STARTED}))
    assert ours.allocate().job_id == following + 1


def test_published_words(core: SchedulerCore, ours: Ours) -> None:
    """A job that was reported as by a published server has to be named like any other from the next heartbeat on."""
    job = ours.allocate().job_id
    core.update(job, A, STARTED, now=0.0)
    ours.beat(ours.report({}, GCC), now=5.0)
    assert core.status().in_progress == 1
    ours.beat(ours.report({}, GCC), now=10.0)
    assert core.status().in_progress == 0


# -- messages that overtake each other --


def test_overtaken_heartbeat(core: SchedulerCore, ours: Ours) -> None:
    """A heartbeat from before a job began or ended changes nothing when it comes late; it is a sign of life."""
    job = ours.allocate().job_id
    before = ours.report()
    ours.says({job: STARTED})
    during = ours.report({job: STARTED})
    assert not ours.beat(before, now=50.0)
    assert core.status().in_progress == 1
    ours.says({job: COMPLETE})
    ours.beat(during, now=51.0)
    assert core.status().in_progress == 0
    assert expired(core, 80.0) == Expired((), ())


def test_heartbeat_overtaken_by_a_job(core: SchedulerCore, ours: Ours) -> None:
    """What it tells of the build server itself, no report of a job tells: that is not lost."""
    job = ours.allocate().job_id
    unfit = attrs.evolve(ours.report({job: PENDING}, GCC), health=Health("the disk is full"))
    ours.says({job: COMPLETE})
    ours.beat(unfit)
    assert core.status().in_progress == 0
    (server,) = core.snapshot({}, 0.0).servers
    assert (server.unfit, server.toolchains) == ("the disk is full", 1)
    ours.beat(ours.report())
    ours.beat(unfit)
    (server,) = core.snapshot({}, 0.0).servers
    assert server.unfit == ""


def test_overtaken_states(core: SchedulerCore, ours: Ours) -> None:
    """What a heartbeat has said already, or has proven wrong, is not believed again."""
    job = ours.allocate().job_id
    late = ours.number = ours.number + 1
    ours.beat(ours.report())
    ours.says({JobId(99): STARTED}, number=late)
    assert core.status().in_progress == 1
    ours.says({job: STARTED})
    ours.says({job: COMPLETE})
    ours.says({job: STARTED}, number=late)
    assert core.status().in_progress == 0


def test_overtaken_end(core: SchedulerCore, ours: Ours) -> None:
    """The end of a short job that no heartbeat had to name: one that is quicker does not tell of it."""
    job = ours.allocate().job_id
    late = ours.number = ours.number + 1
    ours.beat(ours.report())
    assert free_slots(core) == 2
    for _ in range(2):
        ours.says({job: COMPLETE, JobId(99): COMPLETE}, number=late)
        assert (free_slots(core), core.status().in_progress) == (3, 0)


def test_an_end_that_a_later_message_denies(core: SchedulerCore, ours: Ours) -> None:
    """A job that is named after it is said to have ended is there."""
    job = ours.allocate().job_id
    late = ours.number = ours.number + 1
    ours.beat(ours.report({job: STARTED}))
    ours.says({job: COMPLETE}, number=late)
    assert core.status().in_progress == 1


def test_states_of_a_stranger(core: SchedulerCore) -> None:
    """Who was not heard of since its start, or since the scheduler's, has to send a heartbeat first."""
    ours = Ours(core)
    with pytest.raises(UnknownServer):
        ours.says({JobId(99): STARTED})
    core.heartbeat(A, heartbeat(), 0.0)
    with pytest.raises(UnknownServer, match="has to send a heartbeat first"):
        ours.says({JobId(99): STARTED})
    ours.beat(ours.report())
    with pytest.raises(UnknownServer, match="has to send a heartbeat first"):
        ours.says({JobId(99): STARTED}, nonce=2)
    assert core.status().in_progress == 0


def test_jobs_of_another(core: SchedulerCore, ours: Ours) -> None:
    """What a build server says of another one's job has no effect; all else that it says is believed."""
    job = ours.allocate().job_id
    other, own = Ours(core, B), JobId(99)
    other.beat(other.report({job: STARTED, own: STARTED}))
    assert core.jobs_of_others(B, [job, own, JobId(100)]) == [job]
    assert core.status() == SchedulerStatus(num_servers=2, num_cpus=4, in_progress=2)
    other.says({job: COMPLETE, own: COMPLETE})
    assert core.status().in_progress == 1
    ours.says({job: COMPLETE})
    assert core.status().in_progress == 0


def test_two_name_a_job_from_before(core: SchedulerCore) -> None:
    """Whose it is cannot be known: it takes a slot of the first, and the second stays and has all of its others."""
    first, second, contested, other = Ours(core, B), Ours(core), JobId(99), JobId(100)
    first.beat(first.report({contested: STARTED}))
    for seconds in range(0, 100, 5):
        first.beat(first.report({contested: STARTED}), float(seconds))
        second.beat(second.report({contested: STARTED, other: STARTED}), float(seconds))
        assert expired(core, float(seconds)) == Expired((), ())
    assert core.status() == SchedulerStatus(num_servers=2, num_cpus=4, in_progress=2)
    first.beat(first.report(), 100.0)
    second.beat(second.report({contested: STARTED, other: STARTED}), 100.0)
    assert core.jobs_of_others(B, [contested, other]) == [contested, other]


# -- life of a server of ours --


def test_another_at_the_address_of_one_that_lives(core: SchedulerCore, ours: Ours) -> None:
    """Without its job key nobody replaces it, as ours or as published, until it has been silent for long."""
    stranger = heartbeat(nonce=2, certificate=b"another", job_key=b"another")
    job = ours.allocate()
    for report in (None, ServerReport(9, 5, Availability.GONE, (), ())):
        with pytest.raises(IdentityInUse, match=str(A)):
            core.heartbeat(A, stranger, 30.0, report)
    assert core.certificate(A).cert_pem == b"certificate"
    assert core.status().in_progress == 1
    assert core.heartbeat(A, stranger, 30.1)
    core.release(job, 30.1, failed=False)
    assert core.certificate(A).cert_pem == b"another"


def test_a_renewed_certificate(core: SchedulerCore, ours: Ours) -> None:
    """Who knows the job key may show another certificate, after a restart or without one."""
    ours.allocate()
    core.heartbeat(A, heartbeat(certificate=b"renewed"), 1.0, ours.report())
    assert core.certificate(A).cert_pem == b"renewed"
    assert core.status().in_progress == 1
    assert core.heartbeat(A, heartbeat(nonce=2, certificate=b"renewed again"), 1.0, ours.report())
    assert core.certificate(A).cert_pem == b"renewed again"


def test_one_that_has_gone_leaves_its_address(core: SchedulerCore, ours: Ours) -> None:
    """After an orderly end a server with a token for the address may be there at once."""
    core.heartbeat(A, heartbeat(), 0.0, ServerReport(9, 5, Availability.GONE, (), ()))
    assert core.heartbeat(A, heartbeat(nonce=2, job_key=b"another"), 0.0)


@pytest.mark.parametrize("secs", [0, MOST_HEARTBEAT_SECS + 1, 2**64 - 1])
def test_impossible_rhythm(core: SchedulerCore, secs: int) -> None:
    """A build server that would never be missed is refused."""
    ours = Ours(core)
    with pytest.raises(DecodeError, match="heartbeats"):
        ours.beat(ours.report(secs=secs))
    assert core.status().num_servers == 0


def test_many_are_heard_less_often() -> None:
    """Few build servers are heard as often as they like, thousands only every so many seconds."""
    core = farm(1)
    assert core.report(A).heartbeat_secs == 0
    for number in range(5000 - 1):
        core.heartbeat(ServerId(IPv4Address("10.0.0.0") + number, 10501), heartbeat(), 0.0)
    assert core.report(A).heartbeat_secs == 12


def test_silence(core: SchedulerCore) -> None:
    """A build server that announced a heartbeat every 5 s is dropped when it has missed six."""
    ours = Ours(core)
    ours.beat(ours.report({JobId(99): STARTED}))
    assert expired(core, 30.0) == Expired((), ())
    assert expired(core, 30.1) == Expired((A,), ())
    assert core.status() == SchedulerStatus(0, 0, 0)


@pytest.mark.field(18)
def test_drains_itself(core: SchedulerCore, ours: Ours) -> None:
    """A build server that wants no jobs gets none, and those that it has go on; nobody waits for its slots."""
    job = ours.allocate().job_id
    ours.says({job: STARTED})
    ours.beat(ours.report({job: STARTED}, open_=False))
    assert (core.placement.has_servers(), core.placement.has_room(), core.status().in_progress) == (False, False, 1)
    ours.beat(ours.report({job: STARTED}))
    assert (core.placement.has_servers(), core.placement.has_room()) == (True, True)


def test_gone(core: SchedulerCore, ours: Ours) -> None:
    """A build server that says that it is gone is not counted any more, from that moment on."""
    ours.allocate()
    gone = ServerReport(ours.number + 1, 5, Availability.GONE, (), ())
    assert ServerLeft(0.0, A, Departure.GONE) in ours.beat(gone)
    assert core.status() == SchedulerStatus(0, 0, 0)
    assert core.report(A).unclaimed == 0


@pytest.mark.parametrize("is_ours", [True, False])
def test_drained_by_an_administrator(core: SchedulerCore, is_ours: bool) -> None:
    """A build server that is drained gets no jobs, even after its restart, until it is undrained."""
    ours = Ours(core)
    core.interventions.drain(A, Drain(), now=0.0)
    for nonce in (1, 2):
        core.heartbeat(A, heartbeat(nonce=nonce), 0.0, ours.report() if is_ours else None)
        assert not core.placement.has_room()
    core.interventions.drain(A, None, now=0.0)
    assert core.placement.has_room()
