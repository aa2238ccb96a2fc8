"""What real networks and clocks do to a farm: slow lines, late answers, a proxy that restarts, a day's difference."""

import re
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from farmkit.busybox_jobs import id_of, shell, write_inputs, write_toolchain
from farmkit.farm import Farm
from farmkit.launch import OUR_SCHEDULER, OUR_SERVER, Launch, replacing
from farmkit.processes import LOOPBACK, Command, free_port, wait_until
from farmkit.projects import write_project
from farmkit.published_client import Client, Statistics
from farmkit.raw_client import RawClient
from sccachedist.wire.messages import SubmitToolchainResult
from tests.faults.build import SMALL
from tests.functional.test_builds import build
from tests.functional.test_uploads import begin_upload
from tests.support.clocks import DAY, skewed, with_skewed_clock
from tests.support.proxy import Proxy
from tests.support.relay import Relay
from tests.support.slots import all_slots_free

pytestmark = pytest.mark.functional

_SECS = 120


def setting(launch: Launch, key: str, value: str) -> Launch:
    """The same daemon with one text at the top of its configuration file set, or set again."""

    def launch_set(config: Path) -> Command:
        others = re.sub(rf"(?m)^{key} = .*\n", "", config.read_text())
        config.write_text(f'{key} = "{value}"\n{others}')
        return launch(config)

    return launch_set


def all_remote(farm: Farm, client: Client, folder: Path, files: int) -> bool:
    """Build so many files with a client that has built nothing before: whether each was compiled remotely."""
    project = write_project(folder / "project", SMALL, files - 1)
    build(project, lambda source: client.compiling(project.compile_command(source), project.folder))
    return client.statistics() == Statistics({str(farm.server_id): files}, errors=0)


@pytest.mark.field(3)
def test_one_stalled_upload_holds_nobody_up(farm: Farm, tmp_path: Path) -> None:
    """A client stops in the middle of its toolchain: other jobs run, and the next client that needs it brings it."""
    client, inputs = RawClient.of(farm, strict=True), write_inputs(tmp_path / "inputs", {})
    archive, other = (write_toolchain(tmp_path / name, {}) for name in ("toolchain.tar.gz", "other.tar.gz"))
    stalled, first = client.connect(farm.server_id), client.slot(id_of(archive)).job_alloc
    begin_upload(stalled, first, first.auth)
    assert submitted(client, other, inputs) is SubmitToolchainResult.SUCCESS
    results = [submitted(client, archive, inputs) for _ in range(2)]  # who comes too soon is told to compile locally
    assert results[-1] is SubmitToolchainResult.SUCCESS
    stalled.close()


def submitted(client: RawClient, archive: Path, inputs: Path) -> SubmitToolchainResult:
    """What comes of an upload; where it is taken, a job runs in it."""
    job = client.slot(id_of(archive)).job_alloc
    result = client.submit_toolchain(job, archive)
    if result is SubmitToolchainResult.SUCCESS:
        client.run_job(job, shell("true"), inputs)
    return result


def test_a_line_of_a_kilobyte_a_second(tmp_path: Path, toolchains: Path) -> None:
    """A client that reaches the build server through such a line compiles there all the same."""
    relay = Relay(target=free_port())
    server = setting(OUR_SERVER, "bind_address", f"{LOOPBACK}:{relay.target}")
    (tmp_path / "farm").mkdir()
    with relay.running(), Farm(tmp_path / "farm", launch_server=server, server_port=relay.port) as farm:
        with Client(tmp_path / "warm", farm.scheduler_url, farm.client_token, toolchains) as client:
            assert all_remote(farm, client, tmp_path / "fast", files=1)  # which brings the compiler
        relay.bytes_per_sec = 1024
        with Client(tmp_path / "client", farm.scheduler_url, farm.client_token, toolchains) as client:
            assert all_remote(farm, client, tmp_path / "slow", files=3)
        all_slots_free(farm)


def test_a_heartbeat_that_is_answered_late(tmp_path: Path, toolchains: Path) -> None:
    """Everything that the scheduler says to a build server comes three seconds late: all compiles are remote."""
    (tmp_path / "farm").mkdir()
    relay = Relay(target=free_port(), answer_delay_secs=3)
    server = setting(OUR_SERVER, "scheduler_url", f"http://{LOOPBACK}:{relay.port}")
    with (
        relay.running(),
        Farm(tmp_path / "farm", launch_server=server, scheduler_port=relay.target) as farm,
        Client(tmp_path / "client", farm.scheduler_url, farm.client_token, toolchains) as client,
    ):
        assert all_remote(farm, client, tmp_path, files=10)
        all_slots_free(farm, _SECS)


@pytest.mark.field(20)
@pytest.mark.parametrize("days", [-1, 1])
@pytest.mark.parametrize("whose", ["server", "scheduler", "client"])
def test_a_clock_that_is_a_day_off(whose: str, days: int, tmp_path: Path, toolchains: Path) -> None:
    """Behind or ahead, on either side: certificates and tokens are good, and compiles are remote."""
    seconds = {whose: days * DAY}
    scheduler = with_skewed_clock(OUR_SCHEDULER, seconds.get("scheduler", 0))
    server = with_skewed_clock(OUR_SERVER, seconds.get("server", 0))
    clock = skewed(seconds.get("client", 0))
    (tmp_path / "farm").mkdir()
    with (
        Farm(tmp_path / "farm", scheduler, server) as farm,
        Client(tmp_path / "client", farm.scheduler_url, farm.client_token, toolchains, variables=clock) as client,
    ):
        assert all_remote(farm, client, tmp_path, files=2)


@pytest.fixture
def proxy(tmp_path: Path) -> Iterator[Proxy]:
    """A proxy for one test, which will restart it."""
    (tmp_path / "proxy").mkdir()
    proxy = Proxy(tmp_path / "proxy")
    with proxy.running():
        yield proxy


def test_a_proxy_that_restarts_breaks_no_build(proxy: Proxy, tmp_path: Path, toolchains: Path) -> None:
    """Three times in a build nginx goes and comes back in front of the scheduler: every file is compiled."""
    shared = 'type = "token"\ntoken = "hunter2"'
    scheduler = proxy.trusted(replacing(OUR_SCHEDULER, server_auth=shared))
    server = proxy.before(replacing(OUR_SERVER, scheduler_auth=shared), proxy.url(LOOPBACK))
    (tmp_path / "farm").mkdir()
    project = write_project(tmp_path / "project", SMALL, 39)
    with (
        Farm(tmp_path / "farm", scheduler, server, scheduler_port=proxy.scheduler_port) as farm,
        Client(
            tmp_path / "client", proxy.url("localhost"), farm.client_token, toolchains, variables=proxy.trust
        ) as client,
        ThreadPoolExecutor(1) as aside,
    ):
        building = aside.submit(
            build, project, lambda source: client.compiling(project.compile_command(source), project.folder)
        )
        for done in (1, 10, 20):
            wait_until(lambda done=done: compiled(client) >= done, _SECS, "the build goes on")  # type: ignore[misc]
            proxy.restart()
        assert len(building.result()) == len(project.sources)
        assert compiled(client) == len(project.sources)
        all_slots_free(farm, _SECS)


def compiled(client: Client) -> int:
    """How many compiles have ended, here or there."""
    counted = client.statistics()
    return counted.total_remote + counted.errors
