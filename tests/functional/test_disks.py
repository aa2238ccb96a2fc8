"""A real build server on disks that are too small, full, read-only or gone: its clients compile locally meanwhile.

All faults happen to one daemon, which is never restarted: after each the next job works. It needs root, for the disks.
"""

import ctypes
import os
import shutil
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import attrs
import pytest

from farmkit.busybox_jobs import id_of, shell, write_inputs, write_toolchain
from farmkit.farm import Farm
from farmkit.launch import OUR_SCHEDULER, OUR_SERVER, Launch
from farmkit.processes import Command, wait_until
from farmkit.raw_client import RawClient, Reply
from sccachedist.records.documents import WhyDocument
from sccachedist.wire.bincode import encode
from sccachedist.wire.messages import (
    RUN_JOB_RESULT,
    SUBMIT_TOOLCHAIN_RESULT,
    JobAlloc,
    JobComplete,
    RunJobRequest,
    SubmitToolchainResult,
)
from tests.support.farm_api import farm_document
from tests.support.slots import all_slots_free
from tests.support.small_disk import SmallDisk

pytestmark = pytest.mark.functional

_FSPICK, _FSCONFIG = 433, 431  # the same on every Linux architecture
_SET_FLAG, _RECONFIGURE = 0, 7
MB = 1 << 20
DISK, CACHE = 32 * MB, 12 * MB
ROOM = MB // 2
CANNOT_CACHE = encode(SUBMIT_TOOLCHAIN_RESULT, SubmitToolchainResult.CANNOT_CACHE)
HELLO = shell("echo hello")


@attrs.frozen
class Disk(SmallDisk):
    """A small file system that can be read-only, too."""

    @contextmanager
    def read_only(self) -> Iterator[None]:
        """Let nobody write to it, for a while."""
        self._remount("ro")
        try:
            yield
        finally:
            self._remount("rw")

    def _remount(self, how: str) -> None:
        """As a kernel does at errors: the file system, not the places that it is mounted at."""
        system = ctypes.CDLL(None, use_errno=True).syscall
        picked = system(_FSPICK, -100, str(self.path).encode(), 0)
        assert picked >= 0, os.strerror(ctypes.get_errno())
        try:
            assert system(_FSCONFIG, picked, _SET_FLAG, how.encode(), None, 0) == 0
            assert system(_FSCONFIG, picked, _RECONFIGURE, None, None, 0) == 0, os.strerror(ctypes.get_errno())
        finally:
            os.close(picked)


@attrs.frozen
class Host:
    """The farm, its disks, and a client."""

    farm: Farm
    ground: Path
    cache: Disk
    build: Disk

    @property
    def client(self) -> RawClient:
        """A client that shows what it is answered."""
        return RawClient.of(self.farm, strict=False)

    def toolchain(self, filler: int = 1000) -> Path:
        """A toolchain like no other, with so many bytes that do not compress."""
        return write_toolchain(self.ground / "toolchain.tar.gz", {}, filler)

    def slot(self, archive: Path) -> JobAlloc:
        """A job whose toolchain is to be brought."""
        slot = self.client.slot(id_of(archive))
        assert slot.need_toolchain
        return slot.job_alloc

    def submit(self, archive: Path, job: JobAlloc) -> Reply:
        """Bring the toolchain of a job."""
        return self.client.submit(job, archive.read_bytes())

    def job(self, archive: Path) -> JobAlloc:
        """A job; its toolchain is brought where it is asked for."""
        return self.client.ready(archive, id_of(archive))

    def run(self, job: JobAlloc, request: RunJobRequest = HELLO, inputs: int = 0) -> Reply:
        """Run a job, with so many bytes of inputs."""
        packed = write_inputs(self.ground / "inputs", {"/inputs": os.urandom(inputs)})
        return self.client.run(job, request, packed.read_bytes())

    def fit(self) -> bool:
        """Whether the build server is fit for jobs, and the scheduler has heard of it."""
        server, scheduler = (daemon.log.read_text() for daemon in (self.farm.server, self.farm.scheduler))
        again = server.count("] fit for jobs again"), scheduler.count("is fit for jobs again")
        return again == (server.count("unfit for jobs until"),) * 2

    def works(self, archive: Path) -> None:
        """The next job is run, and nothing is left of those that were not."""
        wait_until(self.fit, 40, "the build server is fit for jobs again")
        all_slots_free(self.farm, 10)  # else the scheduler may take a toolchain that was refused for one that comes
        result = self.run(self.job(archive)).message(RUN_JOB_RESULT)
        assert isinstance(result, JobComplete), result
        assert result.output.stdout == b"hello\n"
        all_slots_free(self.farm, 10)
        cache, toolchains = self.cache.path, self.build.path / "sccachedist/toolchains"
        wait_until(lambda: not files(cache / "incoming") + files(cache / "spool"), 10, "nothing is left in the cache")
        assert all(id_of(path) == path.name for path in (cache / "tc").rglob("*") if path.is_file())
        wait_until(lambda: not _begun_or_gone(toolchains), 10, "nothing is half there, or half removed")
        log = self.farm.server.log.read_text()
        assert ("incident" in log, "Traceback" in log) == (False, False)


def _begun_or_gone(toolchains: Path) -> list[str]:
    return [name for name in files(toolchains) if name.startswith(("part-", "gone-"))]


