"""Rows 8, 9, 10, 24 and 28: what build servers and anybody may tell a scheduler, and what it makes of it."""

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import attrs
import pytest

from farmkit.fake_server import TAKEN, FakeServer
from farmkit.farm import Farm
from farmkit.raw_client import RawClient
from sccachedist.daemon.logs import LINES_PER_PEER
from sccachedist.wire.bincode import encode
from sccachedist.wire.extension import EXTENDED_HEARTBEAT, JOB_STATES, Availability, JobStates, ServerReport
from sccachedist.wire.messages import HEARTBEAT, AllocJobFail, AllocJobSuccess, JobState, SchedulerStatus
from sccachedist.wire.tokens import server_token
from tests.hostile.attacks import fresh_id, lengths
from tests.hostile.conftest import harmless
from tests.hostile.victim import Victim


def test_row_08_endless_lengths_from_a_client(victim: Victim, attacker: RawClient, tmp_path: Path) -> None:
    """A length that nothing can have is 400, and the scheduler goes on."""
    steps = harmless(lengths.lengths, attacker, tmp_path)
    assert all(step.answered.startswith("400") for step in steps), steps
    victim.unharmed()


@pytest.mark.parametrize("length", lengths.LENGTHS)
def test_row_08_endless_lengths_everywhere(victim: Victim, attacker: RawClient, length: int) -> None:
    """Every message of every route is read with the same care, at both daemons."""
    job = attacker.ready(victim.archive, victim.toolchain)
    eight, token = length.to_bytes(8, "little"), server_token(victim.farm.server_key, victim.farm.server_id)
    assert attacker.ask("heartbeat_server", eight, token).status == 400
    assert attacker.ask(f"assign_job/{job.job_id}", eight, job.auth, server=job.server_id).status in (400, 401)
    for frame in (eight, (24).to_bytes(4, "big") + eight * 3, b"\xff" * 100):
        assert attacker.ask(f"run_job/{job.job_id}", frame, job.auth, server=job.server_id).status in (400, 500)
        job = attacker.ready(victim.archive, victim.toolchain)
    victim.still_runs(job)
    victim.unharmed()


@pytest.fixture
def lone(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Farm]:
    """A scheduler whose build servers are all an attacker's."""
    farm = Farm(tmp_path_factory.mktemp("lone"))
    farm.start_scheduler()
    yield farm
    farm.stop()


@pytest.fixture
def fake(lone: Farm, tmp_path: Path) -> Iterator[FakeServer]:
    """A build server of an attacker's."""
    with FakeServer(lone, tmp_path / "fake") as fake:
        yield fake


def attacker_of(farm: Farm) -> RawClient:
    """Somebody with a client token."""
    return RawClient.of(farm, strict=False)


def test_row_09_a_server_that_registers_anew_while_it_is_given_a_job(lone: Farm, fake: FakeServer) -> None:
    """The allocation in between fails or goes elsewhere; the scheduler and the next allocation are well."""
    attacker, asked, go_on = attacker_of(lone), threading.Event(), threading.Event()

    def assigned() -> bytes:
        asked.set()
        go_on.wait(10)
        return TAKEN

    fake.assigned = assigned
    with ThreadPoolExecutor(1) as pool:
        for nonce in (2, 3):
            asked.clear()
            go_on.clear()
            assert fake.say(attacker).status == 200
            waiting = pool.submit(attacker.alloc, fresh_id())
            assert asked.wait(10)
            fake.nonce = nonce
            assert fake.say(attacker).status == 200
            go_on.set()
            assert isinstance(waiting.result(30), AllocJobSuccess | AllocJobFail)
    assert isinstance(attacker.alloc(fresh_id()), AllocJobSuccess)
    assert lone.status().in_progress <= 2


