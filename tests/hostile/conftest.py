"""A farm for each module, an attacker, and what an honest client is owed after an attack."""

import contextlib
import os
import secrets
import subprocess
from collections.abc import Iterator, Mapping
from pathlib import Path

import attrs
import pytest

from farmkit.busybox_jobs import BUSYBOX, id_of, shell, write_archive, write_toolchain
from farmkit.farm import Farm
from farmkit.launch import OUR_SCHEDULER, OUR_SERVER, Launch, adding
from farmkit.processes import Command
from farmkit.raw_client import RawClient
from tests.functional.conftest import running_farm
from tests.hostile.attacks import Attack, Seen
from tests.hostile.neighbour import Neighbour
from tests.hostile.victim import Victim
from tests.support.turns import metered
from tests.support.unprivileged import dropping, unprivileged

#: What both daemons have in their environment, and nobody may ever see.
ENVIRONMENT_SECRET = secrets.token_hex(16)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """All of this drives real daemons."""
    for item in items:
        if Path(__file__).parent in item.path.parents:
            item.add_marker(pytest.mark.functional)


def talkative(launch: Launch) -> Launch:
    """A daemon that logs all it can, with a secret in its environment."""

    def launch_talkative(config: Path) -> Command:
        command = launch(config)
        more = {"SCCACHE_LOG": "debug", "DAEMON_SECRET": ENVIRONMENT_SECRET}
        return attrs.evolve(command, environment={**command.environment, **more})

    return launch_talkative


def asleep(seconds: str) -> list[int]:
    """The processes on this machine, those in sandboxes too, that have been told to sleep for so long."""
    found = []
    for pid in filter(str.isdigit, os.listdir("/proc")):
        with contextlib.suppress(OSError):  # it has just ended
            if seconds.encode() in Path("/proc", pid, "cmdline").read_bytes().split(b"\0"):
                found.append(int(pid))
    return found


@pytest.fixture(scope="module")
def farm(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Farm]:
    """Our scheduler and our build server, for all tests of a module."""
    launches = talkative(OUR_SCHEDULER), talkative(OUR_SERVER)
    yield from running_farm(Farm(tmp_path_factory.mktemp("hostile"), *launches))


@pytest.fixture(scope="session")
def archive(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A toolchain with a busybox."""
    return write_toolchain(tmp_path_factory.mktemp("toolchain") / "toolchain.tar.gz", {})


@pytest.fixture(scope="session")
def reaching(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A toolchain with the programs that reach out."""
    place, sources = tmp_path_factory.mktemp("reaching"), Path(__file__).parent
    subprocess.run(["gcc", "-static", "-O1", "-o", place / "reaching", sources / "reaching.c", "-pthread"], check=True)
    small = ["-nostdlib", "-fcf-protection=none", "-fno-asynchronous-unwind-tables", "-Wl,--build-id=none,-N"]
    small = [flag for flag in small if flag != "-fcf-protection=none" or os.uname().machine == "x86_64"]
    subprocess.run(["gcc", "-static", "-O1", "-s", *small, "-o", place / "other", sources / "replaced.c"], check=True)
    files = {"/bin/busybox": Path(BUSYBOX), "/bin/reaching": place / "reaching", "/bin/other": place / "other"}
    return write_archive(place / "toolchain.tar.gz", files)


@pytest.fixture
def victim(farm: Farm, archive: Path) -> Victim:
    """The farm, with the toolchain of an honest client there already."""
    victim = Victim(farm, archive, id_of(archive))
    victim.run(shell("true"))
    victim.all_slots_free()
    return victim


@pytest.fixture(scope="module", params=["root", "nobody", "sandbox.user"])
def user(request: pytest.FixtureRequest) -> str:
    """As whom a build server runs: root, nobody, or root that becomes nobody."""
    assert os.geteuid() == 0, "only root can try them all"
    return str(request.param)


@pytest.fixture(scope="module")
def scheduler_tables() -> Mapping[str, str]:
    """Tables of the scheduler's configuration, by their names: for a module to override."""
    return {}


@pytest.fixture(scope="module")
def server_tables() -> Mapping[str, str]:
    """Tables of the build server's configuration, by their names: for a module to override."""
    return {}


@pytest.fixture(scope="module")
def shared_farm(
    user: str,
    scheduler_tables: Mapping[str, str],
    server_tables: Mapping[str, str],
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Farm]:
    """Our daemons with their turns metered, the build server as one of the users."""
    tables = dict(server_tables)
    if user == "sandbox.user":
        tables["sandbox"] = f'{tables.get("sandbox", "")}\nuser = "nobody"'
    as_user = {"root": lambda launch: launch, "nobody": unprivileged, "sandbox.user": dropping}[user]
    scheduler = adding(metered(talkative(OUR_SCHEDULER)), **scheduler_tables)
    server = as_user(adding(metered(talkative(OUR_SERVER)), **tables))
    yield from running_farm(Farm(tmp_path_factory.mktemp("shared"), scheduler, server))


@pytest.fixture(scope="module")
def neighbour(shared_farm: Farm, user: str, archive: Path) -> Iterator[Neighbour]:
    """An honest client of that farm, which attackers share with it."""
    with Neighbour.on(shared_farm, archive, user) as neighbour:
        neighbour.compare()
        yield neighbour


@pytest.fixture
def attacker(victim: Victim) -> RawClient:
    """Somebody with a client token."""
    return victim.attacker


def harmless(attack: Attack, attacker: RawClient, ground: Path) -> list[Seen]:
    """Carry an attack out: no step of it may do harm."""
    steps = list(attack(attacker, ground))
    assert steps
    assert not [step for step in steps if step.harm], "\n".join(map(str, steps))
    return steps


def entries(folder: Path) -> list[str]:
    """All that is below a folder."""
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*"))
