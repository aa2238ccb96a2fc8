"""Nothing that a name or a link says leads out of a root, with the kernel's help and without."""

import contextlib
import ctypes
import errno
import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sccachedist.errors import BuildError, DecodeError
from sccachedist.sandbox import beneath
from sccachedist.sandbox.beneath import Lookup, Root, best_lookup, components, openat2, walk

LOOKUPS = {"openat2": openat2, "walk": walk}
SECRET = b"outside"


@pytest.fixture
def outside(tmp_path: Path) -> Path:
    (tmp_path / "secret").write_bytes(SECRET)
    return tmp_path


@pytest.fixture
def inside(outside: Path) -> Path:
    root = outside / "root"
    (root / "usr/lib64").mkdir(parents=True)
    (root / "usr/lib64/found").write_bytes(b"found")
    (root / "secret").write_bytes(b"inside")
    for name, target in {
        "lib64": "usr/lib64",
        "absolute": "/usr/lib64",
        "up": "../../../../..",
        "out": str(outside),
        "usr/back": "../secret",
        "dangling": "made/later",
        "round": "round",
        "ping": "pong",
        "pong": "ping",
        "host": "/etc/shadow",
    }.items():
        (root / name).symlink_to(target)
    os.mkfifo(root / "fifo")
    return root


@pytest.fixture(params=LOOKUPS)
def root(request: pytest.FixtureRequest, inside: Path) -> Iterator[Root]:
    descriptor = os.open(inside, os.O_PATH)
    yield Root(descriptor, LOOKUPS[request.param])
    os.close(descriptor)


def content(root: Root, path: bytes) -> bytes:
    with open(root.open_regular(path), "rb") as file:
        return file.read()


@pytest.mark.parametrize("path", [b"lib64/found", b"/absolute/found", b"//usr/./../lib64/found", b"up/lib64/found"])
def test_links_are_followed_inside(root: Root, path: bytes) -> None:
    """A link means what it means to a process that has the root as its /."""
    assert content(root, path) == b"found"


@pytest.mark.parametrize("path", [b"secret", b"/secret", b"up/secret", b"usr/back", b"usr/../secret"])
def test_the_outside_is_never_read(root: Root, path: bytes) -> None:
    """Whatever leads upwards ends at the root."""
    assert content(root, path) == b"inside"


@pytest.mark.parametrize("path", [b"..", b"../secret", b"usr/../../secret", b"a/b/../../../secret", b"/../secret"])
def test_a_name_that_climbs_out_is_refused(root: Root, path: bytes) -> None:
    """An honest client has no such names (THREATS 3)."""
    with pytest.raises(DecodeError):
        root.open_regular(path)
    with pytest.raises(DecodeError):
        root.make_directories(path)


@pytest.mark.parametrize(
    ("path", "number"),
    [
        (b"missing", errno.ENOENT),
        (b"out/secret", errno.ENOENT),
        (b"host", errno.ENOENT),
        (b"dangling", errno.ENOENT),
        (b"round", errno.ELOOP),
        (b"ping/x", errno.ELOOP),
        (b"secret/x", errno.ENOTDIR),
        (b"x" * 300, errno.ENAMETOOLONG),
    ],
)
def test_what_cannot_be_opened(root: Root, path: bytes, number: int) -> None:
    """Both ways give the same error."""
    with pytest.raises(OSError) as caught:  # noqa: PT011
        root.open_regular(path)
    assert caught.value.errno == number


@pytest.mark.parametrize("path", [b"fifo", b"usr", b"."])
def test_only_regular_files_are_outputs(root: Root, path: bytes) -> None:
    """A FIFO is neither waited for nor read (THREATS 5)."""
    with pytest.raises(BuildError):
        root.open_regular(path)


@pytest.mark.parametrize(
    ("path", "made"),
    [
        (b"a/b/c", "a/b/c"),
        (b"lib64/new", "usr/lib64/new"),
        (b"absolute/new/../other", "usr/lib64/other"),
        (b"dangling/x", "made/later/x"),
        (b"up/x", "x"),
        (b"", "."),
    ],
)
def test_directories_are_made_inside(root: Root, inside: Path, path: bytes, made: str) -> None:
    """Missing directories appear where the links lead, which is inside."""
    root.make_directories(path, 0o711)
    assert (inside / made).is_dir()
    assert (inside / made).stat().st_mode & 0o777 == 0o711


