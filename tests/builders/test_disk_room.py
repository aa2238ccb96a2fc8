"""Which unpacked toolchains make room, and for what."""

import os
from collections import Counter
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sccachedist.builders.disk_room import Room, room_for
from sccachedist.builders.worker_protocol import Size
from sccachedist.config import ServerLimits
from sccachedist.errors import LimitExceeded
from sccachedist.wire.archive_id import ArchiveId

A, B, C, D = TOOLCHAINS = [ArchiveId(digit * 64) for digit in "abcd"]


def room(*toolchains: ArchiveId) -> Room:
    """Room for 100 bytes and 50 inodes, and toolchains of 30 and 10 in it, the first one used least recently."""
    made = Room(Size(100, 50))
    for toolchain in toolchains:
        assert made.grow(toolchain, Size(30, 10), lambda _: True) == ()
    return made


@pytest.mark.parametrize(
    ("size", "evicted"),
    [
        (Size(10, 20), ()),
        (Size(11, 20), (A,)),
        (Size(10, 21), (A,)),
        (Size(41, 0), (A, B)),
        (Size(0, 50), (A, B, C)),
        (Size(100, 50), (A, B, C)),
    ],
)
def test_eviction(size: Size, evicted: tuple[ArchiveId, ...]) -> None:
    """No more go than have to, the least recently used ones first, for bytes as for inodes."""
    assert room(A, B, C).grow(D, size, lambda _: True) == evicted


def test_in_use() -> None:
    """What is in use stays, and what was used later goes later."""
    there = room(A, B, C)
    there.use(A)
    assert there.grow(D, Size(30, 10), lambda toolchain: toolchain != B) == (C,)
    assert there.used == Size(90, 30)


@pytest.mark.parametrize(
    ("size", "key"), [(Size(71, 1), "bytes"), (Size(1, 41), "inodes"), (Size(2**63, 2**63), "bytes")]
)
def test_no_room(size: Size, key: str) -> None:
    """What does not fit beside what is in use is refused, and nothing goes for it."""
    there = room(A, B)
    with pytest.raises(LimitExceeded) as caught:
        there.grow(C, size, lambda toolchain: toolchain == A)
    assert caught.value.limit == f"toolchains_unpacked_{key}"
    assert (A in there, there.used) == (True, Size(60, 20))


def test_growing() -> None:
    """A toolchain grows step by step, and never makes room for itself by going."""
    there = room(A, B)
    assert there.grow(A, Size(50, 10), lambda _: True) == ()
    assert there.grow(A, Size(80, 10), lambda _: True) == (B,)
    with pytest.raises(LimitExceeded):
        there.grow(A, Size(101, 10), lambda _: True)
    there.remove(A)
    there.remove(A)
    assert there.used == Size()


STEPS = st.lists(
    st.tuples(
        st.sampled_from(TOOLCHAINS), st.integers(0, 120), st.integers(0, 60), st.sets(st.sampled_from(TOOLCHAINS))
    )
)


@given(STEPS)
def test_every_history(steps: list[tuple[ArchiveId, int, int, set[ArchiveId]]]) -> None:
    """Never more than there is room for, never anything gone that is in use, and the sums are right."""
    there, sizes = Room(Size(100, 50)), Counter[ArchiveId]()
    for toolchain, size, inodes, in_use in steps:
        try:
            going = there.grow(toolchain, Size(size, inodes), lambda other, in_use=in_use: other not in in_use)  # type: ignore[misc]
        except LimitExceeded:
            continue
        assert not in_use & set(going)
        sizes[toolchain] = size
        for other in going:
            del sizes[other]
        assert there.used.bytes == sizes.total() <= 100
        assert there.used.inodes <= 50


def test_how_much_room_there_is(tmp_path: Path) -> None:
    """Six times the cache, no more than half of the disk; what is configured counts as it is."""
    disk = os.statvfs(tmp_path)
    assert room_for(ServerLimits(), 1000, None) == Size(6000, 4_000_000)
    size = room_for(ServerLimits(), 2**60, tmp_path / "not/there/yet")
    assert size.bytes == disk.f_blocks * disk.f_frsize // 2
    assert 0 < size.inodes <= 4_000_000
    limits = ServerLimits(toolchains_unpacked_bytes=2**61, toolchains_unpacked_inodes=5)
    assert room_for(limits, 1000, tmp_path) == Size(2**61, 5)


def test_what_is_not_swept_yet() -> None:
    """While the disk has much to get back, nothing is unpacked; a toolchain that only grows leaves nothing behind."""
    there = room(A, B)
    there.grow(A, Size(40, 10), lambda _: True)
    assert (there.unswept, there.is_clogged) == (Size(), False)
    there.remove(A)
    assert (there.unswept, there.is_clogged) == (Size(40, 10), True)
    before = there.unswept
    there.remove(B)
    there.swept(before)
    assert there.unswept == Size(30, 10)
    there.clear()
    there.swept(before)
    assert (there.unswept, there.is_clogged) == (Size(), False)
