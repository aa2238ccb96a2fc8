"""Whole builds, by the published client, on each set-up that is supported."""

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from pathlib import Path
from typing import TypeAlias

import pytest

from farmkit.farm import Farm
from farmkit.launch import OUR_SCHEDULER, OUR_SERVER, PUBLISHED_SCHEDULER, PUBLISHED_SERVER
from farmkit.processes import Command, inherited
from farmkit.projects import CXX, LIBRARIES, C, Language, Project, write_project, write_workspace
from farmkit.published_client import Client, Statistics
from tests.functional.conftest import running_farm
from tests.support.unprivileged import unprivileged

pytestmark = pytest.mark.functional

#: The object files of a build, by their names.
Objects: TypeAlias = dict[str, bytes]

#: How many files a project has beside its main one.
PARTS = 30

SETUPS = {
    "ours": (OUR_SCHEDULER, OUR_SERVER),
    "published_server": (OUR_SCHEDULER, PUBLISHED_SERVER),
    "published_scheduler": (PUBLISHED_SCHEDULER, OUR_SERVER),
    "unprivileged_server": (OUR_SCHEDULER, unprivileged(OUR_SERVER)),
}


@pytest.fixture(scope="module", params=SETUPS)
def farm(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Farm]:
    """One farm for each set-up."""
    yield from running_farm(Farm(tmp_path_factory.mktemp("farm"), *SETUPS[request.param]))


@pytest.fixture(scope="module")
def at_home(tmp_path_factory: pytest.TempPathFactory) -> Callable[[Language], Objects]:
    """What a local build makes of the project in a language: no set-up changes it, nor the folder that it is in."""

    @cache
    def objects(language: Language) -> Objects:
        return local_build(write_project(tmp_path_factory.mktemp("at-home") / "project", language, PARTS))

    return objects


@pytest.mark.parametrize("language", [C, CXX], ids=lambda language: language.compiler)
def test_a_project_compiles_remotely_to_what_a_local_build_gives(
    farm: Farm, client: Client, at_home: Callable[[Language], Objects], tmp_path: Path, language: Language
) -> None:
    """More than thirty files, three at a time: all remote, none given back, objects equal byte for byte."""
    assert remote_build(farm, client, write_project(tmp_path / "project", language, PARTS)) == at_home(language)


def remote_as_local(farm: Farm, client: Client, project: Project) -> None:
    """All files are compiled remotely, and their objects are those of a local compile."""
    assert remote_build(farm, client, project) == local_build(project)


def remote_build(farm: Farm, client: Client, project: Project) -> Objects:
    """The objects of a build in which all files are compiled remotely."""
    made = build(project, lambda source: client.compiling(project.compile_command(source), project.folder))
    assert client.statistics() == Statistics({str(farm.server_id): len(project.sources)}, errors=0)
    return made


def local_build(project: Project) -> Objects:
    """The objects of a build without a farm."""
    return build(project, lambda source: Command(project.compile_command(source), inherited(), project.folder))


def build(project: Project, compiling: Callable[[Path], Command], parallel: int = 3) -> Objects:
    """Compile all files of a project; its objects by their names. A build server with two CPUs takes three at once."""

    def compile_one(source: Path) -> tuple[str, bytes]:
        ended = compiling(source).run(300)
        assert ended.returncode == 0, ended
        made = project.object_of(source)
        return made.name, made.read_bytes()

    with ThreadPoolExecutor(parallel) as at_once:
        return dict(at_once.map(compile_one, project.sources))


def test_the_library_crates_of_a_cargo_workspace_compile_remotely(farm: Farm, client: Client, tmp_path: Path) -> None:
    """``cargo build`` with the client as its wrapper: both libraries remote, and the program runs."""
    program = write_workspace(tmp_path / "workspace")
    ended = client.cargo_build(tmp_path / "workspace").run(120)
    assert ended.returncode == 0, ended
    assert client.statistics() == Statistics({str(farm.server_id): len(LIBRARIES)}, errors=0)
    assert Command((str(program),), inherited(), tmp_path).run().returncode == 0
