"""The examples for HAProxy and nginx before two schedulers with a real Redis, and the published client behind them.

Build server and client know the balancer alone. The build server has an address of its own, which its token names: the
scheduler takes it only if the balancer says where requests come from.
"""

import os
import signal
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from http.client import HTTPConnection
from pathlib import Path

import attrs
import pytest

from farmkit.farm import Farm
from farmkit.launch import OUR_SCHEDULER, OUR_SERVER, Launch, adding
from farmkit.processes import LOOPBACK, wait_until
from farmkit.projects import write_project
from farmkit.published_client import Client, Statistics
from sccachedist.cluster.hop import PASSED_ON
from tests.faults.build import SMALL
from tests.functional.conftest import compiles_remotely, running_farm
from tests.functional.test_builds import build
from tests.support.balancers import HAPROXY, HOSTS, NGINX, Balancer
from tests.support.proxy import asking
from tests.support.redis_servers import RedisServer
from tests.support.slots import all_slots_free

pytestmark = pytest.mark.functional

SERVER_HOST = "127.0.0.23"
_FILES, _PARALLEL, _SECS = 40, 8, 120


@attrs.frozen
class Behind:
    """Two schedulers behind a balancer; the build server belongs to the first ``Farm`` of the two."""

    balancer: Balancer
    schedulers: tuple[Farm, Farm]

    @property
    def farm(self) -> Farm:
        """The one with the build server."""
        return self.schedulers[0]

    def in_order(self) -> tuple[Farm, Farm]:
        """The one that leads, then the other one, as soon as there is one of each."""
        first, second = self.schedulers
        wait_until(lambda: leads(first) != leads(second), _SECS, "one leads")
        return (first, second) if leads(first) else (second, first)

    def client(self, folder: Path, toolchains: Path) -> Client:
        """One that knows the balancer alone."""
        return Client(folder, self.balancer.url, self.farm.client_token, toolchains, variables=self.balancer.trust)


def leads(scheduler: Farm) -> bool:
    """Whether it answers for itself."""
    with closing(HTTPConnection(scheduler.scheduler_host, scheduler.scheduler_port, timeout=10)) as connection:
        try:
            connection.request("GET", "/api/v1/scheduler/status", headers={PASSED_ON: "1"})
            return connection.getresponse().status == 200
        except OSError:
            return False


@pytest.fixture(scope="module", params=[HAPROXY, NGINX], ids=["haproxy", "nginx"])
def behind(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Behind]:
    """All of it at work."""
    balancer = Balancer(request.param, tmp_path_factory.mktemp("balancer"))
    with RedisServer(tmp_path_factory.mktemp("redis")).running() as store, balancer.running():
        urls = [f"http://{host}:{balancer.scheduler_port}" for host in HOSTS]
        cluster = f'lock = "redis://{LOOPBACK}:{store.port}"\nschedulers = {urls}'

        def scheduler(host: str) -> Launch:
            metrics = f'address = "{host}:{balancer.monitor_port}"'
            network = f'trusted_proxies = ["{LOOPBACK}"]'
            return adding(OUR_SCHEDULER, cluster=cluster, metrics=metrics, network=network)

        farm = Farm(
            tmp_path_factory.mktemp("farm"),
            scheduler(HOSTS[0]),
            asking(OUR_SERVER, balancer.url, balancer.trust),
            HOSTS[0],
            SERVER_HOST,
            balancer.scheduler_port,
        )
        other = attrs.evolve(
            farm, folder=tmp_path_factory.mktemp("other"), launch_scheduler=scheduler(HOSTS[1]), scheduler_host=HOSTS[1]
        )
        try:
            other.start_scheduler()
            for _ in running_farm(farm):
                yield Behind(balancer, (farm, other))
        finally:
            other.stop()


def test_a_build(behind: Behind, tmp_path: Path, toolchains: Path) -> None:
    """It is remote, at a build server whose address the schedulers have from the balancer."""
    with behind.client(tmp_path / "client", toolchains) as client:
        compiles_remotely(behind.farm, client, write_project(tmp_path / "project", SMALL, 5))
    all_slots_free(behind.farm)


def killed(behind: Behind) -> None:
    """The leader is, and started again when the other one leads."""
    leader, follower = behind.in_order()
    leader.scheduler.kill()
    wait_until(lambda: leads(follower), _SECS, "the other one leads")
    leader.start_scheduler()


def updated(behind: Behind) -> None:
    """The follower is ended and started, then the leader."""
    for scheduler in reversed(behind.in_order()):
        assert scheduler.scheduler.stop() == -signal.SIGTERM
        scheduler.start_scheduler()
    behind.in_order()


@pytest.mark.parametrize("befall", [killed, updated])
def test_a_build_goes_on(behind: Behind, tmp_path: Path, toolchains: Path, befall: Callable[[Behind], None]) -> None:
    """All of it is remote, whatever becomes of a scheduler on the way."""
    outlives(behind, tmp_path, toolchains, befall)


@pytest.mark.parametrize("behind", [HAPROXY], ids=["haproxy"], indirect=True)
def test_a_scheduler_that_hangs(behind: Behind, tmp_path: Path, toolchains: Path) -> None:
    """HAProxy notices it, and asks the other one what the first has not answered."""
    leader, follower = behind.in_order()

    def hang(_: Behind) -> None:
        os.kill(leader.scheduler.process.pid, signal.SIGSTOP)
        wait_until(lambda: leads(follower), _SECS, "the other one leads")

    try:
        outlives(behind, tmp_path, toolchains, hang)
    finally:
        os.kill(leader.scheduler.process.pid, signal.SIGCONT)
    behind.in_order()


def test_the_feed(behind: Behind) -> None:
    """What happens there is told at once, for as long as one listens."""
    with closing(behind.balancer.connected(_SECS)) as connection:
        headers = {"Authorization": f"Bearer {behind.farm.client_token}"}
        connection.request("GET", "/api/v1/farm/events", headers=headers)
        lines = iter(connection.getresponse().readline, b"")
        for _ in range(2):  # what it begins with, and a second later
            assert any(line.startswith(b"id: ") for line in lines)


def test_no_scheduler(behind: Behind, tmp_path: Path, toolchains: Path) -> None:
    """While there is none, a compile is local, and ends well."""
    project = write_project(tmp_path / "project", SMALL, 0)
    with behind.client(tmp_path / "client", toolchains) as client:
        for scheduler in behind.schedulers:
            scheduler.scheduler.kill()
        try:
            ended = client.compiling(project.compile_command(project.sources[0]), project.folder).run()
            assert ended.returncode == 0, ended
            assert client.statistics() == Statistics({}, errors=1)
        finally:
            for scheduler in behind.schedulers:
                scheduler.start_scheduler()
    behind.in_order()


def outlives(behind: Behind, folder: Path, toolchains: Path, befall: Callable[[Behind], None]) -> None:
    """A build lives through what befalls the farm: all of it is remote."""
    project = write_project(folder / "project", SMALL, _FILES - 1)
    objects = project.folder.rglob
    with behind.client(folder / "client", toolchains) as client, ThreadPoolExecutor(1) as beside:
        building = beside.submit(
            build, project, lambda source: client.compiling(project.compile_command(source), project.folder), _PARALLEL
        )
        wait_until(lambda: len([*objects("*.o")]) >= _FILES // 4, _SECS, "some files are compiled")
        befall(behind)
        building.result(_SECS)
        assert client.statistics() == Statistics({str(behind.farm.server_id): _FILES}, errors=0)
