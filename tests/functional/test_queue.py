"""More compiles at once than the farm has slots."""

from pathlib import Path

import pytest

from demo.client import Client, Statistics
from demo.farm import OUR_SCHEDULER, Farm
from demo.projects import C, Project, write_project
from tests.functional.test_builds import build
from tests.support.configured import adding

pytestmark = pytest.mark.functional

_PARALLEL = 16


def statistics(farm: Farm, folder: Path, toolchains: Path) -> tuple[Project, Statistics]:
    """What a client has counted after a build that wants many slots at once."""
    project = write_project(folder / "project", C, 40)
    with Client(folder / "client", farm.scheduler_url, farm.client_token, toolchains) as client:
        build(project, lambda source: client.compiling(project.compile_command(source), project.folder), _PARALLEL)
        return project, client.statistics()


def test_a_full_farm_makes_clients_wait(farm: Farm, tmp_path: Path, toolchains: Path) -> None:
    """Sixteen at a time on the slots of one machine: every compile is remote, and all slots are free at the end."""
    project, counted = statistics(farm, tmp_path, toolchains)
    assert counted == Statistics({str(farm.server_id): len(project.sources)}, errors=0)
    assert farm.status().in_progress == 0


def test_without_the_queue_a_full_farm_sends_clients_back(tmp_path: Path, toolchains: Path) -> None:
    """``max_wait_secs = 0`` is the published behaviour: what finds no slot is compiled locally, and none fails."""
    without_queue = adding(OUR_SCHEDULER, queue="max_wait_secs = 0")
    (tmp_path / "farm").mkdir()
    with Farm(tmp_path / "farm", without_queue) as farm:
        project, counted = statistics(farm, tmp_path, toolchains)
    assert counted.errors > 0
    assert counted.total_remote + counted.errors == len(project.sources)
