"""Archives that are rewritten: the same files, and nothing that harms the program that unpacks them."""

import io
import tarfile
from typing import TypeAlias

import pytest

from sccachedist.builders.worker_protocol import Size
from sccachedist.errors import DecodeError, LimitExceeded
from sccachedist.sandbox.archive.repack import END, file_member, repacked
from sccachedist.sandbox.archive.tally import DISK_BLOCK, MemberLimits, Tally
from sccachedist.sandbox.archive.unpack import LATEST_MTIME
from tests.sandbox.archives import file, member, tar

LIMIT = MemberLimits("inputs_entries", 200, path_bytes=4095)

Entry: TypeAlias = tarfile.TarInfo | tuple[tarfile.TarInfo, bytes]


def again(archive: bytes) -> list[tarfile.TarInfo]:
    """The members that come out."""
    written = b"".join(repacked(io.BytesIO(archive), Tally(LIMIT), whole=False)) + END
    with tarfile.open(fileobj=io.BytesIO(written)) as read:
        return read.getmembers()


def shown(archive: bytes) -> list[tuple[str, bytes, str, int]]:
    return [(info.name, info.type, info.linkname, info.mode) for info in again(archive)]


LONG = "d/" * 100 + "x" * 200


@pytest.mark.parametrize("form", [tarfile.GNU_FORMAT, tarfile.PAX_FORMAT])
def test_everything_that_may_be_in_one(form: int) -> None:
    """Names of any length and any bytes, links of both kinds, permissions."""
    members: list[Entry] = [
        member("dir", tarfile.DIRTYPE, mode=0o755),
        file("dir/run", b"x" * 700, 0o755),
        file("dir/name\udcff", b""),
        member("dir/hard", tarfile.LNKTYPE, "dir/run"),
        member("abs", tarfile.SYMTYPE, "/usr/lib"),
        member("up", tarfile.SYMTYPE, "../../x"),
        file(LONG, b"long"),
        member("far", tarfile.SYMTYPE, LONG),
    ]
    assert shown(tar(*members, form=form)) == [
        (info.name, info.type, info.linkname, info.mode)
        for info in (entry if isinstance(entry, tarfile.TarInfo) else entry[0] for entry in members)
    ]


def test_contents() -> None:
    """Whatever their sizes are, with the times that they had, and owned by root."""
    contents = {f"f{size}": bytes(range(256)) * 4 * size for size in range(3)} | {"odd": b"odd"}
    written = b"".join(
        repacked(io.BytesIO(tar(*(file(name, data) for name, data in contents.items()))), Tally(LIMIT), whole=False)
    )
    with tarfile.open(fileobj=io.BytesIO(written + file_member("ours", b"last", 0o700) + END)) as read:
        found = {info.name: read.extractfile(info).read() for info in read}  # type: ignore[union-attr]
        assert {(info.mtime, info.uid, info.gid) for info in read if info.name != "ours"} == {(1_000_000_000, 0, 0)}
    assert found == contents | {"ours": b"last"}


@pytest.mark.parametrize(
    ("entry", "name", "mode"),
    [
        (file("/etc/passwd", b""), "etc/passwd", 0o644),
        (file("a/./b/../c", b""), "a/c", 0o644),
        (file("setuid", b"", 0o6755), "setuid", 0o755),
        (member("sticky", tarfile.DIRTYPE, mode=0o1077), "sticky", 0o777),
        (member("hard", tarfile.LNKTYPE, "/a/../b"), "hard", 0o644),
    ],
)
def test_what_is_made_plain(entry: Entry, name: str, mode: int) -> None:
    """No name climbs or begins at the root, no user gets another's rights, an owner keeps a directory's."""
    (info,) = again(tar(entry))
    assert (info.name, info.mode, ".." in info.linkname) == (name, mode, False)


def test_a_directory_in_the_place_of_a_link() -> None:
    """The link stays, and the files go where it leads."""
    entries: list[Entry] = [
        member("lib", tarfile.SYMTYPE, "usr/lib"),
        member("lib", tarfile.DIRTYPE),
        file("lib/x", b""),
    ]
    assert [info.name for info in again(tar(*entries))] == ["lib", "lib/x"]
    assert [info.name for info in again(tar(member("./", tarfile.DIRTYPE), file("x", b"")))] == ["x"]


