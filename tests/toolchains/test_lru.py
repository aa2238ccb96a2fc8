"""Which toolchains a build server keeps."""

import time
from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sccachedist.errors import ToolchainError
from sccachedist.toolchains.lru import ToolchainIndex
from sccachedist.wire.archive_id import ArchiveId

A, B, C, D = TOOLCHAINS = [ArchiveId(digit * 64) for digit in "abcd"]


def index(capacity: int, *toolchains: ArchiveId) -> ToolchainIndex:
    """Toolchains of 10 bytes each, the first one used least recently."""
    made = ToolchainIndex(capacity, 10)
    for toolchain in toolchains:
        assert made.add(toolchain, 10) == ()
    return made


def use(toolchains: ToolchainIndex, toolchain: ArchiveId) -> None:
    toolchains.acquire(toolchain)
    toolchains.release(toolchain)


@pytest.mark.parametrize(
    ("size", "evicted"), [(0, ()), (5, ()), (6, (A,)), (15, (A,)), (16, (A, B)), (25, (A, B)), (35, (A, B, C))]
)
def test_eviction(size: int, evicted: tuple[ArchiveId, ...]) -> None:
    """No more toolchains go than have to, the least recently used ones first."""
    toolchains = index(35, A, B, C)
    assert toolchains.add(D, size) == evicted
    assert toolchains.size == 30 - 10 * len(evicted) + size
    assert toolchains.recent(1) == (D,)
    assert [each in toolchains for each in TOOLCHAINS] == [each not in evicted for each in TOOLCHAINS]


def test_use_counts() -> None:
    """A toolchain that was used stays longer than those that were not."""
    toolchains = index(30, A, B, C)
    use(toolchains, A)
    assert toolchains.add(D, 20) == (B, C)


def test_in_use() -> None:
    """A toolchain stays until the last of the jobs that use it has ended."""
    toolchains = index(20, A, B)
    toolchains.acquire(A)
    toolchains.acquire(A)
    use(toolchains, B)
    toolchains.release(A)
    assert toolchains.add(C, 10) == (B,)
    toolchains.release(A)
    assert toolchains.add(D, 10) == (A,)


@pytest.mark.parametrize("size", [21, 31, 2**62])
def test_no_room(size: int) -> None:
    """What does not fit beside the toolchains in use is refused, and no toolchain goes for it."""
    toolchains = index(30, A, B)
    toolchains.acquire(B)
    with pytest.raises(ToolchainError, match=r"no room .* \(toolchain_cache_size: 30\)"):
        toolchains.add(C, size)
    assert (A in toolchains, B in toolchains, C in toolchains) == (True, True, False)
    assert toolchains.add(D, 20) == (A,)


def test_not_there() -> None:
    """No job can use a toolchain that is not there, or not any more; that it is gone may be said twice."""
    toolchains = index(30, A)
    for _ in range(2):
        toolchains.remove(A)
    for missing in (A, B):
        with pytest.raises(ToolchainError, match="is not here"):
            toolchains.acquire(missing)
    assert toolchains.size == 0


def test_damaged_in_use() -> None:
    """A toolchain that is lost while a job uses it can come back, and is still in use."""
    toolchains = index(10, A)
    toolchains.acquire(A)
    toolchains.remove(A)
    toolchains.add(A, 10)
    with pytest.raises(ToolchainError):
        toolchains.add(B, 10)
    toolchains.release(A)
    assert toolchains.add(B, 10) == (A,)


def kept(toolchains: ToolchainIndex) -> set[ArchiveId]:
    return {each for each in TOOLCHAINS if each in toolchains}


def add(toolchains: ToolchainIndex, toolchain: ArchiveId, size: int) -> None:
    """Add it where there is room, and see that exactly what is said to go has gone."""
    before = kept(toolchains)
    try:
        evicted = toolchains.add(toolchain, size)
    except ToolchainError:
        assert kept(toolchains) == before
    else:
        assert kept(toolchains) == before - set(evicted) | {toolchain}


@given(
    st.lists(st.tuples(st.sampled_from(["add", "acquire", "release"]), st.sampled_from(TOOLCHAINS), st.integers(0, 40)))
)
def test_every_history(steps: list[tuple[str, ArchiveId, int]]) -> None:
    """Whatever comes: never more bytes than allowed, never a toolchain gone that is in use."""
    toolchains, uses = ToolchainIndex(35, 3), Counter[ArchiveId]()
    for action, toolchain, size in steps:
        if action == "add" and toolchain not in toolchains:
            add(toolchains, toolchain, size)
        elif action == "acquire" and toolchain in toolchains:
            toolchains.acquire(toolchain)
            uses[toolchain] += 1
        elif action == "release" and uses[toolchain]:
            toolchains.release(toolchain)
            uses[toolchain] -= 1
        assert toolchains.size <= 35
        assert len(toolchains) <= 3
        assert kept(toolchains) >= set(uses.elements())


def test_all_of_them() -> None:
    """The toolchains that are here can be told, least recently used first."""
    index = ToolchainIndex(100, 10)
    for toolchain in (A, B):
        index.add(toolchain, 1)
    index.acquire(A)
    assert list(index) == [B, A]


def test_their_number() -> None:
    """There are no more of them than allowed, however small they are; those in use stay."""
    toolchains = ToolchainIndex(1000, 2)
    for toolchain in (A, B):
        assert toolchains.add(toolchain, 0) == ()
    toolchains.acquire(A)
    assert toolchains.add(C, 0) == (B,)
    toolchains.acquire(C)
    with pytest.raises(ToolchainError, match=r"limit: toolchains: 2"):
        toolchains.add(D, 0)


def test_many_of_them() -> None:
    """With 20,000 of them, the next one takes no longer."""
    toolchains = ToolchainIndex(10**9, 20_000)
    names = [ArchiveId(f"{number:064x}") for number in range(60_000)]
    began = time.process_time()
    for name in names:
        toolchains.add(name, 1)
        toolchains.acquire(name)
        toolchains.release(name)
    assert time.process_time() - began < 2
    assert (len(toolchains), toolchains.size) == (20_000, 20_000)


def test_its_machine() -> None:
    """Which machine a toolchain needs is news if it is here and that was not known, and is forgotten with it."""
    here = index(30, A)
    assert (here.machine_of(A), here.looked_at(B, 62), here.machine_of(B)) == (0, False, 0)
    assert (here.looked_at(A, 62), here.looked_at(A, 62), here.machine_of(A)) == (True, False, 62)
    here.remove(A)
    assert here.machine_of(A) == 0
