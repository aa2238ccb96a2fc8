"""Rows 41, 46 and 49: what fills a log, what it shows on a terminal, and who keeps others out by being there."""

import contextlib
import time
from collections.abc import Mapping

import pytest

from farmkit.busybox_jobs import shell
from sccachedist.daemon.logs import LINES_PER_PEER
from tests.hostile.attacks import NO_INPUTS
from tests.hostile.neighbour import Neighbour
from tests.hostile.ports import flood, ports

SECS = 3
MOST = 60


@pytest.fixture(scope="module")
def scheduler_tables() -> Mapping[str, str]:
    return {"limits": f"connections = {MOST}\nconnections_per_address = {MOST // 2}"}


@pytest.fixture(scope="module")
def server_tables() -> Mapping[str, str]:
    return {"limits": f"connections = {MOST}\nconnections_per_address = {MOST // 2}"}


def test_row_41_a_log_without_end(neighbour: Neighbour) -> None:
    """Requests for long unknown paths, as many as can be sent, cost a few lines of log, and short ones at ``debug``."""
    logs = [daemon.log for daemon in (neighbour.farm.scheduler, neighbour.farm.server)]
    before = [log.stat().st_size for log in logs]
    began = time.monotonic()
    with neighbour.served(41):
        for port in ports(neighbour.farm):
            until = time.monotonic() + SECS
            while time.monotonic() < until:
                assert port.ask(b"GET /" + b"x" * 15_000 + b" HTTP/1.1\r\n\r\n") == 404
    took = time.monotonic() - began
    for log, size in zip(logs, before, strict=True):
        lines = log.read_bytes()[size:].splitlines()
        assert len([line for line in lines if b"#debug]" not in line]) <= 2 * LINES_PER_PEER
        assert len(lines) <= 10_000 + 1000 * took
        assert max(map(len, lines)) < 600


HOSTILE_TEXT = "\\033[31m\\302\\233A\\r\\n2026-01-01T00:00:00+0000 [sccachedist#info] forged \\342\\200\\256"


def test_row_49_text_that_moves_a_cursor(neighbour: Neighbour) -> None:
    """What a job prints, and what a peer calls things, is on one line of the log, escaped."""
    with neighbour.served(49):
        scheduler, server = ports(neighbour.farm)
        for octets in (
            b"GET /\xc2\x9b HTTP/1.1\r\n\r\n",
            b"GET /%1b[31m HTTP/1.1\r\n\r\n",
            b"\x1b[2J / HTTP/1.1\r\n\r\n",
        ):
            for port in (scheduler, server):
                assert port.ask(octets) in (400, 404)
        attacker = neighbour.attacker
        attacker.alloc("\x9b31m\x1b[2J\r\n2026-01-01 forged\u202e")
        job = attacker.ready(neighbour.archive, neighbour.toolchain)
        attacker.run(job, shell(f"printf '{HOSTILE_TEXT}' >&2; printf '{HOSTILE_TEXT}'; kill -9 $$"), NO_INPUTS)
        job = attacker.ready(neighbour.archive, neighbour.toolchain)
        attacker.run(job, shell("true", "/\x9b\x1b[31m\n2026 forged"), NO_INPUTS)
    for daemon in (neighbour.farm.scheduler, neighbour.farm.server):
        for line in daemon.log.read_text(errors="surrogateescape").split("\n"):
            assert line.isprintable(), repr(line)
            assert not line.startswith("2026-01-01"), line


def test_row_46_silent_connections(neighbour: Neighbour) -> None:
    """All the connections that there may be, from several addresses, and new ones all the time: who comes is served."""
    with contextlib.ExitStack() as stack, neighbour.served(46):
        until = time.monotonic() + SECS
        while time.monotonic() < until:
            for number in range(20):
                for port in ports(neighbour.farm):
                    with contextlib.suppress(OSError):
                        stack.enter_context(port.silent(f"127.0.1.{number % 4 + 1}"))
            time.sleep(0.1)
    neighbour.unharmed()


def test_row_46_connections_that_say_a_little(neighbour: Neighbour) -> None:
    """Nor do those keep anybody out that begin a request, and that ask what anybody may."""
    said = (
        b"GET /",
        b"POST /api/v1/scheduler/alloc_job HTTP/1.1\r\nContent-Length: 9\r\n\r\n",
        b"GET /api/v1/scheduler/status HTTP/1.1\r\n\r\n",
    )
    scheduler, _ = ports(neighbour.farm)
    with contextlib.ExitStack() as stack, neighbour.served(46):
        until = time.monotonic() + SECS
        while time.monotonic() < until:
            for number in range(20):
                with contextlib.suppress(OSError):
                    connection = stack.enter_context(scheduler.silent(f"127.0.1.{number % 4 + 1}"))
                    flood(connection, [said[number % 3]], 1)
            time.sleep(0.1)
    neighbour.unharmed()