@pytest.mark.parametrize(
    "archive",
    [
        tar(file("../x", b"")),
        tar(member("x", tarfile.LNKTYPE, "../x")),
        tar(file("x", b"content"))[:600],
        b"garbage" * 100,
    ],
)
def test_what_is_refused(archive: bytes) -> None:
    """As when it is unpacked here."""
    with pytest.raises(DecodeError):
        again(archive)


def test_too_many_members() -> None:
    """There is a limit."""
    with pytest.raises(LimitExceeded, match="inputs_entries"):
        again(tar(*(file(str(number), b"") for number in range(201))))


def test_members_that_become_nothing_count() -> None:
    """Each costs time, though no file comes of it."""
    with pytest.raises(LimitExceeded, match="inputs_entries"):
        again(tar(*(member(f"label {number}", b"V") for number in range(201))))


@pytest.mark.parametrize("more", [file("x" * 21, b""), member("x", tarfile.SYMTYPE, "y" * 21)])
def test_too_long_paths(more: Entry) -> None:
    """A name and what a link says have a limit."""
    tally = Tally(MemberLimits("inputs_entries", 3, path_bytes=20))
    with pytest.raises(LimitExceeded, match="path_bytes"):
        list(repacked(io.BytesIO(tar(more)), tally, whole=False))


def test_size_on_the_disk() -> None:
    """What the other program makes is counted as what is unpacked here."""
    tally = Tally(LIMIT)
    list(repacked(io.BytesIO(tar(file("d/f", b"x"), file("e/g", b"x" * 5000))), tally, whole=False))
    assert tally.size == Size((2 + 1 + 2) * DISK_BLOCK, 4)


def test_times() -> None:
    """One that the other program might not take becomes one that it does."""
    far, near = (member(name, tarfile.REGTYPE) for name in ("far", "near"))
    far.mtime, near.mtime = 2**60, 2**31
    assert [info.mtime for info in again(tar(far, near))] == [LATEST_MTIME, 2**31]


def whole(*members: Entry, most: int = 10, depth: int = 256) -> list[tuple[str, bytes, int]]:
    """What is written of an archive that is all that there will be, and may make so many files."""
    tally = Tally(MemberLimits("toolchain_entries", most, 4095, depth))
    written = b"".join(repacked(io.BytesIO(tar(*members)), tally, whole=True)) + END
    with tarfile.open(fileobj=io.BytesIO(written)) as read:
        return [(info.name, info.type, info.mode) for info in read.getmembers()]


def test_directories_without_a_name() -> None:
    """They are written, once and before what is in them, as everybody may enter them; a symlink stays one."""
    members: list[Entry] = [
        file("usr/lib/x", b"x", 0o600),
        member("usr/lib/y", tarfile.DIRTYPE, mode=0o700),
        member("lib", tarfile.SYMTYPE, "usr/lib"),
        file("lib/z", b"z"),
    ]
    assert whole(*members) == [
        ("usr", tarfile.DIRTYPE, 0o755),
        ("usr/lib", tarfile.DIRTYPE, 0o755),
        ("usr/lib/x", tarfile.REGTYPE, 0o600),
        ("usr/lib/y", tarfile.DIRTYPE, 0o700),
        ("lib", tarfile.SYMTYPE, 0o644),
        ("lib/z", tarfile.REGTYPE, 0o644),
    ]
    assert [name for name, *_ in shown(tar(*members))] == ["usr/lib/x", "usr/lib/y", "lib", "lib/z"]


@pytest.mark.parametrize(
    ("names", "kind"),
    [(["a/b/c/d"], tarfile.REGTYPE), (["a/b/c/d"], tarfile.DIRTYPE), (["a/b/c", "x"], tarfile.REGTYPE)],
)
def test_directories_without_a_name_count(names: list[str], kind: bytes) -> None:
    """As those that an archive names."""
    members = [member(name, kind) for name in names]
    whole(*members, most=4)
    with pytest.raises(LimitExceeded) as caught:
        whole(*members, most=3)
    assert caught.value.limit == "toolchain_entries"


def test_too_deep() -> None:
    """There is a limit for that too."""
    whole(file("a/b/c", b""), depth=2)
    with pytest.raises(LimitExceeded) as caught:
        whole(file("a/b/c/d", b""), depth=2)
    assert caught.value.limit == "path_depth"
