"""What the next scheduler knows of the one before: published build servers too, heard of every half minute."""

import json
import subprocess
from collections.abc import Iterator
from hashlib import sha256
from pathlib import Path
from typing import Any

import attrs
import pytest

from farmkit.farm import Farm
from farmkit.launch import OUR_SCHEDULER, PROGRAMS, PUBLISHED_SERVER, adding
from farmkit.processes import Command, inherited, wait_until
from farmkit.projects import write_project
from farmkit.published_client import Client
from sccachedist.cluster.redis_board import SERVERS, STATE
from tests.faults.build import SMALL
from tests.functional.conftest import compiles_remotely, running_farm
from tests.support.redis_servers import RedisServer
from tests.support.two_schedulers import two_schedulers

pytestmark = pytest.mark.functional

_SECS = 60
TOKEN = "anns-own-token"
LEADS, RECALLED = "this scheduler leads, ", "1 build servers are recalled"


def with_ann(folder: Path) -> str:
    """The table of administrators, of whom there is one."""
    (folder / "ann.token").write_text(f"{TOKEN}\n")
    return f'people.ann.token_sha256 = "{sha256(TOKEN.encode()).hexdigest()}"'


def does(farm: Farm, *arguments: str) -> str:
    """What the command says to the administrator."""
    where = ("--scheduler", farm.scheduler_url, "--token-file", str(farm.folder / "ann.token"))
    ended = Command((str(PROGRAMS / "sccachedist"), *arguments, *where), inherited(), farm.folder).run()
    assert (ended.returncode, ended.stderr) == (0, ""), ended
    return ended.stdout


def server(farm: Farm) -> Any:
    """The only build server, as the scheduler tells of it."""
    (row,) = json.loads(does(farm, "servers", "--json"))["servers"]
    return row


def why_drained(farm: Farm) -> str | None:
    """Why it is drained; None if it is not."""
    drain = server(farm)["drain"]
    return None if drain is None else drain["reason"]


def count(farm: Farm, text: str) -> int:
    """How often a scheduler's log has a text."""
    return farm.scheduler.log.read_text().count(text)


def compiles(farm: Farm, folder: Path, toolchains: Path) -> None:
    """A client of the scheduler compiles remotely."""
    folder.mkdir(exist_ok=True)
    with Client(folder / "client", farm.scheduler_url, farm.client_token, toolchains) as client:
        compiles_remotely(farm, client, write_project(folder / "project", SMALL, 3))


@attrs.frozen
class Two:
    """A farm whose client and build server ask ``follower``, the scheduler beside it, and the store."""

    follower: Farm
    leader: Farm
    store: RedisServer

    def asked(self, *command: str) -> str:
        """What the store answers."""
        program = ("redis-cli", "-p", str(self.store.port), *command)
        return subprocess.run(program, capture_output=True, text=True, check=True, timeout=_SECS).stdout.strip()

    def has_all(self) -> bool:
        """Whether the store has the build server, and what is out of service."""
        return self.asked("HLEN", SERVERS) == "1" and self.asked("EXISTS", STATE) == "1"


@pytest.fixture(scope="module")
def two(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Two]:
    """Both schedulers, of which the one beside has started first, and a published build server."""
    folders = tmp_path_factory.mktemp("farm"), tmp_path_factory.mktemp("leader")
    with RedisServer(tmp_path_factory.mktemp("redis")).running() as store:
        for folder in folders:
            admin = with_ann(folder)
        follower, leader = two_schedulers(folders, store, PUBLISHED_SERVER, admin=admin)
        try:
            leader.start_scheduler()
            wait_until(lambda: count(leader, LEADS) == 1, _SECS, "the first one leads")
            for _ in running_farm(follower):
                yield Two(follower, leader, store)
        finally:
            leader.stop()


def test_the_leader_dies(two: Two, tmp_path: Path, toolchains: Path) -> None:
    """The next one knows the build server without a heartbeat, and that it is drained; undrained, it compiles."""
    follower = two.follower
    does(follower, "drain", str(follower.server_id), "--reason", "kernel update")
    wait_until(two.has_all, _SECS, "the store has it")
    wait_until(lambda: "kernel update" in two.asked("GET", STATE), _SECS, "the store has the drain")
    two.leader.scheduler.kill()
    wait_until(lambda: count(follower, RECALLED) == 1, _SECS, "the build server is recalled")
    assert follower.status().num_servers == 1
    assert why_drained(follower) == "kernel update"
    does(follower, "undrain", str(follower.server_id))
    compiles(follower, tmp_path / "build", toolchains)


def test_a_store_that_is_emptied(two: Two) -> None:
    """The leader writes all of it again, and the next one recalls that."""
    follower, leader = two.follower, two.leader
    if leader.scheduler.running:
        leader.scheduler.kill()
        wait_until(lambda: count(follower, RECALLED) > 0, _SECS, "the other one has recalled it")
    does(follower, "drain", str(follower.server_id), "--reason", "disk")
    two.asked("FLUSHALL")
    wait_until(two.has_all, _SECS, "the store has all again")
    before = count(leader, RECALLED)
    leader.start_scheduler()
    follower.scheduler.kill()
    wait_until(lambda: count(leader, RECALLED) > before, _SECS, "the build server is recalled")
    assert why_drained(leader) == "disk"


def test_the_only_scheduler(tmp_path: Path, toolchains: Path) -> None:
    """Killed and started again, it knows its build server without a heartbeat, and that it is drained."""
    folder = tmp_path / "farm"
    folder.mkdir()
    admin = f'state = "{folder}/state.json"\n{with_ann(folder)}'
    kept = folder / "state.json.servers"
    with Farm(folder, adding(OUR_SCHEDULER, admin=admin), PUBLISHED_SERVER) as farm:
        does(farm, "drain", str(farm.server_id), "--reason", "disk")
        wait_until(lambda: kept.exists() and str(farm.server_id) in kept.read_text(), _SECS, "the file has it")
        assert kept.stat().st_mode & 0o777 == 0o600
        farm.scheduler.kill()
        farm.start_scheduler()
        farm.scheduler.wait_until(lambda: count(farm, RECALLED) == 1, _SECS, "the build server is recalled")
        assert why_drained(farm) == "disk"
        does(farm, "undrain", str(farm.server_id))
        compiles(farm, tmp_path / "build", toolchains)
