"""What an archive unpacks to, and that it touches nothing else."""

import copy
import errno
import io
import os
import shutil
import stat
import subprocess
import tarfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sccachedist.builders.worker_protocol import Size
from sccachedist.errors import DecodeError, LimitExceeded
from sccachedist.sandbox.archive.tally import DISK_BLOCK, STEP_BYTES, STEP_INODES, MemberLimits
from sccachedist.sandbox.archive.unpack import unpack
from sccachedist.sandbox.beneath import Lookup, Root, openat2, walk
from tests.sandbox.archives import file, member, raw_header, tar

LIMIT = MemberLimits("inputs_entries", 10_000, path_bytes=4095, path_depth=4000)
LOOKUPS = {"openat2": openat2, "walk": walk}


@pytest.fixture
def inside(tmp_path: Path) -> Path:
    (tmp_path / "secret").write_bytes(b"outside")
    (tmp_path / "root").mkdir()
    return tmp_path / "root"


@pytest.fixture(params=LOOKUPS)
def root(request: pytest.FixtureRequest, inside: Path) -> Iterator[Root]:
    descriptor = os.open(inside, os.O_PATH)
    yield Root(descriptor, LOOKUPS[request.param])
    os.close(descriptor)


def unpack_bytes(root: Root, data: bytes, limits: MemberLimits = LIMIT) -> None:
    unpack(io.BytesIO(data), root, limits)


def picture(place: Path) -> dict[str, tuple[object, ...]]:
    """All that unpacking decides: kinds, modes, times, targets, contents, which names are one file."""
    found: dict[str, tuple[object, ...]] = {}
    first: dict[int, str] = {}
    for path in sorted(place.rglob("*")):
        status, name = path.lstat(), str(path.relative_to(place))
        if path.is_symlink():
            found[name] = ("link", os.readlink(path))
        elif path.is_dir():
            found[name] = ("directory", stat.S_IMODE(status.st_mode))
        else:
            same = first.setdefault(status.st_ino, name)
            found[name] = ("file", stat.S_IMODE(status.st_mode), int(status.st_mtime), path.read_bytes(), same)
    return found


def test_a_tree_comes_out_as_gnu_tar_makes_it(root: Root, inside: Path, tmp_path: Path) -> None:
    """Modes, times, links, hard links and contents are those of the archive."""
    data = tar(
        member("./usr", tarfile.DIRTYPE, mode=0o755),
        member("usr/lib", tarfile.DIRTYPE, mode=0o711),
        file("usr/lib/a.so.1", b"library" * 1000, 0o755),
        member("usr/lib/a.so", tarfile.SYMTYPE, "a.so.1"),
        member("usr/lib/b.so", tarfile.LNKTYPE, "usr/lib/a.so.1"),
        member("lib", tarfile.SYMTYPE, "/usr/lib"),
        file("no/directories/before", b"x", 0o400),
        file("no/directories/" + "long" * 50, b"y"),
    )
    unpack_bytes(root, data)
    expected = tmp_path / "expected"
    expected.mkdir()
    subprocess.run(["tar", "-xpf-", "-C", expected], input=data, check=True)
    assert picture(inside) == picture(expected)


def test_names_that_begin_with_a_slash(root: Root, inside: Path) -> None:
    """An absolute name is one inside."""
    unpack_bytes(root, raw_header(b"/etc/passwd"))
    assert (inside / "etc/passwd").is_file()


def test_no_bits_that_give_rights(root: Root, inside: Path) -> None:
    """Setuid, setgid and sticky do not survive; a directory stays its owner's."""
    unpack_bytes(root, tar(file("f", b"", 0o7755), member("d", tarfile.DIRTYPE, mode=0o7055)))
    assert [stat.S_IMODE((inside / name).stat().st_mode) for name in "fd"] == [0o755, 0o755]


def test_links_that_are_there_lead_inside(root: Root, inside: Path) -> None:
    """A file below a linked directory of the toolchain lands where the link leads, and the link stays."""
    unpack_bytes(
        root,
        tar(member("lib64", tarfile.SYMTYPE, "/usr/lib64"), member("lib64", tarfile.DIRTYPE), file("lib64/x", b"")),
    )
    assert (inside / "usr/lib64/x").is_file()
    assert (inside / "lib64").is_symlink()


def test_a_later_member_replaces_an_earlier(root: Root, inside: Path) -> None:
    """The last one of a name counts, and does not write through a link that the first one was."""
    unpack_bytes(
        root,
        tar(
            file("target", b"kept"),
            member("a", tarfile.SYMTYPE, "target"),
            file("a", b"new"),
            member("b", tarfile.DIRTYPE),
            member("b", tarfile.SYMTYPE, "target"),
            file("c", b"old"),
            member("c", tarfile.LNKTYPE, "target"),
        ),
    )
    assert {name: (inside / name).read_bytes() for name in ("target", "a", "b", "c")} == {
        "target": b"kept",
        "a": b"new",
        "b": b"kept",
        "c": b"kept",
    }
    assert not (inside / "a").is_symlink()


