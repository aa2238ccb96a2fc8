"""Daemons that end, as they should or as nobody wished, and what becomes of their work."""

import secrets
import shutil
import signal
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from farmkit.busybox_jobs import BUSYBOX, id_of, shell, write_inputs, write_toolchain
from farmkit.farm import Farm
from farmkit.processes import Daemon, wait_until
from farmkit.projects import C, write_project
from farmkit.published_client import Client, Override, Statistics
from farmkit.raw_client import RawClient
from sccachedist.wire.messages import JobComplete, JobNotFound
from tests.functional.conftest import running_farm, with_toolchain
from tests.support.processes import mounts_below, running
from tests.support.slots import all_slots_free

pytestmark = pytest.mark.functional


@pytest.fixture
def farm(tmp_path: Path) -> Iterator[Farm]:
    """A farm for one test, which will end it."""
    (tmp_path / "farm").mkdir()
    yield from running_farm(Farm(tmp_path / "farm"))


@pytest.fixture
def marker() -> str:
    """A text that no other process has in its command line."""
    return f"marker-{secrets.token_hex(8)}"


@pytest.mark.field(18)
def test_both_daemons_end_cleanly_at_sigterm(farm: Farm, tmp_path: Path, marker: str) -> None:
    """The running job ends first and its client has the result; then, as twistd does, they end by the signal."""
    client, job = with_toolchain(farm, tmp_path)
    request = shell(f"sleep 2; echo {marker} > /out", "/out")
    with ThreadPoolExecutor() as aside:
        answer = aside.submit(client.run_job, job, request, write_inputs(tmp_path / "inputs", {}))
        wait_until(lambda: running(marker) != [], 10, "the job runs")
        assert ends_cleanly(farm.server)
        result = answer.result()
    assert isinstance(result, JobComplete)
    assert result.output.code == 0
    assert farm.status().in_progress == 0
    assert ends_cleanly(farm.scheduler)


def ends_cleanly(daemon: Daemon) -> bool:
    """Stop a daemon: whether it came to its own end before the signal took it."""
    return daemon.stop() == -signal.SIGTERM and daemon.tail(1).endswith("Server Shut Down.")


@pytest.mark.field(7)
def test_nothing_is_left_of_a_build_server_that_was_killed(farm: Farm, tmp_path: Path, marker: str) -> None:
    """SIGKILL in mid-compile: no process, mount or file of the job stays, and the compile is done locally."""
    slow = f"/bin/{marker}"
    archive = write_toolchain(tmp_path / "toolchain.tar.gz", {slow: f"{BUSYBOX} sleep 300; :"})
    before = other_files(farm, archive)
    gcc = Override(Path(shutil.which("gcc") or ""), archive, slow)
    project = write_project(tmp_path / "project", C, 0)
    compiling = project.compile_command(project.sources[0])
    with (
        Client(tmp_path / "client", farm.scheduler_url, farm.client_token, tmp_path / "toolchains", [gcc]) as client,
        ThreadPoolExecutor() as aside,
    ):
        ended = aside.submit(client.compiling(compiling, project.folder).run)
        wait_until(lambda: running(marker) != [], 20, "the compile runs")
        farm.server.kill()
        assert ended.result().returncode == 0
        assert client.statistics() == Statistics({}, errors=1)
    wait_until(lambda: running(marker) == [], 5, "the compile is gone")
    wait_until(lambda: mounts_below(farm.folder) == [], 5, "its mounts are gone")
    farm.start_server()
    wait_until(lambda: other_files(farm, archive) == before, 10, "the new build server has tidied up")


def other_files(farm: Farm, archive: Path) -> set[Path]:
    """What the build server keeps on disk, aside from that toolchain."""
    kept = {path for path in farm.server_folder.rglob("*") if "tc" not in path.parts}
    return {path for path in kept if id_of(archive) not in str(path)}


@pytest.mark.field(4)
def test_the_identity_of_a_build_server_outlasts_a_kill(farm: Farm, tmp_path: Path) -> None:
    """Certificate and job tokens from before are still good: the client is told to compile locally, not refused."""
    client = RawClient.of(farm, strict=True)
    certificate = client.certificate(farm.server_id)
    job = client.slot(id_of(write_toolchain(tmp_path / "toolchain.tar.gz", {}))).job_alloc
    farm.server.kill()
    farm.start_server()
    assert client.certificate(farm.server_id) == certificate
    result = client.run_job(job, shell("true"), write_inputs(tmp_path / "inputs", {}))
    assert result == JobNotFound()
    all_slots_free(farm)


def test_a_build_goes_on_when_its_server_is_killed_and_started_again(
    farm: Farm, client: Client, tmp_path: Path
) -> None:
    """Every file of the build is compiled, those that the kill hit locally; afterwards all is remote again."""
    project = write_project(tmp_path / "project", C, 40)
    with ThreadPoolExecutor(3) as at_once:
        compiles = [
            at_once.submit(client.compiling(project.compile_command(source), project.folder).run)
            for source in project.sources
        ]
        wait_until(lambda: client.statistics().total_remote >= 5, 30, "the build is under way")
        farm.server.kill()
        farm.start_server()
        assert [ended.result().returncode for ended in compiles] == [0] * len(compiles)
    after = client.statistics()
    assert after.total_remote + after.errors == len(compiles)
    last = client.compiling(project.compile_command(project.sources[0]), project.folder).run()
    assert last.returncode == 0
    assert client.statistics() == Statistics({str(farm.server_id): after.total_remote + 1}, after.errors)
