"""Clients that are given slots and never come for them, because they cannot pack what they would have to send."""

import statistics
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from pathlib import Path

import attrs
import pytest

from farmkit.farm import Farm
from farmkit.launch import OUR_SCHEDULER, OUR_SERVER, PUBLISHED_SCHEDULER, PUBLISHED_SERVER, Launch
from farmkit.projects import Project, write_project
from farmkit.published_client import Client, share_toolchains
from tests.faults.build import SMALL

pytestmark = pytest.mark.functional

FILES, PARALLEL = 24, 4
#: The files of the client that never comes: its build has to be long beside the one time for which a slot is held, on a
#: fast machine too.
LOST_FILES = 72
#: The bytes of a path that does not fit the client's archives, and the most of one name in it.
DEEP, LONGEST_NAME = 268, 200
#: How many times slower a compile may be beside four others on two CPUs. It was seven times when it waited for slots.
CROWDED = 3
#: How often two times are compared that are measured one after the other: other tests may run beside one of them alone.
TRIES = 3


def unpackable(folder: Path) -> Project:
    """A project whose files the client cannot pack."""
    rest = DEEP - len(str(folder)) - 2
    place = folder / ("d" * (rest // 2)) / ("e" * (rest - rest // 2))
    assert len(str(place)) == DEEP
    assert rest // 2 < LONGEST_NAME
    return write_project(place, SMALL, LOST_FILES - 1)


@attrs.frozen
class Pair:
    """A client whose every compile goes home, and a neighbour with the same token at the same address."""

    absent: Client
    neighbour: Client
    lost: Project
    good: Project

    def compile_good(self, number: int) -> float:
        """The seconds of one of the neighbour's compiles."""
        return seconds(self.neighbour, self.good, self.good.sources[number % FILES])

    def compile_lost(self) -> float:
        """The seconds of a build of the other's."""
        began = time.monotonic()
        with ThreadPoolExecutor(PARALLEL) as at_once:
            list(at_once.map(lambda source: seconds(self.absent, self.lost, source), self.lost.sources))
        return time.monotonic() - began


def seconds(client: Client, project: Project, source: Path) -> float:
    """How long one compile takes, wherever."""
    began = time.monotonic()
    ended = client.compiling(project.compile_command(source), project.folder).run(300)
    assert ended.returncode == 0, ended
    return time.monotonic() - began


Launches = tuple[Launch, Launch]
OURS, PUBLISHED = (OUR_SCHEDULER, OUR_SERVER), (PUBLISHED_SCHEDULER, PUBLISHED_SERVER)
WITH_A_PUBLISHED_SERVER = (OUR_SCHEDULER, PUBLISHED_SERVER)


@contextmanager
def pair_on(tmp_path: Path, toolchains: Path, launches: Launches) -> Iterator[Pair]:
    """Both clients on a farm of their own."""
    (tmp_path / "farm").mkdir(parents=True)
    with ExitStack() as held:
        farm = held.enter_context(Farm(tmp_path / "farm", *launches))

        def client(name: str) -> Client:
            own = share_toolchains(toolchains, tmp_path / name / "toolchains")
            return held.enter_context(Client(tmp_path / name, farm.scheduler_url, farm.client_token, own))

        absent, neighbour = client("absent"), client("neighbour")
        pair = Pair(absent, neighbour, unpackable(tmp_path), write_project(tmp_path / "good", SMALL, FILES - 1))
        pair.compile_good(0)  # brings the toolchain
        yield pair
        assert absent.statistics().total_remote == 0


def test_it_hardly_waits_for_itself(tmp_path: Path, toolchains: Path) -> None:
    """Its first build takes at most twice as long as on the published farm, which makes no one wait."""
    compared: list[tuple[float, float]] = []
    while not compared or (compared[-1][0] > 2 * compared[-1][1] and len(compared) < TRIES):
        place = tmp_path / str(len(compared))
        with pair_on(place / "published", toolchains, PUBLISHED) as pair:
            published = statistics.median(pair.compile_lost() for _ in range(3))
        with pair_on(place / "ours", toolchains, OURS) as pair:
            compared.append((pair.compile_lost(), published))
    ours, published = compared[-1]
    assert ours <= 2 * published, compared


@pytest.mark.parametrize("launches", [OURS, WITH_A_PUBLISHED_SERVER], ids=["ours", "published_server"])
def test_a_neighbour_does_not_wait(tmp_path: Path, toolchains: Path, launches: Launches) -> None:
    """A client that cannot be told from it is slowed down by the other's load on this machine, and not by its slots."""
    compared: list[tuple[float, float]] = []
    while not compared or (compared[-1][0] > CROWDED * compared[-1][1] and len(compared) < TRIES):
        with pair_on(tmp_path / str(len(compared)), toolchains, launches) as pair, ThreadPoolExecutor(1) as aside:
            alone = [pair.compile_good(number) for number in range(FILES // 2)]
            building, beside = aside.submit(pair.compile_lost), list[float]()
            while not building.done():
                beside.append(pair.compile_good(len(beside)))
            assert len(beside) >= 3
            assert pair.neighbour.statistics().errors == 0
        compared.append((statistics.median(beside), statistics.median(alone)))
    slow, usual = compared[-1]
    assert slow <= CROWDED * usual, compared
