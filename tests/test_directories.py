"""Which directories and files are believed, and that the others are left as they are."""

import os
import pwd
import stat
import struct
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from sccachedist import directories
from sccachedist.directories import (
    check_way,
    clear,
    held,
    lock_file,
    make_private,
    open_inner,
    open_private,
    read_private,
)
from sccachedist.errors import UntrustedPath

OTHER = os.geteuid() + 4321
#: Stands for all users without a mapping, where there are such users.
OVERFLOW = 65534
#: An access control list as the kernel keeps it: its version, then a tag, rights and a user for each entry.
ACL = struct.pack("<I", 2) + b"".join(
    struct.pack("<HHI", tag, rights, user)
    for tag, rights, user in (
        (1, 7, 2**32 - 1),
        (2, 7, OTHER),
        (4, 0, 2**32 - 1),
        (16, 7, 2**32 - 1),
        (32, 0, 2**32 - 1),
    )
)


@contextmanager
def opened(path: Path) -> Iterator[int]:
    descriptor = open_private(path)
    try:
        yield descriptor
    finally:
        os.close(descriptor)


@pytest.fixture
def others(monkeypatch: pytest.MonkeyPatch) -> Callable[[Path], None]:
    """Has files belong to another user, as far as this process sees."""
    return _belonging(monkeypatch, OTHER)


def _belonging(monkeypatch: pytest.MonkeyPatch, user: int) -> Callable[[Path], None]:
    theirs: set[int] = set()
    true_lstat, true_fstat = os.lstat, os.fstat

    def changed(entry: os.stat_result) -> os.stat_result:
        if entry.st_ino not in theirs:
            return entry
        return os.stat_result((*entry[:4], user, *entry[5:]), {"st_mtime_ns": 0})

    monkeypatch.setattr(os, "lstat", lambda *args, **names: changed(true_lstat(*args, **names)))
    monkeypatch.setattr(os, "fstat", lambda descriptor: changed(true_fstat(descriptor)))
    return lambda path: theirs.add(true_lstat(path).st_ino)


@pytest.mark.parametrize("umask", [0, 0o077])
def test_made_for_its_owner_alone(tmp_path: Path, umask: int) -> None:
    """What is missing is made so that no other user may enter, whatever the umask."""
    before = os.umask(umask)
    try:
        make_private(tmp_path / "a")
        make_private(tmp_path / "a/b/c")
    finally:
        os.umask(before)
    assert [oct((tmp_path / path).stat().st_mode & 0o777) for path in ("a", "a/b", "a/b/c")] == ["0o700"] * 3


def test_closed_to_others(tmp_path: Path) -> None:
    """One that others could only read is taken over."""
    (tmp_path / "a").mkdir(mode=0o755)
    make_private(tmp_path / "a")
    assert (tmp_path / "a").stat().st_mode & 0o777 == 0o700


@pytest.mark.parametrize("mode", [0o777, 0o1777, 0o772])
def test_others_write(tmp_path: Path, mode: int) -> None:
    """One that others write to is not believed: the error says what to do."""
    (tmp_path / "a").mkdir()
    (tmp_path / "a").chmod(mode)
    with pytest.raises(
        UntrustedPath, match=r"/a can be written by other users \(mode .*see what is in it, then chmod go-w"
    ):
        make_private(tmp_path / "a")
    if mode & stat.S_ISVTX:
        make_private(tmp_path / "a/b")
    else:
        with pytest.raises(UntrustedPath, match=r"/a can be written by other users \(mode .*: chmod go-w .*, or \+t"):
            make_private(tmp_path / "a/b")
        assert not (tmp_path / "a/b").exists()


