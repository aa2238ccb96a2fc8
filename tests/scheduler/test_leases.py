"""Slots as leases: what a build server of ours says of its jobs, in whatever order it arrives."""

from ipaddress import IPv4Address

import pytest

from sccachedist.auth.clients import ClientId
from sccachedist.errors import DecodeError, LimitExceeded, UnknownServer
from sccachedist.scheduler.core import MOST_HEARTBEAT_SECS, Expired, IdentityInUse, Reservation, SchedulerCore
from sccachedist.wire.addresses import ServerId
from sccachedist.wire.messages import AssignJobResult, JobId, JobState, SchedulerStatus
from sccachedist.wire.reports import Availability, JobStates, ServerReport
from tests.scheduler.farms import FIRST_JOB, A, B, assigned, farm, free_slots, heartbeat

GCC, CLANG = "0c" * 32, "c1" * 32
PENDING, READY, STARTED, COMPLETE = JobState
States = dict[JobId, JobState]


class Ours:
    """A build server of ours with two CPUs, at a scheduler."""

    def __init__(self, core: SchedulerCore, server_id: ServerId = A) -> None:
        self.core, self.server_id, self.number = core, server_id, 0

    def report(self, jobs: States | None = None, *toolchains: str, open_: bool = True, secs: int = 5) -> ServerReport:
        self.number += 1
        availability = Availability.OPEN if open_ else Availability.DRAINING
        return ServerReport(self.number, secs, availability, tuple((jobs or {}).items()), toolchains)

    def beat(self, report: ServerReport, now: float = 0.0, nonce: int = 1) -> bool:
        return self.core.heartbeat(self.server_id, heartbeat(nonce=nonce), now, report)

    def says(self, states: States, now: float = 0.0, number: int | None = None, nonce: int = 1) -> None:
        if number is None:
            self.number += 1
        said = JobStates(nonce, self.number if number is None else number, tuple(states.items()))
        self.core.job_states(self.server_id, said, now)

    def proves_itself(self) -> None:
        """Take a job, and end it."""
        reserved = self.core.reserve(0.0)
        assert reserved.presumed is None
        self.core.confirm(reserved, assigned(), 0.0)
        self.says({reserved.job_id: COMPLETE})

    def allocate(self, now: float = 0.0, toolchain: str = GCC) -> Reservation:
        """A job that nobody asked it about."""
        reserved = self.core.reserve(now, toolchain=toolchain)
        assert reserved.presumed is not None
        self.core.confirm(reserved, reserved.presumed, now)
        return reserved


@pytest.fixture
def core() -> SchedulerCore:
    return SchedulerCore(FIRST_JOB, most_unclaimed=5)


@pytest.fixture
def ours(core: SchedulerCore) -> Ours:
    ours = Ours(core)
    ours.beat(ours.report())
    ours.proves_itself()
    return ours


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
        assert core.expire(float(now)) == Expired((), ())
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
    ours.beat(ours.report({}, GCC), now=10.0)
    assert core.expire(10.0) == Expired((), ())
    assert core.expire(10.1) == Expired((), (job,))
    ours.beat(ours.report({job: STARTED}, GCC), now=15.0)
    assert core.status().in_progress == 1


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
    for now in range(5, 60, 5):
        ours.beat(ours.report({job: PENDING}), float(now))
    assert core.expire(60.0) == Expired((), ())
    assert core.expire(60.1) == Expired((), (abandoned,))
    for now in range(60, 600, 5):
        ours.beat(ours.report({job: PENDING}), float(now))
        assert core.expire(float(now)) == Expired((), ())


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
    assert (core.status().in_progress, core.has_room) == (5, False)
    ours.says(dict.fromkeys(list(jobs)[:3], COMPLETE))
    assert core.has_room


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
    assert core.expire(80.0) == Expired((), ())


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
        assert core.expire(float(seconds)) == Expired((), ())
    assert core.status() == SchedulerStatus(num_servers=2, num_cpus=4, in_progress=2)
    first.beat(first.report(), 100.0)
    second.beat(second.report({contested: STARTED, other: STARTED}), 100.0)
    assert core.jobs_of_others(B, [contested, other]) == [contested, other]


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
    """After an orderly end whoever has a token for the address may be there at once."""
    core.heartbeat(A, heartbeat(), 0.0, ServerReport(9, 5, Availability.GONE, (), ()))
    assert core.heartbeat(A, heartbeat(nonce=2, job_key=b"another"), 0.0)


