"""Unpacked toolchains on the disk."""

import errno
import os
import tarfile
from pathlib import Path

import pytest

from sccachedist.builders.worker_protocol import Size, Unpacked, UnpackLimits, UnpackToolchain
from sccachedist.errors import DiskError, LimitExceeded, ToolchainError
from sccachedist.sandbox.archive.tally import STEP_BYTES
from sccachedist.sandbox.overlay.toolchain_store import remove_all, remove_toolchain, sweep, unpack_toolchain
from sccachedist.wire.machines import ANY
from tests.sandbox.archives import file, gzipped, member, tar
from tests.support.broken_disks import NUMBERS, failing


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "toolchains").mkdir()
    monkeypatch.chdir(tmp_path)
    return tmp_path


def unpack_bytes(home: Path, data: bytes, most: int = 10_000) -> None:
    (home / "archive").write_bytes(data)
    unpack_toolchain(UnpackToolchain("t", str(home / "archive"), UnpackLimits(1_000_000, most, 200, 4095, 4000)))


def left(home: Path) -> list[str]:
    """What is there when all that was removed is swept away."""
    sweep()
    return [entry.name for entry in (home / "toolchains").iterdir()]


def test_unpack_and_remove(home: Path) -> None:
    """A toolchain appears whole under its name, and goes without a trace; removing it twice is no error."""
    top = member("./", tarfile.DIRTYPE, "", 0o777)
    unpack_bytes(home, gzipped(tar(top, file("bin/cc", b"#!", 0o755), member("lib", b"2", "/usr/lib"))))
    assert (home / "toolchains/t/bin/cc").read_bytes() == b"#!"
    assert (home / "toolchains/t").stat().st_mode & 0o777 == 0o755  # whatever an archive says of its top
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
    (home / "toolchains/file").touch()
    remove_all()
    assert left(home) == []


def test_links_in_place_of_toolchains(home: Path) -> None:
    """None belongs there; it goes, and what it points at stays."""
    (home / "precious").mkdir()
    (home / "precious/file").touch()
    for name in ("t", "gone-t", "part-t"):
        (home / "toolchains" / name).symlink_to(home / "precious")
    remove_all()
    assert left(home) == []
    assert (home / "precious/file").exists()


def test_removing_takes_no_time(home: Path) -> None:
    """However large it is: what was removed waits under another name until it is swept away."""
    unpack_bytes(home, GOOD)
    remove_toolchain("t")
    (there,) = (home / "toolchains").iterdir()
    assert there.name.startswith("gone-")
    assert (there / "bin/cc").exists()
    assert left(home) == []


def test_what_cannot_be_swept(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is tried once and said, and it keeps nothing else from being swept."""
    for name in ("gone-1", "gone-2"):
        (home / "toolchains" / name / "bin").mkdir(parents=True)
    with monkeypatch.context() as broken:
        broken.setattr("os.rmdir", failing(errno.EIO))
        broken.setattr(Path, "rmdir", failing(errno.EIO))
        with pytest.raises(OSError, match="could not be emptied"):
            sweep()
    assert left(home) == []


def test_what_is_told_of_a_toolchain(home: Path) -> None:
    """What it takes of a disk, while it grows and in the end: whole blocks, and directories that have no name in it."""
    told: list[Size] = []
    members: list[tarfile.TarInfo | tuple[tarfile.TarInfo, bytes]] = [
        file("a/b/1", bytes(1)),
        file("a/2", bytes(4096)),
        member("a/3", b"2", "x"),
        member("a", b"5"),
    ]
    (home / "archive").write_bytes(gzipped(tar(*members, file("big", b"x" * STEP_BYTES))))
    request = UnpackToolchain("t", str(home / "archive"), UnpackLimits(1 << 30, 10, 2000, 4095, 10))
    unpacked = unpack_toolchain(request, grown=told.append)
    size = unpacked.size
    blocks = 2 + 1 + 1 + STEP_BYTES // 4096
    assert unpacked == Unpacked(Size(4096 * blocks, 7), ANY)
    assert [(STEP_BYTES <= each.bytes <= size.bytes, each.inodes) for each in told] == [(True, 7)]


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
