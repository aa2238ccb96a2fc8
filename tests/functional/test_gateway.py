"""Gateways with real workers: whole builds, under either scheduler, several together, and clients that go away."""

import secrets
import shutil
import signal
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import attrs
import pytest

from farmkit.busybox_jobs import BUSYBOX, write_toolchain
from farmkit.farm import Farm
from farmkit.gateway_farm import GatewayFarm
from farmkit.launch import OUR_SCHEDULER, PUBLISHED_SCHEDULER
from farmkit.processes import wait_until
from farmkit.projects import C, write_project
from farmkit.published_client import Client, Override, Statistics
from sccachedist import client as seen
from sccachedist.outcomes import Lack
from tests.functional.conftest import running_farm
from tests.functional.test_builds import build, remote_as_local
from tests.support.processes import running

pytestmark = pytest.mark.functional

#: Seconds in which a compile has to be gone when its client has.
_GONE_SECS = 2
#: Seconds until a worker has come, on a busy machine.
_COMES_SECS = 120


@attrs.define
class TwoGateways(GatewayFarm):
    """A gateway whose workers trust another one as well."""

    other: Path | None = None

    @property
    def certificate(self) -> Path:
        """The certificates of both."""
        own = super().certificate
        if self.other is not None:
            own.write_bytes(own.read_bytes() + self.other.read_bytes())
        return own


def await_worker(farm: Farm) -> None:
    """Wait until a gateway has a worker."""
    farm.server.wait_until(lambda: b"CPUs is here" in farm.server.log.read_bytes(), _COMES_SECS, "a worker is there")


@pytest.fixture
def farm(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[GatewayFarm]:
    """A gateway with a worker, under our scheduler or that of the parameter."""
    (tmp_path / "farm").mkdir()
    gateway = GatewayFarm(tmp_path / "farm", getattr(request, "param", OUR_SCHEDULER))
    for _ in running_farm(gateway):
        await_worker(gateway)
        yield gateway


@pytest.mark.parametrize("farm", [OUR_SCHEDULER, PUBLISHED_SCHEDULER], ids=["ours", "published"], indirect=True)
def test_a_build(farm: GatewayFarm, client: Client, tmp_path: Path) -> None:
    """Under either scheduler, all files compile remotely to what a local build gives."""
    remote_as_local(farm, client, write_project(tmp_path / "project", C, 4))


@pytest.fixture
def several(tmp_path: Path) -> Iterator[tuple[GatewayFarm, GatewayFarm, Farm]]:
    """Two gateways, a worker of one, a worker that dials both, and a build server without a gateway."""
    folders = [tmp_path / name for name in ("first", "second", "direct")]
    for folder in folders:
        folder.mkdir()
    first = TwoGateways(folders[0])
    port, token, key = first.scheduler_port, first.client_token, first.server_key
    second = GatewayFarm(
        folders[1], scheduler_port=port, client_token=token, server_key=key, worker_token=first.worker_token
    )
    direct = Farm(folders[2], scheduler_port=port, client_token=token, server_key=key)
    try:
        for _ in running_farm(first):
            for other in (second, direct):
                other.launch_only_server()
            second.server.wait_until(second.has_certificate, _COMES_SECS, "the second has a certificate")
            first.other = second.certificate
            first.launch_only_worker("both", tuple(f"https://{each.server_id}" for each in (first, second)))
            await_worker(second)
            wait_until(lambda: first.status().num_servers == 3, _COMES_SECS, "all are registered")
            yield first, second, direct
    finally:
        second.stop()
        direct.stop()


def test_several(several: tuple[GatewayFarm, GatewayFarm, Farm], tmp_path: Path, toolchains: Path) -> None:
    """Gateways and a build server go together; a worker gives its slots to whichever gateway has a job."""
    first, second, direct = several
    with Client(tmp_path / "client", first.scheduler_url, first.client_token, toolchains) as client:
        project = write_project(tmp_path / "project", C, 11)
        build(project, lambda source: client.compiling(project.compile_command(source), project.folder), 6)
        done = client.statistics()
        assert (done.total_remote, done.errors) == (len(project.sources), 0)
        direct.stop()
        second.stop()
        project = write_project(tmp_path / "another", C, 0)
        build(project, lambda source: client.compiling(project.compile_command(source), project.folder))
        of_first = done.remote.get(str(first.server_id), 0) + len(project.sources)
        assert client.statistics() == Statistics({**done.remote, str(first.server_id): of_first}, errors=0)


def test_a_client_that_is_killed(farm: GatewayFarm, tmp_path: Path) -> None:
    """Within two seconds nothing runs for it at the worker, its slot is free, and the gateway keeps nothing."""
    marker = f"marker-{secrets.token_hex(8)}"
    slow = f"/bin/{marker}"
    archive = write_toolchain(tmp_path / "toolchain.tar.gz", {slow: f"{BUSYBOX} sleep 300; : {marker}"})
    gcc = Override(Path(shutil.which("gcc") or ""), archive, slow)
    project = write_project(tmp_path / "project", C, 0)
    compiling = project.compile_command(project.sources[0])
    spool = farm.server_folder / "cache" / "spool"
    client = Client(tmp_path / "client", farm.scheduler_url, farm.client_token, tmp_path / "toolchains", [gcc])
    with client, ThreadPoolExecutor() as aside:
        aside.submit(client.compiling(compiling, project.folder).run)
        wait_until(lambda: len(running(marker)) > 0, 60, "the compile runs")
        client.daemon.kill()
        wait_until(
            lambda: running(marker) == [] and farm.status().in_progress == 0 and [*spool.iterdir()] == [],
            _GONE_SECS,
            "processes, slot and files are gone",
        )


def test_a_worker_that_takes_no_jobs(farm: GatewayFarm) -> None:
    """While its only worker is drained, a gateway is busy, and nothing is wrong with it; then it is open again."""
    look = seen.Farm.find(farm.scheduler_url, token=farm.client_token)
    (worker,) = farm.workers.values()

    def shown() -> tuple[str, str, int]:
        (row,) = look.servers()["servers"]
        return row["state"], row["why"], row["slots"]

    before = shown()
    worker.process.send_signal(signal.SIGUSR1)
    wait_until(lambda: shown() == ("busy", Lack.NO_WORKER.clause, 0), 20, "it is busy")
    assert "#error]" not in farm.server.log.read_text()
    worker.process.send_signal(signal.SIGUSR2)
    wait_until(lambda: shown() == before, 20, "it is as before")