def test_a_group(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A group in which nobody else is known to be may write on the way, as a user's own and a container volume's."""
    (tmp_path / "a").mkdir()
    (tmp_path / "a").chmod(0o775)
    for shared in (False, True):
        monkeypatch.setattr(directories, "is_shared", lambda *_, shared=shared: shared)
        if shared:
            with pytest.raises(UntrustedPath, match="mode 0775"):
                check_way(tmp_path / "a/b")
        else:
            assert check_way(tmp_path / "a/b")[0] == tmp_path / "a"


def test_an_access_control_list(tmp_path: Path) -> None:
    """Where one lets another user write, the mode shows it as the right of a group: no group of that name is asked."""
    (tmp_path / "a").mkdir(mode=0o700)
    os.setxattr(tmp_path / "a", "system.posix_acl_access", ACL)
    assert (tmp_path / "a").stat().st_mode & 0o777 == 0o770
    with pytest.raises(UntrustedPath, match="mode 0770"):
        check_way(tmp_path / "a/b")


def test_who_is_in_a_group() -> None:
    """Group 0 is root's; one that the system has no name for is a volume's; another's members are looked up."""
    assert not directories.is_shared(0, {0})
    assert not directories.is_shared(4_000_000_000, {0})
    group = os.stat("/").st_gid
    users = [user for user in pwd.getpwall() if user.pw_gid not in (0, group)]
    assert users
    assert directories.is_shared(users[0].pw_gid, {0})


@pytest.mark.parametrize("name", ["a", "a/b", "a/link"])
def test_of_another_user(tmp_path: Path, others: Callable[[Path], None], name: str) -> None:
    """Neither a directory of another user nor what is below it is used, nor where another user's link leads to."""
    (tmp_path / "a/b").mkdir(parents=True)
    (tmp_path / "a/link").symlink_to("b")
    others(tmp_path / name)
    with pytest.raises(UntrustedPath, match=f"/{name} (belongs to|is a symbolic link of) uid {OTHER}"):
        make_private(tmp_path / name / "c")
    assert list((tmp_path / "a/b").iterdir()) == []


@pytest.mark.parametrize(("uid_map", "is_way"), [("0 0 4294967295", False), ("0 1000 65534", True)])
def test_users_without_a_mapping(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, uid_map: str, is_way: bool) -> None:
    """What belongs to such a user may be the host's root's, and lie on the way; if all have one, it is nobody's."""
    (tmp_path / "a/b").mkdir(parents=True)
    monkeypatch.setattr(Path, "read_text", lambda path: uid_map if path.name == "uid_map" else f"{OVERFLOW}")
    directories._unmapped.cache_clear()
    _belonging(monkeypatch, OVERFLOW)(tmp_path / "a")
    try:
        with pytest.raises(UntrustedPath, match="/a belongs to"):
            make_private(tmp_path / "a")
        if is_way:
            make_private(tmp_path / "a/b")
        else:
            with pytest.raises(UntrustedPath, match="/a belongs to"):
                make_private(tmp_path / "a/b")
    finally:
        directories._unmapped.cache_clear()


def test_links(tmp_path: Path) -> None:
    """On the way a link of our own is followed, with one name; in the place of what is private, none is."""
    (tmp_path / "a").mkdir()
    (tmp_path / "relative").symlink_to("a/../a/.")
    (tmp_path / "absolute").symlink_to(tmp_path / "relative")
    make_private(tmp_path / "absolute/b")
    assert (tmp_path / "a/b").is_dir()
    with pytest.raises(UntrustedPath, match="/absolute is a symbolic link"):
        make_private(tmp_path / "absolute")
    os.link(tmp_path / "relative", tmp_path / "second", follow_symlinks=False)
    with pytest.raises(UntrustedPath, match="/second is a symbolic link"):
        make_private(tmp_path / "second/b")


def test_a_circle_of_links(tmp_path: Path) -> None:
    """It is an error of the system, with the path."""
    (tmp_path / "a").symlink_to("a")
    with pytest.raises(OSError, match=r"Too many levels of symbolic links: .*/a"):
        make_private(tmp_path / "a/b")


def test_what_is_no_directory(tmp_path: Path) -> None:
    """Nothing waits for the other end of a pipe."""
    os.mkfifo(tmp_path / "pipe")
    for path in (tmp_path / "pipe", tmp_path / "pipe/a"):
        with pytest.raises(NotADirectoryError, match=f"Not a directory: '{tmp_path}/pipe'"):
            make_private(path)


@pytest.mark.parametrize("kind", ["link", "pipe", "large", "writable", "second name", "another user's"])
def test_files_that_are_not_read(tmp_path: Path, others: Callable[[Path], None], kind: str) -> None:
    """What somebody else could have written is not read, nor is anything for ever."""
    file = tmp_path / "key"
    file.write_bytes(b"x" * 32)
    match kind:
        case "link":
            file.rename(tmp_path / "other")
            file.symlink_to("other")
        case "pipe":
            file.unlink()
            os.mkfifo(file)
        case "large":
            file.write_bytes(b"x" * 33)
        case "writable":
            file.chmod(0o660)
        case "second name":
            os.link(file, tmp_path / "other")
        case _:
            others(file)
    with opened(tmp_path) as place, pytest.raises(UntrustedPath, match=r"^(it|others can write to it) "):
        read_private(place, "key", 32)


def test_a_file_that_others_could_read(tmp_path: Path) -> None:
    """It is read, and closed to them."""
    (tmp_path / "key").write_bytes(b"x")
    (tmp_path / "key").chmod(0o644)
    with opened(tmp_path) as place:
        assert read_private(place, "key", 32) == b"x"
    assert (tmp_path / "key").stat().st_mode & 0o777 == 0o600


def test_a_lock(tmp_path: Path) -> None:
    """One process has it at a time; a link in its place is not followed."""
    with opened(tmp_path) as place:
        first = lock_file(place, "lock")
        with pytest.raises(BlockingIOError):
            lock_file(place, "lock")
        os.close(first)
        os.close(lock_file(place, "lock"))
        os.link(tmp_path / "lock", tmp_path / "second")
        with pytest.raises(UntrustedPath, match="lock in it: it has another name"):
            lock_file(place, "lock")
        (tmp_path / "link").symlink_to("made")
        with pytest.raises(OSError, match="symbolic links"):
            lock_file(place, "link")
    assert not (tmp_path / "made").exists()


def test_all_is_removed(tmp_path: Path) -> None:
    """However deep, whatever it is, but not where a link leads to."""
    top, precious = tmp_path / "top", tmp_path / "precious"
    precious.mkdir()
    (precious / "thesis").touch()
    deep = top / "deep"
    deep.mkdir(parents=True)
    place = os.open(deep, os.O_RDONLY)
    for _ in range(sys.getrecursionlimit() + 1):
        os.mkdir("d", dir_fd=place)
        inner = os.open("d", os.O_RDONLY, dir_fd=place)
        os.close(place)
        place = inner
    os.close(place)
    (top / "link").symlink_to(precious)
    (deep / "link").symlink_to(precious)
    os.mkfifo(deep / "pipe")
    with opened(top) as place:
        clear(place)
    assert list(top.iterdir()) == []
    assert (precious / "thesis").exists()


def test_held(tmp_path: Path, others: Callable[[Path], None]) -> None:
    """A directory is opened once, and checked again when another one is in its place."""
    path = tmp_path / "a/b"
    first = held(path)
    assert held(path) == first
    path.rmdir()
    assert os.path.samestat(os.fstat(held(path)), path.stat())
    path.parent.rename(tmp_path / "gone")
    path.mkdir(parents=True)
    others(path.parent)
    with pytest.raises(UntrustedPath, match="/a belongs to"):
        held(path)


def test_inner_directories(tmp_path: Path, others: Callable[[Path], None]) -> None:
    """In a private directory, one that was open to others is closed; neither another user's is used nor a link."""
    (tmp_path / "link").symlink_to("a")
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        (tmp_path / name).chmod(0o777)
    others(tmp_path / "b")
    with opened(tmp_path) as place:
        os.close(open_inner(place, "a"))
        with pytest.raises(UntrustedPath, match="belongs to"):
            open_inner(place, "b")
        with pytest.raises(OSError, match=r"Not a directory|symbolic links"):
            open_inner(place, "link")
    assert (tmp_path / "a").stat().st_mode & 0o777 == 0o700