ATTACKS = {
    "dots before": raw_header(b"../secret"),
    "dots inside": raw_header(b"a/../../secret"),
    "dots behind": raw_header(b"a/b/.."),
    "dots alone": raw_header(b".."),
    "a directory of dots": raw_header(b"a/../..", kind=b"5"),
    "a hard link to the outside": tar(member("a", tarfile.LNKTYPE, "../secret")),
    "an absolute hard link": tar(member("a", tarfile.LNKTYPE, "/etc/passwd")),
    "a hard link through a link": tar(
        member("d", tarfile.SYMTYPE, "{outside}"), member("a", tarfile.LNKTYPE, "d/secret")
    ),
    "a hard link to a directory": tar(member("d", tarfile.DIRTYPE), member("a", tarfile.LNKTYPE, "d")),
    "a hard link to itself": tar(member("a", tarfile.LNKTYPE, "a")),
    "a directory that holds something replaced": tar(file("d/f", b""), file("d", b"")),
    "a file as a directory": tar(file("f", b""), file("f/g", b"")),
    "a name too long": tar(file("n" * 300, b"")),
    "links in a circle": tar(member("a", tarfile.SYMTYPE, "b"), member("b", tarfile.SYMTYPE, "a"), file("a/x", b"")),
}


@pytest.mark.parametrize("attack", ATTACKS)
def test_attacks_that_are_refused(root: Root, inside: Path, attack: str) -> None:
    """The archive is refused and the outside is as it was (THREATS 20)."""
    with pytest.raises(DecodeError):
        unpack_bytes(root, ATTACKS[attack])
    untouched(inside)


DIVERSIONS: dict[str, list[tarfile.TarInfo | tuple[tarfile.TarInfo, bytes]]] = {
    "a link to the outside": [member("d", tarfile.SYMTYPE, "{outside}"), file("d/secret", b"written", 0o777)],
    "a link upwards": [member("d", tarfile.SYMTYPE, "../../../.."), file("d/secret", b"written")],
    "a file over a link": [member("s", tarfile.SYMTYPE, "{outside}/secret"), file("s", b"written", 0o777)],
    "a directory over a link": [member("d", tarfile.SYMTYPE, "{outside}"), member("d", tarfile.DIRTYPE, mode=0o777)],
    "links to links": [
        member("a", tarfile.SYMTYPE, ".."),
        member("b", tarfile.SYMTYPE, "a/../a"),
        member("c", tarfile.SYMTYPE, "b/{outside}"),
        file("c/secret", b"written"),
    ],
    "a directory replaced by a link": [
        member("d", tarfile.DIRTYPE),
        member("d", tarfile.SYMTYPE, "{outside}"),
        file("d/secret", b"written"),
    ],
    "a hard link to a link": [
        member("s", tarfile.SYMTYPE, "{outside}/secret"),
        member("h", tarfile.LNKTYPE, "s"),
        file("h", b"written"),
    ],
    "a hard link to a link, which stays": [
        member("s", tarfile.SYMTYPE, "{outside}/secret"),
        member("h", tarfile.LNKTYPE, "s"),
    ],
}


@pytest.mark.parametrize("attack", DIVERSIONS)
def test_attacks_that_stay_inside(root: Root, inside: Path, attack: str) -> None:
    """What a chroot would keep inside stays inside (THREATS 20)."""
    members = []
    for each in DIVERSIONS[attack]:
        info, content = each if isinstance(each, tuple) else (each, b"")
        info = copy.copy(info)
        info.linkname = info.linkname.format(outside=inside.parent)
        members.append((info, content))
    unpack_bytes(root, tar(*members))
    untouched(inside)


def untouched(inside: Path) -> None:
    outside = inside.parent
    assert sorted(os.listdir(outside)) == ["root", "secret"]
    assert (outside / "secret").read_bytes() == b"outside"
    assert (outside / "secret").stat().st_nlink == 1
    assert stat.S_IMODE((outside / "secret").stat().st_mode) == 0o644


def test_too_many_members(root: Root) -> None:
    """The limit counts members, whatever they are."""
    data = tar(*(member(f"d{n}", tarfile.DIRTYPE) for n in range(3)))
    unpack_bytes(root, data, MemberLimits("inputs_entries", 3, path_bytes=4095))
    with pytest.raises(LimitExceeded) as caught:
        unpack_bytes(root, data, MemberLimits("inputs_entries", 2, path_bytes=4095))
    assert caught.value.limit == "inputs_entries"


def test_size_on_the_disk(root: Root) -> None:
    """Each file and directory takes whole blocks, so tiny ones are not free; large archives are told of meanwhile."""
    small = tar(
        member("d", tarfile.DIRTYPE), file("d/f", b"x"), file("e/g", b"x" * 5000), member("s", tarfile.SYMTYPE, "x")
    )
    assert unpack(io.BytesIO(small), root, LIMIT).size == Size((2 + 1 + 2) * DISK_BLOCK, 5)
    for data in (
        tar(file("large", bytes(STEP_BYTES))),
        tar(*(member(f"many/{number}", tarfile.SYMTYPE, "x") for number in range(STEP_INODES))),
    ):
        told: list[Size] = []
        unpack(io.BytesIO(data), root, LIMIT, told.append)
        assert len(told) == 1


