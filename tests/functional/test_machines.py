"""Build servers of two machines under one scheduler, and the published client with toolchains for each.

The second one is a host like the first that offers aarch64 alone. What runs on it is a program without an interpreter,
beside a file that only begins like a program for aarch64.
"""

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import attrs
import pytest

from farmkit.busybox_jobs import id_of, write_archive
from farmkit.elf import AARCH64, elf
from farmkit.farm import Farm
from farmkit.launch import OUR_SERVER, adding
from farmkit.processes import Command, inherited, wait_until
from farmkit.projects import C, Project, write_project
from farmkit.published_client import Client, Override, Statistics
from tests.functional.conftest import compiles_remotely, running_farm
from tests.support.farm_api import farm_document

pytestmark = pytest.mark.functional

_MADE = "made for aarch64"
_COMPILER = f"""\
#include <stdio.h>
#include <string.h>
int main(int count, char **given) {{
    for (int at = 1; at + 1 < count; at++)
        if (!strcmp(given[at], "-o")) {{
            FILE *file = fopen(given[at + 1], "w");
            return fputs("{_MADE}", file) < 0 || fclose(file);
        }}
    return 1;
}}
"""
_INSIDE = "/usr/bin/cc-of-aarch64"


@attrs.frozen
class Machines:
    """A farm with a build server of this machine, and a further one that offers aarch64."""

    farm: Farm
    other: Farm

    def jobs(self, toolchain: str, count: int) -> list[dict[str, Any]]:
        """What became of so many jobs with a toolchain, the first of them first."""

        def told() -> list[dict[str, Any]]:
            jobs = farm_document(self.farm, "jobs", limit=1000)["jobs"]
            return sorted((job for job in jobs if job["toolchain"] == toolchain), key=lambda job: job["asked"])

        wait_until(lambda: len(told()) >= count, 60, "the jobs are told")
        return told()


@pytest.fixture(scope="module")
def machines(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Machines]:
    folder = tmp_path_factory.mktemp("machines")
    (folder / "other").mkdir()
    launch = adding(OUR_SERVER, capacity='machines = ["aarch64"]\nlabels = ["slow"]')
    farm = Farm(folder)
    other = farm.beside(folder / "other", launch)
    for _ in running_farm(farm):
        try:
            other.start_server()
            wait_until(lambda: farm.status().num_servers == 2, 60, "both are registered")
            yield Machines(farm, other)
        finally:
            other.stop()


@pytest.fixture(scope="module")
def archive(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A toolchain for aarch64."""
    folder = tmp_path_factory.mktemp("toolchain")
    source, compiler, marker = folder / "cc.c", folder / "cc", folder / "as"
    source.write_text(_COMPILER)
    made = Command(("gcc", "-static-pie", str(source), "-o", str(compiler)), inherited(), folder).run()
    assert made.returncode == 0, made
    marker.write_bytes(elf(AARCH64))
    marker.chmod(0o755)
    return write_archive(folder / "toolchain.tar.gz", {_INSIDE: compiler, "/usr/bin/as": marker})


def compiled(client: Client, project: Project) -> list[bool]:
    """Compile it, one file after the other; whether each object is one of the farm."""
    for source in project.sources:
        ended = client.compiling(project.compile_command(source), project.folder).run()
        assert ended.returncode == 0, ended
    return [project.object_of(source).read_bytes() == _MADE.encode() for source in project.sources]


def test_each_to_its_machine(machines: Machines, archive: Path, tmp_path: Path, toolchains: Path) -> None:
    """Compiles go to the build server of their toolchain's machine; one learns it where it cannot run."""
    farm, other = machines.farm, machines.other
    with Client(tmp_path / "native", farm.scheduler_url, farm.client_token, toolchains) as client:
        compiles_remotely(farm, client, write_project(tmp_path / "one", C, 3))
    overrides = [Override(Path(shutil.which("gcc") or ""), archive, _INSIDE)]
    foreign, second = write_project(tmp_path / "two", C, 4), write_project(tmp_path / "three", C, 1)
    count = len(foreign.sources)
    with Client(tmp_path / "foreign", farm.scheduler_url, farm.client_token, tmp_path / "tc", overrides) as client:
        assert compiled(client, foreign) == [False] + [True] * (count - 1)
        assert client.statistics() == Statistics({str(other.server_id): count - 1}, errors=1)
        first, *later = machines.jobs(id_of(archive), count)
        assert (first["server"], first["outcome"], first["reason"]) == (str(farm.server_id), "sent_local", "machine")
        assert {(job["server"], job["outcome"]) for job in later} == {(str(other.server_id), "compiled")}
        told = {row["toolchain"]: row["machine"] for row in farm_document(farm, "toolchains")["toolchains"]}
        assert told[id_of(archive)] == "aarch64"
        assert sorted(name or "" for name in told.values()) == ["aarch64", "x86_64"]
        rows = {row["address"]: row for row in farm_document(farm, "servers")["servers"]}
        assert (rows[str(other.server_id)]["machines"], rows[str(other.server_id)]["labels"]) == (["aarch64"], ["slow"])
        assert rows[str(farm.server_id)]["machines"][0] == "x86_64"
        other.stop()
        wait_until(lambda: farm.status().num_servers == 1, 60, "the other one has left")
        assert compiled(client, second) == [False] * len(second.sources)
    refused = machines.jobs(id_of(archive), count + len(second.sources))[count:]
    assert {(job["server"], job["outcome"], job["reason"]) for job in refused} == {(None, "refused", "no_machine")}
    assert "no build server of machine aarch64 takes jobs" in refused[0]["detail"]
