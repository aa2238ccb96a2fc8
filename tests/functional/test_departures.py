"""Clients that go away in the middle of their compiles, and what becomes of those."""

import secrets
import shutil
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from farmkit.busybox_jobs import BUSYBOX, id_of, write_toolchain
from farmkit.farm import Farm
from farmkit.processes import wait_until
from farmkit.projects import C, write_project
from farmkit.published_client import Client, Override
from tests.functional.conftest import running_farm
from tests.support.processes import mounts_of_jobs, running

pytestmark = pytest.mark.functional

#: Seconds in which a compile has to be gone, with all that it had.
_GONE_SECS = 1


@pytest.fixture
def farm(tmp_path: Path) -> Iterator[Farm]:
    """A farm for one test."""
    (tmp_path / "farm").mkdir()
    yield from running_farm(Farm(tmp_path / "farm"))


def test_a_client_that_is_killed(farm: Farm, tmp_path: Path) -> None:
    """Within a second its compile is dead, whatever that does to stay, its slot is free, its files are gone."""
    marker = f"marker-{secrets.token_hex(8)}"
    slow = f"/bin/{marker}"
    stays = f"{BUSYBOX} setsid {BUSYBOX} sh -c '{BUSYBOX} sleep 300; : {marker}'"
    script = f"trap '' TERM HUP INT; {stays} & {BUSYBOX} sleep 300; :"
    archive = write_toolchain(tmp_path / "toolchain.tar.gz", {slow: script})
    before = spooled(farm)
    gcc = Override(Path(shutil.which("gcc") or ""), archive, slow)
    project = write_project(tmp_path / "project", C, 0)
    compiling = project.compile_command(project.sources[0])
    client = Client(tmp_path / "client", farm.scheduler_url, farm.client_token, tmp_path / "toolchains", [gcc])
    with client, ThreadPoolExecutor() as aside:
        aside.submit(client.compiling(compiling, project.folder).run)
        wait_until(lambda: len(running(marker)) == 2, 60, "the compile runs")
        client.daemon.kill()
        wait_until(
            lambda: running(marker) == [] and farm.status().in_progress == 0 and spooled(farm) == before,
            _GONE_SECS,
            "processes, slot and files are gone",
        )
    wait_until(lambda: mounts_of_jobs(farm.folder) == [], 5, "its mounts are gone")
    assert id_of(archive) in {path.name for path in (farm.server_folder / "cache/tc").rglob("*")}


def spooled(farm: Farm) -> list[Path]:
    """Inputs, answers and uploads that the build server has on disk."""
    cache = farm.server_folder / "cache"
    return [*(cache / "spool").iterdir(), *(cache / "incoming").iterdir()]
