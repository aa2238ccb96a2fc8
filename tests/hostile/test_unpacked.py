"""Rows 31, 32 and 33: toolchains that are many, that make more than they name, and that fill the disk when unpacked."""

import gzip
import os
import shutil
import subprocess
import tarfile
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from farmkit.busybox_jobs import id_of, shell, write_toolchain
from farmkit.farm import Farm
from farmkit.launch import OUR_SCHEDULER, OUR_SERVER, adding
from farmkit.processes import wait_until
from farmkit.raw_client import Reply
from sccachedist.wire.archive_id import ArchiveId
from sccachedist.wire.messages import RUN_JOB_RESULT, JobComplete
from tests.hostile.attacks import NO_INPUTS
from tests.hostile.conftest import talkative
from tests.hostile.neighbour import Neighbour
from tests.sandbox.archives import busybox_toolchain, file, gzipped, member, tar
from tests.support.turns import metered
from tests.support.unprivileged import dropping, unprivileged

MIB = 1 << 20
#: A disk as small as the one that fell, and what is on it before the build server is started.
DISK, THERE = 210 * MIB, 8000
ENTRIES = 1000
LIMITS = f"toolchain_entries = {ENTRIES}\ntoolchains = {THERE + 10}"
ZEROS = gzip.compress(bytes(32 * MIB))


@pytest.fixture(scope="module")
def shared_farm(user: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Farm]:
    """Daemons as one of the users, all that the build server has on a small disk of its own, with many toolchains."""
    as_user = {"root": lambda launch: launch, "nobody": unprivileged, "sandbox.user": dropping}[user]
    tables = {"limits": LIMITS} | ({"sandbox": 'user = "nobody"'} if user == "sandbox.user" else {})
    server = as_user(adding(metered(talkative(OUR_SERVER)), **tables))
    farm = Farm(tmp_path_factory.mktemp("shared"), metered(talkative(OUR_SCHEDULER)), server)
    farm.server_folder.mkdir()
    options = f"size={DISK},mode=755"
    subprocess.run(["mount", "-t", "tmpfs", "-o", options, "tmpfs", farm.server_folder], check=True)
    try:
        for number in range(THERE):
            path = farm.server_folder / "cache/tc" / prefilled(number)[0] / prefilled(number)[1] / prefilled(number)
            path.parent.mkdir(parents=True, exist_ok=True)
            path.touch()
        with farm:
            yield farm
    finally:
        subprocess.run(["umount", "--lazy", farm.server_folder], check=True)
        shutil.rmtree(farm.folder)


def prefilled(number: int) -> ArchiveId:
    """The name of a toolchain that is there already; nobody has looked yet what is in it."""
    return ArchiveId(f"{number:08x}"[::-1] + "0" * 56)


def write(place: Path, data: bytes) -> Path:
    place.write_bytes(data)
    return place


def run(neighbour: Neighbour, archive: Path) -> Reply:
    """A job with a toolchain, which is brought where it is asked for."""
    return neighbour.attacker.run(neighbour.attacker.ready(archive, id_of(archive)), shell("true"), NO_INPUTS)


def refused(neighbour: Neighbour, archive: Path, limit: str) -> float:
    """It is refused so that its client compiles locally, and the limit is named; returns how long that took."""
    job = neighbour.attacker.ready(archive, id_of(archive))
    began = time.monotonic()
    said = neighbour.attacker.run(job, shell("true"), NO_INPUTS)
    assert said.status == 500, said
    assert f"(limit: {limit})" in said.body.decode(), said
    return time.monotonic() - began


def works(neighbour: Neighbour, archive: Path) -> None:
    result = run(neighbour, archive).message(RUN_JOB_RESULT)
    assert isinstance(result, JobComplete), result


def unpacked(farm: Farm) -> list[str]:
    return os.listdir(farm.server_folder / "build/sccachedist/toolchains")


