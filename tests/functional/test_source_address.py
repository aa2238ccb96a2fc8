"""A build server on a host with several addresses: its calls leave from the one that the scheduler expects."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from farmkit.farm import Farm
from farmkit.launch import OUR_SCHEDULER, OUR_SERVER, PROGRAMS, PUBLISHED_SCHEDULER, PUBLISHED_SERVER, Launch, adding
from farmkit.processes import Command, inherited
from tests.faults.network import ip
from tests.support.own_network import own_network

pytestmark = pytest.mark.functional

FIRST, SECOND = "10.78.0.2", "10.78.0.3"


@pytest.fixture(autouse=True)
def _two_addresses() -> Iterator[None]:
    """Put this thread, and what it starts, on a host of its own that has two addresses in one network."""
    with own_network():
        ip("link", "add", "card0", "type", "bridge")
        for address in (FIRST, SECOND):
            ip("addr", "add", f"{address}/24", "dev", "card0")
        ip("link", "set", "card0", "up")
        yield


SCHEDULERS = {"ours": OUR_SCHEDULER, "published": PUBLISHED_SCHEDULER}


@pytest.mark.parametrize("name", [False, True], ids=["by_address", "by_name"])
@pytest.mark.parametrize("scheduler", SCHEDULERS)
def test_it_registers(tmp_path: Path, scheduler: str, name: bool) -> None:
    """Also where the kernel would choose another address, and the scheduler is known by a name."""
    server = by_name(OUR_SERVER) if name else OUR_SERVER
    host = "127.0.0.1" if name else FIRST
    with Farm(tmp_path, SCHEDULERS[scheduler], server, host, SECOND) as farm:
        assert farm.status().num_servers == 1
        doctor = (str(PROGRAMS / "sccachedist"), "doctor", "--config", str(farm.server_folder / "server.conf"))
        said = Command(doctor, inherited(), Path("/")).run().stdout
    assert "the scheduler takes it" in said, said
    assert f"calls to the scheduler leave from public_addr's address, {SECOND}" in said


def by_name(launch: Launch) -> Launch:
    """The same daemon, which knows the scheduler by a name."""

    def launch_by_name(config: Path) -> Command:
        config.write_text(config.read_text().replace("http://127.0.0.1:", "http://localhost:"))
        return launch(config)

    return launch_by_name


@pytest.mark.parametrize("chosen", [FIRST, "0.0.0.0"])
def test_source_address(tmp_path: Path, chosen: str) -> None:
    """Another address can be chosen, or left to the kernel: a scheduler that knows this host by that one takes it."""
    farm = Farm(tmp_path, launch_server=adding(OUR_SERVER, network=f'source_address = "{chosen}"'))
    farm.scheduler_host, farm.server_host = FIRST, SECOND
    try:
        farm.start_scheduler()
        farm.launch_only_server()
        said = f"a token of {farm.server_id} came from {FIRST}"
        farm.server.wait_until(lambda: said in farm.scheduler.tail(), 60, "it is refused")
        doctor = (str(PROGRAMS / "sccachedist"), "doctor", "--config", str(farm.server_folder / "server.conf"))
        assert "see its network.servers_from" in Command(doctor, inherited(), Path("/")).run().stdout
    finally:
        farm.stop()


@pytest.mark.parametrize("server", [OUR_SERVER, PUBLISHED_SERVER], ids=["ours", "published"])
def test_rewritten(tmp_path: Path, server: Launch) -> None:
    """Where the network shows the scheduler another address, ``network.servers_from`` names it: it registers."""
    table = f'servers_from."{FIRST}".addresses = ["{SECOND}"]'
    if server is OUR_SERVER:
        server = adding(server, network=f'source_address = "{FIRST}"')
    with Farm(tmp_path, adding(OUR_SCHEDULER, network=table), server, FIRST, SECOND) as farm:
        assert farm.status().num_servers == 1


def test_an_address_of_another_host(tmp_path: Path) -> None:
    """It cannot be chosen."""
    farm = Farm(tmp_path, launch_server=adding(OUR_SERVER, network='source_address = "10.78.0.4"'))
    farm.launch_only_server()
    assert farm.server.process.wait(60) == 1
    assert "network.source_address: 10.78.0.4 is not an address of this host" in farm.server.tail()
