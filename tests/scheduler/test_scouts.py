"""A toolchain whose machine is not known is looked at by one job, while others wait."""

from sccachedist.scheduler.scouts import MOST_SCOUTS, SCOUT_SECS, Scouts


def test_once() -> None:
    """Others wait for a while, and never again."""
    scouts = Scouts()
    assert (scouts.is_out("gcc", 0.0), scouts.next_back(0.0)) == (False, None)
    scouts.send("gcc", 0.0)
    scouts.send("clang", 2.0)
    assert [scouts.is_out("gcc", now) for now in (0.0, SCOUT_SECS - 0.1, SCOUT_SECS)] == [True, True, False]
    assert [scouts.next_back(now) for now in (2.0, SCOUT_SECS, SCOUT_SECS + 2.0)] == [SCOUT_SECS, SCOUT_SECS + 2, None]
    scouts.send("gcc", 100.0)
    assert not scouts.is_out("gcc", 100.0)


def test_very_many() -> None:
    """However many toolchains clients name, few are remembered."""
    scouts = Scouts()
    for number in range(2 * MOST_SCOUTS):
        scouts.send(f"toolchain {number}", number)
    assert len(scouts._until) == MOST_SCOUTS
    assert not scouts.is_out("toolchain 0", 0.0)
