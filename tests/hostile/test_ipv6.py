"""Rows 46 and 51 from an IPv6 network: who has one /64 has 2^64 addresses, and is one sender all the same."""

import contextlib
import socket
from collections.abc import Iterator
from pathlib import Path

import attrs
import pytest

from farmkit.fake_server import FakeServer
from farmkit.farm import Farm
from farmkit.launch import OUR_SCHEDULER, OUR_SERVER, adding, replacing
from farmkit.raw_client import RawClient
from sccachedist.wire.addresses import ServerId
from tests.faults.network import ip
from tests.functional.conftest import running_farm
from tests.support.own_network import own_network

#: A network of the attacker's, and one of somebody else.
OURS, OTHERS = "2001:db8:0:1", "2001:db8:0:2"
#: Build servers, and connections, from one address.
SERVERS, CONNECTIONS = 3, 10
TOKEN = "hunter2"
SHARED = f'type = "token"\ntoken = "{TOKEN}"'


@attrs.define
class Registering(FakeServer):
    """A build server at any address of this host."""

    host: str = "::1"

    @property
    def server_id(self) -> ServerId:
        """Where it says it is."""
        return ServerId.parse(f"[{self.host}]:{self.port}")


@pytest.fixture(scope="module")
def network() -> Iterator[None]:
    """A host of its own, with some addresses of each network."""
    with own_network():
        for place in range(1, 2 * CONNECTIONS):
            for prefix in (OURS, OTHERS):
                ip("-6", "addr", "add", f"{prefix}::{place:x}/128", "dev", "lo", "nodad")
        yield


@pytest.fixture(scope="module")
def farm(network: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Farm]:
    """A farm whose build servers all show one token."""
    limits = f"servers_per_address = {SERVERS}\nconnections_per_address = {CONNECTIONS}"
    scheduler = replacing(adding(OUR_SCHEDULER, limits=limits), server_auth=SHARED)
    server = replacing(OUR_SERVER, scheduler_auth=SHARED)
    yield from running_farm(Farm(tmp_path_factory.mktemp("farm"), scheduler, server, "[::1]", "[::1]"))


def test_row_51_build_servers_of_one_network(farm: Farm, tmp_path: Path) -> None:
    """With a token that all share, they are as many as at one address, wherever in it they say they are."""

    def register(prefix: str, place: int) -> int:
        host = f"{prefix}::{place:x}"
        folder = tmp_path / host.replace(":", "_")
        folder.mkdir()
        fake = Registering(farm, folder, shared_token=TOKEN, host=host)
        return fake.say(attrs.evolve(RawClient.of(farm, strict=False), address=host)).status

    before = farm.status().num_servers
    assert [register(OURS, place) for place in range(1, 8)] == [200] * SERVERS + [500] * (7 - SERVERS)
    assert "(limit: servers_per_address)" in farm.scheduler.log.read_text()
    assert register(OTHERS, 1) == 200
    assert farm.status().num_servers == before + SERVERS + 1


def test_row_46_connections_of_one_network(farm: Farm) -> None:
    """They are as many as from one address, and who comes from elsewhere is served."""
    with contextlib.ExitStack() as stack:

        def connect(prefix: str, place: int) -> socket.socket:
            to, source = ("::1", farm.scheduler_port), (f"{prefix}::{place:x}", 0)
            connection = stack.enter_context(socket.create_connection(to, 20, source))
            connection.settimeout(20)
            return connection

        silent = [connect(OURS, place) for place in range(1, CONNECTIONS + 4)]
        for each in silent[:3]:  # those that were there longest have made room
            with contextlib.suppress(ConnectionResetError):
                assert each.recv(1) == b""
        other = connect(OTHERS, 1)
        other.sendall(b"GET /api/v1/scheduler/status HTTP/1.1\r\n\r\n")
        assert other.recv(12) == b"HTTP/1.1 200"
        for each in silent[3:]:
            each.setblocking(False)
            with pytest.raises(BlockingIOError):
                each.recv(1)
