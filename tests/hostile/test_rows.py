"""The table of ``doc/security`` and the tests of this folder have the same rows."""

import re
from pathlib import Path

from farmkit.launch import CHECKOUT


def test_each_row_can_be_chosen() -> None:
    """``pytest tests/hostile -k row_NN`` finds a test for each row of the table."""
    rows = re.findall(r"(?m)^   \* - (\d+)$", (CHECKOUT / "doc" / "security.rst").read_text())
    sources = "".join(path.read_text() for path in Path(__file__).parent.glob("test_*.py"))
    tested = set(map(int, re.findall(r"(?m)^(?:async )?def test_row_(\d\d)_", sources)))
    assert sorted(tested) == list(map(int, rows)) == list(range(1, 57))
