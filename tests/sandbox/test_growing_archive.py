"""An archive that comes in, as a sandbox worker follows it."""

import io
import os
from collections.abc import Iterable
from pathlib import Path

import pytest

from sccachedist.builders.worker_protocol import UnpackLimits, UnpackToolchain
from sccachedist.errors import BuildError, LimitExceeded, ToolchainError
from sccachedist.sandbox.archive.growing_archive import GrowingArchive, GrowingFile
from sccachedist.sandbox.overlay.toolchain_store import sweep, unpack_toolchain
from tests.sandbox.archives import file, growing, gzipped, tar

MIB = 1 << 20
CONTENT = os.urandom(300_000)


def pieces(stream: GrowingFile, size: int) -> Iterable[bytes]:
    return iter(lambda: stream.read(size), b"")


def test_read_as_far_as_it_is_there() -> None:
    """Nothing is read before it is said to be there, and nothing is left out."""
    stream = GrowingFile(io.BytesIO(b"0123456789"), growing(0, 4, 4, 9, 10))
    assert list(pieces(stream, 3)) == [b"012", b"3", b"456", b"78", b"9"]


def test_nobody_tells() -> None:
    """When the daemon has gone there is no end of the archive, but an error."""
    stream = GrowingFile(io.BytesIO(b"0123456789"), growing(4, whole=False))
    assert stream.read(10) == b"0123"
    with pytest.raises(BuildError, match="gone"):
        stream.read(10)


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "toolchains").mkdir()
    monkeypatch.chdir(tmp_path)
    return tmp_path


def followed(home: Path, archive: bytes, comes: GrowingArchive, ratio: int = 200) -> None:
    (home / "archive").write_bytes(archive)
    unpack_toolchain(UnpackToolchain("t", str(home / "archive"), UnpackLimits(100 * MIB, 10, ratio, 4095, 256)), comes)


def left(home: Path) -> list[str]:
    sweep()
    return [entry.name for entry in (home / "toolchains").iterdir()]


@pytest.mark.parametrize("rest", [b"", bytes(3)])
def test_unpacked(home: Path, rest: bytes) -> None:
    """It is unpacked as one that was there from the beginning, also where something follows its last member."""
    archive = gzipped(tar(file("bin/cc", CONTENT, 0o755))) + rest
    followed(home, archive, growing(1, 100, 70_000, len(archive)))
    assert (home / "toolchains/t/bin/cc").read_bytes() == CONTENT
    assert left(home) == ["t"]


@pytest.mark.parametrize("size", [100, -1, None])
def test_never_whole(home: Path, size: int | None) -> None:
    """What is not said to be what it should be gets no name, though all of it may be there, and nothing of it stays."""
    archive = gzipped(tar(file("bin/cc", CONTENT)))
    with pytest.raises(BuildError):
        followed(home, archive, growing(len(archive[:size]), whole=False))
    assert left(home) == []


def test_damaged(home: Path) -> None:
    """It is noticed as soon as it has come."""
    with pytest.raises(ToolchainError):
        followed(home, b"no archive", growing(10, whole=False))
    assert left(home) == []


def test_what_may_come_out_grows(home: Path) -> None:
    """So many times what has come, as of an archive that is there."""
    archive = gzipped(tar(file("zeros", bytes(80 * MIB))))
    with pytest.raises(LimitExceeded) as caught:
        followed(home, archive, growing(len(archive)), ratio=200)
    assert caught.value.limit == "compression_ratio"
    followed(home, archive, growing(len(archive)), ratio=2000)
    assert left(home) == ["t"]
