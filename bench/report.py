"""Results, kept as JSON, and the table of all of them. It measures nothing."""

import json
import statistics
from collections.abc import Iterable
from datetime import UTC, datetime
from pathlib import Path

import attrs

from bench.quantities import Bar, Quantity
from bench.run import Case

_TABLE_HEAD = """\
.. list-table::
   :header-rows: 1
   :widths: 28 24 15 15 8 10

   * - Case
     - Quantity
     - Published
     - Ours
     - Ratio
     - Bar
"""


@attrs.frozen
class Result:
    """A case, its rows, and the day on which it was run."""

    name: str
    title: str
    measured: str
    rows: tuple[Quantity, ...]


def result_of(case: Case, rows: Iterable[Quantity]) -> Result:
    """The result of a case that was measured just now."""
    return Result(case.name, case.title, datetime.now(UTC).strftime("%Y-%m-%d"), tuple(rows))


def keep(result: Result, folder: Path) -> None:
    """Write the raw numbers, one file a case."""
    (folder / f"{result.name}.json").write_text(json.dumps(attrs.asdict(result), indent=1) + "\n")


def kept(cases: Iterable[Case], folder: Path) -> list[Result]:
    """All results that were ever written to the folder, in the order of the cases."""
    files = (folder / f"{case.name}.json" for case in cases)
    return [_read(file) for file in files if file.exists()]


def table(results: Iterable[Result]) -> str:
    """The table, as reStructuredText."""
    return _TABLE_HEAD + "".join(_line(result, row) for result in results for row in result.rows)


def lines(result: Result) -> str:
    """The rows of one case for a terminal."""
    return "\n".join(
        f"{result.name}: {row.name}: {spread(row.published, row.unit)} / {spread(row.ours, row.unit)}"
        f" = {ratio(row)}{verdict(row)}"
        for row in result.rows
    )


def spread(values: tuple[float, ...], unit: str) -> str:
    """The median, the smallest and the largest value."""
    if not values:
        return "-"
    middle = f"{_short(statistics.median(values))} {unit}".strip()
    return middle if len(values) == 1 else f"{middle} ({_short(min(values))} to {_short(max(values))})"


def ratio(row: Quantity) -> str:
    """Ours ÷ published."""
    if not row.published or not (middle := statistics.median(row.published)):
        return "-"
    return f"{statistics.median(row.ours) / middle:.2f}"


def verdict(row: Quantity) -> str:
    """The bar, and whether the row passes it."""
    if row.bar is None:
        return ""
    whose = " (ours)" if row.bar.of_ours else ""
    return f" {row.bar}{whose} {'✓' if row.passes() else '✗'}"


def _line(result: Result, row: Quantity) -> str:
    first = result.title if row is result.rows[0] else ""
    columns = (first, row.name, spread(row.published, row.unit), spread(row.ours, row.unit), ratio(row), verdict(row))
    text = "\n     - ".join(column.strip() for column in columns)
    return "\n".join(line.rstrip() for line in f"   * - {text}\n".split("\n"))


def _read(file: Path) -> Result:
    value = json.loads(file.read_text())
    rows = tuple(
        Quantity(
            name=row["name"],
            unit=row["unit"],
            published=tuple(row["published"]),
            ours=tuple(row["ours"]),
            bar=Bar(**row["bar"]) if row["bar"] else None,
        )
        for row in value["rows"]
    )
    return Result(value["name"], value["title"], value["measured"], rows)


def _short(value: float) -> str:
    return f"{value:.0f}" if abs(value) >= 100 else f"{value:.3g}"