def swept(farm: Farm) -> None:
    """What was removed is gone from the disk."""
    wait_until(
        lambda: not [name for name in unpacked(farm) if name.startswith(("gone-", "part-"))], 20, "it is swept away"
    )


def restarted(neighbour: Neighbour) -> None:
    """The build server stops and starts again as quickly as ever."""
    began = time.monotonic()
    neighbour.farm.server.stop()
    assert time.monotonic() - began < 8
    began = time.monotonic()
    neighbour.restart_server()
    assert time.monotonic() - began < 15
    neighbour.unharmed()


def known(neighbour: Neighbour, toolchain: ArchiveId) -> bool:
    """Whether the scheduler knows that a toolchain is there; the slot is free again afterwards."""
    slot = neighbour.attacker.slot(toolchain)
    neighbour.attacker.run(slot.job_alloc, shell("true"), NO_INPUTS)  # it is not what it is called
    return not slot.need_toolchain


def test_row_31_thousands_of_toolchains(neighbour: Neighbour, tmp_path: Path) -> None:
    """The scheduler hears of all of them, some in each heartbeat; there are never more than allowed; over a restart."""
    archives = [write(tmp_path / str(number), gzipped(tar(file("x", b"%d" % number)))) for number in range(60)]
    oldest = map(prefilled, range(THERE))
    with neighbour.served(31):
        wait_until(lambda: known(neighbour, next(oldest)), 60, "the scheduler knows the last that it is told")
        for archive in archives:
            job = neighbour.attacker.ready(archive, id_of(archive))
            neighbour.attacker.run(job, shell("true"), NO_INPUTS)
    files = [path for path in (neighbour.farm.server_folder / "cache/tc").rglob("*") if path.is_file()]
    assert THERE - 100 < len(files) <= THERE + 10
    assert all(id_of(archive) in {path.name for path in files} for archive in archives[-9:])
    restarted(neighbour)


def test_row_32_directories_without_a_name(neighbour: Neighbour, tmp_path: Path) -> None:
    """Sixty members cannot make thousands of directories, deep or not; nothing waits until what they made has gone."""
    deep = [member(f"{number}/" + "d/" * 2030) for number in range(60)]
    wide = [member(f"{number}/" + "d/" * 200) for number in range(60)]
    with neighbour.served(32):
        refused(neighbour, write(tmp_path / "deep", gzipped(tar(*deep))), "path_depth")
        refused(neighbour, write(tmp_path / "wide", gzipped(tar(*wide))), "toolchain_entries")
    swept(neighbour.farm)
    restarted(neighbour)


def test_row_33_many_small_bombs(neighbour: Neighbour, tmp_path: Path) -> None:
    """However many toolchains are unpacked, the next one finds room, also an honest client's."""
    with neighbour.served(33):
        for number in range(12):
            bomb = busybox_toolchain(file("zeros", bytes(60 * MIB)), file("number", b"%d" % number))
            works(neighbour, write(tmp_path / str(number), bomb))
            used = os.statvfs(neighbour.farm.server_folder)
            assert used.f_bavail > 0
        works(neighbour, write_toolchain(tmp_path / "honest", {}, 10 * MIB))
        works(neighbour, write(tmp_path / "again", (tmp_path / "0").read_bytes()))
    swept(neighbour.farm)
    restarted(neighbour)


def test_row_33_a_bomb_of_twenty_gigabytes(neighbour: Neighbour, tmp_path: Path) -> None:
    """It ends soon after the first 64 MiB, though its archive is large; the next job does not even try."""
    header = tarfile.TarInfo("zeros")
    header.size = 640 * 32 * MIB
    bomb = write(tmp_path / "bomb", gzip.compress(header.tobuf()) + ZEROS * 640)
    with neighbour.served(33):
        assert refused(neighbour, bomb, "compression_ratio") < 3
        assert refused(neighbour, bomb, "compression_ratio") < 1
    swept(neighbour.farm)
    neighbour.unharmed()
