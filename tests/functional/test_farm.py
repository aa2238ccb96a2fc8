"""A scheduler and build servers of ours among themselves: restarts, drains, lost words, toolchains brought once."""

import itertools
import json
import signal
import subprocess
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from farmkit.busybox_jobs import id_of, shell, write_inputs, write_toolchain
from farmkit.farm import Farm
from farmkit.launch import OUR_SCHEDULER, OUR_SERVER, PROGRAMS, adding
from farmkit.processes import Command, inherited, wait_until
from farmkit.projects import C, write_project
from farmkit.published_client import Client, Statistics
from farmkit.raw_client import RawClient
from sccachedist.wire.messages import JobComplete, JobNotFound
from tests.functional.conftest import running_farm, with_toolchain
from tests.support.slots import all_slots_free

pytestmark = pytest.mark.functional

ADMIN = "the-administrators-token"
OUTPUT = "/out"


def roomy_farm(folder: Path) -> Farm:
    """A farm with room for many jobs and somebody who may drain."""
    scheduler = adding(OUR_SCHEDULER, admin=f'token = "{ADMIN}"')
    return Farm(folder, scheduler, adding(OUR_SERVER, capacity="cpus = 16"))


@pytest.fixture(scope="module")
def farm(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Farm]:
    """One for all published clients: each test leaves it whole, with free slots."""
    yield from running_farm(roomy_farm(tmp_path_factory.mktemp("farm")))


@pytest.fixture
def own_farm(tmp_path: Path) -> Iterator[Farm]:
    """One for a single test, which may end it, or leave slots behind."""
    (tmp_path / "farm").mkdir()
    yield from running_farm(roomy_farm(tmp_path / "farm"))


def ask(farm: Farm, order: str, server: str = "") -> subprocess.CompletedProcess[str]:
    """Drain or undrain the build server, or another, as an administrator does."""
    config = farm.folder / "scheduler" / "scheduler.conf"
    return Command(
        (str(PROGRAMS / "sccachedist"), order, server or str(farm.server_id), "--config", str(config)),
        inherited(),
        farm.folder,
    ).run()


def compiles(client: Client, project_folder: Path) -> int:
    """Compile one file; the client's count of remote compiles."""
    project = write_project(project_folder, C, 0)
    assert client.compiling(project.compile_command(project.sources[0]), project.folder).run().returncode == 0
    return client.statistics().total_remote


@pytest.mark.field(4)
def test_scheduler_is_back_in_two_seconds(farm: Farm, client: Client, tmp_path: Path) -> None:
    """After each restart of the scheduler the build server is known again within 2 s; no build notices."""
    for number in range(1, 4):
        farm.scheduler.kill()
        farm.start_scheduler()
        began = time.monotonic()
        wait_until(lambda: farm.status().num_servers == 1, 10, "the build server is back")
        assert time.monotonic() - began < 2
        assert compiles(client, tmp_path / str(number)) == number


def test_running_jobs_outlast_the_scheduler(own_farm: Farm, tmp_path: Path) -> None:
    """A scheduler that is killed and comes back while a job runs learns of it, and frees its slot when it ends."""
    client, job = with_toolchain(own_farm, tmp_path)
    inputs = write_inputs(tmp_path / "inputs", {})
    with ThreadPoolExecutor() as aside:
        answer = aside.submit(client.run_job, job, shell(f"sleep 15; echo done > {OUTPUT}", OUTPUT), inputs)
        wait_until(lambda: any((own_farm.server_folder / "cache" / "spool").iterdir()), 10, "the job runs")
        own_farm.scheduler.kill()
        own_farm.start_scheduler()
        wait_until(lambda: own_farm.status().in_progress == 1, 10, "the new scheduler knows of the job")
        assert isinstance(answer.result(), JobComplete)
    all_slots_free(own_farm)


