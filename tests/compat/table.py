"""The matrix as a table of the documentation, which stands there between two comments."""

from collections.abc import Mapping
from pathlib import Path

from farmkit.launch import CHECKOUT
from tests.compat.cells import Cell, Role
from tests.compat.releases import RELEASES

PAGE = CHECKOUT / "doc" / "compatibility.rst"

_BEGIN = ".. The table: written by make compat.\n"
_END = ".. The end of the table.\n"


def write_table(page: Path, seen: Mapping[Cell, str]) -> None:
    """Put what was seen in each cell into a page, in the place of what stands there."""
    before, _, rest = page.read_text().partition(_BEGIN)
    _, _, after = rest.partition(_END)
    page.write_text(before + _BEGIN + table(seen) + _END + after)


def table(seen: Mapping[Cell, str]) -> str:
    """A row for each release, a column for each role."""
    rows = [("Release", *(f"As {role.value}" for role in Role))]
    rows += [(release, *(seen[Cell(release, role)] for role in Role)) for release in RELEASES]
    lines = [f"   {'  -' if column else '* -'} {text}" for row in rows for column, text in enumerate(row)]
    return "\n.. list-table::\n   :header-rows: 1\n\n" + "\n".join(lines) + "\n\n"
