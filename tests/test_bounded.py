"""Dictionaries that remember the latest."""

from sccachedist.bounded import remember


def test_the_oldest_is_forgotten() -> None:
    """What is noted again is the latest."""
    known = dict[str, int]()
    for number, key in enumerate("abac"):
        remember(known, key, number, 2)
    assert list(known.items()) == [("a", 2), ("c", 3)]
