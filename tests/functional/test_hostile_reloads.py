"""Configurations that are none and signals without end, while jobs run: none of them is lost."""

import os
import signal
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from farmkit.busybox_jobs import id_of, shell, write_inputs, write_toolchain
from farmkit.gateway_farm import GatewayFarm
from farmkit.processes import Daemon, wait_until
from farmkit.raw_client import RawClient
from sccachedist.wire.messages import JobComplete
from tests.support.processes import peak_memory, running
from tests.support.reloads import KEPT, READ, reloaded
from tests.test_given_files import NO_FILES

pytestmark = pytest.mark.functional

JOBS, STORM = 12, 3000
#: What stands where a configuration should be, and what the line about it says.
NO_CONFIGURATIONS: dict[Callable[[Path], object], str] = {
    **NO_FILES,
    lambda path: path.write_text("[limits]\njob_se"): "not TOML",
    Path.touch: ": ",
}
_SECS = 120


def asleep(secs: str) -> list[int]:
    """The processes that sleep for so many seconds, without the shells that wait for them."""
    found = running(f"sleep {secs}")
    return [process for process in found if b"-c" not in Path(f"/proc/{process}/cmdline").read_bytes().split(b"\0")]


def attacked(daemon: Daemon, config: Path) -> None:
    """Put what is none in the place of a configuration, have it read, and send signals as fast as one can."""
    kept = config.with_name("kept")
    config.rename(kept)
    for make, why in NO_CONFIGURATIONS.items():
        make(config)
        assert why in reloaded(daemon, KEPT, _SECS)
        config.rmdir() if config.is_dir() else config.unlink()
    kept.rename(config)
    for _ in range(STORM):
        daemon.process.send_signal(signal.SIGHUP)
    assert reloaded(daemon, READ, _SECS) == "nothing has changed"


def test_while_jobs_run(tmp_path: Path) -> None:
    """At a scheduler, a gateway and a worker, with jobs that run until all of that is over."""
    with GatewayFarm(tmp_path, worker_settings=f"[capacity]\ncpus = {JOBS}\n") as farm:
        client = RawClient.of(farm, strict=True)
        archive, marker = write_toolchain(tmp_path / "busybox.tar.gz", {}), "345.678"
        inputs = write_inputs(tmp_path / "inputs", {"/input": b"content"})
        request = shell(f"sleep {marker}; cp /input /output", "/output")
        jobs = [client.ready(archive, id_of(archive)) for _ in range(JOBS)]
        roles = {"scheduler": farm.scheduler, "server": farm.server, "worker": farm.workers["one"]}
        with ThreadPoolExecutor(JOBS) as clients:
            results = [clients.submit(client.run_job, job, request, inputs) for job in jobs]
            wait_until(lambda: len(asleep(marker)) == JOBS, _SECS, "all jobs run")
            for role, daemon in roles.items():
                before = peak_memory(daemon.process.pid)
                folder = farm.worker_folder("one") if role == "worker" else farm.folder / role
                attacked(daemon, folder / f"{role}.conf")
                assert peak_memory(daemon.process.pid) - before < 50 << 20, role
            assert len(asleep(marker)) == JOBS
            for process in asleep(marker):
                os.kill(process, signal.SIGTERM)
            for result in results:
                done = result.result(_SECS)
                assert isinstance(done, JobComplete)
                assert done.output.code == 0
        assert farm.connections == 1
        logs = "".join(daemon.log.read_text() for daemon in roles.values())
        assert "Traceback" not in logs