def test_row_09_lies_about_an_assignment(lone: Farm, fake: FakeServer) -> None:
    """A build server that answers an assignment with nonsense is given up, and no slot is lost by it."""
    attacker = attacker_of(lone)
    assert fake.say(attacker).status == 200
    for nonsense in (b"", b"\7" * 5, b"\2\0\0\0\1", b"\3\0\0\0\0", b"\xff" * 10_000):
        fake.assigned = lambda nonsense=nonsense: nonsense  # type: ignore[misc]
        assert isinstance(attacker.alloc(fresh_id()), AllocJobFail)
    assert lone.status().in_progress == 0
    fake.assigned = lambda: TAKEN
    assert isinstance(attacker.alloc(fresh_id()), AllocJobSuccess)


def test_row_10_an_address_that_anybody_claims(victim: Victim, attacker: RawClient, tmp_path: Path) -> None:
    """``X-Real-IP`` from somebody who is no trusted proxy changes nothing: 401, and no new build server."""
    with FakeServer(victim.farm, tmp_path / "fake") as fake:
        elsewhere = attrs.evolve(fake.server_id, host=fake.server_id.host + 1)
        token = server_token(victim.farm.server_key, elsewhere)
        for claimed in (str(elsewhere.host), "::ffff:127.0.0.2", "127.0.0.1, 127.0.0.2", "nonsense", ""):
            assert fake.say(attacker, token=token, X_Real_IP=claimed).status == 401
            assert fake.say(attacker, token=token, X_Forwarded_For=claimed).status == 401
    assert victim.farm.status().num_servers == 1
    victim.unharmed()


