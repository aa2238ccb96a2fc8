"""Whom the scheduler knows and whom it gives a job, rule by rule."""

import attrs
import pytest

from sccachedist.errors import DecodeError, LimitExceeded, NoCapacity, UnknownJob, UnknownServer
from sccachedist.job_phases import JobPhase
from sccachedist.scheduler.core import SchedulerCore
from sccachedist.scheduler.fleet import MOST_DROPPED
from sccachedist.scheduler.heartbeat_bounds import MOST_CPUS, MOST_KEY_BYTES, MOST_VERSION
from sccachedist.scheduler.out_of_service import Drain
from sccachedist.wire.abilities import Abilities, GatewayFacts, ObjectStoreFacts
from sccachedist.wire.addresses import ServerId
from sccachedist.wire.extension import Availability, Health, ServerReport
from sccachedist.wire.host_facts import HostFacts
from sccachedist.wire.messages import JobState, SchedulerStatus, ServerCertificate
from tests.scheduler.farms import FIRST_JOB, A, B, C, Expired, assigned, expired, farm, free_slots, heartbeat, job_in

# -- build servers --


def test_registration() -> None:
    """A build server is new once; its jobs stay while it sends the same nonce, and go with another one."""
    core = farm()
    assert core.heartbeat(A, heartbeat(nonce=1), now=0.0)
    job_in(JobPhase.STARTED, core)
    job_in(JobPhase.RESERVED, core)
    assert not core.heartbeat(A, heartbeat(nonce=1), now=30.0)
    assert core.status() == SchedulerStatus(num_servers=1, num_cpus=2, in_progress=1)
    assert core.heartbeat(A, heartbeat(nonce=2, cpus=4), now=31.0)
    assert core.status() == SchedulerStatus(num_servers=1, num_cpus=4, in_progress=0)
    assert free_slots(core, now=31.0) == 5


@pytest.mark.parametrize("cpus", [0, MOST_CPUS + 1, 2**64 - 1])
def test_impossible_cpus(cpus: int) -> None:
    """A build server that lies about its CPUs is refused, and what is known of it stays as it was."""
    core = farm(2)
    with pytest.raises(DecodeError, match="CPUs"):
        core.heartbeat(A, heartbeat(cpus, nonce=2), now=0.0)
    assert core.status() == SchedulerStatus(1, 2, 0)


def test_a_job_key_without_end() -> None:
    """A build server whose key is longer than any is refused."""
    core = farm()
    with pytest.raises(DecodeError, match="jwt_key has more than"):
        core.heartbeat(A, heartbeat(job_key=bytes(MOST_KEY_BYTES + 1)), now=0.0)
    assert core.status() == SchedulerStatus(0, 0, 0)


def test_a_version_without_end() -> None:
    """A build server's version is shown, so it is short."""
    longest, longer = (
        ServerReport(1, 5, Availability.OPEN, (), (), health=Health(), version="9" * length)
        for length in (MOST_VERSION, MOST_VERSION + 1)
    )
    core = farm()
    with pytest.raises(DecodeError, match="version has more than"):
        core.heartbeat(A, heartbeat(), 0.0, longer)
    assert core.heartbeat(A, heartbeat(), 0.0, longest)


def test_a_reason_without_end() -> None:
    """So is why it says that it is unfit."""
    reason = ServerReport(1, 5, Availability.DRAINING, (), (), health=Health(unfit="x" * 1_000_000))
    with pytest.raises(DecodeError, match="unfit has more than"):
        farm().heartbeat(A, heartbeat(), 0.0, reason)


@pytest.mark.parametrize(
    ("host", "why"),
    [
        (HostFacts("\N{EURO SIGN}" * 85), "name of a host"),
        (HostFacts(load=(1 << 53) + 1), "larger than"),
        (HostFacts(build_free=1 << 60), "larger than"),
        (HostFacts(uploads=(("0c" * 32, 1 << 60),)), "larger than"),
        (HostFacts(uploads=(("../0c", 1),)), "archive id"),
        (HostFacts(sizes=(1, 2)), "2 sizes"),
        (HostFacts(sizes=(1 << 60,)), "larger than"),
    ],
)
def test_a_host_out_of_bounds(host: HostFacts, why: str) -> None:
    """What a build server tells of its host is shown, so a heartbeat that tells what no host has is refused."""
    core = farm()
    report = ServerReport(1, 5, Availability.OPEN, (), ("0c" * 32,), health=Health(), host=host)
    with pytest.raises(DecodeError, match=why):
        core.heartbeat(A, heartbeat(), 0.0, report)
    for fine in (HostFacts(), HostFacts("build17", 62, 0, 1 << 53, sizes=(1 << 53,), uploads=(("0c" * 32, 0),))):
        core.heartbeat(A, heartbeat(), 0.0, attrs.evolve(report, host=fine))


