"""``usage``: who used how much, for people or as CSV. Pure."""

import csv
import io

from sccachedist.cli.farm.screen import Cell, Column, Screen, table
from sccachedist.cli.farm.words import HOME, REMOTE, counted, home_with_share
from sccachedist.printable import printable
from sccachedist.records.documents import UsageDocument, UsageRow

_CSV = ("name", "jobs", "compiled", "sent_home", "slot_secs", "cpu_secs", "wait_secs")
#: How a formula begins.
_FORMULAS = ("=", "+", "-", "@")


def render(document: UsageDocument, screen: Screen) -> str:
    """A line for each, the one with the most time of slots first."""
    columns = (
        Column(document["by"].upper() if document["by"].isalpha() else "NAME", keep="start"),
        Column("REQUESTS", right=True),
        Column("COMPILED", right=True),
        Column("SENT HOME", right=True),
        Column("PER JOB", right=True),
        Column("SLOT TIME", right=True),
        Column("CPU TIME", right=True),
        Column("WAITED", right=True),
    )
    shown = table(columns, [_row(row, screen) for row in document["usage"]], screen)
    if not document["since"]:
        return shown
    return "\n".join([shown, screen.fitting(f"since {screen.clock(document['since'])}")])


def as_csv(document: UsageDocument) -> str:
    """The same for a spreadsheet, times in seconds."""
    file = io.StringIO()
    writer = csv.writer(file, lineterminator="\n")
    writer.writerow(_CSV)
    for row in document["usage"]:
        writer.writerow(
            [
                _cell(row["name"]),
                row["jobs"],
                counted(row["outcomes"], REMOTE),
                counted(row["outcomes"], HOME),
                *(round(row[key], 3) for key in ("slot_secs", "cpu_secs", "wait_secs")),
            ]
        )
    return file.getvalue().removesuffix("\n")


def _cell(name: str) -> str:
    """A stranger's text for a spreadsheet, which would compute what looks like a formula."""
    return f"'{printable(name)}" if name[:1] in _FORMULAS else printable(name)


def _row(row: UsageRow, screen: Screen) -> list[Cell | str]:
    return [
        screen.text(row["name"]),
        screen.number(row["jobs"]),
        screen.number(counted(row["outcomes"], REMOTE)),
        home_with_share(row["outcomes"], screen),
        screen.duration(row["slot_secs"] / row["jobs"] if row["jobs"] else None),
        screen.duration(row["slot_secs"]),
        screen.duration(row["cpu_secs"]),
        screen.duration(row["wait_secs"]),
    ]
