"""The corpus of archives: refused, or unpacked to what a careful reader expects, whichever way names are looked up."""

import contextlib
import io
import os
import stat
import tarfile
import tempfile
import time
import zlib
from collections.abc import Iterator
from pathlib import Path

import pytest

from sccachedist.errors import DecodeError, LimitExceeded
from sccachedist.sandbox.archive.compression import gunzip, inflate
from sccachedist.sandbox.archive.repack import repacked
from sccachedist.sandbox.archive.tally import MemberLimits, Tally
from sccachedist.sandbox.archive.unpack import unpack
from sccachedist.sandbox.beneath import DIRECTORY, Lookup, Root, openat2, walk
from sccachedist.sandbox.overlay.layout import TOOLCHAINS
from sccachedist.sandbox.overlay.toolchain_store import remove_toolchain, swept
from tests.sandbox.archives import file, gzipped, member, octal, padded, raw_header, tar
from tests.sandbox.corpus import CASES, REFUSED, Picture

LIMIT = MemberLimits("inputs_entries", 10_000, path_bytes=1 << 20, path_depth=10_000)
MOST = 1 << 20
SECRET = b"outside"
#: A file system on which thousands of directories cost nothing, where there is one.
MEMORY = "/dev/shm" if os.path.isdir("/dev/shm") else None
ARCHIVE = tar(*(file(f"f{n}", bytes([n]) * 700) for n in range(5)))
FILES = {b"f%d" % n: bytes([n]) * 700 for n in range(5)}


@pytest.fixture
def inside(tmp_path: Path) -> Path:
    """A root with a secret beside it."""
    (tmp_path / "secret").write_bytes(SECRET)
    (tmp_path / "root").mkdir()
    return tmp_path / "root"


@pytest.fixture(params=[openat2, walk], ids=["openat2", "walk"])
def root(request: pytest.FixtureRequest, inside: Path) -> Iterator[Root]:
    with root_at(inside, request.param) as root:
        yield root


@contextlib.contextmanager
def root_at(place: Path, lookup: Lookup) -> Iterator[Root]:
    """A directory as a root, with this way of looking names up."""
    descriptor = os.open(place, DIRECTORY)
    try:
        yield Root(descriptor, lookup)
    finally:
        os.close(descriptor)


def picture(place: Path) -> dict[bytes, bytes]:
    """All that is below a directory, as the corpus tells it; nothing else may be there."""
    found: dict[bytes, bytes] = {}
    for directory, directories, files in os.walk(os.fsencode(place)):
        for name in (*directories, *files):
            path = os.path.join(directory, name)
            mode, shown = os.lstat(path).st_mode, os.path.relpath(path, os.fsencode(place))
            if stat.S_ISLNK(mode):
                found[shown] = b"-> " + os.readlink(path)
            elif stat.S_ISDIR(mode):
                found[shown + b"/"] = b""
            else:
                assert stat.S_ISREG(mode)
                found[shown] = Path(os.fsdecode(path)).read_bytes()
            assert stat.S_ISLNK(mode) or not stat.S_IMODE(mode) & 0o7000
    return found


def untouched(outside: Path) -> None:
    """The secret beside the root is as it was, and alone."""
    status = (outside / "secret").lstat()
    assert sorted(os.listdir(outside)) == ["root", "secret"]
    assert ((outside / "secret").read_bytes(), status.st_nlink, stat.S_IMODE(status.st_mode)) == (SECRET, 1, 0o644)


@pytest.mark.parametrize(("archive", "expected"), CASES.values(), ids=CASES)
def test_the_corpus(root: Root, inside: Path, archive: bytes, expected: Picture | None) -> None:
    """Each archive is refused or becomes what it should, and the outside is as it was (THREATS 20)."""
    if expected is REFUSED:
        with pytest.raises(DecodeError):
            unpack(io.BytesIO(archive), root, LIMIT)
    else:
        unpack(io.BytesIO(archive), root, LIMIT)
        assert picture(inside) == expected
    untouched(inside.parent)


@pytest.mark.parametrize("archive", [archive for archive, _ in CASES.values()], ids=CASES)
def test_the_corpus_written_anew(root: Root, inside: Path, archive: bytes) -> None:
    """For builders that unpack elsewhere: what they are given means the same, or was refused (THREATS 20)."""
    try:
        written = b"".join(repacked(io.BytesIO(archive), Tally(LIMIT), whole=False))
    except DecodeError:
        return
    try:
        unpack(io.BytesIO(written), root, LIMIT)
    except DecodeError:
        with pytest.raises(DecodeError):
            unpack(io.BytesIO(archive), root, LIMIT)
    untouched(inside.parent)


def test_every_way_to_cut_an_archive_off(root: Root, inside: Path) -> None:
    """What is cut off is refused; only between two members may an archive end."""
    for size in range(0, len(ARCHIVE.rstrip(b"\0")), 64):
        if size % 512 == 0 and size // 512 % 3 == 0:  # a header and two blocks of content a member
            unpack(io.BytesIO(ARCHIVE[:size]), root, LIMIT)
        else:
            with pytest.raises(DecodeError):
                unpack(io.BytesIO(ARCHIVE[:size]), root, LIMIT)
    untouched(inside.parent)