def files(directory: Path) -> list[str]:
    return os.listdir(directory)


def refused(said: Reply, reason: str) -> None:
    """It is an answer that makes a client compile locally, and its reason stands in it."""
    assert said.status == 500, said
    assert reason in said.body.decode(), said


def with_a_small_cache(launch: Launch) -> Launch:
    """A build server whose cache of toolchains is smaller than its disk."""

    def launch_small(config: Path) -> Command:
        config.write_text(f"toolchain_cache_size = {CACHE}\n{config.read_text()}")
        return launch(config)

    return launch_small


@pytest.fixture(scope="module")
def host(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Host]:
    """The farm for all tests."""
    assert os.geteuid() == 0, "only root can mount disks"
    farm = Farm(tmp_path_factory.mktemp("disks"), OUR_SCHEDULER, with_a_small_cache(OUR_SERVER))
    host = Host(
        farm, tmp_path_factory.mktemp("client"), *(Disk(farm.server_folder / name, DISK) for name in ("cache", "build"))
    )
    with ExitStack() as held:
        for disk in (host.cache, host.build):
            held.enter_context(disk.mounted())
        held.enter_context(farm)
        yield host
    shutil.rmtree(farm.folder)


def test_a_cache_smaller_than_the_toolchain(host: Host) -> None:
    """The client that brings it is told that it cannot be kept."""
    archive = host.toolchain(CACHE)
    assert host.submit(archive, host.slot(archive)).body == CANNOT_CACHE
    host.works(host.toolchain())


def test_full_while_a_toolchain_comes_in(host: Host) -> None:
    """The upload is refused; the same toolchain can be brought when there is room again."""
    archive = host.toolchain(4 * MB)
    job = host.slot(archive)
    with host.cache.full(ROOM):
        refused(host.submit(archive, job), "cache/incoming: No space left on device")
    host.works(archive)


def test_full_while_inputs_come_in(host: Host) -> None:
    """The job is refused, and half of its inputs are never used."""
    archive = host.toolchain()
    host.works(archive)
    job = host.job(archive)
    with host.cache.full(ROOM):
        refused(host.run(job, inputs=4 * MB), "cache/spool: No space left on device")
    host.works(archive)


def test_full_while_an_answer_is_written(host: Host) -> None:
    """The compile has ended well, and is repeated by its client all the same."""
    archive = host.toolchain()
    host.works(archive)
    job = host.job(archive)
    with host.cache.full(ROOM):
        made = host.run(job, shell("dd if=/dev/urandom of=/made bs=1M count=4", "/made"))
        refused(made, "cache/spool: No space left on device")
    host.works(archive)
    (row,) = farm_document(host.farm, "why", WhyDocument, name="/made")["jobs"]
    assert (row["outcome"], row["reason"], row["kind"]) == ("sent_local", "disk", "full")


def test_full_while_a_toolchain_is_unpacked(host: Host) -> None:
    """Half a toolchain is never compiled with, and nothing of it stays."""
    archive = host.toolchain(DISK // 3)
    with host.build.full(ROOM):
        refused(host.run(host.job(archive)), "build/sccachedist/toolchains: No space left on device")
        toolchains = host.build.path / "sccachedist/toolchains"
        assert not [name for name in files(toolchains) if id_of(archive) in name]
        wait_until(lambda: files(toolchains) == [], 10, "nothing of it is left")
    host.works(archive)


def test_full_of_toolchains_that_are_not_in_use(host: Host) -> None:
    """They go, and the next job is none the wiser; one that needs a toolchain that went has it unpacked again."""
    others = [host.toolchain(2 * MB).rename(host.ground / f"other-{number}") for number in range(3)]
    for other in others:
        host.works(other)
    archive = host.toolchain(4 * MB)
    with host.build.full(ROOM):
        host.works(archive)
        assert files(host.build.path / "sccachedist/toolchains") == [id_of(archive)]
    host.works(others[0])


def test_read_only(host: Host) -> None:
    """Nothing is taken in while nothing can be written."""
    archive = host.toolchain()
    host.works(archive)
    job, another = host.job(archive), host.toolchain(2000)
    bringing = host.slot(another)
    with host.cache.read_only():
        refused(host.run(job), "cache/spool: Read-only file system")
        refused(host.submit(another, bringing), "cache/incoming: Read-only file system")
    host.works(archive)


def test_an_unpacked_toolchain_is_removed(host: Host) -> None:
    """One job finds out, and the next unpacks it again."""
    archive = host.toolchain()
    host.works(archive)
    shutil.rmtree(host.build.path / "sccachedist/toolchains" / id_of(archive))
    refused(host.run(host.job(archive)), "no longer in")
    host.works(archive)


def test_the_build_directory_is_removed(host: Host) -> None:
    """It is made again, and no job fails for it."""
    archive = host.toolchain()
    host.works(archive)
    shutil.rmtree(host.build.path / "sccachedist")
    host.works(archive)


def test_the_cache_is_removed(host: Host) -> None:
    """One job finds out that its toolchain is gone, and the next brings it again."""
    archive = host.toolchain()
    host.works(archive)
    for directory in host.cache.path.iterdir():
        shutil.rmtree(directory)
    refused(host.run(host.job(archive)), "cannot be read: No such file or directory")
    host.works(archive)
