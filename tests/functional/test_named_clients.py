"""Clients with names at a real scheduler, as the published client meets them."""

import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from farmkit.farm import Farm
from farmkit.processes import wait_until
from farmkit.projects import C, Project, write_project
from farmkit.published_client import Client, Statistics
from sccachedist.auth.clients import digest_of
from tests.functional.conftest import compiles_remotely, running_farm
from tests.support.farm_api import farm_document

pytestmark = pytest.mark.functional

GOOD, ENDED = "scd_good", "scd_ended"


def clients_file() -> str:
    yesterday = datetime.fromtimestamp(time.time() - 86_400, UTC)
    return f"""\
[ann]
tokens = [
    {{ sha256 = "{digest_of(GOOD)}" }},
    {{ sha256 = "{digest_of(ENDED)}", until = {yesterday:%Y-%m-%dT%H:%M:%SZ} }},
]
"""


@pytest.fixture(scope="module")
def farm(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Farm]:
    """A farm where ``ann`` has a good token and one that ended yesterday."""
    folder = tmp_path_factory.mktemp("farm")
    (folder / "clients.toml").write_text(clients_file())
    yield from running_farm(Farm(folder, scheduler_settings='[clients]\nfile = "../clients.toml"\n'))


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Project:
    return write_project(tmp_path_factory.mktemp("named") / "project", C, 2)


def with_token(farm: Farm, folder: Path, token: str, toolchains: Path) -> Client:
    return Client(folder, farm.scheduler_url, token, toolchains)


def test_a_name_in_the_records(farm: Farm, project: Project, tmp_path: Path, toolchains: Path) -> None:
    """A client compiles remotely with a token of its own, and its jobs are recorded under its name."""
    with with_token(farm, tmp_path, GOOD, toolchains) as client:
        compiles_remotely(farm, client, project)

    def jobs() -> list[tuple[str, str]]:
        return [(job["client"], job["outcome"]) for job in farm_document(farm, "jobs", client="ann")["jobs"]]

    whole = [("ann", "compiled")] * len(project.sources)
    wait_until(lambda: jobs() == whole, 60, "the build server has told of the jobs")
    (usage,) = farm_document(farm, "usage", by="client")["usage"]
    assert usage["name"] == "ann"


def test_a_token_that_has_ended(farm: Farm, project: Project, tmp_path: Path, toolchains: Path) -> None:
    """The build goes on at home, without an error."""
    with with_token(farm, tmp_path, ENDED, toolchains) as client:
        for source in project.sources:
            ended = client.compiling(project.compile_command(source), project.folder).run()
            assert ended.returncode == 0, ended
        assert client.statistics() == Statistics({}, errors=len(project.sources))
        assert "the token of ann ended on" in client.daemon.log.read_text()
    refused = farm_document(farm, "jobs", reason="token_ended")["jobs"]
    assert {job["client"] for job in refused} == {"ann"}


def test_a_token_that_is_revoked(farm: Farm, project: Project, tmp_path: Path, toolchains: Path) -> None:
    """It fails the build, and sccache shows what to do."""
    with with_token(farm, tmp_path, "scd_revoked", toolchains) as client:
        failed = client.compiling(project.compile_command(project.sources[0]), project.folder).run()
    assert failed.returncode != 0
    assert "Ask an administrator of this farm for a new one" in failed.stderr
    assert "sccache --stop-server" in failed.stderr
