"""A build server that root starts and that goes on as somebody else."""

import os
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from farmkit.farm import Farm
from farmkit.launch import OUR_SCHEDULER, OUR_SERVER, adding
from farmkit.projects import C, write_project
from farmkit.published_client import Client, Statistics
from tests.functional.conftest import running_farm
from tests.support.unprivileged import dropping

pytestmark = pytest.mark.functional

_NOBODY = "65534"


@pytest.fixture(scope="module")
def farm(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Farm]:
    """Its build server becomes nobody."""
    launch = dropping(adding(OUR_SERVER, sandbox='user = "nobody"'))
    yield from running_farm(Farm(tmp_path_factory.mktemp("farm"), OUR_SCHEDULER, launch))


def test_nobody_compiles_after_root_has_started(farm: Farm, client: Client, tmp_path: Path) -> None:
    """The daemon has no right left, nor its workers; compiles are remote, and a restart finds what was there."""
    assert os.geteuid() == 0, "only root can become somebody else"
    compile_all(farm, client, tmp_path / "first")
    assert users(farm.server.process.pid) == [_NOBODY] * 4
    for child in children(farm.server.process.pid):
        assert users(child) == [_NOBODY] * 4
        assert "/sccachedist-" in Path(f"/proc/{child}/cgroup").read_text()
    identity = (farm.server_folder / "cache/identity/job.key").read_bytes()
    farm.server.stop()
    farm.start_server()
    farm.server.wait_until(lambda: registrations(farm) == 2, 30, "the scheduler knows of the restart")
    assert (farm.server_folder / "cache/identity/job.key").read_bytes() == identity
    compile_all(farm, client, tmp_path / "second")


def registrations(farm: Farm) -> int:
    """How often the build server has registered."""
    return farm.server.log.read_text().count("registered with the scheduler")


def compile_all(farm: Farm, client: Client, folder: Path) -> None:
    before = client.statistics()
    project = write_project(folder, C, 3)
    for source in project.sources:
        ended = client.compiling(project.compile_command(source), project.folder).run()
        assert ended.returncode == 0, ended
    sent = before.total_remote + len(project.sources)
    assert client.statistics() == Statistics({str(farm.server_id): sent}, errors=0)


def users(pid: int) -> list[str]:
    """The real, effective, saved and file system uid of a process."""
    found = re.search(r"^Uid:\s+(.*)$", Path(f"/proc/{pid}/status").read_text(), re.MULTILINE)
    assert found
    return found[1].split()


def children(pid: int) -> list[int]:
    """The processes that a process has started."""
    found = [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
    assert found, "a worker waits for work"
    return found