@pytest.mark.field(18)
def test_drain_by_an_administrator(farm: Farm, client: Client, tmp_path: Path) -> None:
    """A drained build server gets no jobs, an undrained one does; nobody's build fails meanwhile."""
    remote = [compiles(client, tmp_path / "before")]
    for order in ("drain", "undrain"):
        ended = ask(farm, order)
        assert (ended.returncode, ended.stderr) == (0, "")
        assert ended.stdout.startswith(f"{farm.server_id} is {'' if order == 'drain' else 'not '}drained: ")
        remote.append(compiles(client, tmp_path / order))
    assert remote == [1, 1, 2]


def test_draining_one_that_is_not_there(farm: Farm, client: Client, tmp_path: Path) -> None:
    """The command says so and fails; the server that later comes to that address is drained."""
    ended = ask(farm, "drain", "192.0.2.1:10501")
    assert (ended.returncode, ended.stdout) == (1, "")
    assert ended.stderr.startswith("sccachedist: no build server has the address 192.0.2.1:10501; ")
    assert ended.stderr.count("\n") == 1
    farm.server.stop()
    assert ask(farm, "drain").returncode == 1
    farm.start_server()
    assert compiles(client, tmp_path / "drained") == 0
    assert ask(farm, "undrain").returncode == 0
    assert compiles(client, tmp_path / "again") == 1


def test_who_may_not_drain(own_farm: Farm) -> None:
    """Without the administrators' token, with another one, or without a scheduler: one line, and nothing happens."""
    config = own_farm.folder / "scheduler" / "scheduler.conf"
    text = config.read_text()
    config.write_text(text.replace(ADMIN, "another-token"))
    refused = ask(own_farm, "drain")
    assert (refused.returncode, refused.stderr.count("\n")) == (1, 1)
    assert "answered 401" in refused.stderr
    config.write_text(text.replace(f'token = "{ADMIN}"', ""))
    assert "admin.token: missing" in ask(own_farm, "drain").stderr
    config.write_text(text)
    own_farm.scheduler.kill()
    assert "does not answer" in ask(own_farm, "drain").stderr


def test_drain_by_signal(farm: Farm, client: Client, tmp_path: Path) -> None:
    """SIGUSR1 on a build server: no new jobs, at once; SIGUSR2: jobs again."""
    remote = [compiles(client, tmp_path / "before")]
    for number, words in ((signal.SIGUSR1, "drained: no new jobs"), (signal.SIGUSR2, "new jobs are welcome")):
        farm.server.process.send_signal(number)
        farm.server.wait_until(lambda words=words: words in farm.server.tail(), 10, words)  # type: ignore[misc]
        remote.append(compiles(client, tmp_path / number.name))
    assert remote == [1, 1, 2]


@pytest.mark.field(18)
def test_a_stopping_server_is_gone_at_once(own_farm: Farm) -> None:
    """A build server that is stopped is not counted any more when its process has ended."""
    assert own_farm.server.stop() == -signal.SIGTERM
    assert own_farm.status().num_servers == 0


def test_a_second_signal_ends_at_once(own_farm: Farm, tmp_path: Path) -> None:
    """Who does not want to wait for running jobs says SIGTERM twice."""
    client, job = with_toolchain(own_farm, tmp_path)
    inputs = write_inputs(tmp_path / "inputs", {})
    with ThreadPoolExecutor() as aside:
        answer = aside.submit(client.run_job, job, shell("sleep 300"), inputs)
        wait_until(lambda: own_farm.status().in_progress == 1, 10, "the job runs")
        own_farm.server.process.terminate()
        own_farm.server.wait_until(lambda: "waiting for 1 jobs" in own_farm.server.tail(), 10, "it waits for the job")
        own_farm.server.process.terminate()
        assert own_farm.server.process.wait(5) == -signal.SIGTERM
        assert answer.exception() is not None


