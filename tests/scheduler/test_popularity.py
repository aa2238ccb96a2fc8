"""The toolchains that were needed most."""

import pytest

from sccachedist.scheduler import popularity
from sccachedist.scheduler.popularity import PART_SECS, PARTS, Popularity

HOUR = PARTS * PART_SECS


def test_most_needed_first() -> None:
    """Those of more jobs come first, whenever in the hour those were."""
    counted = Popularity()
    for now, toolchain in ((0.0, "gcc"), (1.0, "clang"), (2.0, "clang"), (PART_SECS, "gcc"), (2 * PART_SECS, "gcc")):
        counted.used(toolchain, now)
    assert counted.most(2 * PART_SECS) == ["gcc", "clang"]


def test_of_the_last_hour() -> None:
    """What was needed long ago does not count any more, whether or not anything has been needed since."""
    counted = Popularity()
    counted.used("gcc", 0.0)
    assert counted.most(HOUR - 1) == ["gcc"]
    assert counted.most(HOUR) == []
    counted.used("clang", HOUR)
    assert counted.most(HOUR) == ["clang"]


def test_some_of_its_uses_are_old() -> None:
    """A toolchain that is used all the time counts for what is not old."""
    counted = Popularity()
    for toolchain, now in (("gcc", 0.0), ("gcc", 0.0), ("gcc", PART_SECS), ("clang", PART_SECS), ("clang", PART_SECS)):
        counted.used(toolchain, now)
    assert counted.most(PART_SECS) == ["gcc", "clang"]
    assert counted.most(HOUR) == ["clang", "gcc"]


def test_the_order_is_found_now_and_then(monkeypatch: pytest.MonkeyPatch) -> None:
    """Not for each one that asks: a few uses among very many change little."""
    monkeypatch.setattr(popularity, "NEWS", 0.5)
    counted = Popularity()
    for toolchain in ("gcc", "gcc", "clang"):
        counted.used(toolchain, 0.0)
    assert counted.most(0.0) == ["gcc", "clang"]
    counted.used("clang", 0.0)
    counted.used("clang", 0.0)
    assert counted.most(0.0) == ["gcc", "clang"]
    counted.used("clang", 0.0)
    counted.used("clang", 0.0)
    assert counted.most(0.0) == ["clang", "gcc"]


def test_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    """However many toolchains there are, few are counted."""
    monkeypatch.setattr(popularity, "MOST_COUNTED", 2)
    counted = Popularity()
    for toolchain in "abcaba":
        counted.used(toolchain, 0.0)
    assert counted.most(0.0) == ["a", "b"]