def test_row_24_a_certificate_that_is_not_its_digests(lone: Farm, fake: FakeServer) -> None:
    """A heartbeat whose certificate is another than its digest says is not believed at all."""
    attacker = attacker_of(lone)
    honest = fake.heartbeat()
    for lie in (
        attrs.evolve(honest, cert_digest=bytes(32)),
        attrs.evolve(honest, cert_pem=b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"),
        attrs.evolve(honest, cert_pem=b"", cert_digest=b""),
        attrs.evolve(honest, num_cpus=0),
        attrs.evolve(honest, num_cpus=2**64 - 1),
    ):
        assert fake.say(attacker, lie).status == 400
    assert lone.status().num_servers == 0


def test_row_24_one_pin_for_each_server(lone: Farm, fake: FakeServer, tmp_path: Path) -> None:
    """After a server has registered again with another certificate, its old one is trusted no more."""
    attacker = attacker_of(lone)
    assert fake.say(attacker).status == 200
    assert isinstance(attacker.alloc(fresh_id()), AllocJobSuccess)
    shown, fake.folder, fake.nonce = fake.identity, tmp_path / "renewed", 2
    assert fake.say(attacker).status == 200
    assert fake.identity.certificate_digest != shown.certificate_digest
    asked = len(fake.asked)
    assert isinstance(attacker.alloc(fresh_id()), AllocJobFail), "it shows its old certificate still"
    assert len(fake.asked) == asked, "the job's token was not sent to it"


def test_row_28_a_heartbeat_from_elsewhere(victim: Victim, attacker: RawClient, tmp_path: Path) -> None:
    """A build server speaks for its own address alone, whatever token it shows."""
    before = victim.farm.ask(f"server_certificate/{victim.farm.server_id}")
    with FakeServer(victim.farm, tmp_path / "fake") as fake:
        elsewhere = attrs.evolve(fake.server_id, host=fake.server_id.host + 1)
        forged = server_token(bytes(32), victim.farm.server_id)
        for token in (server_token(victim.farm.server_key, elsewhere), forged, victim.farm.client_token, "x", ""):
            assert attacker.ask("heartbeat_server", encode(HEARTBEAT, fake.heartbeat()), token).status == 401
    assert victim.farm.status().num_servers == 1
    assert victim.farm.ask(f"server_certificate/{victim.farm.server_id}") == before
    victim.unharmed()


def test_row_28_jobs_of_others(victim: Victim, attacker: RawClient, tmp_path: Path) -> None:
    """A build server that reports on jobs which are not its own, or which nobody has, is refused; no job changes."""
    job = attacker.ready(victim.archive, victim.toolchain)
    taken = victim.farm.status()
    with FakeServer(victim.farm, tmp_path / "fake") as fake:
        for state in JobState:
            for job_id in (job.job_id, job.job_id + 1, 0, 2**64 - 1):
                assert fake.report(attacker, job_id, state).status in (200, 500)
        assert victim.farm.status() == taken
    victim.still_runs(job)
    victim.unharmed()


def test_row_28_what_only_ours_may_say_of_jobs(victim: Victim, attacker: RawClient, tmp_path: Path) -> None:
    """A build server that names a job of another among its own, in whatever way, changes nothing; the log says so."""
    job = attacker.ready(victim.archive, victim.toolchain)
    taken = victim.farm.status().in_progress
    with FakeServer(victim.farm, tmp_path / "fake") as fake:
        for number, state in enumerate(JobState):
            assert fake.name(attacker, 2 * number, {job.job_id: state}).status == 200
            states = encode(JOB_STATES, JobStates(fake.nonce, 2 * number + 1, ((job.job_id, state),)))
            assert attacker.ask("job_states", states, fake.token).status == 200
            assert victim.farm.status().in_progress == taken
        fake.name(attacker, 100, {}, Availability.GONE)
    said = f"build server {fake.server_id} names 1 jobs of others, which has no effect: {job.job_id} is one of them"
    told = [line for line in victim.farm.scheduler.log.read_text().splitlines() if said in line and "#warn]" in line]
    assert 1 <= len(told) <= LINES_PER_PEER
    victim.still_runs(job)
    victim.unharmed()


def test_row_28_whoever_names_jobs_first_after_a_restart(lone: Farm, fake: FakeServer, tmp_path: Path) -> None:
    """Nobody is kept away by another that has claimed its jobs from before: it registers, and gets jobs."""
    attacker, claimed = attacker_of(lone), {1: JobState.STARTED, 2: JobState.STARTED}
    assert fake.name(attacker, 1, claimed, Availability.DRAINING).status == 200
    with FakeServer(lone, tmp_path / "honest") as honest:
        for number in range(1, 4):
            assert honest.name(attacker, number, {**claimed, 3: JobState.STARTED}).status == 200
            assert fake.name(attacker, number + 1, claimed, Availability.DRAINING).status == 200
        assert lone.status() == SchedulerStatus(num_servers=2, num_cpus=2, in_progress=3)
        allocated = attacker.alloc(fresh_id())
        assert isinstance(allocated, AllocJobSuccess)
        assert allocated.job_alloc.server_id == honest.server_id


def test_row_28_a_report_that_cannot_be(victim: Victim, attacker: RawClient, tmp_path: Path) -> None:
    """Nonsense behind a heartbeat is 400, or what no published program reads; the farm is as it was."""
    with FakeServer(victim.farm, tmp_path / "fake") as fake:
        honest = ServerReport(1, 5, Availability.GONE, (), ())
        for lie in (attrs.evolve(honest, heartbeat_secs=0), attrs.evolve(honest, heartbeat_secs=2**64 - 1)):
            body = encode(EXTENDED_HEARTBEAT, (fake.heartbeat(), lie))
            assert attacker.ask("heartbeat_server", body, fake.token).status == 400
        whole = encode(EXTENDED_HEARTBEAT, (fake.heartbeat(), honest))
        plain = len(encode(HEARTBEAT, fake.heartbeat()))
        for size in range(plain + 20, len(whole), 3):
            assert attacker.ask("heartbeat_server", whole[:size], fake.token).status == 400
        assert attacker.ask("heartbeat_server", whole, fake.token).status == 200
    assert victim.farm.status().num_servers == 1
    victim.unharmed()


def test_row_28_an_administrators_orders(victim: Victim, attacker: RawClient) -> None:
    """Nobody drains a build server by a token of another kind, or where no administrator is configured."""
    own = server_token(victim.farm.server_key, victim.farm.server_id)
    for token in ("", "x", victim.farm.client_token, own):
        connection = attacker.connect()
        connection.request(
            "POST", f"/api/v1/admin/drain/{victim.farm.server_id}", b"", {"Authorization": f"Bearer {token}"}
        )
        assert connection.getresponse().status == 401
        connection.close()
    victim.unharmed()
