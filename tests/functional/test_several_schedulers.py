"""Two schedulers, of which one leads: everybody asks the other one. Who leads is decided by the tests."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from http.client import HTTPConnection, HTTPResponse
from pathlib import Path

import attrs
import pytest

from farmkit.farm import Farm
from farmkit.launch import OUR_SCHEDULER, adding
from farmkit.processes import free_port, wait_until
from farmkit.projects import write_project
from farmkit.published_client import Client, Statistics
from tests.faults.build import SMALL
from tests.functional.conftest import compiles_remotely, running_farm
from tests.functional.test_builds import build
from tests.support.event_streams import read
from tests.support.scripted_election import led_by, say
from tests.support.slots import all_slots_free

pytestmark = pytest.mark.functional

_FILES, _PARALLEL, _SECS = 40, 8, 60


@attrs.frozen
class Two:
    """A farm whose client and build server ask ``follower``, and the scheduler beside it.

    :param scripts: what decides who leads, for each of the two.
    """

    follower: Farm
    leader: Farm
    scripts: tuple[Path, Path]

    def first_leads(self) -> None:
        """The one beside leads."""
        say(self.scripts[1], "lead")
        say(self.scripts[0], self.leader.scheduler_url)

    def second_leads(self) -> None:
        """The one that all ask leads."""
        say(self.scripts[0], "lead")
        say(self.scripts[1], self.follower.scheduler_url)


@pytest.fixture(scope="module")
def two(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Two]:
    """Both schedulers and a build server."""
    folders = tmp_path_factory.mktemp("farm"), tmp_path_factory.mktemp("leader")
    scripts = folders[0] / "script", folders[1] / "script"
    trusting = adding(OUR_SCHEDULER, network='trusted_proxies = ["127.0.0.1"]')
    follower = Farm(folders[0], led_by(trusting, scripts[0]))
    launch = led_by(trusting, scripts[1])
    leader = attrs.evolve(follower, folder=folders[1], launch_scheduler=launch, scheduler_port=free_port())
    two = Two(follower, leader, scripts)
    two.first_leads()
    try:
        leader.start_scheduler()
        for _ in running_farm(follower):
            yield two
    finally:
        leader.stop()


def test_a_build_through_a_follower(two: Two, tmp_path: Path, toolchains: Path) -> None:
    """The build server and a client of a follower are the leader's."""
    follower = two.follower
    with Client(tmp_path / "client", follower.scheduler_url, follower.client_token, toolchains) as client:
        compiles_remotely(follower, client, write_project(tmp_path / "project", SMALL, 3))
    assert two.leader.status().num_servers == 1
    all_slots_free(two.leader)


def test_the_leader_dies(two: Two, tmp_path: Path, toolchains: Path) -> None:
    """In the middle of a build the leader is killed; when the follower leads, the build goes on, all of it remotely."""
    follower, project = two.follower, write_project(tmp_path / "project", SMALL, _FILES - 1)
    objects = project.folder.rglob
    with (
        Client(tmp_path / "client", follower.scheduler_url, follower.client_token, toolchains) as client,
        ThreadPoolExecutor(1) as beside,
    ):
        building = beside.submit(
            build, project, lambda source: client.compiling(project.compile_command(source), project.folder), _PARALLEL
        )
        try:
            wait_until(lambda: len([*objects("*.o")]) >= _FILES // 4, _SECS, "some files are compiled")
            two.leader.scheduler.kill()
        finally:
            two.second_leads()
        building.result(_SECS)
        assert client.statistics() == Statistics({str(follower.server_id): _FILES}, errors=0)
    all_slots_free(follower)


def test_the_feed(two: Two) -> None:
    """One who follows the farm does so through a follower, and comes again when its leader has gone."""
    if not two.leader.scheduler.running:
        two.first_leads()
        two.leader.start_scheduler()
    with closing(following(two.follower)) as answer:
        two.leader.scheduler.kill()
        while answer.readline():
            pass
    two.second_leads()
    following(two.follower).close()


def following(farm: Farm) -> HTTPResponse:
    """The feed of a farm, whose first event has come."""
    connection = HTTPConnection(farm.scheduler_host, farm.scheduler_port, _SECS)
    connection.request("GET", "/api/v1/farm/events", headers={"Authorization": f"Bearer {farm.client_token}"})
    answer = connection.getresponse()
    assert (answer.status, answer.headers["Content-Type"]) == (200, "text/event-stream")
    octets = b""
    while not read(octets):
        octets += answer.readline()
    assert read(octets)[0][0] == "snapshot"
    return answer
