"""A farm of two build servers, one of which cannot compile: builds go on as if it were not there.

It needs root, for the disks.
"""

import time
from contextlib import ExitStack
from pathlib import Path

import pytest

from farmkit.farm import Farm
from farmkit.launch import OUR_SCHEDULER, OUR_SERVER
from farmkit.processes import Daemon, wait_until
from farmkit.projects import write_project
from farmkit.published_client import Client
from sccachedist.memory import least_free_memory
from sccachedist.records.documents import ServersDocument
from sccachedist.server.fitness import ENOUGH_MEMORY, LEAST_MEMORY
from tests.faults.build import SMALL
from tests.functional.test_builds import build
from tests.support.control_groups import in_group, nested_groups
from tests.support.farm_api import farm_document
from tests.support.slots import all_slots_free
from tests.support.small_disk import SmallDisk

pytestmark = pytest.mark.functional

FILES, PARALLEL = 100, 4
#: Of a hundred compiles, so many may go home: a server of two CPUs may have as many when it finds its disk full.
MOST_HOME = 3
#: Such a build takes at most 1.2 times as long as on the healthy server alone; there is room, for two builds differ.
MOST_TIMES = 1.5
#: How often that is compared: other tests may run beside one of both builds alone.
TRIES = 3
#: The limit of a control group with enough room.
GROUP = 1 << 30
#: The bytes of a disk that has room for a toolchain.
DISK = 1 << 30


def says(daemon: Daemon, words: str) -> None:
    """Wait until a daemon logs something."""
    wait_until(lambda: words in daemon.log.read_text(), 60, words)


def becomes(farm: Farm, server: Farm, *, unfit: bool) -> None:
    """Wait until a scheduler knows that a build server is unfit, or that it is there and is not."""

    def states() -> list[bool]:
        rows = farm_document(farm, "servers", ServersDocument)["servers"]
        return [row["state"] == "unfit" for row in rows if row["address"] == str(server.server_id)]

    wait_until(lambda: states() == [unfit], 60, f"{server.server_id} is {'un' * unfit}fit")


@pytest.mark.parametrize(
    ("directory", "is_warm"),
    [
        pytest.param("cache", True, id="no_room_for_inputs"),
        pytest.param("build", False, id="no_room_for_the_unpacked_toolchain"),
    ],
)
def test_a_full_disk(tmp_path: Path, toolchains: Path, directory: str, is_warm: bool) -> None:
    """Hardly a compile goes home, both servers say why, and when there is room again the server compiles again.

    Nor do builds take longer beside it, which is measured where it compiled before.
    """
    disk = SmallDisk(tmp_path / "second/server" / directory, DISK)
    project = write_project(tmp_path / "project", SMALL, FILES - 1)
    with ExitStack() as held:
        held.enter_context(disk.mounted())
        (tmp_path / "first").mkdir()
        first = held.enter_context(Farm(tmp_path / "first"))
        second = first.beside(tmp_path / "second", OUR_SERVER)
        held.callback(second.stop)
        second.start_server()
        wait_until(lambda: first.status().num_servers == 2, 60, "both are registered")
        client = held.enter_context(Client(tmp_path / "client", first.scheduler_url, first.client_token, toolchains))

        def compile_all() -> int:
            """How many compiles of a build were given back."""
            before = client.statistics().errors
            build(project, lambda source: client.compiling(project.compile_command(source), project.folder), PARALLEL)
            return client.statistics().errors - before

        def seconds() -> float:
            """How long a build takes of which nothing goes home: the quicker one of two."""

            def once() -> float:
                began = time.monotonic()
                assert compile_all() == 0
                return time.monotonic() - began

            return min(once(), once())

        def beside_it() -> float:
            """The same while the second one has no room; then it has some again."""
            with disk.full():
                assert compile_all() <= MOST_HOME
                says(second.server, "unfit for jobs until a self-test passes: the disk of")
                says(first.scheduler, f"build server {second.server_id} says that it is unfit for jobs: the disk of")
                becomes(first, second, unfit=True)
                took = seconds() if is_warm else 0
            says(second.server, "fit for jobs again")
            says(first.scheduler, f"build server {second.server_id} is fit for jobs again")
            becomes(first, second, unfit=False)
            return took

        def alone() -> float:
            """The same when the second one has gone."""
            second.server.stop()
            wait_until(lambda: first.status().num_servers == 1, 60, "one is registered")
            return seconds()

        if is_warm:
            assert compile_all() == 0
            assert set(client.statistics().remote) == {str(first.server_id), str(second.server_id)}
        unfit_secs = beside_it()
        all_slots_free(first)
        before = client.statistics()

        def is_used_again() -> bool:
            assert compile_all() == 0
            return str(second.server_id) in client.statistics().servers_since(before)

        wait_until(is_used_again, 60, "the second one compiles again")
        if is_warm:
            compared = [(unfit_secs, alone())]
            while compared[-1][0] > MOST_TIMES * compared[-1][1] and len(compared) < TRIES:
                second.start_server()
                becomes(first, second, unfit=False)
                wait_until(is_used_again, 60, "the second one compiles again")
                compared.append((beside_it(), alone()))
            print("beside an unfit server, and alone:", compared)
            assert compared[-1][0] <= MOST_TIMES * compared[-1][1], compared


def test_no_memory(tmp_path: Path) -> None:
    """A build server whose control group has hardly any memory left gets no jobs until there is some again."""
    with nested_groups("memory", tmp_path.name, {}) as group:
        version = 1 if (group / "memory.limit_in_bytes").exists() else 2
        limit = group.parent / ("memory.limit_in_bytes" if version == 1 else "memory.max")
        with Farm(tmp_path, OUR_SCHEDULER, in_group(OUR_SERVER, group)) as farm:
            limit.write_text(str(GROUP))
            free = least_free_memory([(version, str(group.parent))])
            assert free is not None
            assert free.bytes > ENOUGH_MEMORY
            limit.write_text(str(GROUP - free.bytes + LEAST_MEMORY // 2))
            where = f"the memory of the control group {group.parent}: less than 64 MiB are free"
            says(farm.server, f"unfit for jobs until a self-test passes: {where}")
            says(farm.scheduler, f"build server {farm.server_id} says that it is unfit for jobs: {where}")
            limit.write_text(str(GROUP))
            says(farm.scheduler, f"build server {farm.server_id} is fit for jobs again")