@pytest.mark.parametrize("secs", [0, MOST_HEARTBEAT_SECS + 1, 2**64 - 1])
def test_impossible_rhythm(core: SchedulerCore, secs: int) -> None:
    """A build server that would never be missed is refused."""
    ours = Ours(core)
    with pytest.raises(DecodeError, match="heartbeats"):
        ours.beat(ours.report(secs=secs))
    assert core.status().num_servers == 0


# -- life of a server of ours --


def test_silence(core: SchedulerCore) -> None:
    """A build server that announced a heartbeat every 5 s is dropped when it has missed six."""
    ours = Ours(core)
    ours.beat(ours.report({JobId(99): STARTED}))
    assert core.expire(30.0) == Expired((), ())
    assert core.expire(30.1) == Expired((A,), ())
    assert core.status() == SchedulerStatus(0, 0, 0)


@pytest.mark.field(18)
def test_drains_itself(core: SchedulerCore, ours: Ours) -> None:
    """A build server that wants no jobs gets none, and those that it has go on; nobody waits for its slots."""
    job = ours.allocate().job_id
    ours.says({job: STARTED})
    ours.beat(ours.report({job: STARTED}, open_=False))
    assert (core.has_servers, core.has_room, core.status().in_progress) == (False, False, 1)
    ours.beat(ours.report({job: STARTED}))
    assert (core.has_servers, core.has_room) == (True, True)


def test_gone(core: SchedulerCore, ours: Ours) -> None:
    """A build server that says that it is gone is not counted any more, from that moment on."""
    ours.allocate()
    gone = ServerReport(ours.number + 1, 5, Availability.GONE, (), ())
    assert not ours.beat(gone)
    assert core.status() == SchedulerStatus(0, 0, 0)
    assert core.report(A).unclaimed == 0


@pytest.mark.parametrize("is_ours", [True, False])
def test_drained_by_an_administrator(core: SchedulerCore, is_ours: bool) -> None:
    """A build server that is drained gets no jobs, even after its restart, until it is undrained."""
    ours = Ours(core)
    core.drain(A, drained=True)
    for nonce in (1, 2):
        core.heartbeat(A, heartbeat(nonce=nonce), 0.0, ours.report() if is_ours else None)
        assert not core.has_room
    core.drain(A, drained=False)
    assert core.has_room


# -- jobs that nobody asks the build server about --


def test_asked_first(core: SchedulerCore) -> None:
    """A build server that is new or has failed is asked whether it takes a job: it may not be where it says it is."""
    ours = Ours(core)
    ours.beat(ours.report())
    reserved = core.reserve(0.0)
    assert (reserved.ours, reserved.presumed) == (True, None)
    core.confirm(reserved, assigned(), 0.0)
    assert core.reserve(0.0).presumed is not None
    core.release(core.reserve(0.0), 0.0, failed=True)
    core.update(reserved.job_id, A, COMPLETE, 0.0)
    assert core.reserve(11.0).presumed is None


def test_asked_again(core: SchedulerCore, ours: Ours) -> None:
    """One whose client never came is asked before the next job: it may not be reached any more."""
    ours.beat(ours.report({}, GCC))
    ours.allocate()
    ours.beat(ours.report({}, GCC), now=15.0)
    core.expire(15.0)
    assert core.reserve(15.0).presumed is None


def test_late_heartbeat(core: SchedulerCore, ours: Ours) -> None:
    """One whose heartbeat is late is asked: it may be gone."""
    ours.beat(ours.report(), now=10.0)
    assert core.reserve(17.0).presumed is not None
    assert core.reserve(17.1).presumed is None


def test_published_servers_are_asked(core: SchedulerCore) -> None:
    """A published build server hears of each job by itself."""
    core.heartbeat(A, heartbeat(), 0.0)
    for _ in range(3):
        reserved = core.reserve(0.0)
        assert (reserved.ours, reserved.presumed) == (False, None)
        core.confirm(reserved, assigned(), 0.0)


