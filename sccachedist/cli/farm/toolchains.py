"""``toolchains``: which compilers are on the farm, and where. Pure."""

from sccachedist.cli.farm.screen import Cell, Column, Screen, table
from sccachedist.records.toolchain_documents import ToolchainRow, ToolchainsDocument

#: The digits of an archive id that are shown.
_DIGITS = 12

#: In the order of :func:`cells`.
COLUMNS = (
    Column("ID"),
    Column("COMPILER", keep="start"),
    Column("MACHINE", spare=True),
    Column("SIZE", right=True),
    Column("JOBS", right=True),
    Column("LAST USE", right=True),
    Column("HELD BY", right=True),
    Column("UPLOADS", keep="start", spare=True),
    Column("BUILD SERVERS", keep="start", least=24),
)


def render(document: ToolchainsDocument, screen: Screen) -> str:
    """A line for each toolchain, the one with the most jobs first."""
    rows = sorted(document["toolchains"], key=lambda row: (-row["jobs"], row["toolchain"]))
    return table(COLUMNS, [cells(row, screen) for row in rows], screen)


def cells(row: ToolchainRow, screen: Screen) -> list[Cell | str]:
    """What is in :data:`COLUMNS` of one."""
    return [
        screen.text(row["toolchain"][:_DIGITS]),
        screen.text(row["compiler"]),
        screen.text(row["machine"]),
        screen.size(row["size"]),
        screen.number(row["jobs"]),
        screen.clock(row["last_use"]),
        screen.number(len(row["held_by"])),
        _uploads(row, screen),
        screen.text(" ".join(row["held_by"]), 1000),
    ]


def _uploads(row: ToolchainRow, screen: Screen) -> str:
    """Where clients are bringing it, and how much of it is there."""
    shown = (f"{screen.text(each['server'])} {screen.size(each['bytes'])}" for each in row["uploads"])
    return " ".join(shown) or screen.dash
