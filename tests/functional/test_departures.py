"""Clients that go away in the middle of their compiles, and what becomes of those."""

import secrets
import shutil
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from demo.client import Client, Override
from demo.farm import Farm
from demo.processes import wait_until
from demo.projects import C, write_project
from tests.functional.conftest import running_farm
from tests.support.archives import BUSYBOX, id_of, write_toolchain
from tests.support.processes import mounts_below, running

pytestmark = pytest.mark.functional

#: Seconds in which a compile has to be gone, and what a busy machine needs besides to show it.
_GONE_SECS, _BUSY_SECS = 1, 4


@pytest.fixture
def farm(tmp_path: Path) -> Iterator[Farm]:
    """A farm for one test."""
    (tmp_path / "farm").mkdir()
    yield from running_farm(Farm(tmp_path / "farm"))


def test_a_client_that_is_killed(farm: Farm, tmp_path: Path) -> None:
    """All processes of its compile die at once, whatever they do to stay; its slot is free and its files are gone."""
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
        wait_until(lambda: len(running(marker)) > 2, 60, "the compile runs")
        client.daemon.kill()
        killed = time.monotonic()
        wait_until(lambda: running(marker) == [], _GONE_SECS + _BUSY_SECS, "the compile is gone")
        assert time.monotonic() - killed < _GONE_SECS + _BUSY_SECS
    wait_until(lambda: farm.status().in_progress == 0, 10, "the slot is free")
    wait_until(lambda: spooled(farm) == before, 10, "the files are gone")
    assert mounts_below(farm.folder) == []
    assert id_of(archive) in {path.name for path in (farm.server_folder / "cache/tc").rglob("*")}


def spooled(farm: Farm) -> list[Path]:
    """Inputs, answers and uploads that the build server has on disk."""
    cache = farm.server_folder / "cache"
    return [*(cache / "spool").iterdir(), *(cache / "incoming").iterdir()]