def test_every_way_to_cut_a_compressed_archive_off(root: Root) -> None:
    """A compressed stream that ends before its archive does is refused, wherever it was cut."""
    packed = gzipped(ARCHIVE.rstrip(b"\0") + bytes(1024))
    for size in range(len(packed) - 16):
        with pytest.raises(DecodeError):
            unpack(gunzip(io.BytesIO(packed[:size]), "limit", MOST, 10_000), root, LIMIT)


@pytest.mark.parametrize("size", [1, 100, 511, 512, 700, 2000])
def test_an_archive_in_many_gzip_members(root: Root, inside: Path, size: int) -> None:
    """As parallel packers make them, and with empty members and zeros between."""
    pieces = [ARCHIVE[start : start + size] for start in range(0, len(ARCHIVE), size)]
    unpack(gunzip(io.BytesIO((gzipped(b"") + bytes(9)).join(map(gzipped, pieces))), "limit", MOST, 10_000), root, LIMIT)
    assert picture(inside) == FILES


@pytest.mark.parametrize("garbage", [b"\xff" * 3000, gzipped(b"\xff" * 3000), bytes(3000) + b"\xff"])
def test_garbage_behind_an_archive(root: Root, inside: Path, garbage: bytes) -> None:
    """It is not looked at."""
    unpack(gunzip(io.BytesIO(gzipped(ARCHIVE) + garbage), "limit", MOST, 10_000), root, LIMIT)
    unpack(inflate(io.BytesIO(zlib.compress(ARCHIVE) + garbage), "limit", MOST, 10_000), root, LIMIT)
    assert picture(inside) == FILES


class Endless(io.RawIOBase):
    """A file that begins in some way and never ends; it counts what was read of it."""

    def __init__(self, begin: bytes, again: bytes) -> None:
        super().__init__()
        self._next, self._again = begin, again
        self.given = 0

    def read(self, size: int = -1) -> bytes:
        while len(self._next) < size:
            self._next += self._again * 1000
        given, self._next = self._next[:size], self._next[size:]
        self.given += len(given)
        return given


def test_a_zlib_stream_that_never_ends(root: Root) -> None:
    """It is given up when it has unpacked to what is allowed."""
    begin = zlib.compressobj(1)
    head = begin.compress(raw_header(size=octal(2**32))) + begin.flush(zlib.Z_FULL_FLUSH)
    block = zlib.compressobj(1, wbits=-15)
    again = block.compress(bytes(100_000)) + block.flush(zlib.Z_FULL_FLUSH)
    stream = Endless(head, again)
    with pytest.raises(LimitExceeded) as caught:
        unpack(inflate(stream, "inputs_unpacked_bytes", MOST, 10_000), root, LIMIT)
    assert caught.value.limit == "inputs_unpacked_bytes"
    assert stream.given < MOST


@pytest.mark.parametrize("where", ["before the archive", "within a file"])
def test_a_zlib_stream_that_says_nothing_for_long(root: Root, where: str) -> None:
    """16 MiB of empty blocks are read in a moment, and then it is cut off."""
    head = b"" if where == "before the archive" else raw_header(size=octal(2000))
    begin = zlib.compressobj(1)
    packed = begin.compress(head) + begin.flush(zlib.Z_FULL_FLUSH) + b"\0\0\0\xff\xff" * ((1 << 24) // 5)
    before = time.process_time()
    with pytest.raises(DecodeError):
        unpack(inflate(io.BytesIO(packed), "inputs_unpacked_bytes", MOST, 10_000), root, LIMIT)
    assert time.process_time() - before < 5


@pytest.mark.parametrize("lookup", [openat2, walk])
def test_a_tree_deeper_than_any_name(monkeypatch: pytest.MonkeyPatch, lookup: Lookup) -> None:
    """Through links a tree gets deeper than a path is long; it is made, and removed again."""
    down = "d/" * 2000
    links = member("l", tarfile.SYMTYPE, f"/{down}"), member("m", tarfile.SYMTYPE, f"l/{down}")
    with tempfile.TemporaryDirectory(dir=MEMORY) as home:
        place = Path(home, TOOLCHAINS, "deep")
        place.mkdir(parents=True)
        with root_at(place, lookup) as root:
            unpack(io.BytesIO(tar(member(down, tarfile.DIRTYPE), *links, file(f"m/{down}f", b"deep"))), root, LIMIT)
            with open(root.open_regular(f"m/{down}f".encode()), "rb") as found:
                assert found.read() == b"deep"
        monkeypatch.chdir(home)
        remove_toolchain("deep")
        assert swept()
        assert list(place.parent.iterdir()) == []


def test_bytes_that_are_not_read_are_not_unpacked(root: Root, inside: Path) -> None:
    """The padding of a member is no content."""
    unpack(io.BytesIO(raw_header(size=octal(3)) + b"abc" + b"\xff" * 509 + padded(b"")), root, LIMIT)
    assert picture(inside) == {b"name": b"abc"}
