"""A person gets a token, exchanges it and loses it, by command, while the scheduler runs."""

import re
import subprocess
from collections.abc import Iterator
from hashlib import sha256
from pathlib import Path

import pytest

from farmkit.farm import Farm
from farmkit.launch import OUR_SCHEDULER, PROGRAMS, adding
from farmkit.processes import Command, inherited
from farmkit.projects import C, write_project
from farmkit.published_client import Client, share_toolchains
from tests.functional.conftest import running_farm

pytestmark = pytest.mark.functional


@pytest.fixture(scope="module")
def farm(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Farm]:
    """A farm with a file for clients, and none in it."""
    folder = tmp_path_factory.mktemp("farm")
    (folder / "scheduler").mkdir()
    (folder / "scheduler/clients.toml").write_text("# of this farm\n")
    tables = {"clients": 'file = "clients.toml"', "admin": 'token = "hunter2"'}
    yield from running_farm(Farm(folder, adding(OUR_SCHEDULER, **tables)))


def asked(farm: Farm, *arguments: str) -> subprocess.CompletedProcess[str]:
    config = str(farm.folder / "scheduler/scheduler.conf")
    ended = Command(
        (str(PROGRAMS / "sccachedist"), "client", *arguments, "--config", config), inherited(), farm.folder
    ).run()
    assert ended.returncode == 0, ended
    return ended


def given(farm: Farm, *arguments: str) -> str:
    """The token that a command gives."""
    ended = asked(farm, *arguments)
    assert "clients.named.ann" in ended.stderr  # what the scheduler says that it has read
    return ended.stdout.removesuffix("\n")


def digits(token: str) -> str:
    """How a token is called."""
    return sha256(token.encode()).hexdigest()[:8]


def test_a_token_from_first_to_last(farm: Farm, tmp_path: Path, toolchains: Path) -> None:
    """No word to the scheduler but by the commands: what compiles, goes on compiling until it is revoked."""
    project = write_project(tmp_path / "project", C, 1)
    compiling = project.compile_command(project.sources[0])
    first = given(farm, "add", "ann", "--weight", "2")
    others = share_toolchains(toolchains, tmp_path / "others")
    with Client(tmp_path / "first", farm.scheduler_url, first, toolchains) as old:
        assert old.compiling(compiling, project.folder).run().returncode == 0
        second = given(farm, "rotate", "ann", "--overlap", "2h")
        with Client(tmp_path / "second", farm.scheduler_url, second, others) as new:
            for client in (old, new):
                assert client.compiling(compiling, project.folder).run().returncode == 0
            assert [old.statistics().total_remote, new.statistics().total_remote] == [2, 1]
            shown = asked(farm, "list").stdout
            for token in (first, second):
                assert re.search(rf"(?m) {digits(token)} .* s ago$", shown)
            asked(farm, "revoke", "ann", "--token", digits(first))
            refused = old.compiling(compiling, project.folder).run()
            assert refused.returncode != 0
            assert "was revoked. Ask an administrator of this farm for a new one" in refused.stderr
            assert new.compiling(compiling, project.folder).run().returncode == 0
            assert new.statistics().total_remote == 2
    kept = farm.scheduler.tail(1000) + "".join(path.read_text() for path in (farm.folder / "scheduler").iterdir())
    assert "# of this farm\n" in kept
    assert first not in kept
    assert second not in kept
