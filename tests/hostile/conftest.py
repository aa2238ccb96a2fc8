"""A farm for each module, an attacker, and what an honest client is owed after an attack."""

import contextlib
import os
import secrets
import time
import zlib
from collections.abc import Iterator
from pathlib import Path

import attrs
import pytest

from demo.farm import OUR_SCHEDULER, OUR_SERVER, Farm, Launch
from demo.processes import Command
from sccachedist.wire.addresses import ServerId
from sccachedist.wire.archive_id import ArchiveId
from sccachedist.wire.messages import RUN_JOB_RESULT, JobAlloc, JobComplete, RunJobRequest
from tests.functional.conftest import running_farm
from tests.hostile.attacker import Attacker
from tests.hostile.attacks import NO_INPUTS, Attack, Seen
from tests.support.archives import id_of, write_toolchain
from tests.support.protocol import shell
from tests.support.slots import all_slots_free

#: What both daemons have in their environment, and nobody may ever see.
ENVIRONMENT_SECRET = secrets.token_hex(16)
_TRIES = 10


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


@attrs.frozen
class Victim:
    """A farm under attack, and an honest client's toolchain."""

    farm: Farm
    archive: Path
    toolchain: ArchiveId

    @property
    def attacker(self) -> Attacker:
        """Somebody with a client token."""
        return Attacker(
            ServerId.parse(f"{self.farm.scheduler_host}:{self.farm.scheduler_port}"), self.farm.client_token
        )

    def run(self, request: RunJobRequest) -> JobComplete:
        """What an honest client's job comes to."""
        job = self.attacker.ready(self.archive, self.toolchain)
        result = self.attacker.run(job, request, NO_INPUTS).message(RUN_JOB_RESULT)
        assert isinstance(result, JobComplete), result
        return result

    def still_runs(self, job: JobAlloc) -> None:
        """The job can be run: nothing has happened to it."""
        result = self.attacker.run(job, shell("true"), NO_INPUTS).message(RUN_JOB_RESULT)
        assert isinstance(result, JobComplete), result

    def restart_server(self) -> None:
        """Start the build server again, and wait until the scheduler has heard of it."""
        said = "registered with the scheduler"
        before = self.farm.server.log.read_text().count(said)
        self.farm.start_server()
        self.farm.server.wait_until(
            lambda: self.farm.server.log.read_text().count(said) > before, 60, "the build server registers"
        )

    def unharmed(self) -> None:
        """No slot is taken, both daemons run, and the next honest job is served within a second.

        Other tests run beside this one: the job is tried again where it took longer, and has to succeed each time.
        """
        assert self.farm.scheduler.running
        assert self.farm.server.running
        assert any(self._served() < 1 for _ in range(_TRIES))
        self.all_slots_free()

    def all_slots_free(self) -> None:
        """No slot is taken, as soon as the last reports are there."""
        all_slots_free(self.farm, 10)

    def _served(self) -> float:
        began = time.monotonic()
        result = self.run(shell("echo served >/made", "/made"))
        took = time.monotonic() - began
        ((name, made),) = result.outputs
        assert (result.output.code, name, zlib.decompress(made.compressed)) == (0, "/made", b"served\n")
        return took


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


@pytest.fixture
def victim(farm: Farm, archive: Path) -> Victim:
    """The farm, with the toolchain of an honest client there already."""
    victim = Victim(farm, archive, id_of(archive))
    victim.run(shell("true"))
    victim.all_slots_free()
    return victim


@pytest.fixture
def attacker(victim: Victim) -> Attacker:
    """Somebody with a client token."""
    return victim.attacker


def harmless(attack: Attack, attacker: Attacker, ground: Path) -> list[Seen]:
    """Carry an attack out: no step of it may do harm."""
    steps = list(attack(attacker, ground))
    assert steps
    assert not [step for step in steps if step.harm], "\n".join(map(str, steps))
    return steps


def entries(folder: Path) -> list[str]:
    """All that is below a folder."""
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*"))
