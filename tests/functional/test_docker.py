"""Builds by the published client on a build server with the docker builder, on a real Docker engine."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import attrs
import pytest

from farmkit.farm import Farm
from farmkit.launch import OUR_SCHEDULER, OUR_SERVER, replacing
from farmkit.processes import Command, wait_until
from farmkit.projects import CXX, C, Language, write_project
from farmkit.published_client import Client, Statistics
from tests.functional.conftest import running_farm
from tests.functional.test_builds import remote_as_local
from tests.functional.test_doctor import config_of, doctor
from tests.support.docker_engine import DockerEngine, docker_engine

pytestmark = pytest.mark.functional

REGISTERED = "registered with the scheduler"


@pytest.fixture(scope="module")
def engine() -> Iterator[DockerEngine]:
    """An engine of the module's own."""
    with docker_engine() as running:
        yield running


@pytest.fixture(scope="module")
def farm(engine: DockerEngine, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Farm]:
    """Our scheduler, and our build server with the docker builder."""

    def launch(config: Path) -> Command:
        command = replacing(OUR_SERVER, builder='type = "docker"')(config)
        return attrs.evolve(command, environment={**command.environment, **engine.environment})

    yield from running_farm(Farm(tmp_path_factory.mktemp("farm"), OUR_SCHEDULER, launch))


@pytest.mark.parametrize("language", [C, CXX], ids=lambda language: language.compiler)
def test_a_project_compiles_in_containers(
    farm: Farm, client: Client, engine: DockerEngine, tmp_path: Path, language: Language
) -> None:
    """Three files at a time: all remote, the objects those of a local compile, and no container is left."""
    remote_as_local(farm, client, write_project(tmp_path / "project", language, 5))
    assert [name for name in engine.ours() if ":" not in name] == []


def test_an_error_in_the_source(client: Client, tmp_path: Path) -> None:
    """It is the compiler's own: its words and its exit status reach the user, from home."""
    (tmp_path / "mistake.c").write_text("int twice(int x) { return 2 * y; }\n")
    ended = client.compiling(("gcc", "-c", "mistake.c", "-o", "mistake.o"), tmp_path).run()
    assert ended.returncode == 1
    assert "mistake.c:1:31: error:" in ended.stderr
    assert client.statistics() == Statistics({}, errors=0)


def test_a_build_server_that_is_killed(farm: Farm, client: Client, engine: DockerEngine, tmp_path: Path) -> None:
    """In mid-build, with containers running: every file is compiled, and the next start removes what was left."""
    project = write_project(tmp_path / "project", C, 10)
    with ThreadPoolExecutor(3) as at_once:
        compiles = [
            at_once.submit(client.compiling(project.compile_command(source), project.folder).run)
            for source in project.sources
        ]
        wait_until(lambda: client.statistics().total_remote >= 2, 60, "the build is under way")
        farm.server.kill()
        began = farm.server.log.read_text().count(REGISTERED)
        farm.start_server()
        farm.server.wait_until(
            lambda: farm.server.log.read_text().count(REGISTERED) > began, 60, "the new build server has proved itself"
        )
        assert [ended.result().returncode for ended in compiles] == [0] * len(compiles)
    after = client.statistics()
    assert after.total_remote + after.errors == len(compiles)
    wait_until(lambda: all(":" in name for name in engine.ours()), 30, "no container is left")


def test_the_doctor(farm: Farm, engine: DockerEngine) -> None:
    """It runs the trial job in a container, beside those of the daemon, which are left alone."""
    before = engine.ours()
    status, lines = doctor(config_of(farm, "server"), **engine.environment)
    assert (status, lines["docker"], lines["sandbox"].split()[0]) == (0, "ok it answers", "ok"), lines
    assert engine.ours() == before
