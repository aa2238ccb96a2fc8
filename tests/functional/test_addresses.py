"""IPv6 wherever an address can stand, and daemons that listen on more than the address that they are known by."""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from farmkit.farm import Farm
from farmkit.launch import OUR_SCHEDULER, OUR_SERVER, PUBLISHED_SCHEDULER, PUBLISHED_SERVER, Launch, replacing
from farmkit.processes import LOOPBACK, Command
from farmkit.projects import C, write_project
from farmkit.published_client import Client
from tests.functional.conftest import compiles_remotely, running_farm

pytestmark = pytest.mark.functional

_SHARED = 'type = "token"\ntoken = "hunter2"'
_V6 = "[::1]"


def listening(launch: Launch, key: str, host: str) -> Launch:
    """The same daemon, told by one key to listen on this host, at the port of its ``public_addr``."""

    def launch_listening(config: Path) -> Command:
        text = config.read_text()
        port = re.search(r'^public_addr = ".*:(\d+)"', text, re.M)[1]  # type: ignore[index]
        others = "".join(line for line in text.splitlines(keepends=True) if not line.startswith(f"{key} "))
        config.write_text(f'{key} = "{host}:{port}"\n{others}')
        return launch(config)

    return launch_listening


def by_shared_token(scheduler: Launch, server: Launch) -> tuple[Launch, Launch]:
    """The same two, where the build server's token is ``address:port TOKEN``."""
    return replacing(scheduler, server_auth=_SHARED), replacing(server, scheduler_auth=_SHARED)


def everywhere(scheduler: Launch, server: Launch) -> tuple[Launch, Launch]:
    """The same two, listening on all addresses: to the scheduler a sender on IPv4 is one on IPv6."""
    return listening(scheduler, "public_addr", "[::]"), listening(server, "bind_address", "0.0.0.0")


SETUPS = {
    "ours": (OUR_SCHEDULER, OUR_SERVER),
    "published_server": (OUR_SCHEDULER, PUBLISHED_SERVER),
    "published_scheduler": (PUBLISHED_SCHEDULER, OUR_SERVER),
}
FARMS = {
    **{name: (*daemons, _V6, _V6) for name, daemons in SETUPS.items()},
    **{f"{name}-token": (*by_shared_token(*daemons), _V6, _V6) for name, daemons in SETUPS.items()},
    "everywhere": (*everywhere(OUR_SCHEDULER, OUR_SERVER), LOOPBACK, LOOPBACK),
    "everywhere-published_server": (*everywhere(OUR_SCHEDULER, PUBLISHED_SERVER), LOOPBACK, LOOPBACK),
}


@pytest.fixture(params=FARMS)
def farm(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Farm]:
    """One farm for each set-up."""
    yield from running_farm(Farm(tmp_path_factory.mktemp("farm"), *FARMS[request.param]))


def test_a_client_compiles(farm: Farm, client: Client, tmp_path: Path) -> None:
    """The published client compiles remotely, on a build server that it knows by its public address."""
    compiles_remotely(farm, client, write_project(tmp_path / "project", C, 1))
