"""The matrix in the page about compatibility."""

from pathlib import Path

from tests.compat.cells import Cell, Role
from tests.compat.releases import RELEASES
from tests.compat.table import PAGE, table, write_table

CELLS = [Cell(release, role) for release in RELEASES for role in Role]


def test_a_new_table_takes_the_place_of_the_old_one(tmp_path: Path) -> None:
    """What stands around it stays as it is."""
    page, seen = tmp_path / "page.rst", {cell: f"{cell} is good" for cell in CELLS}
    page.write_text(PAGE.read_text())
    write_table(page, dict.fromkeys(CELLS, "old"))
    around = page.read_text().split(table(dict.fromkeys(CELLS, "old")))
    write_table(page, seen)
    assert page.read_text().split(table(seen)) == around


def test_every_release_has_its_row() -> None:
    """Nobody adds a release without running it."""
    assert all(f"   * - {release}\n" in PAGE.read_text() for release in RELEASES)
