"""What administrators do to a farm that works: no build fails, and what was done outlasts a restart."""

import json
import secrets
import shutil
import subprocess
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest

from farmkit.busybox_jobs import BUSYBOX, id_of, shell, write_inputs, write_toolchain
from farmkit.farm import Farm
from farmkit.launch import OUR_SCHEDULER, OUR_SERVER, PROGRAMS, adding
from farmkit.processes import Command, inherited, wait_until
from farmkit.projects import C, write_project
from farmkit.published_client import Client, Override, Statistics
from farmkit.raw_client import RawClient
from sccachedist.wire.messages import AllocJobFail, JobComplete
from tests.functional.conftest import running_farm, with_toolchain
from tests.support.processes import running
from tests.support.slots import all_slots_free

pytestmark = pytest.mark.functional

TOKEN = "anns-own-token"


@pytest.fixture(scope="module")
def farm(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Farm]:
    """A farm with an administrator who has a name."""
    folder = tmp_path_factory.mktemp("farm")
    (folder / "ann.token").write_text(f"{TOKEN}\n")
    digest = sha256(TOKEN.encode()).hexdigest()
    admin = f'state = "{folder}/state.json"\npeople.ann.token_sha256 = "{digest}"'
    yield from running_farm(Farm(folder, adding(OUR_SCHEDULER, admin=admin), adding(OUR_SERVER, heartbeat="secs = 1")))


def asked(farm: Farm, *arguments: str, token: str = "ann.token") -> subprocess.CompletedProcess[str]:
    """What the command says to an administrator."""
    where = ("--scheduler", farm.scheduler_url, "--token-file", str(farm.folder / token))
    return Command((str(PROGRAMS / "sccachedist"), *arguments, *where), inherited(), farm.folder).run()


def does(farm: Farm, *arguments: str) -> str:
    ended = asked(farm, *arguments)
    assert (ended.returncode, ended.stderr) == (0, ""), ended
    return ended.stdout


def told(farm: Farm, *arguments: str) -> Any:
    return json.loads(does(farm, *arguments, "--json"))


def test_a_job_that_runs_is_killed(farm: Farm, tmp_path: Path) -> None:
    """All of a client: its processes end, the client compiles the file itself, and all of that is told."""
    marker = f"marker-{secrets.token_hex(8)}"
    slow = f"/bin/{marker}"
    archive = write_toolchain(tmp_path / "toolchain.tar.gz", {slow: f"{BUSYBOX} sleep 300; :"})
    gcc = Override(Path(shutil.which("gcc") or ""), archive, slow)
    project = write_project(tmp_path / "project", C, 0)
    compiling = project.compile_command(project.sources[0])
    with (
        Client(tmp_path / "client", farm.scheduler_url, farm.client_token, tmp_path / "toolchains", [gcc]) as client,
        ThreadPoolExecutor() as aside,
    ):
        ended = aside.submit(client.compiling(compiling, project.folder).run)
        wait_until(lambda: running(marker) != [], 20, "the compile runs")
        assert "it goes when none does" in does(farm, "forget", "toolchain", id_of(archive)[:12])
        assert does(farm, "kill", "client", "127.0.0.1", "--preview").startswith("This would be done:\njob ")
        assert running(marker) != []
        assert "to end it" in does(farm, "kill", "client", "127.0.0.1")
        assert ended.result().returncode == 0
        assert client.statistics() == Statistics({}, errors=1)
    assert running(marker) == []
    all_slots_free(farm)
    (job,) = told(farm, "jobs", "--reason", "killed")["jobs"]
    assert (job["outcome"], job["detail"]) == ("sent_local", "the scheduler ended the job")
    assert "An administrator ended the job" in does(farm, "job", job["id"])
    said = "ann, at 127.0.0.1: kill: 1 job will be compiled by its client"
    farm.scheduler.wait_until(lambda: said in farm.scheduler.tail(100), 10, "it is in the log")
    assert id_of(archive) not in {row["toolchain"] for row in told(farm, "toolchains")["toolchains"] if row["held_by"]}
    assert asked(farm, "kill", "client", "127.0.0.1").stderr.count("has no job that is not over") == 1


def test_a_pause(farm: Farm, client: Client, tmp_path: Path) -> None:
    """Builds go on at home, also after a restart of the scheduler; afterwards they go to the farm again."""
    project = write_project(tmp_path / "project", C, 2)
    compiling = iter(project.compile_command(source) for source in project.sources)
    assert "clients compile themselves" in does(farm, "pause", "--reason", "the network moves")
    assert client.compiling(next(compiling), project.folder).run().returncode == 0
    farm.scheduler.kill()
    farm.start_scheduler()
    wait_until(lambda: farm.status().num_servers == 1, 10, "the build server is back")
    assert client.compiling(next(compiling), project.folder).run().returncode == 0
    assert client.statistics().total_remote == 0
    refused = RawClient.of(farm, strict=True).alloc("0c" * 32)
    assert refused == AllocJobFail("the farm is paused: the network moves")
    assert "by ann: the network moves" in does(farm, "status")
    does(farm, "resume")
    assert client.compiling(next(compiling), project.folder).run().returncode == 0
    assert client.statistics().total_remote == 1


def test_a_drain(farm: Farm, tmp_path: Path) -> None:
    """It ends when the job is over that runs, and outlasts the scheduler; another one ends by itself."""
    client, job = with_toolchain(farm, tmp_path)
    with ThreadPoolExecutor() as aside:
        answer = aside.submit(client.run_job, job, shell("sleep 4"), write_inputs(tmp_path / "inputs", {}))
        wait_until(lambda: farm.status().in_progress == 1, 10, "the job runs")
        waited = does(farm, "drain", "127.0.0.*", "--reason", "kernel update", "--wait")
        assert answer.done()
        assert isinstance(answer.result(), JobComplete)
    lines = waited.splitlines()
    assert lines[0].startswith(f"{farm.server_id} is drained: it gets no new jobs, the 1 job")
    assert lines[1] == "1 job left"
    assert lines[-1].startswith("no job is left, after ")
    farm.scheduler.kill()
    farm.start_scheduler()
    wait_until(lambda: farm.status().num_servers == 1, 10, "the build server is back")
    (row,) = told(farm, "servers")["servers"]
    assert (row["state"], row["why"]) == ("draining", "ann drains it: kernel update")
    does(farm, "drain", str(farm.server_id), "--until", "2s")
    wait_until(lambda: told(farm, "servers")["servers"][0]["state"] == "open", 10, "the drain is over")


def test_who_may_not(farm: Farm) -> None:
    """A client is refused, in a line that says so."""
    (farm.folder / "client.token").write_text(farm.client_token)
    ended = asked(farm, "pause", "--reason", "fun", token="client.token")
    assert (ended.returncode, ended.stderr.count("\n")) == (1, 1)
    assert "for that of an administrator" in ended.stderr
