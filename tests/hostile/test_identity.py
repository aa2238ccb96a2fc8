"""Row 10: who may be the build server at an address, where all build servers show the same token."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from farmkit.fake_server import FakeServer
from farmkit.farm import Farm
from farmkit.launch import OUR_SCHEDULER, OUR_SERVER, adding, replacing
from farmkit.raw_client import RawClient
from sccachedist.wire.extension import Availability
from sccachedist.wire.messages import JobState
from tests.functional.conftest import running_farm
from tests.hostile.victim import Victim

SHARED = "shared-by-all-build-servers"
REFUSED = "lives, and has another job key"


@pytest.fixture(scope="module")
def farm(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Farm]:
    """A farm with a shared server token, whose build server is taken for dead after six seconds."""
    auth = f'type = "token"\ntoken = "{SHARED}"'
    scheduler = replacing(OUR_SCHEDULER, server_auth=auth)
    server = adding(replacing(OUR_SERVER, scheduler_auth=auth), heartbeat="secs = 1")
    yield from running_farm(Farm(tmp_path_factory.mktemp("identity"), scheduler, server))


@pytest.fixture
def impostor(farm: Farm, tmp_path: Path) -> FakeServer:
    """Somebody on the build server's own host who has the token, and claims the address without listening there."""
    return FakeServer(farm, tmp_path / "impostor", port=farm.server_port, shared_token=SHARED)


def refusals(farm: Farm) -> int:
    """How many lines of the scheduler's log say that somebody is not who lives there."""
    return farm.scheduler.log.read_text().count(REFUSED)


def test_row_10_one_that_lives_is_not_replaced(victim: Victim, attacker: RawClient, impostor: FakeServer) -> None:
    """Another key for its address is refused, however it is said, and the log says why; certificate and jobs stay."""
    before = victim.farm.ask(f"server_certificate/{victim.farm.server_id}")
    job = attacker.ready(victim.archive, victim.toolchain)
    refused = refusals(victim.farm)
    assert impostor.say(attacker).status == 500
    for availability in Availability:
        assert impostor.name(attacker, 2**40, {job.job_id: JobState.COMPLETE}, availability).status == 500
    assert refusals(victim.farm) == refused + 1, "it is said once, and then counted"
    assert victim.farm.ask(f"server_certificate/{victim.farm.server_id}") == before
    victim.still_runs(job)
    victim.unharmed()


def test_row_10_a_certificate_is_renewed(victim: Victim) -> None:
    """A build server that comes back from a kill with a new certificate is who it was, for it has its job key."""
    before, refused = victim.farm.ask(f"server_certificate/{victim.farm.server_id}"), refusals(victim.farm)
    victim.farm.server.kill()
    (victim.farm.server_folder / "cache" / "identity" / "tls.pem").unlink()
    victim.restart_server()
    assert victim.farm.ask(f"server_certificate/{victim.farm.server_id}") != before
    assert refusals(victim.farm) == refused
    victim.unharmed()


def test_row_10_the_address_of_a_dead_one(victim: Victim, attacker: RawClient, impostor: FakeServer) -> None:
    """Another is taken for it when it has been silent for long enough, and not before; it may come back after that."""
    victim.farm.server.kill()
    assert impostor.say(attacker).status == 500
    victim.farm.scheduler.wait_until(lambda: impostor.say(attacker).status == 200, 30, "the dead one is given up")
    victim.restart_server()
    victim.unharmed()
