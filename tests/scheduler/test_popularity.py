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


def test_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    """However many toolchains there are, few are counted."""
    monkeypatch.setattr(popularity, "MOST_COUNTED", 2)
    counted = Popularity()
    for toolchain in "abcaba":
        counted.used(toolchain, 0.0)
    assert counted.most(0.0) == ["a", "b"]