def test_links_to_the_outside_make_nothing_there(root: Root, inside: Path, outside: Path) -> None:
    """A link to a directory of the host makes a directory of that name inside (THREATS 4)."""
    before = sorted(os.listdir(outside))
    root.make_directories(b"out/new")
    assert sorted(os.listdir(outside)) == before
    assert inside.joinpath(*outside.parts[1:], "new").is_dir()


def test_the_parent_of_a_name(root: Root, inside: Path) -> None:
    """The last part of a name is not followed."""
    with root.parent(b"deep/er/up") as (directory, name):
        assert name == b"up"
        assert os.path.samestat(os.fstat(directory), (inside / "deep/er").stat())


@pytest.mark.parametrize("path", [b"", b"/", b"usr/..", b"a\0b", b"a/" * 2047 + b"bc"])
def test_names_that_are_no_file(root: Root, path: bytes) -> None:
    """A file needs a name."""
    with pytest.raises(DecodeError), root.parent(path):
        pass


def test_a_deep_tree(root: Root) -> None:
    """Depth costs no recursion and no descriptors."""
    path = b"/".join([b"d"] * 400)
    root.make_directories(path)
    root.make_directories(path + b"/more")


def test_no_descriptor_is_left_open(root: Root) -> None:
    """Neither success nor failure leaks."""
    before = len(os.listdir("/proc/self/fd"))
    for path in (b"lib64/a/b", b"round/x", b"secret/x", b"usr/../../x"):
        with contextlib.suppress(OSError, DecodeError, BuildError):
            root.make_directories(path)
            os.close(root.open_regular(path))
    assert len(os.listdir("/proc/self/fd")) == before


def test_this_machine_has_openat2() -> None:
    """Or the comparison of both ways would be none."""
    assert best_lookup() is openat2


@pytest.fixture
def kernel(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[int]]:
    """The error numbers that the kernel has for the next calls of ``openat2``."""
    numbers: list[int] = []

    def call(*_: object) -> int:
        if not numbers:
            return os.open(".", os.O_PATH)
        ctypes.set_errno(numbers.pop(0))
        return -1

    monkeypatch.setattr(beneath, "_syscall", lambda: call)
    beneath._has_openat2.cache_clear()
    yield numbers
    beneath._has_openat2.cache_clear()


def test_a_kernel_that_is_interrupted(kernel: list[int]) -> None:
    """It is asked again, also where something was renamed meanwhile; any other error is the answer."""
    kernel += [errno.EINTR, errno.EAGAIN]
    os.close(openat2(0, b".", 0))
    kernel += [errno.EAGAIN, errno.ENOENT]
    with pytest.raises(FileNotFoundError):
        openat2(0, b".", 0)


@pytest.mark.parametrize("number", [errno.ENOSYS, errno.EPERM])
def test_a_kernel_without_openat2(kernel: list[int], number: int) -> None:
    """Where the kernel is too old, or a filter does not let it, names are walked."""
    kernel += [number]
    assert best_lookup() is walk


def test_another_system(kernel: list[int], monkeypatch: pytest.MonkeyPatch) -> None:
    """Linux alone is asked."""
    monkeypatch.setattr("sys.platform", "freebsd14")
    kernel += [errno.ENOSYS]
    assert best_lookup() is walk
    assert kernel


NAMES = st.sampled_from([b"a", b"b", b"c", b"..", b"."])
LINKS = ["b", "c", "a/b", "a/c"]  # "a" is a directory: making them follows none of them
PATHS = st.lists(NAMES, min_size=1, max_size=6).map(b"/".join)


@settings(max_examples=200)
@given(
    links=st.dictionaries(st.sampled_from(LINKS), st.one_of(PATHS, PATHS.map(b"/".__add__))),
    path=PATHS,
)
def test_both_ways_agree(tmp_path_factory: pytest.TempPathFactory, links: dict[str, bytes], path: bytes) -> None:
    """On any tree of links the walk opens what the kernel opens, or fails as it fails."""
    tree = tmp_path_factory.mktemp("tree")
    (tree / "a").mkdir()
    for name, target in links.items():
        os.symlink(target, os.fsencode(tree / name))
    descriptor = os.open(tree, os.O_PATH)
    try:
        assert opened(walk, descriptor, path) == opened(openat2, descriptor, path)
    finally:
        os.close(descriptor)


def opened(lookup: Lookup, root: int, path: bytes) -> tuple[int, int] | int | None:
    try:
        found = lookup(root, b"/".join(components(path)) or b".", os.O_PATH | os.O_DIRECTORY)
    except DecodeError:
        return None
    except OSError as error:
        return error.errno
    stat = os.fstat(found)
    os.close(found)
    return stat.st_dev, stat.st_ino