@pytest.mark.parametrize(
    ("abilities", "why"),
    [
        (Abilities(built_for=(62, 62)), "2 machines"),
        (Abilities(labels=("fast", "")), "labels"),
        (Abilities(labels=("l" * 64,)), "labels"),
        (Abilities(labels=("two words",)), "labels"),
        (Abilities(labels=("<b>",)), "labels"),
        (Abilities(store=ObjectStoreFacts("s" * 1001)), "an object store"),
        (Abilities(store=ObjectStoreFacts("", "t" * 1001)), "an object store"),
        (Abilities(gateway=GatewayFacts(2**53 + 1, 0)), "a gateway"),
        (Abilities(gateway=GatewayFacts(0, 2**64 - 1)), "a gateway"),
    ],
)
def test_abilities_out_of_bounds(abilities: Abilities, why: str) -> None:
    """Labels are shown and compared, so a heartbeat with what no configuration takes for one is refused."""
    core = farm()
    report = ServerReport(1, 5, Availability.OPEN, (), ("0c" * 32,), health=Health(), abilities=abilities)
    with pytest.raises(DecodeError, match=why):
        core.heartbeat(A, heartbeat(), 0.0, report)
    fine = Abilities(True, (62, 62, 0, 0xFFFF), ("fast", "l" * 63), (40,))
    core.heartbeat(A, heartbeat(), 0.0, attrs.evolve(report, abilities=fine))


def test_many_at_one_address() -> None:
    """Beyond a number no further build server is believed at an IP address; those that are known go on."""
    core = SchedulerCore(FIRST_JOB, most_per_address=1)
    core.heartbeat(A, heartbeat(), now=0.0)
    with pytest.raises(LimitExceeded, match=r"1 build servers are at 127\.0\.0\.1 \(limit: servers_per_address\)"):
        core.heartbeat(ServerId(A.host, A.port + 1), heartbeat(), now=0.0)
    assert not core.heartbeat(A, heartbeat(), now=1.0)
    assert core.heartbeat(B, heartbeat(), now=1.0)


def test_many_in_one_network() -> None:
    """Where all show one token, who has a network of IPv6 has no more of them than one that has an address."""
    shared = SchedulerCore(FIRST_JOB, most_per_address=2, by_network=True)
    own = SchedulerCore(FIRST_JOB, most_per_address=2)
    first, second, third, other = (
        ServerId.parse(f"[2001:db8::{place}]:10501") for place in ("1", "2", "ffff:1", "1:0:0:0:1")
    )
    for core in (shared, own):
        for server in (first, second, other):
            core.heartbeat(server, heartbeat(), now=0.0)
    own.heartbeat(third, heartbeat(), now=0.0)
    with pytest.raises(LimitExceeded, match="servers_per_address"):
        shared.heartbeat(third, heartbeat(), now=0.0)
    shared.heartbeat(first, heartbeat(), now=80.0)
    shared.expire(now=100.0)  # the second one is silent
    shared.heartbeat(third, heartbeat(), now=100.0)
    v4 = SchedulerCore(FIRST_JOB, most_per_address=1, by_network=True)
    for server in (A, B):
        v4.heartbeat(server, heartbeat(), now=0.0)


def test_certificate() -> None:
    """Clients get the certificate of a build server's last heartbeat, and those of the others stay."""
    core = farm(2, 2)
    core.heartbeat(A, heartbeat(certificate=b"renewed"), now=1.0)
    assert core.certificate(A) == ServerCertificate(b"digest of renewed", b"renewed")
    assert core.certificate(B) == ServerCertificate(b"digest of certificate", b"certificate")
    assert core.reserve(now=1.0, tried=[B]).cert_digest == b"digest of renewed"
    with pytest.raises(UnknownServer, match=r"127\.0\.0\.3:10501"):
        core.certificate(C)


