"""Farms and clients for the functional tests, and what is shown of them when a test fails."""

import fcntl
import json
import os
import shutil
from collections.abc import Generator, Iterator
from pathlib import Path

import pytest

from farmkit.busybox_jobs import id_of, write_toolchain
from farmkit.farm import Farm
from farmkit.launch import PUBLISHED_SCHEDULER
from farmkit.projects import CXX, C, Language, Project, write_project, write_workspace
from farmkit.published_client import WEAK_MAP, Client, Statistics, share_toolchains
from farmkit.raw_client import RawClient
from sccachedist.wire.messages import JobAlloc

CLANG = Language("clang", C.suffix, C.part)

_LANGUAGES = (C, CXX, CLANG)
_PACK_SECS = 600  # a compiler is large, and other tests run meanwhile


@pytest.fixture(scope="session")
def all_toolchains(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The compilers of this machine, packed by the published client: once for all workers of a run.

    ``SCCACHEDIST_TOOLCHAINS`` names a folder that keeps them for the next run, where a minute counts.
    """
    shared = tmp_path_factory.getbasetemp()
    if "SCCACHEDIST_TOOLCHAINS" in os.environ:
        shared = Path(os.environ["SCCACHEDIST_TOOLCHAINS"])
    elif "PYTEST_XDIST_WORKER" in os.environ:
        shared = shared.parent
    with (shared / "toolchains.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not (shared / "toolchains").exists():
            _pack_toolchains(shared / "packing").rename(shared / "toolchains")
    return shared / "toolchains"


def _pack_toolchains(work: Path) -> Path:
    """Let a client pack its compilers; it does so before it learns that there is no build server."""
    work.mkdir()
    farm = Farm(work, PUBLISHED_SCHEDULER)
    farm.start_scheduler()
    try:
        with Client(work / "client", farm.scheduler_url, farm.client_token, work / "toolchains") as client:
            for language in _LANGUAGES:
                project = write_project(work / language.compiler, language, 0)
                client.compiling(project.compile_command(project.sources[0]), project.folder).run(_PACK_SECS)
            write_workspace(work / "cargo")
            client.cargo_build(work / "cargo").run(_PACK_SECS)
    finally:
        farm.stop()
    packed = json.loads((work / "toolchains" / "client" / WEAK_MAP).read_text())
    assert len(packed) == len(_LANGUAGES) + 1, "gcc, g++, clang and rustc are needed"
    return work / "toolchains"


@pytest.fixture
def toolchains(all_toolchains: Path, tmp_path: Path) -> Path:
    """The packed compilers, for the client of one test."""
    return share_toolchains(all_toolchains, tmp_path / "toolchains")


@pytest.fixture(scope="module")
def farm(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Farm]:
    """Our scheduler and our build server."""
    yield from running_farm(Farm(tmp_path_factory.mktemp("farm")))


def running_farm(farm: Farm) -> Iterator[Farm]:
    """The body of a fixture that gives a farm: its files are large, and go with it."""
    with farm:
        yield farm
    shutil.rmtree(farm.folder)


@pytest.fixture
def client(farm: Farm, tmp_path: Path, toolchains: Path) -> Iterator[Client]:
    """A client of the farm, with all of the machine's compilers."""
    with Client(tmp_path / "client", farm.scheduler_url, farm.client_token, toolchains) as client:
        yield client


def client_of_a_module(farm: Farm, all_toolchains: Path, factory: pytest.TempPathFactory) -> Iterator[Client]:
    """The body of a fixture that gives one client to a whole module: clang takes a while to pack."""
    folder = factory.mktemp("client")
    toolchains = share_toolchains(all_toolchains, folder / "toolchains")
    with Client(folder, farm.scheduler_url, farm.client_token, toolchains) as client:
        yield client


def with_toolchain(farm: Farm, folder: Path) -> tuple[RawClient, JobAlloc]:
    """A client and its job, whose toolchain is there."""
    client, archive = RawClient.of(farm, strict=True), write_toolchain(folder / "toolchain.tar.gz", {})
    job = client.slot(id_of(archive)).job_alloc
    client.submit_toolchain(job, archive)
    return client, job


def compiles_remotely(farm: Farm, client: Client, project: Project) -> None:
    """A client that has compiled nothing yet compiles a project, one file after the other, all of it remotely."""
    for source in project.sources:
        ended = client.compiling(project.compile_command(source), project.folder).run()
        assert ended.returncode == 0, ended
    assert client.statistics() == Statistics({str(farm.server_id): len(project.sources)}, errors=0)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Function,
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Show the ends of the logs with a failure."""
    report = yield
    if report.failed:
        for fixture in item.funcargs.values():
            report.sections += _logs(fixture)
    return report


def _logs(fixture: object) -> list[tuple[str, str]]:
    match fixture:
        case Farm():
            daemons = {name: getattr(fixture, name, None) for name in ("scheduler", "server")}  # some never started
            return [(name, daemon.tail()) for name, daemon in daemons.items() if daemon]
        case Client():
            return [("client", fixture.daemon.tail())]
    return []
