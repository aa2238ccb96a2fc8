"""Two schedulers with the lock of the leader in a real Redis; clients and build servers ask the one that follows."""

from collections.abc import Iterator
from pathlib import Path
from signal import SIGTERM

import attrs
import pytest

from farmkit.farm import Farm
from farmkit.processes import wait_until
from farmkit.projects import write_project
from farmkit.published_client import Client
from tests.faults.build import SMALL
from tests.functional.conftest import compiles_remotely, running_farm
from tests.support.redis_servers import RedisServer
from tests.support.two_schedulers import two_schedulers

pytestmark = pytest.mark.functional

_SECS = 60
LEADS = "this scheduler leads, "


@attrs.frozen
class Two:
    """A farm whose client and build server ask ``follower``, the scheduler beside it, and the store."""

    follower: Farm
    leader: Farm
    store: RedisServer


@pytest.fixture(scope="module")
def two(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Two]:
    """Both schedulers, of which the one beside has started first, and a build server."""
    folders = tmp_path_factory.mktemp("farm"), tmp_path_factory.mktemp("leader")
    with RedisServer(tmp_path_factory.mktemp("redis")).running() as store:
        follower, leader = two_schedulers(folders, store)
        try:
            leader.start_scheduler()
            wait_until(lambda: says(leader, LEADS), _SECS, "the first one leads")
            for _ in running_farm(follower):
                yield Two(follower, leader, store)
        finally:
            leader.stop()


def says(farm: Farm, text: str) -> bool:
    """Whether a scheduler's log has a text."""
    return count(farm, text) > 0


def count(farm: Farm, text: str) -> int:
    """How often a scheduler's log has it."""
    return farm.scheduler.log.read_text().count(text)


def compiles(two: Two, folder: Path, toolchains: Path) -> None:
    """A client of the follower compiles remotely."""
    follower = two.follower
    with Client(folder / "client", follower.scheduler_url, follower.client_token, toolchains) as client:
        compiles_remotely(follower, client, write_project(folder / "project", SMALL, 3))


def test_a_follower(two: Two, tmp_path: Path, toolchains: Path) -> None:
    """What it is asked, the leader answers, also when the store has died; the follower goes on to follow it."""
    compiles(two, tmp_path, toolchains)
    two.store.kill()
    wait_until(lambda: says(two.follower, "cannot ask who leads"), _SECS, "the store is missed")
    (tmp_path / "again").mkdir()
    compiles(two, tmp_path / "again", toolchains)
    assert not says(two.follower, LEADS)
    two.store.start()
    wait_until(lambda: says(two.follower, "answers again"), _SECS, "the store is back")


def test_leaders_that_end_in_order(two: Two) -> None:
    """The other one leads then, and one that starts again follows it."""
    for ends, takes_over in ((two.leader, two.follower), (two.follower, two.leader)):
        before = count(takes_over, LEADS)
        assert ends.scheduler.stop() == -SIGTERM
        wait_until(lambda by=takes_over, before=before: count(by, LEADS) > before, _SECS, "another one leads")  # type: ignore[misc]
        ends.start_scheduler()
        url = takes_over.scheduler_url
        wait_until(lambda by=ends, url=url: says(by, f"{url} leads"), _SECS, "the first one follows")  # type: ignore[misc]


def test_the_leader_dies(two: Two, tmp_path: Path, toolchains: Path) -> None:
    """The follower leads, and knows the build server soon."""
    before = count(two.follower, LEADS)
    two.leader.scheduler.kill()
    wait_until(lambda: count(two.follower, LEADS) > before, _SECS, "another one leads")
    compiles(two, tmp_path, toolchains)
