"""Rows 1, 3, 4, 5 and 20: names and archives that would lead a build server out of where it works."""

import os
import subprocess
import sys
import zlib
from pathlib import Path

import pytest

from farmkit.busybox_jobs import id_of, shell
from farmkit.launch import CHECKOUT
from farmkit.raw_client import RawClient
from sccachedist.wire.messages import AllocJobFail
from tests.hostile.attacks import NO_INPUTS, paths, secret_in
from tests.hostile.conftest import entries, harmless
from tests.hostile.victim import Victim
from tests.sandbox.archives import BUSYBOX, file, gzipped, member, raw_header, tar
from tests.sandbox.corpus import CASES, REFUSED


def kept(victim: Victim) -> list[str]:
    """What the build server keeps on its disk, but for its identity's times."""
    return entries(victim.farm.server_folder)


def test_row_01_archive_ids_that_are_paths(victim: Victim, attacker: RawClient, tmp_path: Path) -> None:
    """A scheduler hands out nothing for an archive id that is a path, and no file appears."""
    before = kept(victim)
    harmless(paths.archive_ids, attacker, tmp_path)
    assert entries(tmp_path) == []
    assert kept(victim) == before
    victim.unharmed()


@pytest.mark.parametrize(
    "archive_id",
    ["/etc/cron.d/x", "../" * 30 + "x", "", "a" * 63, "a" * 65, "A" * 64, "g" * 64, "a" * 63 + "\n", "é" * 64],
)
def test_row_01_archive_ids_at_both_daemons(victim: Victim, attacker: RawClient, archive_id: str) -> None:
    """The scheduler says Fail, the build server refuses it too, and neither takes note of it."""
    job = attacker.ready(victim.archive, victim.toolchain)
    assert isinstance(attacker.alloc(archive_id), AllocJobFail)
    assert attacker.assign(job, archive_id).status in (400, 401)
    assert attacker.run(job, shell("true"), NO_INPUTS).status == 200
    victim.all_slots_free()


def test_row_03_outputs_that_climb(victim: Victim, attacker: RawClient, tmp_path: Path) -> None:
    """No file of the host comes back for an output with dots in it, however deep it climbs."""
    steps = harmless(paths.climbing_outputs, attacker, tmp_path)
    assert all(step.answered.startswith("500") for step in steps), steps
    victim.unharmed()


def test_row_04_symlinks_that_a_compile_leaves(victim: Victim, attacker: RawClient, tmp_path: Path) -> None:
    """A link that a compile leaves is followed inside its own root, where the secret is not."""
    steps = harmless(paths.symlinks, attacker, tmp_path)
    assert all(step.answered.startswith("500") for step in steps), steps
    victim.unharmed()


def test_row_04_symlinks_of_a_toolchain(victim: Victim, attacker: RawClient, tmp_path: Path) -> None:
    """Directories for outputs are made inside, also where the toolchain has a link to the host."""
    secret, _ = secret_in(tmp_path)
    archive = tmp_path / "linked.tar.gz"
    links = [member("out", b"2", str(tmp_path)), member("up", b"2", "../" * 20 + str(tmp_path)[1:])]
    archive.write_bytes(gzipped(tar(file("bin/busybox", BUSYBOX.read_bytes(), 0o755), *links)))
    before = entries(tmp_path)
    for place in ("/out/made", "/up/made"):
        job = attacker.ready(archive, id_of(archive))
        answer = attacker.run(job, shell(f"echo x >{place}/a.o", f"{place}/a.o"), NO_INPUTS)
        assert answer.status == 200
    assert entries(tmp_path) == before
    assert secret.stat().st_nlink == 1
    victim.unharmed()


def test_row_05_outputs_that_are_no_files(victim: Victim, attacker: RawClient, tmp_path: Path) -> None:
    """A FIFO, a device, a directory and a file of 5 TiB are refused, and nobody waits for them."""
    harmless(paths.odd_outputs, attacker, tmp_path)
    victim.unharmed()


@pytest.mark.parametrize("script", ["ln -s /o /o", "ln -s /o/o /o", "true"], ids=["loop", "deep loop", "long name"])
def test_row_05_outputs_that_cannot_be_read(victim: Victim, attacker: RawClient, script: str) -> None:
    """They are their own client's: the build server does not take its disk for broken, which would close it for all."""
    output = "/o" if "o" in script.split("/")[-1] else "/" + "o" * 300
    for _ in range(3):
        job = attacker.ready(victim.archive, victim.toolchain)
        assert attacker.run(job, shell(script, output), NO_INPUTS).status == 500
        assert victim.run(shell("true")).output.code == 0
    victim.unharmed()


ARCHIVES = {
    name: archive
    for name, (archive, expected) in CASES.items()
    if expected is REFUSED and ("hard link" in name or "type b'3'" in name or "../b/c" in name or "2^62" in name)
}


@pytest.mark.parametrize("name", ARCHIVES)
def test_row_20_archives_that_lie(victim: Victim, attacker: RawClient, tmp_path: Path, name: str) -> None:
    """Such a toolchain or such inputs are never unpacked: 500, and no file of the host is touched."""
    archive = tmp_path / "toolchain.tar.gz"
    archive.write_bytes(gzipped(ARCHIVES[name]))
    before = os.listdir("/"), os.listdir("/etc"), os.listdir(victim.farm.folder)
    job = attacker.ready(archive, id_of(archive))
    assert attacker.run(job, shell("true"), NO_INPUTS).status == 500
    job = attacker.ready(victim.archive, victim.toolchain)
    assert attacker.run(job, shell("true"), zlib.compress(ARCHIVES[name])).status == 500
    assert (os.listdir("/"), os.listdir("/etc"), os.listdir(victim.farm.folder)) == before


def test_row_20_no_rights_from_an_archive(victim: Victim, attacker: RawClient, tmp_path: Path) -> None:
    """A setuid program in a toolchain has lost its bits, inside and on the host's disk."""
    archive = tmp_path / "setuid.tar.gz"
    archive.write_bytes(gzipped(tar(file("bin/busybox", BUSYBOX.read_bytes(), 0o6755)) + raw_header(b"never read")))
    result = victim.attacker.run(
        attacker.ready(archive, id_of(archive)), shell("/bin/busybox stat -c %a /bin/busybox"), NO_INPUTS
    )
    assert b"755\n" in result.body
    assert not [path for path in victim.farm.server_folder.rglob("*") if path.lstat().st_mode & 0o6000]
    victim.unharmed()


def test_attacks_by_hand(victim: Victim) -> None:
    """The attacks can be tried by hand, on a loopback address alone."""
    scheduler = f"127.0.0.1:{victim.farm.scheduler_port}"
    token = f"--client-token={victim.farm.client_token}"  # some begin with a dash
    command = [sys.executable, "-m", "tests.hostile", "1", token, "--scheduler"]
    tried = subprocess.run([*command, scheduler], cwd=CHECKOUT, capture_output=True, text=True, check=False)
    assert (tried.returncode, tried.stdout.count("well"), tried.stdout.count("HARM")) == (0, 3, 0), tried
    refused = subprocess.run([*command, "192.0.2.1:80"], cwd=CHECKOUT, capture_output=True, text=True, check=False)
    assert refused.returncode == 2
