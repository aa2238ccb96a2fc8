"""Archives that are written anew: the same files, and nothing that harms whoever unpacks them."""

import io
import tarfile
from typing import TypeAlias

import pytest

from sccachedist.builders.repack import END, file_member, repacked
from sccachedist.builders.unpack import MemberLimits
from sccachedist.errors import DecodeError, LimitExceeded
from tests.builders.archives import file, member, tar

LIMIT = MemberLimits("inputs_entries", 10, path_bytes=4095)

Entry: TypeAlias = tarfile.TarInfo | tuple[tarfile.TarInfo, bytes]


def again(archive: bytes) -> list[tarfile.TarInfo]:
    """The members that come out."""
    written = b"".join(repacked(io.BytesIO(archive), LIMIT)) + END
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
    written = b"".join(repacked(io.BytesIO(tar(*(file(name, data) for name, data in contents.items()))), LIMIT))
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
    """No name climbs or begins at the root, nobody gets another one's rights, an owner keeps a directory's."""
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
        tar(member("x", tarfile.CHRTYPE)),
        tar(member("x", tarfile.FIFOTYPE)),
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
        again(tar(*(file(str(number), b"") for number in range(11))))