def test_silence() -> None:
    """A build server that is silent for more than 90 s is dropped with its jobs; another one's stay."""
    core = farm(2, 2)
    jobs = [job_in(JobPhase.STARTED, core) for _ in range(2)]
    assert [job.server_id for job in jobs] == [A, B]
    core.heartbeat(B, heartbeat(), now=60.0)
    assert expired(core, 90.0) == Expired((), ())
    assert expired(core, 90.1) == Expired((A,), ())
    assert core.status() == SchedulerStatus(1, 2, 1)
    with pytest.raises(UnknownServer):
        core.certificate(A)
    with pytest.raises(UnknownJob):
        core.update(jobs[0].job_id, A, JobState.STARTED, now=91.0)
    assert core.heartbeat(A, heartbeat(), now=92.0)


def test_many_fall_silent_at_once() -> None:
    """Some of them are dropped at a time, and it is said that there are more."""
    core = SchedulerCore(FIRST_JOB)
    for number in range(3 * MOST_DROPPED):
        core.heartbeat(ServerId.parse(f"10.0.0.{number}:10501"), heartbeat(), now=0.0)
    core.expire(91.0)
    assert (core.status().num_servers, core.has_due(91.0)) == (2 * MOST_DROPPED, True)
    core.expire_more(91.0)
    core.expire_more(91.0)
    assert (core.status().num_servers, core.has_due(91.0)) == (0, False)


def test_one_that_is_heard_again_and_again() -> None:
    """Its silence is looked at once in a while, however often it is heard; sooner, if it is to be missed sooner."""
    core = SchedulerCore(FIRST_JOB)

    def beat(now: float, secs: int) -> None:
        core.heartbeat(A, heartbeat(), now, ServerReport(int(now), secs, Availability.OPEN, (), ()))

    beat(0.0, secs=60)
    core.expire(91.0)
    for now in range(100, 201):
        beat(now, secs=5)
    assert len(core._fleet._silences._heap) == 2
    core.expire(229.0)
    assert core.status().num_servers == 1
    core.expire(231.0)
    assert core.status().num_servers == 0


def test_reports_are_signs_of_life() -> None:
    """A build server whose heartbeats are lost lives as long as it reports its jobs."""
    core = farm(2)
    job = job_in(JobPhase.STARTED, core)
    core.update(job.job_id, A, JobState.STARTED, now=80.0)
    assert expired(core, 170.0) == Expired((), ())
    assert expired(core, 170.1) == Expired((A,), ())


# -- who gets the next job --


@pytest.mark.parametrize(("cpus", "jobs"), [(1, 2), (2, 3), (7, 8), (8, 10), (16, 19), (64, 73)])
def test_capacity(cpus: int, jobs: int) -> None:
    """A build server gets a few jobs more than it has CPUs, and not one above that."""
    assert free_slots(farm(cpus)) == jobs


def test_room() -> None:
    """There is room while any build server has a slot free, and none where there is no build server."""
    assert not farm().placement.has_servers()
    assert not farm().placement.has_room()
    core = farm(1, 1)
    assert core.placement.has_servers()
    for _ in range(4):
        assert core.placement.has_room()
        core.reserve(0.0)
    assert not core.placement.has_room()


@pytest.mark.parametrize("phase", JobPhase)
def test_a_job_takes_a_slot(phase: JobPhase) -> None:
    """Wherever a job stands, it takes one slot."""
    core = farm(2)
    job_in(phase, core)
    assert free_slots(core) == 2


@pytest.mark.parametrize("servers", [0, 1, 3])
def test_no_capacity(servers: int) -> None:
    """Where nobody has room, the client hears how many build servers there are."""
    core = farm(*[1] * servers)
    for _ in range(2 * servers):
        core.reserve(now=0.0)
    with pytest.raises(NoCapacity, match=f"^Insufficient capacity across {servers} available servers$"):
        core.reserve(now=0.0)


@pytest.mark.parametrize(
    ("cpus", "order"),
    [((2, 2), "ABABAB"), ((2, 4), "ABBABBAB"), ((1, 8), "ABBBBBBBBABB"), ((1, 2, 4), "ABCCBCCABC")],
)
def test_least_loaded_first(cpus: tuple[int, ...], order: str) -> None:
    """The build server with the fewest jobs per CPU gets the next one, as long as it has room."""
    core = farm(*cpus)
    given = [core.reserve(now=0.0).server_id for _ in order]
    assert "".join({A: "A", B: "B", C: "C"}[server_id] for server_id in given) == order
    assert free_slots(core) == 0


