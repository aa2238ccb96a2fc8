"""Row 46 where peers stay for long, at the port for monitors and at the live page: they do not keep newcomers out."""

import contextlib
import socket
from collections.abc import Iterator

import pytest

from farmkit.farm import Farm
from farmkit.processes import LOOPBACK, free_port
from sccachedist.monitor.conversation import OPENING
from sccachedist.monitor.messages import MonitorLogin, encoded
from sccachedist.monitor.port import CONNECTIONS, PER_ADDRESS
from tests.functional.conftest import running_farm

#: How many may follow the live page.
VIEWERS = 12
LOGIN = OPENING + OPENING + encoded(MonitorLogin())


@pytest.fixture(scope="module")
def port() -> int:
    """Where monitors connect."""
    return free_port()


@pytest.fixture(scope="module")
def farm(port: int, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Farm]:
    """A farm that monitors look at."""
    settings = f'[monitor]\naddress = "{LOOPBACK}:{port}"\n[web]\nviewers = {VIEWERS}\n'
    yield from running_farm(Farm(tmp_path_factory.mktemp("farm"), scheduler_settings=settings))


def monitor(port: int, address: str) -> socket.socket:
    """A connection of a monitor that logs in."""
    connection = socket.create_connection((LOOPBACK, port), 10, (address, 0))
    connection.sendall(LOGIN)
    return connection


def greeted(connection: socket.socket) -> bool:
    """Whether the port speaks to a monitor."""
    with contextlib.suppress(ConnectionError):
        return bool(connection.recv(1))
    return False


def test_row_46_monitors_from_a_few_addresses(farm: Farm, port: int) -> None:
    """Four addresses take all connections, log in, and stay: the monitor of a fifth is greeted, and so is its next."""
    with contextlib.ExitStack() as stack:
        for number in range(CONNECTIONS):
            there = stack.enter_context(monitor(port, f"127.0.4.{1 + number // PER_ADDRESS}"))
            assert greeted(there), number
        for _ in range(2):
            assert greeted(stack.enter_context(monitor(port, "127.0.5.1")))
    assert farm.scheduler.running


def viewer(farm: Farm, address: str) -> tuple[socket.socket, bytes]:
    """A reader of the live page's messages, and the first line that it is answered with."""
    connection = socket.create_connection((LOOPBACK, farm.scheduler_port), 10, (address, 0))
    head = f"GET /api/v1/farm/events HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {farm.client_token}\r\n\r\n"
    connection.sendall(head.encode())
    with connection.makefile("rb") as answer:
        return connection, answer.readline()


def test_row_46_viewers_from_two_addresses(farm: Farm) -> None:
    """Two addresses take what they get of the live page, and stay: there is a place for a third, and for a fourth."""
    with contextlib.ExitStack() as stack:

        def watch(address: str) -> bool:
            connection, answer = viewer(farm, address)
            stack.enter_context(connection)
            return answer.startswith(b"HTTP/1.1 200 ")

        taken = [watch(f"127.0.4.{1 + number // VIEWERS}") for number in range(2 * VIEWERS)]
        assert 0 < sum(taken) < VIEWERS
        assert watch("127.0.5.1")
        assert watch("127.0.5.2")
