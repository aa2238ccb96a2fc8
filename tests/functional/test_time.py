"""Compiles that nobody waits for any more, because they do not end or because their client has gone."""

import contextlib
import secrets
import shutil
from pathlib import Path

import pytest

from farmkit.busybox_jobs import BUSYBOX, shell, write_inputs, write_toolchain
from farmkit.farm import Farm
from farmkit.launch import OUR_SERVER, adding
from farmkit.processes import wait_until
from farmkit.projects import write_project
from farmkit.published_client import Client, Override, Statistics
from sccachedist.wire.run_job_frame import frame
from tests.faults.build import SMALL
from tests.functional.conftest import with_toolchain
from tests.support.processes import running
from tests.support.slots import all_slots_free

pytestmark = pytest.mark.functional


@pytest.fixture
def marker() -> str:
    """A text that no other process has in its command line."""
    return f"marker-{secrets.token_hex(8)}"


@pytest.mark.field(19)
def test_a_compile_that_does_not_end(tmp_path: Path, marker: str) -> None:
    """It is killed after ``limits.job_secs``, and the client compiles locally."""
    slow = f"/bin/{marker}"
    archive = write_toolchain(tmp_path / "toolchain.tar.gz", {slow: f"{BUSYBOX} sleep 300; :"})
    gcc = Override(Path(shutil.which("gcc") or ""), archive, slow)
    project = write_project(tmp_path / "project", SMALL, 0)
    server = adding(OUR_SERVER, limits="job_secs = 2")
    (tmp_path / "farm").mkdir()
    with (
        Farm(tmp_path / "farm", launch_server=server) as farm,
        Client(tmp_path / "client", farm.scheduler_url, farm.client_token, tmp_path / "toolchains", [gcc]) as client,
    ):
        ended = client.compiling(project.compile_command(project.sources[0]), project.folder).run()
        assert ended.returncode == 0, ended
        assert client.statistics() == Statistics({}, errors=1)
        assert running(marker) == []
        all_slots_free(farm, 30)


@pytest.mark.field(19)
def test_a_client_that_goes_away_ends_its_compile(farm: Farm, tmp_path: Path, marker: str) -> None:
    """The connection closes: the compile is killed, its slot is free, its files are gone."""
    client, job = with_toolchain(farm, tmp_path)
    inputs = write_inputs(tmp_path / "inputs", {}).read_bytes()
    with contextlib.closing(client.connect(farm.server_id)) as connection:
        headers = {"Authorization": f"Bearer {job.auth}", "Content-Type": "application/octet-stream"}
        body = frame(shell(f"sleep 300; echo {marker}"), inputs)
        connection.request("POST", f"/api/v1/distserver/run_job/{job.job_id}", body, headers)
        wait_until(lambda: running(marker) != [], 30, "the job runs")
    wait_until(lambda: running(marker) == [], 5, "the compile is gone")
    all_slots_free(farm, 30)
    assert list((farm.server_folder / "cache" / "spool").iterdir()) == []
