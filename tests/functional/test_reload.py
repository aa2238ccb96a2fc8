"""Both roles read their files again beside a build that goes on: good ones count, of bad ones nothing does."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from farmkit.farm import Farm
from farmkit.launch import OUR_SCHEDULER, OUR_SERVER, PROGRAMS, adding
from farmkit.processes import Command, inherited
from farmkit.projects import write_project
from farmkit.published_client import Client
from tests.faults.build import SMALL
from tests.functional.conftest import running_farm
from tests.functional.test_rotation import Building
from tests.support.reloads import KEPT, READ, reloaded

pytestmark = pytest.mark.functional

_SECS = 60
#: What makes a good file wrong, and what the line about it says.
WRONG = [
    ("x", "not TOML"),
    ("[queue]\nmax_wait = 1\n", "queue.max_wait: unknown key"),
    ('[metrics]\ntoken_file = "gone"\n', "metrics.token_file: "),
    ('[clients]\nfile = "gone.toml"\n', "gone.toml"),
]


@pytest.fixture(scope="module")
def farm(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Farm]:
    scheduler = adding(OUR_SCHEDULER, admin='token = "the-administrators-token"')
    server = adding(OUR_SERVER, heartbeat="secs = 1")
    yield from running_farm(Farm(tmp_path_factory.mktemp("farm"), scheduler, server))


@pytest.fixture
def build(farm: Farm, toolchains: Path, tmp_path: Path) -> Iterator[Building]:
    """One that goes on meanwhile; none of it has failed in the end, and no build server was lost."""
    client = Client(tmp_path / "client", farm.scheduler_url, farm.client_token, toolchains)
    with Building(client, write_project(tmp_path / "project", SMALL, 7)) as build:
        build.goes_on()
        yield build
        build.goes_on()
    assert farm.status().num_servers == 1
    log = farm.scheduler.log.read_text()
    assert f"build server {farm.server_id} is silent" not in log
    assert f"build server {farm.server_id} has gone" not in log


def config_of(farm: Farm, role: str) -> Path:
    return farm.folder / role / f"{role}.conf"


def said(farm: Farm, command: str) -> str:
    """The last line of what a command says of the scheduler's file."""
    program = (str(PROGRAMS / "sccachedist"), command, "--config", str(config_of(farm, "scheduler")))
    ended = Command(program, inherited(), farm.folder).run()
    assert (ended.returncode, ended.stderr) == (0, ""), ended
    return ended.stdout.splitlines()[-1]


def test_a_scheduler(farm: Farm, build: Building) -> None:
    """What a reload will do is told beforehand; then it is done, by command or by signal, and nothing else."""
    config = config_of(farm, "scheduler")
    before = config.read_text()
    at_reload = "at a reload of the scheduler that runs: "
    assert said(farm, "check") == f"{at_reload}nothing has changed"
    config.write_text(f'{before}[queue]\nmax_wait_secs = 50\n[web]\naddress = "127.0.0.1:1"\n')
    changes = "queue.max_wait_secs has changed; web.address needs a restart"
    assert said(farm, "check") == f"{at_reload}{changes}"
    assert said(farm, "reload") == f"the configuration was read again: {changes}"
    for wrong, why in WRONG:
        config.write_text(f"{before}{wrong}")
        assert why in reloaded(farm.scheduler, KEPT)
    config.write_text(config_of(farm, "server").read_text())
    assert "this is a build server's configuration" in reloaded(farm.scheduler, KEPT)
    config.write_text(before)
    assert said(farm, "check") == f"{at_reload}queue.max_wait_secs has changed"
    assert reloaded(farm.scheduler, READ) == "queue.max_wait_secs has changed"
    assert reloaded(farm.scheduler, READ) == "nothing has changed"
    build.goes_on()


def test_a_build_server(farm: Farm, build: Building) -> None:
    """It offers other CPUs with its next heartbeat; a file that is wrong changes nothing."""
    config = config_of(farm, "server")
    before, cpus = config.read_text(), farm.status().num_cpus
    config.write_text(f"{before}[capacity]\ncpus = {cpus + 3}\n")
    assert reloaded(farm.server, READ) == "capacity.cpus has changed"
    farm.scheduler.wait_until(lambda: farm.status().num_cpus == cpus + 3, _SECS, "the scheduler knows")
    build.goes_on()
    config.write_text(f"{before}[capacity]\ncpus = 0\n")
    assert "capacity.cpus: expected" in reloaded(farm.server, KEPT)
    config.write_text(f"{before}[capacity]\nreserve_memory_bytes = {1 << 60}\n")
    assert "capacity.reserve_memory_bytes: " in reloaded(farm.server, KEPT)
    config.write_text(before)
    assert reloaded(farm.server, READ) == "capacity.cpus has changed"
    farm.scheduler.wait_until(lambda: farm.status().num_cpus == cpus, _SECS, "the scheduler knows")
