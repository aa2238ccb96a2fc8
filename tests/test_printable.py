"""Text of strangers on a terminal."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sccachedist.printable import LONGEST, excerpt, printable


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("", ""),
        ("a path/ with 'ordinary' text: ä, 語, 🙂", "a path/ with 'ordinary' text: ä, 語, 🙂"),
        ("one\nline\r\n", r"one\nline\r\n"),
        ("\x1b[31mred", r"\x1b[31mred"),
        ("\x9b31mred\x85", r"\x9b31mred\x85"),
        ("\0\x7f\t", r"\x00\x7f\t"),
        ("\u202etxt.exe\u2066", r"\u202etxt.exe\u2066"),
        ("zero\u200bwidth\ufeff", r"zero\u200bwidth\ufeff"),
        ("line\u2028line", r"line\u2028line"),
        ("\udcff", r"\udcff"),
        ("\U000e0041", r"\U000e0041"),
    ],
)
def test_printable(text: str, shown: str) -> None:
    """What can be seen is shown as it is, the rest as an escape."""
    assert printable(text) == shown


@given(st.text())
def test_always_printable(text: str) -> None:
    """Whatever it is, it takes one line."""
    assert printable(text).isprintable()
    assert len(excerpt(text * 10)) <= 10 * LONGEST + 40


def test_excerpt() -> None:
    """Of a long text the beginning is shown, and how long it is."""
    assert excerpt("x" * LONGEST) == "x" * LONGEST
    assert excerpt("\n" * 300) == r"\n" * LONGEST + "... (300 characters)"
