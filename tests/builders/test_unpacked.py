"""Unpacked toolchains on the disk."""

import errno
import os
from pathlib import Path

import pytest

from sccachedist.builders.overlay.unpacked import remove_all, remove_toolchain, unpack_toolchain
from sccachedist.builders.requests import UnpackToolchain
from sccachedist.errors import DiskError, LimitExceeded, ToolchainError
from tests.builders.archives import file, gzipped, member, tar
from tests.support.broken_disks import NUMBERS, failing


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "toolchains").mkdir()
    monkeypatch.chdir(tmp_path)
    return tmp_path


def unpack_bytes(home: Path, data: bytes, most: int = 10_000) -> None:
    (home / "archive").write_bytes(data)
    unpack_toolchain(UnpackToolchain("t", str(home / "archive"), 1_000_000, most, 200, 4095))


def left(home: Path) -> list[str]:
    return [entry.name for entry in (home / "toolchains").iterdir()]


def test_unpack_and_remove(home: Path) -> None:
    """A toolchain appears whole under its name, and goes without a trace; removing it twice is no error."""
    unpack_bytes(home, gzipped(tar(file("bin/cc", b"#!", 0o755), member("lib", b"2", "/usr/lib"))))
    assert (home / "toolchains/t/bin/cc").read_bytes() == b"#!"
    remove_toolchain("t")
    remove_toolchain("t")
    assert left(home) == []


@pytest.mark.parametrize(
    ("data", "most", "kind"),
    [
        (gzipped(tar(file("a", b"x" * 5000)))[:-30], 10, ToolchainError),
        (b"no archive", 10, ToolchainError),
        (gzipped(tar(file("a", b""), file("../b", b""))), 10, ToolchainError),
        (gzipped(tar(file("a", b""), file("b", b""))), 1, LimitExceeded),
        (gzipped(tar(file("a", bytes(2_000_000)))), 10, LimitExceeded),
    ],
)
def test_a_bad_archive_leaves_nothing(home: Path, data: bytes, most: int, kind: type[Exception]) -> None:
    """Not even the half that was good."""
    with pytest.raises(kind):
        unpack_bytes(home, data, most)
    assert left(home) == []


def test_links_are_removed_and_not_followed(home: Path) -> None:
    """What a toolchain points at is not its own."""
    (home / "precious").mkdir()
    (home / "precious/file").touch()
    unpack_bytes(home, gzipped(tar(member("d", b"2", str(home / "precious")))))
    remove_all()
    assert left(home) == []
    assert (home / "precious/file").exists()


def test_a_tree_deeper_than_any_path(home: Path) -> None:
    """Links let an archive build what no path can name; it is removed all the same."""
    deep = "/".join(["d"] * 1000)
    members = [member(f"{deep}/s", b"5")]
    for level in range(3):
        start = f"s{level - 1}/" if level else ""
        members += [member(f"{start}{deep}", b"5"), member(f"s{level}", b"2", f"{start}{deep}")]
    unpack_bytes(home, gzipped(tar(*members)))
    remove_all()
    assert left(home) == []


def test_what_an_earlier_process_left_is_removed(home: Path) -> None:
    """Whole toolchains, begun ones and half removed ones."""
    for name in ("t/bin", "part-x/bin", "gone-x/0/bin"):
        (home / "toolchains" / name).mkdir(parents=True)
    remove_all()
    assert left(home) == []


GOOD = gzipped(tar(file("bin/cc", b"#!", 0o755)))


@pytest.mark.parametrize("number", NUMBERS)
@pytest.mark.parametrize("call", ["os.mkdir", "os.fchmod", "os.rename"])
def test_a_disk_that_fails(home: Path, monkeypatch: pytest.MonkeyPatch, call: str, number: int) -> None:
    """The error names the disk, nothing half unpacked is there under the toolchain's name, and the next try works."""
    with monkeypatch.context() as broken:
        broken.setattr(call, failing(number))
        with pytest.raises(DiskError, match=f"{home}/toolchains: {os.strerror(number)}"):
            unpack_bytes(home, GOOD)
    assert "t" not in left(home)
    unpack_bytes(home, GOOD)
    assert (home / "toolchains/t/bin/cc").read_bytes() == b"#!"
    remove_all()
    assert left(home) == []


def test_a_full_disk_is_emptied(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing has to be made for a toolchain to be removed."""
    unpack_bytes(home, GOOD)
    with monkeypatch.context() as full:
        full.setattr("os.mkdir", failing(errno.ENOSPC))
        remove_toolchain("t")
    assert left(home) == []


def test_what_could_not_be_removed_is_in_nobodys_way(home: Path) -> None:
    """Whole or not, it gives way to the next."""
    for name in ("t/bin", "part-t/bin"):
        (home / "toolchains" / name).mkdir(parents=True)
    unpack_bytes(home, GOOD)
    assert (left(home), (home / "toolchains/t/bin/cc").read_bytes()) == (["t"], b"#!")
