"""``clients``: who compiles, who waits, and whose files go home. Pure."""

from sccachedist.cli.farm.screen import ADDRESS, Cell, Column, Screen, table
from sccachedist.cli.farm.words import REMOTE, counted, home_reasons, home_with_share
from sccachedist.records.documents import ClientRow, ClientsDocument

#: In the order of :func:`cells`.
COLUMNS = (
    Column("CLIENT", keep="start", least=ADDRESS),
    Column("HOLDS", right=True),
    Column("WAITS", right=True),
    Column("WEIGHT", right=True, spare=True),
    Column("MAX SLOTS", right=True, spare=True),
    Column("CLASS", spare=True),
    Column("SLOT TIME", right=True),
    Column("COMPILED", right=True),
    Column("SENT HOME", right=True),
    Column("MOSTLY FOR", keep="start"),
)


def render(document: ClientsDocument, screen: Screen) -> str:
    """A line for each client, the one with the most first."""
    rows = sorted(document["clients"], key=lambda row: (-row["holds"], -row["waits"], -row["slot_secs"], row["client"]))
    shown = table(COLUMNS, [cells(row, screen) for row in rows], screen)
    return "\n".join([shown, screen.fitting(f"slot time and compiles since {screen.clock(document['since'])}")])


def cells(row: ClientRow, screen: Screen) -> list[Cell | str]:
    """What is in :data:`COLUMNS` of one."""
    recent = row["recent"]
    worst = next((word for word, _ in home_reasons(recent)), "")
    return [
        screen.text(row["client"]),
        screen.number(row["holds"]),
        screen.number(row["waits"]),
        f"{row['weight']:g}",
        screen.number(row["max_slots"]),
        screen.text(row["class"]),
        screen.duration(row["slot_secs"]),
        screen.number(counted(recent["outcomes"], REMOTE)),
        home_with_share(recent["outcomes"], screen),
        screen.text(worst),
    ]
