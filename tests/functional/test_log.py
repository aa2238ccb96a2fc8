"""What real daemons log of what goes wrong around them: what matters, once, with the names of those concerned."""

import contextlib
import os
import re
import signal
import socket
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from farmkit.busybox_jobs import id_of, write_toolchain
from farmkit.farm import Farm
from farmkit.launch import OUR_SCHEDULER, replacing
from farmkit.processes import LOOPBACK, Daemon
from farmkit.raw_client import RawClient
from sccachedist import __version__

pytestmark = pytest.mark.functional

_REFUSING = replacing(OUR_SCHEDULER, server_auth='type = "token"\ntoken = "of another farm"')
_LEVEL = re.compile(r"\[[\w.]+#(\w+)\] (.*)")


def told(daemon: Daemon, *levels: str) -> list[str]:
    """What a daemon has logged at these levels."""
    found = _LEVEL.findall(daemon.log.read_text())
    return [text for level, text in found if level in (levels or ("info", "warn", "error", "critical"))]


@pytest.fixture
def farm(tmp_path: Path) -> Iterator[Farm]:
    """A farm of which nothing runs yet."""
    farm = Farm(tmp_path)
    yield farm
    farm.stop()


def test_who_is_refused(farm: Farm) -> None:
    """The build server says each new reason why it is not heard, the scheduler once whom it refuses, however often."""
    farm.launch_scheduler = _REFUSING
    farm.launch_only_server()
    farm.server.wait_until(lambda: "Connection was refused" in farm.server.tail(), 60, "it has no scheduler")
    farm.start_scheduler()
    farm.server.wait_until(lambda: "its log says why" in farm.server.tail(), 60, "it is refused")
    tries = _failed_heartbeats(farm.server)
    refused = [line for line in told(farm.scheduler) if "401" in line]
    assert refused == [f"POST /api/v1/scheduler/heartbeat_server from {LOOPBACK} answered 401: server token refused"]
    assert len(tries) == 2, tries
    farm.scheduler.stop()
    farm.launch_scheduler = OUR_SCHEDULER
    farm.start_scheduler()
    farm.server.wait_until(lambda: "registered with the scheduler" in farm.server.tail(), 60, "it registers")


def _failed_heartbeats(server: Daemon) -> list[str]:
    """The lines about them, when there have been some more tries."""
    began = time.monotonic()
    server.wait_until(lambda: time.monotonic() - began > 5, 60, "it has tried three times")
    return [line for line in told(server) if "no heartbeat" in line]


def test_first_lines(farm: Farm) -> None:
    """A log begins with version, role, address and configuration file, whatever else is wrong."""
    for launch in ("launch_scheduler", "launch_server"):
        inner = getattr(farm, launch)

        def launch_misunderstood(config: Path, inner=inner):  # type: ignore[no-untyped-def]
            command = inner(config)
            command.environment["SCCACHE_LOG"] = "info,loud"
            return command

        setattr(farm, launch, launch_misunderstood)
    with farm:
        for daemon, role, address in (
            (farm.scheduler, "scheduler", f"{farm.scheduler_host}:{farm.scheduler_port}"),
            (farm.server, "build server", str(farm.server_id)),
        ):
            first = daemon.log.read_text().splitlines()[0]
            config = farm.folder / role.split()[-1] / f"{role.split()[-1]}.conf"
            assert first.endswith(f"] sccachedist {__version__}: {role} at {address}, configured by {config}")


def test_an_idle_connection(farm: Farm) -> None:
    """A client that keeps its connection and asks nothing more is nothing to warn of."""
    farm.scheduler_settings = "[limits]\nidle_secs = 1\n"
    farm.start_scheduler()
    with socket.create_connection((LOOPBACK, farm.scheduler_port), timeout=30) as idle:
        idle.sendall(b"GET /api/v1/scheduler/status HTTP/1.1\r\nHost: x\r\n\r\n")
        assert idle.recv(4096).startswith(b"HTTP/1.1 200 ")
        with contextlib.suppress(ConnectionResetError):
            while idle.recv(4096):
                pass
    assert not [line for line in told(farm.scheduler) if "was idle" in line]


def test_a_worker_that_was_replaced(farm: Farm) -> None:
    """A waiting sandbox worker that is killed costs no job, and is no error."""
    replaced = "another one takes its place"

    def workers_killed() -> bool:
        children = Path(f"/proc/{farm.server.process.pid}/task/{farm.server.process.pid}/children")
        for child in map(int, children.read_text().split()):
            with contextlib.suppress(ProcessLookupError):
                os.kill(child, signal.SIGKILL)
        return replaced in farm.server.tail()

    with farm:
        farm.server.wait_until(workers_killed, 30, "one was waiting")
        assert [line for line in told(farm.server, "info", "warn") if replaced in line]
        assert not [line for line in told(farm.server, "error", "critical") if replaced in line]


def test_a_toolchain_that_is_another(farm: Farm) -> None:
    """What goes wrong with a job on a build server is told with its number and its client."""
    with farm:
        client, archive = RawClient.of(farm, strict=True), write_toolchain(farm.folder / "toolchain.tar.gz", {})
        job = client.slot(id_of(archive)).job_alloc
        client.submit_toolchain(job, b"another")
        said = f"toolchain of job {job.job_id}, from {LOOPBACK}: "
        farm.server.wait_until(lambda: said in farm.server.tail(), 30, "it says so")


def test_a_build_server_that_is_not_there(farm: Farm) -> None:
    """What goes wrong with a job at the scheduler is told with its number, its build server and its client."""
    with farm:
        farm.server.kill()
        RawClient.of(farm, strict=True).alloc("a" * 64)
        (said,) = told(farm.scheduler, "warn")[-1:]
        assert re.match(rf"job \d+ of {LOOPBACK} not assigned to {farm.server_id}: ", said)
