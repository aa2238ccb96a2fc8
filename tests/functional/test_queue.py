"""More compiles at once than the farm has slots, or before a scheduler knows its build servers."""

from pathlib import Path

import attrs
import pytest

from farmkit.farm import Farm
from farmkit.launch import OUR_SCHEDULER, PUBLISHED_SCHEDULER, Launch, adding
from farmkit.projects import write_project
from farmkit.published_client import Client, Statistics
from tests.faults.build import SMALL
from tests.functional.test_builds import build
from tests.support.slots import all_slots_free

pytestmark = pytest.mark.functional

_PARALLEL = 32
#: How often a scheduler is killed, and how many files are compiled after each time.
_RESTARTS, _FILES = 5, 12


def statistics(farm: Farm, folder: Path, toolchains: Path, files: int) -> Statistics:
    """What a client has counted after a build of so many files that wants many slots at once."""
    project = write_project(folder / "project", SMALL, files - 1)
    with Client(folder / "client", farm.scheduler_url, farm.client_token, toolchains) as client:
        build(project, lambda source: client.compiling(project.compile_command(source), project.folder), _PARALLEL)
        return client.statistics()


@pytest.mark.field(9)
def test_a_full_farm_makes_clients_wait(farm: Farm, tmp_path: Path, toolchains: Path) -> None:
    """200 files, 32 at a time on the slots of one machine: all of them remote, and all slots free at the end."""
    assert statistics(farm, tmp_path, toolchains, 200) == Statistics({str(farm.server_id): 200}, errors=0)
    all_slots_free(farm)


def test_a_restarted_scheduler_makes_clients_wait(farm: Farm, tmp_path: Path, toolchains: Path) -> None:
    """Each time, clients ask as soon as it listens, before it knows the build server: all that they ask is remote."""
    project = write_project(tmp_path / "project", SMALL, _RESTARTS * _FILES - 1)
    with Client(tmp_path / "client", farm.scheduler_url, farm.client_token, toolchains) as client:
        for first in range(0, _RESTARTS * _FILES, _FILES):
            farm.scheduler.kill()
            farm.start_scheduler()
            some = attrs.evolve(project, sources=project.sources[first : first + _FILES])
            build(some, lambda source: client.compiling(project.compile_command(source), project.folder), 8)
        assert client.statistics() == Statistics({str(farm.server_id): _RESTARTS * _FILES}, errors=0)
    all_slots_free(farm)


@pytest.mark.field(9)
@pytest.mark.parametrize(
    "scheduler",
    [
        pytest.param(adding(OUR_SCHEDULER, queue="max_wait_secs = 0"), id="ours"),
        pytest.param(PUBLISHED_SCHEDULER, id="published"),
    ],
)
def test_without_the_queue_a_full_farm_sends_clients_back(scheduler: Launch, tmp_path: Path, toolchains: Path) -> None:
    """``max_wait_secs = 0`` is the published behaviour: what finds no slot is compiled locally, and none fails."""
    (tmp_path / "farm").mkdir()
    with Farm(tmp_path / "farm", scheduler) as farm:
        counted = statistics(farm, tmp_path, toolchains, 60)
    assert counted.total_remote + counted.errors == 60
    assert counted.errors > 10