def test_another_one_is_tried() -> None:
    """Within one allocation no build server is asked twice, even when only it has room."""
    core = farm(2, 2)
    assert core.reserve(now=0.0, tried=[A]).server_id == B
    with pytest.raises(NoCapacity):
        core.reserve(now=0.0, tried=[A, B])


def fail(core: SchedulerCore, now: float) -> None:
    """The build server that is next refuses its job."""
    core.release(core.reserve(now), now, failed=True)


def test_penalty() -> None:
    """A build server that failed gets a job only where no other has room, for a while, but does get it then."""
    core = farm(1, 1)
    fail(core, now=10.0)
    assert [core.reserve(now=20.0).server_id for _ in range(4)] == [B, B, A, A]


def test_penalty_ends() -> None:
    """After that it is as good as any other."""
    core = farm(1, 1)
    fail(core, now=10.0)
    assert {core.reserve(now=20.1).server_id for _ in range(2)} == {A, B}


@pytest.mark.field(8)
def test_penalties_grow() -> None:
    """One error costs little, each further one in a row twice as much, up to 300 s; a job that is taken ends it."""
    core = farm(1, 1)
    now = 0.0
    for seconds in (10.0, 20.0, 40.0, 80.0, 160.0, 300.0, 300.0):
        core.release(core.reserve(now, tried=[B]), now, failed=True)
        assert {core.reserve(now + seconds).server_id for _ in range(2)} == {B}
        now += seconds + 0.1
        core.heartbeat(B, heartbeat(nonce=int(now)), now)
    core.confirm(core.reserve(now, tried=[B]), assigned(), now)
    core.release(core.reserve(now, tried=[B]), now, failed=True)
    assert core.reserve(now + 10.1, tried=[B]).server_id == A
    assert [core.reserve(now + 10.1).server_id for _ in range(2)] == [B, B]


@pytest.mark.field(8)
def test_failures_at_the_same_time() -> None:
    """A build server that eight clients meet while it is away for a moment has failed once."""
    core = farm(8, 8)
    jobs = [core.reserve(0.0, tried=[B]) for _ in range(8)]
    for job in jobs:
        core.release(job, 3.0, failed=True)
    assert {core.reserve(13.0).server_id for _ in range(2)} == {B}
    assert A in {core.reserve(13.1).server_id for _ in range(2)}


def test_room_at_one_that_failed() -> None:
    """A job waits for a build server that is full rather than for one that failed, unless there is no other."""
    core = farm(1, 1)
    fail(core, now=0.0)
    assert core.placement.has_room()
    jobs = [core.reserve(0.0, tried=[A]) for _ in range(2)]
    assert (core.placement.has_room(), core.placement.has_better_than([]), core.placement.has_better_than([B])) == (
        False,
        True,
        False,
    )
    core.interventions.drain(B, Drain(), now=0.0)
    assert (core.placement.has_room(), core.placement.has_better_than([])) == (True, False)
    core.interventions.drain(B, None, now=0.0)
    core.expire(10.1)
    assert core.placement.has_room()
    core.release(jobs[0], 10.1, failed=False)
    assert core.reserve(10.1).server_id == A


def test_penalty_order() -> None:
    """Of those that failed, the one whose failure is longest ago comes first, whatever its load."""
    core = farm(4, 4, 4)
    for now in (1.0, 2.0, 3.0):
        fail(core, now)
    core.release(core.reserve(now=4.0, tried=[B, C]), now=4.0, failed=True)
    assert [core.reserve(now=5.0).server_id for _ in range(15)] == [B] * 5 + [C] * 5 + [A] * 5


@pytest.mark.field(8)
def test_penalty_ends_with_the_process() -> None:
    """A build server that was restarted has done nothing wrong."""
    core = farm(2, 2)
    fail(core, now=0.0)
    core.heartbeat(A, heartbeat(nonce=2), now=1.0)
    core.reserve(now=1.0)
    assert core.reserve(now=1.0).server_id == A


def test_nobody_to_blame() -> None:
    """A client that goes away during its allocation costs the build server nothing."""
    core = farm(2, 2)
    core.release(core.reserve(now=0.0), now=0.0, failed=False)
    assert {core.reserve(now=0.0).server_id for _ in range(2)} == {A, B}
