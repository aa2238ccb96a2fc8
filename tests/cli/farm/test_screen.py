"""Texts for a terminal."""

import pytest

from sccachedist.cli.farm.screen import Column, Screen, paragraph, table, width_of

DASH = "\N{EN DASH}"
SCREEN = Screen(now=1_000_000.0)


@pytest.mark.parametrize(
    ("secs", "shown"),
    [
        (0.014, "0.01 s"),
        (0.996, "1.0 s"),
        (9.94, "9.9 s"),
        (9.96, "10 s"),
        (119, "119 s"),
        (119.9, "2 min"),
        (7199, "2 h"),
        (7300, "2 h 2 min"),
        (172_800, "2 d"),
        (1_051_200, "12 d 4 h"),
        (1e15, "11,574,074,074 d 1 h"),
        (None, DASH),
    ],
)
def test_durations(secs: float | None, shown: str) -> None:
    """Two units at most, and none that is needlessly small."""
    assert SCREEN.duration(secs) == shown


@pytest.mark.parametrize(
    ("octets", "shown"),
    [(0, "0 B"), (999, "999 B"), (1000, "1.0 kB"), (999_600, "1.0 MB"), (31_400_000, "31 MB"), (2**64, "18 EB")],
)
def test_sizes(octets: int, shown: str) -> None:
    """Two digits or three."""
    assert SCREEN.size(octets) == shown
    assert SCREEN.size(None) == DASH


@pytest.mark.parametrize(
    ("at", "shown"),
    [
        (1_000_000.0, "13:46:40"),
        (900_000.0, "1970-01-11 10:00:00"),
        (None, DASH),
        (2.0**62, DASH),
        (float(2**64), DASH),
        (-1.0e18, DASH),
    ],
)
def test_clock(at: float | None, shown: str) -> None:
    """The time of the day, for a day; a year that no clock has is not shown."""
    assert SCREEN.clock(at) == shown


def test_width() -> None:
    """An accent takes no column, a character of East Asia two."""
    assert [width_of(text) for text in ("abc", "größe", "測試", "e\u0301", "")] == [3, 5, 4, 1, 0]


@pytest.mark.parametrize(
    ("text", "width", "keep", "shown"),
    [
        ("abcdef", 6, "start", "abcdef"),
        ("abcdef", 4, "start", "abc…"),
        ("abcdef", 4, "end", "…def"),
        ("測試測試", 5, "start", "測試…"),
        ("測試測試", 4, "end", "…試"),
        ("abc", 1, "start", "…"),
        ("abc", 0, "start", ""),
        ("abc", 0, "end", ""),
    ],
)
def test_cut(text: str, width: int, keep: str, shown: str) -> None:
    """The wide ones are not cut through."""
    assert SCREEN.cut(text, width, "start" if keep == "start" else "end") == shown
    assert Screen(unicode=False).cut("abcdef", 4, "start") == "abc~"


def test_table() -> None:
    """First the spare columns go, then the others are cut; what is not to be cut stays whole."""
    columns = (Column("A"), Column("B", right=True), Column("NAME", keep="end", least=5), Column("MORE", spare=True))
    rows = [["first", "1", "a/long/path", "x"], ["2nd", "20", "b", "yy"]]
    assert table(columns, rows, Screen(None)).splitlines() == [
        "A       B  NAME         MORE",
        "first   1  a/long/path  x",
        "2nd    20  b            yy",
    ]
    assert table(columns, rows, Screen(20)).splitlines() == ["A       B  NAME", "first   1  …ong/path", "2nd    20  b"]
    assert table(columns, rows, Screen(12)).splitlines() == ["A       B  …", "first   1  …", "2nd    20  b"]


def test_strange_texts() -> None:
    """Escaped and cut, and in ASCII where nothing else is shown."""
    assert SCREEN.text("a\nb\u202e") == "a\\nb\\u202e"
    assert SCREEN.text("x" * 300, 10) == "xxxxxxxxxx... (300 characters)"
    assert Screen(unicode=False).text("größe") == "gr\\xf6\\xdfe"
    assert Screen(unicode=False).dash == "-"


def test_paragraph() -> None:
    """Words are not broken, unless one alone is too long for a line."""
    assert paragraph("one two three", Screen(10)) == "  one two\n  three"
    assert paragraph("x" * 20, Screen(10), "") == "xxxxxxxxx…"
    assert paragraph("", Screen(10), "") == ""