def test_a_toolchain_is_brought_once(own_farm: Farm, tmp_path: Path) -> None:
    """Many clients that need the same new toolchain at once: one uploads it, the others' jobs wait for it and run."""
    archive = write_toolchain(tmp_path / "toolchain.tar.gz", {})
    client = RawClient.of(own_farm, strict=True)
    first = client.slot(id_of(archive))  # proves the build server, which is asked
    assert first.need_toolchain
    allocated = [client.slot(id_of(archive)) for _ in range(8)]
    assert [each.need_toolchain for each in allocated] == [False] * 8
    inputs = write_inputs(tmp_path / "inputs", {})
    request = shell(f"echo done > {OUTPUT}", OUTPUT)
    with ThreadPoolExecutor(9) as aside:
        answers = [aside.submit(client.run_job, each.job_alloc, request, inputs) for each in allocated]
        client.submit_toolchain(first.job_alloc, archive)
        results = [
            answer.result() for answer in [*answers, aside.submit(client.run_job, first.job_alloc, request, inputs)]
        ]
    assert all(isinstance(result, JobComplete) for result in results)
    all_slots_free(own_farm)


def test_a_job_token_opens_its_job_once(own_farm: Farm, tmp_path: Path) -> None:
    """A client that comes twice with the same token has run one job."""
    client = RawClient.of(own_farm, strict=True)
    archive = write_toolchain(tmp_path / "toolchain.tar.gz", {})
    client.slot(id_of(archive))
    job = client.slot(id_of(archive)).job_alloc
    client.submit_toolchain(job, archive)
    inputs = write_inputs(tmp_path / "inputs", {})
    request = shell(f"echo done > {OUTPUT}", OUTPUT)
    results = [client.run_job(job, request, inputs) for _ in range(2)]
    assert isinstance(results[0], JobComplete)
    assert results[1] == JobNotFound()


@pytest.mark.field(4)
def test_a_token_from_before_a_restart_is_good(own_farm: Farm, tmp_path: Path) -> None:
    """A client that was given a job before its build server was restarted gets it done after."""
    client = RawClient.of(own_farm, strict=True)
    archive = write_toolchain(tmp_path / "toolchain.tar.gz", {})
    client.submit_toolchain(client.slot(id_of(archive)).job_alloc, archive)
    job = client.slot(id_of(archive)).job_alloc
    own_farm.server.kill()
    own_farm.start_server()
    own_farm.server.wait_until(lambda: "registered" in own_farm.server.tail(3), 30, "it has shown that it works")
    inputs = write_inputs(tmp_path / "inputs", {})
    assert isinstance(client.run_job(job, shell(f"echo done > {OUTPUT}", OUTPUT), inputs), JobComplete)


@pytest.mark.field(9)
def test_a_freed_slot_is_handed_over_at_once(own_farm: Farm, tmp_path: Path) -> None:
    """Between the word that a job has ended and the answer to the client that waits lie a few milliseconds."""
    client = RawClient.of(own_farm, strict=True)
    archive = write_toolchain(tmp_path / "toolchain.tar.gz", {})
    jobs = [client.slot(id_of(archive)).job_alloc for _ in range(19)]
    client.submit_toolchain(jobs[0], archive)
    inputs = write_inputs(tmp_path / "inputs", {})
    waits = []
    for job in itertools.islice(jobs, 5):
        with ThreadPoolExecutor() as aside:
            waiting = aside.submit(lambda: (client.slot(id_of(archive)), time.monotonic())[1])
            assert isinstance(client.run_job(job, shell(f"sleep 0.3; echo > {OUTPUT}", OUTPUT), inputs), JobComplete)
            waits.append(waiting.result() - time.monotonic())
    assert sorted(waits)[2] < 0.05


def test_statistics_of_a_whole_build(farm: Farm, client: Client, tmp_path: Path) -> None:
    """Jobs that nobody asked the build server about are counted like others, and their slots come back."""
    project = write_project(tmp_path / "project", C, 12)
    with ThreadPoolExecutor(4) as at_once:
        ended = list(
            at_once.map(
                lambda source: client.compiling(project.compile_command(source), project.folder).run(), project.sources
            )
        )
    assert [each.returncode for each in ended] == [0] * len(ended)
    assert client.statistics() == Statistics({str(farm.server_id): len(ended)}, errors=0)
    all_slots_free(farm)
    assert json.loads(farm.ask("status"))["num_cpus"] == 16
