"""Workers of a gateway that are killed, that start again, and that are drained; clients that go away."""

import contextlib
import os
import signal
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from farmkit.busybox_jobs import id_of, shell, write_inputs, write_toolchain
from farmkit.gateway_farm import GatewayFarm
from farmkit.processes import wait_until
from farmkit.raw_client import RawClient
from sccachedist.wire.messages import JobComplete, RunJobRequest
from sccachedist.wire.run_job_frame import frame
from tests.support.processes import running

pytestmark = pytest.mark.functional

_SECS = 60


@pytest.fixture
def farm(tmp_path: Path) -> Iterator[GatewayFarm]:
    with GatewayFarm(tmp_path) as farm:
        yield farm


@pytest.fixture
def client(farm: GatewayFarm) -> RawClient:
    return RawClient.of(farm, strict=True)


def waiting(secs: str) -> RunJobRequest:
    """A job that runs for so many seconds: a number that no other process has in its command line."""
    return shell(f"sleep {secs}; cp /input /output", "/output")


def inputs(farm: GatewayFarm) -> Path:
    return write_inputs(farm.folder / "inputs", {"/input": b"content"})


def test_a_killed_worker(farm: GatewayFarm, client: RawClient) -> None:
    """Its sandboxes end with it, and its job runs at another worker: the client notices nothing."""
    archive, marker = write_toolchain(farm.folder / "busybox.tar.gz", {}), "12.3456"
    job = client.ready(archive, id_of(archive))
    with ThreadPoolExecutor() as clients:
        result = clients.submit(client.run_job, job, waiting(marker), inputs(farm))
        wait_until(lambda: running(f"sleep {marker}") != [], _SECS, "the first worker has the job")
        first = running(f"sleep {marker}")
        farm.launch_only_worker("two")
        wait_until(lambda: farm.connections == 2, _SECS, "another worker is there")
        farm.workers["one"].kill()
        wait_until(lambda: not set(first) & set(running(f"sleep {marker}")), _SECS, "its sandbox has ended")
        done = result.result(_SECS)
    assert isinstance(done, JobComplete)
    assert done.output.code == 0
    farm.launch_only_worker("one")
    wait_until(lambda: farm.connections == 3, _SECS, "the killed worker is back")
    assert list((farm.worker_folder("one") / "cache" / "spool").iterdir()) == []


def test_a_client_that_goes_away(farm: GatewayFarm, client: RawClient) -> None:
    """Its job's sandbox ends at once."""
    archive, marker = write_toolchain(farm.folder / "busybox.tar.gz", {}), "271.828"
    job = client.ready(archive, id_of(archive))
    body = frame(waiting(marker), inputs(farm).read_bytes())
    with contextlib.closing(client.connect(job.server_id)) as connection:
        headers = {"Authorization": f"Bearer {job.auth}", "Content-Type": "application/octet-stream"}
        connection.request("POST", f"/api/v1/distserver/run_job/{job.job_id}", body, headers)
        wait_until(lambda: running(f"sleep {marker}") != [], _SECS, "the job runs")
    wait_until(lambda: running(f"sleep {marker}") == [], _SECS, "nothing of it is left")


def test_a_drained_worker(farm: GatewayFarm, client: RawClient) -> None:
    """At SIGTERM it brings its job to an end, and then goes; the gateway gives it no other."""
    archive, marker = write_toolchain(farm.folder / "busybox.tar.gz", {}), "1.41421"
    job = client.ready(archive, id_of(archive))
    with ThreadPoolExecutor() as clients:
        result = clients.submit(client.run_job, job, waiting(marker), inputs(farm))
        wait_until(lambda: running(f"sleep {marker}") != [], _SECS, "the job runs")
        os.kill(farm.workers["one"].process.pid, signal.SIGTERM)
        assert isinstance(result.result(_SECS), JobComplete)
    assert farm.workers["one"].process.wait(_SECS) == -signal.SIGTERM  # twistd ends as it was told to
