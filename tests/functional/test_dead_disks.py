"""The disk of the records and of what is out of service answers no more: no request waits for it, and no stop."""

import os
import signal
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from farmkit.busybox_jobs import id_of, shell, write_inputs, write_toolchain
from farmkit.farm import Farm
from farmkit.launch import OUR_SCHEDULER, OUR_SERVER, adding
from farmkit.processes import Daemon, wait_until
from farmkit.raw_client import RawClient
from sccachedist.records.line_writer import WRITE_SECS
from sccachedist.wire.messages import JobComplete
from tests.support.dead_disk import dead_disk

pytestmark = pytest.mark.functional

#: Seconds that a stop may take: the last writes are waited for, then the threads, and the machine may be busy.
STOP_SECS = 30


@pytest.fixture
def disk(tmp_path: Path) -> Path:
    """Where the disk is."""
    (tmp_path / "disk").mkdir()
    return tmp_path / "disk"


@pytest.fixture
def farm(tmp_path_factory: pytest.TempPathFactory, disk: Path) -> Iterator[Farm]:
    """A farm that keeps records and state on it."""
    assert os.geteuid() == 0, "only root can mount"
    scheduler = adding(OUR_SCHEDULER, records=f'file = "{disk / "jobs"}"', admin=f'state = "{disk / "state"}"')
    server = adding(OUR_SERVER, records=f'file = "{disk / "jobs-of-server"}"')
    with Farm(tmp_path_factory.mktemp("farm"), scheduler, server) as farm:
        yield farm


def waits_for_a_disk(daemon: Daemon) -> bool:
    """Whether a thread of a daemon waits for the dead disk."""
    for thread in Path(f"/proc/{daemon.process.pid}/task").iterdir():
        with suppress(OSError):  # it has ended meanwhile
            if "fuse" in (thread / "wchan").read_text():
                return True
    return False


def has_ended(daemon: Daemon) -> bool:
    """Whether a daemon has left: its first thread is gone, though the kernel may hold another one at the disk."""
    return Path(f"/proc/{daemon.process.pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"


def test_a_dead_disk(farm: Farm, disk: Path, tmp_path: Path) -> None:
    """Slots are given out and jobs run as before while the disk does not answer, and both daemons end in time."""
    client, archive = RawClient.of(farm, strict=True), write_toolchain(tmp_path / "toolchain.tar.gz", {})
    inputs = write_inputs(tmp_path / "inputs", {})

    def run() -> float:
        began = time.monotonic()
        result = client.run_job(client.ready(archive, id_of(archive)), shell("true"), inputs)
        assert isinstance(result, JobComplete), result
        return time.monotonic() - began

    run()
    files = [disk / "jobs", disk / "jobs-of-server"]
    wait_until(lambda: all(file.exists() and file.stat().st_size for file in files), 30, "records are written")
    with dead_disk(disk):
        run()
        daemons = [farm.scheduler, farm.server]
        wait_until(lambda: all(map(waits_for_a_disk, daemons)), 30, "both wait for the disk")
        until = time.monotonic() + 3 * WRITE_SECS
        while time.monotonic() < until:
            run()
        assert farm.status().num_servers == 1
        for daemon in daemons:
            daemon.process.terminate()
        wait_until(lambda: all(map(has_ended, daemons)), STOP_SECS, "both have ended, but for what the kernel holds")
    for daemon in daemons:
        assert daemon.process.wait(STOP_SECS) in (0, -signal.SIGTERM)