def test_toolchain_is_there(core: SchedulerCore, ours: Ours) -> None:
    """A client is asked for a toolchain where the build server does not say that it has it."""
    ours.beat(ours.report({}, GCC))
    assert ours.allocate(toolchain=GCC).presumed == AssignJobResult(READY, need_toolchain=False)
    assert ours.allocate(toolchain=CLANG).presumed == AssignJobResult(PENDING, need_toolchain=True)
    ours.beat(ours.report())
    assert ours.allocate(toolchain=GCC).presumed == AssignJobResult(PENDING, need_toolchain=True)


def test_toolchain_has_come(core: SchedulerCore, ours: Ours) -> None:
    """When a job is Ready, its toolchain is there for the next ones, before any heartbeat says so."""
    ours.says({ours.allocate().job_id: READY})
    assert ours.allocate().presumed == AssignJobResult(READY, need_toolchain=False)


def test_toolchain_is_coming(core: SchedulerCore, ours: Ours) -> None:
    """A toolchain that one client is about to bring, or is bringing, is not asked of the next one."""
    job = ours.allocate().job_id
    assert ours.allocate(now=2.0).presumed == AssignJobResult(PENDING, need_toolchain=False)
    ours.says({job: PENDING}, now=2.0)
    ours.beat(ours.report({job: PENDING}), now=7.0)
    assert ours.allocate(now=12.0).presumed == AssignJobResult(PENDING, need_toolchain=False)


def test_toolchain_is_slow(core: SchedulerCore, ours: Ours) -> None:
    """An upload that takes long does not keep the next client from bringing the toolchain."""
    job = ours.allocate().job_id
    ours.says({job: PENDING}, now=1.0)
    ours.beat(ours.report({job: PENDING}), now=11.0)
    assert ours.allocate(now=11.5).presumed == AssignJobResult(PENDING, need_toolchain=True)


def test_toolchain_does_not_come(core: SchedulerCore, ours: Ours) -> None:
    """A client that has not begun to bring it is not relied on for long."""
    ours.allocate()
    ours.beat(ours.report(), now=2.5)
    assert ours.allocate(now=2.5).presumed == AssignJobResult(PENDING, need_toolchain=True)


def test_prefers_the_toolchain(core: SchedulerCore) -> None:
    """A build server that has the toolchain and a CPU to spare gets the job, else the least loaded one does."""
    ours, other = Ours(core, A), Ours(core, B)
    ours.beat(ours.report())
    other.beat(other.report({}, GCC))
    given = [core.reserve(0.0, toolchain=GCC).server_id for _ in range(5)]
    assert given == [B, B, A, A, B]


def test_one_client_does_not_take_it_all(core: SchedulerCore) -> None:
    """A client that allocates and does not begin is stopped; when its jobs begin or end, it may go on."""
    for server_id in (A, B):
        core.heartbeat(server_id, heartbeat(cpus=4), 0.0)
    client = ClientId("greedy")
    jobs = [core.reserve(0.0, client=client) for _ in range(5)]
    with pytest.raises(LimitExceeded, match="unclaimed_jobs"):
        core.reserve(0.0, client=client)
    core.release(core.reserve(0.0, client=ClientId("modest")), 0.0, failed=False)
    core.confirm(jobs[0], assigned(), 0.0)
    core.update(jobs[0].job_id, jobs[0].server_id, STARTED, 0.0)
    core.release(jobs[1], 0.0, failed=False)
    for _ in range(2):
        core.reserve(0.0, client=client)
    with pytest.raises(LimitExceeded):
        core.reserve(0.0, client=client)


def test_many_are_heard_less_often() -> None:
    """Few build servers are heard as often as they like, thousands only every so many seconds."""
    core = farm(1)
    assert core.report(A).heartbeat_secs == 0
    for number in range(5000 - 1):
        core.heartbeat(ServerId(IPv4Address("10.0.0.0") + number, 10501), heartbeat(), 0.0)
    assert core.report(A).heartbeat_secs == 12
