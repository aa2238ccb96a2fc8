"""The program of a trial job, without a sandbox around it, for this kind of machine and for the other one."""

import os
import subprocess
from pathlib import Path

import pytest

from sccachedist.sandbox.programs.probe import CHANGE, OPEN, READ, read_by_it
from scripts.sandbox_programs import PROGRAMS
from tests.support.emulated import EMULATED, command


@pytest.fixture(params=EMULATED)
def program(request: pytest.FixtureRequest, tmp_path: Path) -> list[str]:
    """The words that run it."""
    copy = tmp_path / "probe"
    copy.write_bytes((PROGRAMS / f"probe.{request.param}").read_bytes())
    copy.chmod(0o755)
    return command(copy, request.param)


def found_by(program: list[str], place: Path, *words: str) -> list[bytes | None]:
    subprocess.run([*program, place / "made", *words], check=True)
    return list(read_by_it((place / "made").read_bytes()))


def test_what_it_finds(program: list[str], tmp_path: Path) -> None:
    """It copies files, also large and empty ones, and says which it could not read, and which it could open."""
    large, empty, locked = tmp_path / "large", tmp_path / "empty", tmp_path / "locked"
    large.write_bytes(os.urandom(30_000))
    empty.touch()
    locked.mkdir()
    words = [f"{READ}{large}", f"{READ}{empty}", f"{READ}{locked}", f"{READ}/no/such", f"{OPEN}{large}"]
    words += [f"{OPEN}{locked}", f"{OPEN}/no/such", f"{READ}/dev/null"]
    assert found_by(program, tmp_path, *words) == [large.read_bytes(), b"", None, None, b"rw", b"r", b"", b""]


def test_endless(program: list[str], tmp_path: Path) -> None:
    """It does not read for ever."""
    ((content),) = found_by(program, tmp_path, f"{READ}/dev/urandom")
    assert content is not None
    assert len(content) == (1 << 15) - 8


@pytest.mark.functional
def test_what_it_can_change(program: list[str], tmp_path: Path) -> None:
    """It names what is mounted where it may change that, and not what is read-only, a job's own, or gone."""
    place = tmp_path / "place"
    for name in ("writable", "read-only"):
        (place / name).mkdir(parents=True)
    script = f"""
        cd {place}
        for name in writable read-only; do mount -t tmpfs none $name; done
        mount -o remount,ro read-only
        {" ".join(program)} {tmp_path}/made '{CHANGE}'
    """
    subprocess.run(["unshare", "--mount", "sh", "-ec", script], check=True)
    (found,) = read_by_it((tmp_path / "made").read_bytes())
    assert found is not None
    below = [line for line in found.decode().splitlines() if line.startswith(str(place))]
    assert below == [str(place / "writable")]


def test_no_place_for_what_it_finds(program: list[str], tmp_path: Path) -> None:
    """Its status says so."""
    assert subprocess.run([*program, tmp_path / "no/such", f"{READ}/dev/null"], check=False).returncode == 1
    assert subprocess.run(program, check=False).returncode == 1
