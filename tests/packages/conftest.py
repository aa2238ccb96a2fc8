"""A fresh Debian; an engine with the image of the daemons in it, as the page has it built, and the page's farm."""

import fcntl
import os
import re
import shutil
from collections.abc import Iterator
from pathlib import Path

import attrs
import pytest

from farmkit.launch import CHECKOUT
from farmkit.processes import Command
from tests.packages.base import BASE, Base, import_base, make_base
from tests.packages.compose_file import Service, networks, services
from tests.support.docker_engine import DockerEngine, docker_engine

PAGE = (CHECKOUT / "doc/containers.rst").read_text()
_SECS = 300


def commands(name: str) -> list[str]:
    """The commands of a block of the page."""
    [block] = re.findall(rf"   :name: {name}\n\n((?:   .+\n)+)", PAGE)
    return [line.strip() for line in block.splitlines()]


@attrs.frozen
class Farm:
    """The farm of the page in a folder, with its services as ``compose.yaml`` has them."""

    engine: DockerEngine
    folder: Path

    @property
    def services(self) -> dict[str, Service]:
        """Those that are always there."""
        told = services(self.folder / "compose.yaml")
        return {name: service for name, service in told.items() if not service.profiles}

    def follow(self, block: str) -> str:
        """Run the commands of a block of the page; what they print."""
        lines = [line.replace("/srv/farm", str(self.folder)) for line in commands(block)]
        lines = [line.replace("docker build", f"docker build --network=none --build-arg=BASE={BASE}") for line in lines]
        done = Command(("/bin/sh", "-ec", "\n".join(lines)), self.engine.environment, CHECKOUT).run(_SECS)
        assert done.returncode == 0, (block, done)
        return done.stdout

    def start(self) -> None:
        """What ``docker compose up`` does, as far as the file says."""
        for name, subnet in networks(self.folder / "compose.yaml").items():
            self.engine.docker("network", "create", f"--subnet={subnet}", name)
        for service in self.services.values():
            run = ("run", "--detach", f"--name={service.name}", *service.options)
            self.engine.docker(*run, service.image, *service.command)

    def once(self, service: Service, *command: str) -> list[str]:
        """The lines that a command prints in a container of its own, made as that of a service."""
        arguments = ("docker", "run", "--rm", *service.options, service.image, *command)
        done = Command(arguments, self.engine.environment, self.folder).run(_SECS)
        assert done.stderr == "", done
        return done.stdout.splitlines()


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Keep together, of tests that run side by side, those that share an engine, and else those of a file."""
    for item in items:
        group = "engine" if "engine" in getattr(item, "fixturenames", ()) else item.path.name
        item.add_marker(pytest.mark.xdist_group(group))


@pytest.fixture(scope="session")
def base(tmp_path_factory: pytest.TempPathFactory) -> Base:
    """It is made once for all workers of a run.

    ``SCCACHEDIST_BASE`` names a folder that keeps it for the next run, where a minute counts.
    """
    kept = tmp_path_factory.getbasetemp()
    if "SCCACHEDIST_BASE" in os.environ:
        kept = Path(os.environ["SCCACHEDIST_BASE"])
    elif "PYTEST_XDIST_WORKER" in os.environ:
        kept = kept.parent
    with (kept / "base.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
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
def farm(engine: DockerEngine, tmp_path_factory: pytest.TempPathFactory) -> Farm:
    """The image is there and all is configured; nothing runs yet."""
    farm = Farm(engine, tmp_path_factory.mktemp("srv") / "farm")
    farm.follow("build")
    farm.follow("configure")
    return farm