def too_many(root: Root, *members: tarfile.TarInfo) -> str:
    """The limit that these are beyond where three files and directories may be made, five deep."""
    with pytest.raises(LimitExceeded) as caught:
        unpack_bytes(root, tar(*members), MemberLimits("inputs_entries", 3, path_bytes=4095, path_depth=5))
    return caught.value.limit


def test_directories_without_a_name(root: Root) -> None:
    """What an archive needs and does not name counts as what it names, whatever member needs it; and only once."""
    limits = MemberLimits("inputs_entries", 3, path_bytes=4095)
    for members in (
        [member("a/b/c")],
        [member("a/b/c", tarfile.DIRTYPE)],
        [member("a/b", tarfile.DIRTYPE), member("a/c")],
        [member("a/b", tarfile.SYMTYPE, "x"), member("a/c")],
    ):
        unpack_bytes(root, tar(*members), limits)
        shutil.rmtree(os.fsencode(f"/proc/self/fd/{root._root}/a"))
    for kind, link in (
        (tarfile.REGTYPE, ""),
        (tarfile.DIRTYPE, ""),
        (tarfile.SYMTYPE, "x"),
        (tarfile.LNKTYPE, "p/q/r/s"),
    ):
        name = "a/b/c/d" if kind != tarfile.LNKTYPE else "a/l"
        assert too_many(root, member(name, kind, link)) == "inputs_entries"
        shutil.rmtree(os.fsencode(f"/proc/self/fd/{root._root}/a"), ignore_errors=True)


def test_one_directory_many_times(root: Root) -> None:
    """It is made once, but takes time each time."""
    assert too_many(root, *[member("d", tarfile.DIRTYPE)] * 4) == "inputs_entries"


def test_too_deep(root: Root) -> None:
    """How deep a directory lies counts, not how it is called: links do not hide it, and a way up is none down."""
    limits = MemberLimits("inputs_entries", 30, path_bytes=4095, path_depth=5)
    unpack_bytes(root, tar(member("a/b/c/d/e/f"), member("link", tarfile.SYMTYPE, "a/b/c")), limits)
    unpack_bytes(root, tar(member("link/1/2/3"), member("a/../a/../a/../a/../x/y")), limits)
    for name in ("link/1/2/x/4", "a/b/c/d/e/6/7", "1/2/3/4/5/6/7"):
        with pytest.raises(LimitExceeded) as caught:
            unpack_bytes(root, tar(member(name)), limits)
        assert caught.value.limit == "path_depth"


@pytest.mark.parametrize(
    "more", [member("n" * 21), member("l", tarfile.SYMTYPE, "t" * 21), member("n" * 10 + "/" + "n" * 10)]
)
def test_too_long_paths(root: Root, more: tarfile.TarInfo) -> None:
    """The limit holds for names and for what links name."""
    limits = MemberLimits("inputs_entries", 3, path_bytes=20)
    unpack_bytes(root, tar(member("n" * 20), member("s", tarfile.SYMTYPE, "t" * 20)), limits)
    with pytest.raises(LimitExceeded) as caught:
        unpack_bytes(root, tar(more), limits)
    assert caught.value.limit == "path_bytes"


def test_a_full_disk_is_not_the_archives_fault(root: Root, monkeypatch: pytest.MonkeyPatch) -> None:
    """Our own trouble passes through as what it is."""

    def full(*args: object, **kwargs: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "symlink", full)
    with pytest.raises(OSError, match="No space"):
        unpack_bytes(root, tar(member("s", tarfile.SYMTYPE, "x")))


PARTS = st.sampled_from(["a", "b", "..", ".", "secret"])
PATHS = st.lists(PARTS, min_size=1, max_size=4).map("/".join)
MEMBERS = st.builds(
    member,
    PATHS,
    st.sampled_from([tarfile.REGTYPE, tarfile.DIRTYPE, tarfile.SYMTYPE, tarfile.LNKTYPE]),
    st.one_of(PATHS, PATHS.map("/".__add__), PATHS.map("../../../../".__add__)),
)


@settings(max_examples=200)
@given(members=st.lists(MEMBERS, max_size=8), lookup=st.sampled_from([openat2, walk]))
def test_no_archive_reaches_the_outside(
    tmp_path_factory: pytest.TempPathFactory, members: list[tarfile.TarInfo], lookup: Lookup
) -> None:
    """Whatever names and links come in whatever order."""
    outside = tmp_path_factory.mktemp("outside")
    (outside / "secret").write_bytes(b"outside")
    (outside / "root").mkdir()
    descriptor = os.open(outside / "root", os.O_PATH)
    try:
        for each in members:  # each alone, so that a refused one does not end the attack
            try:
                unpack_bytes(Root(descriptor, lookup), tar(each))
            except DecodeError:
                continue
    finally:
        os.close(descriptor)
    untouched(outside / "root")
