"""Connections that are slow or silent, by the thousand: what becomes of them, and of everybody else."""

import resource
import socket
import time
from collections.abc import Iterator

import pytest

from bench.quantities import percentile
from farmkit.farm import Farm
from farmkit.launch import OUR_SCHEDULER, OUR_SERVER, adding
from farmkit.processes import Daemon, wait_until
from sccachedist.wire.bincode import encode
from sccachedist.wire.messages import TOOLCHAIN, Toolchain
from tests.functional.conftest import running_farm
from tests.support.crowd import Group, closed_by_the_other_end, crowd, dripping, memory, urgent, waits
from tests.support.processes import opened, stat_fields

pytestmark = pytest.mark.functional

#: A time in which a crowd can gather, and that a test can wait for.
DEADLINE_SECS = 60
LIMITS = f"idle_secs = {DEADLINE_SECS}\nhandshake_secs = {DEADLINE_SECS}\nmin_rate_after_secs = {DEADLINE_SECS}"
STATUS = b"GET /api/v1/scheduler/status HTTP/1.1\r\nHost: farm\r\nConnection: close\r\n\r\n"
ELSEWHERE = b"GET /elsewhere HTTP/1.1\r\nHost: farm\r\nConnection: close\r\n\r\n"
CROWD, PROBES = 10_000, 500
#: What hardly anybody beside a crowd may have to wait.
MOST_WAIT_SECS = 0.05


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
    """Half-sent requests, silence and a byte a second: others are served at once, and the crowd is sent away."""
    asked, quarter = alloc(farm), CROWD // 4
    groups = [Group(quarter, asked[:150], drips=True), *(Group(quarter, said) for said in (asked[:-1], b"P", b""))]
    stands(farm.scheduler, farm.scheduler_port, STATUS, groups, most_memory=64 * 1024)
    assert farm.status().num_servers == 1


def test_ten_thousand_at_the_build_server(farm: Farm) -> None:
    """The same over TLS, and those that never begin it."""
    quarter, half = CROWD // 4, ELSEWHERE[:-2]
    groups = [Group(quarter, half + b"X: ", drips=True, tls=True), Group(quarter, half, tls=True)]
    groups += [Group(quarter, b"", tls=True), Group(quarter, b"")]
    stands(farm.server, farm.server_port, ELSEWHERE, groups, most_memory=128 * 1024, tls=True)


def stands(
    daemon: Daemon, port: int, asked: bytes, groups: list[Group], *, most_memory: int, tls: bool = False
) -> None:
    """A daemon serves others beside a crowd as it should, and sends that away by its deadlines."""
    pid = daemon.process.pid
    before = memory(pid)
    with crowd(port, groups) as there:
        dripping_ones = there[: sum(group.count for group in groups if group.drips)]
        with urgent(pid), dripping(dripping_ones):
            # Other tests run beside this one: it has to succeed once.
            in_time = any(percentile(waits(port, PROBES, asked, tls=tls), 0.99) < MOST_WAIT_SECS for _ in range(3))
            assert len(opened(pid)) > CROWD, "all are there still"
            assert in_time
        assert memory(pid) - before < CROWD * most_memory
        assert closed_by_the_other_end(there, DEADLINE_SECS + 30) == CROWD
    assert "min_bytes_per_sec" in daemon.log.read_text()


@pytest.mark.parametrize("role", ["scheduler", "server"])
def test_epoll(farm: Farm, role: str) -> None:
    """A daemon is told by the kernel who has something to say, and asks nobody else, however many are connected."""
    assert "anon_inode:[eventpoll]" in opened(getattr(farm, role).process.pid)


def test_out_of_descriptors(farm: Farm) -> None:
    """Who cannot be accepted is refused, which one line in the log says, and no time is lost on it."""
    pid = farm.scheduler.process.pid
    before = resource.prlimit(pid, resource.RLIMIT_NOFILE)
    most = len(opened(pid)) + 5
    resource.prlimit(pid, resource.RLIMIT_NOFILE, (most, before[1]))
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
    fields = stat_fields(pid)
    return (int(fields[11]) + int(fields[12])) / 100
