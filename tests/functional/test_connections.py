"""Connections that are slow, silent or cut: what becomes of them, and of everybody else."""

import resource
import socket
import ssl
import struct
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from statistics import median

import pytest

from demo.farm import OUR_SCHEDULER, OUR_SERVER, Farm
from demo.processes import wait_until
from sccachedist.wire.bincode import encode
from sccachedist.wire.messages import TOOLCHAIN, SubmitToolchainResult, Toolchain
from tests.functional.conftest import running_farm
from tests.support.archives import id_of, write_toolchain
from tests.support.configured import adding
from tests.support.crowd import closed_by_the_other_end, crowd, memory, waits
from tests.support.protocol import SteppingClient

pytestmark = pytest.mark.functional

#: Deadlines that a test can wait for; the defaults are longer.
LIMITS = "idle_secs = 20\nhandshake_secs = 20\nmin_rate_after_secs = 10"
STATUS = b"GET /api/v1/scheduler/status HTTP/1.1\r\nHost: farm\r\nConnection: close\r\n\r\n"
ELSEWHERE = b"GET /elsewhere HTTP/1.1\r\nHost: farm\r\nConnection: close\r\n\r\n"
CROWD = 10_000
RESET = struct.pack("ii", 1, 0)  # SO_LINGER: closing is a reset


@pytest.fixture(scope="module")
def farm(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Farm]:
    """A farm with short deadlines."""
    scheduler, server = adding(OUR_SCHEDULER, limits=LIMITS), adding(OUR_SERVER, limits=LIMITS)
    yield from running_farm(Farm(tmp_path_factory.mktemp("farm"), scheduler, server))


def alloc(farm: Farm) -> bytes:
    """A client's request for a slot."""
    body = encode(TOOLCHAIN, Toolchain("0" * 64))
    return (
        b"POST /api/v1/scheduler/alloc_job HTTP/1.1\r\nHost: farm\r\n"
        b"Authorization: Bearer %b\r\nContent-Type: application/octet-stream\r\nContent-Length: %d\r\n\r\n%b"
        % (farm.client_token.encode(), len(body), body)
    )


def test_ten_thousand_at_the_scheduler(farm: Farm) -> None:
    """Half-sent requests and silence: others are served at once, memory stays small, and the crowd is sent away."""
    pid = farm.scheduler.process.pid
    before, asked = memory(pid), alloc(farm)
    alone = waits(farm.scheduler_port, 200, STATUS)
    sizes = [(CROWD // 4, asked[:-1]), (CROWD // 4, asked[:150]), (CROWD // 4, b"P"), (CROWD // 4, b"")]
    with crowd(farm.scheduler_port, sizes) as there:
        served = waits(farm.scheduler_port, 200, STATUS)
        assert memory(pid) - before < CROWD * 64 * 1024
        assert median(served) - median(alone) < 0.05
        assert closed_by_the_other_end(there, 60) == CROWD
    assert farm.status().num_servers == 1
    assert "min_bytes_per_sec" in farm.scheduler.log.read_text()


def test_thousands_at_the_build_server(farm: Farm) -> None:
    """The same over TLS, each with a handshake and half a request."""
    pid, count = farm.server.process.pid, 2000
    before = memory(pid)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    alone = waits(farm.server_port, 100, ELSEWHERE, context)
    with crowd(farm.server_port, [(count // 2, ELSEWHERE[:-2]), (count // 2, b"")], tls=True) as there:
        served = waits(farm.server_port, 100, ELSEWHERE, context)
        assert memory(pid) - before < count * 128 * 1024
        assert median(served) - median(alone) < 0.05
        assert closed_by_the_other_end(there, 60) == count


def test_out_of_descriptors(farm: Farm) -> None:
    """Who cannot be accepted is refused, which one line in the log says, and no time is lost on it."""
    pid = farm.scheduler.process.pid
    before = resource.prlimit(pid, resource.RLIMIT_NOFILE)
    opened = len(list(Path(f"/proc/{pid}/fd").iterdir()))
    resource.prlimit(pid, resource.RLIMIT_NOFILE, (opened + 5, before[1]))
    try:
        refused = [socket.create_connection(("127.0.0.1", farm.scheduler_port), timeout=10) for _ in range(50)]
        farm.scheduler.wait_until(lambda: "connections refused" in farm.scheduler.log.read_text(), 20, "it is said")
        worked = cpu_seconds(pid)
        began = time.monotonic()
        wait_until(lambda: time.monotonic() - began > 2, 10, "two seconds are over")
        assert cpu_seconds(pid) - worked < 1
        for one in refused:
            one.close()
    finally:
        resource.prlimit(pid, resource.RLIMIT_NOFILE, before)
    wait_until(lambda: farm.status().num_servers == 1, 20, "it answers again")
    assert farm.scheduler.log.read_text().count("connections refused") <= 3


def cpu_seconds(pid: int) -> float:
    """What a process has worked so far."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / 100


@pytest.mark.parametrize("how", ["reset", "half-closed"])
def test_cut_anywhere(farm: Farm, how: str) -> None:
    """A request that breaks off at any place leaves no slot taken and no descriptor open, and the next is served."""
    pid, asked = farm.scheduler.process.pid, alloc(farm)
    wait_until(lambda: farm.status().in_progress == 0, 100, "nothing is left of earlier tests")
    before = descriptors(pid)
    for size in (0, 1, 30, 100, len(asked) - 73, len(asked) - 1):
        with socket.create_connection(("127.0.0.1", farm.scheduler_port), timeout=10) as one:
            one.sendall(asked[:size])
            break_off(one, how)
        assert farm.status().in_progress == 0
    wait_until(lambda: descriptors(pid) <= before, 40, "no connection is left")


@pytest.mark.parametrize("how", ["reset", "half-closed"])
def test_uploads_cut_anywhere(farm: Farm, tmp_path: Path, how: str) -> None:
    """Nothing of a toolchain whose upload breaks off is kept, and it can be brought at once."""
    client, incoming = SteppingClient(farm), farm.server_folder / "cache" / "incoming"
    archive = write_toolchain(tmp_path / "toolchain.tar.gz", {"/mark": how})
    job = client.alloc(id_of(archive)).job_alloc
    for size in (0, 1, 5000):
        connection = client.connect()
        connection.putrequest("POST", f"/api/v1/distserver/submit_toolchain/{job.job_id}")
        connection.putheader("Authorization", f"Bearer {job.auth}")
        connection.putheader("Transfer-Encoding", "chunked")
        connection.endheaders()
        connection.send(b"10000\r\n" + archive.read_bytes()[:size])
        break_off(connection.sock, how)
        connection.close()
    wait_until(lambda: not list(incoming.iterdir()), 40, "nothing half-sent is left")
    assert client.submit(job, archive) is SubmitToolchainResult.SUCCESS


def break_off(connection: socket.socket, how: str) -> None:
    """End a connection rudely, or leave it half."""
    with suppress(OSError):
        if how == "reset":
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
        else:
            connection.shutdown(socket.SHUT_WR)


def descriptors(pid: int) -> int:
    """How many a process has open."""
    return len(list(Path(f"/proc/{pid}/fd").iterdir()))
