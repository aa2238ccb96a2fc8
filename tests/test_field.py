"""The rows of "What users of compile farms are missing" in doc/faults.rst, and the tests that bear their numbers."""

import ast
import re
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

import pytest

from farmkit.launch import CHECKOUT

PAGE = CHECKOUT / "doc" / "faults.rst"
ROWS = {*range(1, 10), 15, 18, 19, 20}


def listed() -> dict[int, set[str]]:
    """The tests that the page names for each row."""
    table = PAGE.read_text().partition(".. _field:")[2]
    rows = re.findall(r"(?ms)^   \* - (\d+)\n(.*?)(?=^   \* - |\Z)", table)
    return {int(number): set(re.findall(r"``(tests/\S+)``", text)) for number, text in rows}


def marked() -> dict[int, set[str]]:
    """The tests that have each number."""
    found = defaultdict(set)
    for path in (CHECKOUT / "tests").rglob("test_*.py"):
        for name, number in _marks(path):
            found[number].add(f"{path.relative_to(CHECKOUT)}::{name}")
    return dict(found)


def _marks(path: Path) -> Iterator[tuple[str, int]]:
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            for mark in re.findall(
                r"pytest\.mark\.field\(([\d, ]+)\)", "\n".join(map(ast.unparse, node.decorator_list))
            ):
                yield from ((node.name, int(number)) for number in mark.split(","))


@pytest.mark.parametrize("row", sorted(ROWS))
def test_a_row_has_its_tests(row: int) -> None:
    """Each row names the tests that have its number, and there is one at least."""
    assert listed()[row] == marked()[row] != set()


def test_there_are_no_other_rows() -> None:
    """No test has the number of a row that is not there."""
    assert listed().keys() == marked().keys() == ROWS
