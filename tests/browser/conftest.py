"""A farm of two build servers, a client of it, and a browser: once for all of these tests."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING, Any, TypeAlias

import attrs
import pytest

from farmkit.farm import Farm
from farmkit.launch import OUR_SCHEDULER, OUR_SERVER, adding
from farmkit.processes import wait_until
from farmkit.projects import C, Project, write_project
from farmkit.published_client import Client
from tests.browser.visitor import Visitor, chromium
from tests.functional.conftest import running_farm
from tests.support.small_disk import SmallDisk

if TYPE_CHECKING:
    from playwright.sync_api import Browser

ADMIN = "the-administrators-token"
#: So many pages have a place in the feed, half of them those of one address.
VIEWERS = 4
WEB = f'title = "farm.example.org"\nviewers = {VIEWERS}'
DISK = 1 << 30

Visit: TypeAlias = Callable[..., AbstractContextManager[Visitor]]


@attrs.frozen
class Site:
    """The farm, with a second build server on a small disk, and what was compiled on it."""

    farm: Farm
    second: Farm
    disk: SmallDisk
    client: Client
    project: Project

    def compile(self, *names: str) -> list[int]:
        """Compile files of the project, or all, one after the other: the status of each."""
        sources = [self.project.folder / name for name in names] or self.project.sources
        commands = (
            self.client.compiling(self.project.compile_command(source), self.project.folder) for source in sources
        )
        return [command.run().returncode for command in commands]


@pytest.fixture(scope="session")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    folder = tmp_path_factory.mktemp("site")
    for name in ("farm", "second"):
        (folder / name).mkdir()
    farm = Farm(folder / "farm", adding(OUR_SCHEDULER, admin=f'token = "{ADMIN}"', web=WEB))
    second = farm.beside(folder / "second", OUR_SERVER)
    disk = SmallDisk(second.server_folder / "cache", DISK)
    project = write_project(folder / "project", C, 6)
    (project.folder / "broken.c").write_text("int main(void) { return missing; }\n")
    with disk.mounted():
        for _ in running_farm(farm):
            try:
                second.start_server()
                wait_until(lambda: farm.status().num_servers == 2, 60, "both are registered")
                with Client(folder / "client", farm.scheduler_url, farm.client_token, folder / "toolchains") as client:
                    site = Site(farm, second, disk, client, project)
                    assert site.compile("broken.c") == [1]
                    yield site
            finally:
                second.stop()


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    with chromium() as browser:
        yield browser


@pytest.fixture
def visit(browser: Browser, site: Site) -> Visit:
    """A further visitor; by default an administrator."""

    def visit(token: str | None = ADMIN, **options: Any) -> AbstractContextManager[Visitor]:
        return Visitor.of(browser, site.farm.scheduler_url, token, **options)

    return visit
