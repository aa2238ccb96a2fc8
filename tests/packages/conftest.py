"""Fresh systems; an engine with the image of the daemons in it, as the page has it built, and the page's farm."""

import copy
import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import attrs
import pytest
import yaml

from farmkit.launch import CHECKOUT
from farmkit.processes import Command
from tests.packages.base import BASE, NEWER, THIS, Base, import_base, make_base
from tests.support.docker_engine import DockerEngine, docker_engine
from tests.support.page_blocks import blocks

_SECS = 300


@attrs.frozen
class Farm:
    """The farm of the page in a folder; ``environment`` is that of the ``docker`` program, which has Compose."""

    engine: DockerEngine
    folder: Path
    environment: dict[str, str]

    @property
    def document(self) -> dict[str, Any]:
        """What ``compose.yaml`` says, as a value of its own."""
        return dict(yaml.safe_load((self.folder / "compose.yaml").read_text()))

    def follow(self, block: str, folder: Path = CHECKOUT) -> str:
        """Run the commands of a block of the page in a folder; what they print."""
        [text] = [each.text for each in blocks("containers") if each.name == block]
        text = text.replace("/srv/farm", str(self.folder))
        text = text.replace("docker build", f"docker build --network=none --build-arg=BASE={BASE}")
        return self._run(folder, "/bin/sh", "-ec", text)

    def compose(self, *arguments: str) -> str:
        """What Compose answers, of the farm."""
        return self._run(self.folder, "docker", "compose", *arguments)

    def once(self, change: Callable[[dict[str, Any]], None], *command: str) -> list[str]:
        """The lines that a command prints in a container of its own, made as that of a build server, but for a change.

        It has no network and, beside the secrets, nothing in common with those of the farm.
        """
        document = self.document
        service = copy.deepcopy(document["services"]["server-1"])  # the file has lists that several services share
        del service["networks"], service["depends_on"]
        service["network_mode"] = "none"
        change(service)
        file = self.folder / "changed.yaml"
        file.write_text(yaml.safe_dump({**document, "services": {"changed": service}}))
        asked = ("docker", "compose", f"--file={file}", "--project-name=changed", "run", "--rm", "--no-deps", "changed")
        return Command((*asked, *command), self.environment, self.folder).run(_SECS).stdout.splitlines()

    def _run(self, folder: Path, *command: str) -> str:
        done = Command(command, self.environment, folder).run(_SECS)
        assert done.returncode == 0, done
        return done.stdout


@pytest.fixture(scope="session", params=[THIS, NEWER])
def release(request: pytest.FixtureRequest) -> str:
    """The name of the root that a host has: of this machine's release, and of a newer one."""
    return str(request.param)


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """A copy of what is installed of a checkout."""
    (tmp_path / "checkout").mkdir()
    for name in ("LICENSE", "README.md", "pyproject.toml", "setup.py", "contrib", "sccachedist", "twisted"):
        of = shutil.copytree if (CHECKOUT / name).is_dir() else shutil.copy
        of(CHECKOUT / name, tmp_path / "checkout" / name)
    return tmp_path / "checkout"


@pytest.fixture(scope="session")
def toolchains(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder for those that clients have packed, one client after the other: the first takes seconds for it."""
    return tmp_path_factory.mktemp("toolchains")


@pytest.fixture(scope="session")
def base(tmp_path_factory: pytest.TempPathFactory) -> Base:
    """It is made once for all workers of a run.

    ``SCCACHEDIST_BASE`` names a folder that keeps it for the next run, where minutes count.
    """
    kept = tmp_path_factory.getbasetemp()
    if "SCCACHEDIST_BASE" in os.environ:
        kept = Path(os.environ["SCCACHEDIST_BASE"])
    elif "PYTEST_XDIST_WORKER" in os.environ:
        kept = kept.parent
    return make_base(kept)


@pytest.fixture(scope="session")
def engine(base: Base, tmp_path_factory: pytest.TempPathFactory) -> Iterator[DockerEngine]:
    """One engine for all, with a base."""
    with docker_engine(has_network=True) as engine:
        folder = tmp_path_factory.mktemp("base")
        import_base(engine, base, folder)
        shutil.rmtree(folder)
        yield engine


@pytest.fixture(scope="session")
def farm(base: Base, engine: DockerEngine, tmp_path_factory: pytest.TempPathFactory) -> Farm:
    """The image is there and all is configured; nothing runs yet."""
    folder = tmp_path_factory.mktemp("srv")
    (folder / "docker").mkdir()
    base.add_compose(folder / "docker")
    farm = Farm(engine, folder / "farm", {**engine.environment, "DOCKER_CONFIG": str(folder / "docker")})
    farm.follow("build")
    farm.follow("configure")
    return farm
