"""Sparse files, and whatever else GNU tar writes, unpack as GNU tar unpacks them."""

import io
import os
import subprocess
from pathlib import Path

import pytest

from sccachedist.errors import DecodeError
from sccachedist.sandbox.archive.sparse import MOST_SEGMENTS
from sccachedist.sandbox.archive.tar import read_archive
from sccachedist.sandbox.archive.unpack import unpack
from sccachedist.sandbox.beneath import DIRECTORY, Root, openat2
from tests.sandbox.archives import octal, padded, pax, raw_header
from tests.sandbox.test_unpack import LIMIT, picture

#: Where its data lies in a sparse file; there are so many pieces that GNU's old form needs further blocks for its map.
SEGMENTS = {offset * 65_536: b"%d" % offset * 700 for offset in range(60)}
FORMATS = {
    "old GNU": ("--format=oldgnu", "--sparse"),
    "GNU": ("--format=gnu", "--sparse"),
    "PAX 0.0": ("--format=posix", "--sparse", "--sparse-version=0.0"),
    "PAX 0.1": ("--format=posix", "--sparse", "--sparse-version=0.1"),
    "PAX 1.0": ("--format=posix", "--sparse", "--sparse-version=1.0", "--xattrs", "--acls"),
    "a label": ("--format=gnu", "--label=name of a volume"),
    "a list of what was there": ("--format=gnu", "--listed-incremental={new}"),
    "a list of what was there, PAX": ("--format=posix", "--listed-incremental={new}"),
}


@pytest.fixture(scope="module")
def tree(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Files with holes, and with times that few files have."""
    tree = tmp_path_factory.mktemp("tree")
    for name, data in {"sparse": SEGMENTS, "hole": {}, "n" * 150: {2_000_000: b"x"}}.items():
        with (tree / name).open("wb") as file:
            for offset, content in data.items():
                file.seek(offset)
                file.write(content)
            file.truncate(file.tell() + 1_000_000)
    (tree / "directory").mkdir()
    for name, time in {"old": -300_000_000, "new": 2**33, "directory/now": 1_500_000_000}.items():
        (tree / name).write_text(name)
        os.utime(tree / name, (time, time))
    return tree


def packed_by_gnu_tar(tree: Path, new: Path, options: tuple[str, ...]) -> bytes:
    """The tree as an archive.

    :param new: the name of a file that is not there yet.
    """
    arguments = [*(option.format(new=new) for option in options), "-cf-", "-C", str(tree), "."]
    return subprocess.run(["tar", *arguments], capture_output=True, check=True).stdout


@pytest.mark.parametrize("options", FORMATS.values(), ids=FORMATS)
def test_as_gnu_tar(tree: Path, tmp_path: Path, options: tuple[str, ...]) -> None:
    """Contents, holes included, names and times."""
    packed = packed_by_gnu_tar(tree, tmp_path / "new", options)
    ours, theirs = tmp_path / "ours", tmp_path / "theirs"
    ours.mkdir()
    theirs.mkdir()
    descriptor = os.open(ours, DIRECTORY)
    try:
        unpack(io.BytesIO(packed), Root(descriptor, openat2), LIMIT)
    finally:
        os.close(descriptor)
    subprocess.run(["tar", "-xpf-", "-C", theirs], input=packed, check=True)
    assert picture(ours) == picture(theirs)
    assert len(picture(ours)) == 7


@pytest.mark.parametrize("options", FORMATS.values(), ids=FORMATS)
def test_a_file_that_is_not_read(tree: Path, tmp_path: Path, options: tuple[str, ...]) -> None:
    """The next member is found behind it."""
    packed = packed_by_gnu_tar(tree, tmp_path / "new", options)
    assert {b"./old", b"./new"} < {found.name for found, _ in read_archive(io.BytesIO(packed))}


def read(packed: bytes) -> list[bytes]:
    """The contents of an archive's members."""
    return [b"".join(content) for _, content in read_archive(io.BytesIO(packed))]


def sparse(content: bytes = b"", **records: str) -> bytes:
    """A member with these records of PAX."""
    told = pax(**{f"GNU__sparse__{key}": value for key, value in records.items()})
    return raw_header(kind=b"x", size=octal(len(told))) + padded(told) + raw_header(size=octal(len(content))) + content


def old(entries: bytes, size: bytes, goes_on: bytes = b"\0", stored: int = 0) -> bytes:
    """A header of GNU's old form, with any map."""
    header = bytearray(raw_header(b"s", b"S", octal(stored), magic=b"ustar  \0"))
    header[386 : 386 + len(entries)] = entries
    header[482:483], header[483:495] = goes_on, size
    header[148:156] = b" " * 8
    header[148:156] = b"%06o\0 " % sum(header)
    return bytes(header)


DAMAGED = {
    "no size": sparse(major="1", minor="0"),
    "no size of a map": sparse(map="0,0"),
    "a size that is no number": sparse(size="many", map="0,0"),
    "a map out of order": sparse(padded(b"ab"), size="20", map="9,1,0,1"),
    "pieces that overlap": sparse(padded(b"ab"), size="20", map="0,2,1,1"),
    "a piece behind the end": sparse(padded(b"x" * 512), size="20", map="0,512"),
    "a piece without a length": sparse(size="20", map="0,0,1"),
    "more data than in the map": sparse(padded(b"x" * 512), size="1000", map="0,511"),
    "a map of words": sparse(size="20", map="one,two"),
    "a map that is cut off": sparse(padded(b"9\n1\n"), major="1", realsize="20"),
    "no map": sparse(padded(b"x" * 600), major="1", realsize="20"),
    "a map of letters": sparse(padded(b"1\nx\n1\n"), major="1", realsize="20"),
    "a map without an end": sparse(padded(b"%d\n" % MOST_SEGMENTS * 2), major="1", realsize="20"),
    "a map of too many pieces": sparse(padded(b"65537\n"), major="1", realsize="20"),
    "holes of a terabyte": sparse(size=str(2**40), map=""),
    "holes of a terabyte together": sparse(size=str(2**29), map="") * 2048,
    "an old map out of order": old((octal(9) + octal(1) + octal(0) + octal(1)), octal(20), stored=2) + padded(b"ab"),
    "an old map that is negative": old(b"\xff" * 12 + octal(0), octal(20)),
    "an old map that is cut off": old(octal(0) + octal(0), octal(20), b"\1"),
    "an old map that never ends": old(b"", octal(20), b"\1")
    + b"".join((octal(n) + octal(0)) * 21 + b"\1" + bytes(7) for n in range(MOST_SEGMENTS // 21 + 2)),
}


@pytest.mark.parametrize("what", DAMAGED)
def test_damage_is_an_error(what: str) -> None:
    """A map that contradicts itself or its file is refused, before anything is made of it."""
    with pytest.raises(DecodeError):
        read(DAMAGED[what])


def test_without_data() -> None:
    """A file may be one hole."""
    for packed in (sparse(size="3", map=""), sparse(padded(b"0\n"), major="1", realsize="3"), old(b"", octal(3))):
        assert read(packed) == [bytes(3)]


@pytest.mark.parametrize("time", ["9e99", "", "-", "soon"])
def test_times_that_are_none(time: str) -> None:
    """They change no content, so they are passed over."""
    told = pax(mtime=time)
    packed = raw_header(kind=b"x", size=octal(len(told))) + padded(told) + raw_header(mtime=octal(7))
    assert [found.mtime for found, _ in read_archive(io.BytesIO(packed))] == [7]
