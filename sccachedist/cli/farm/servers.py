"""``servers``: who is there, with how much to do, and who takes no jobs and why. Pure."""

from collections.abc import Collection

from sccachedist.cli.farm.screen import Cell, Column, Screen, Style, table
from sccachedist.printable import some
from sccachedist.records.documents import ServerRow, ServersDocument

_STYLES: dict[str, Style] = {"open": "good", "avoided": "bad", "unfit": "bad", "draining": "warn"}

#: In the order of :func:`cells`.
COLUMNS = (
    Column("NAME", keep="start", spare=True),
    Column("ADDRESS"),
    Column("STATE"),
    Column("SLOTS", right=True),
    Column("CPUS", right=True, spare=True),
    Column("DONE", right=True),
    Column("OWN FAULT", right=True),
    Column("LOAD", right=True, spare=True),
    Column("MEM", right=True, spare=True),
    Column("DISK", right=True, spare=True),
    Column("SPEED", right=True, spare=True),
    Column("TOOLCHAINS", right=True, spare=True),
    Column("MACHINES", keep="start", spare=True),
    Column("LABELS", keep="start", spare=True),
    Column("VERSION", spare=True),
    Column("REGISTERED", right=True, spare=True),
    Column("SEEN", right=True, spare=True),
    Column("WHY", keep="start", least=24),
)


def in_states(document: ServersDocument, states: Collection[str]) -> ServersDocument:
    """The document with those servers alone that are in one of some states."""
    return ServersDocument(
        v=document["v"], servers=[row for row in document["servers"] if not states or row["state"] in states]
    )


def render(document: ServersDocument, screen: Screen) -> str:
    """A line for each build server."""
    return table(COLUMNS, [cells(row, screen) for row in document["servers"]], screen)


def cells(row: ServerRow, screen: Screen) -> list[Cell | str]:
    """What is in :data:`COLUMNS` of one."""
    fault = screen.number(row["sent_local"])
    if row["sent_local_share"]:
        fault += f" ({100 * row['sent_local_share']:.0f} %)"
    why = row["why"] or ("published: it tells no more" if row["published"] else "")
    if row["drain"] is not None and row["drain"]["until"] is not None:
        why += f", until {screen.clock(row['drain']['until'])}"
    disks = [size for size in (row["disk_free"]["cache"], row["disk_free"]["build"]) if size is not None]
    return [
        screen.text(row["name"]),
        screen.text(row["address"]),
        Cell(screen.text(row["state"]), _STYLES.get(row["state"], "")),
        f"{row['taken']}/{row['slots']}",
        _cpus(row, screen),
        screen.number(row["ended"]),
        fault,
        screen.number(row["load"], "{:,.1f}"),
        screen.size(row["memory_free"]),
        screen.size(min(disks, default=None)),
        screen.number(row["speed"], "{:.2f}"),
        screen.number(row["toolchains"]),
        screen.text(" ".join(row["machines"]) or row["machine"]),
        screen.text(" ".join(row["labels"]) or None),
        screen.text(row["version"]),
        screen.duration(row["up_secs"]),
        screen.duration(row["seen_secs"]),
        screen.text(why),
    ]


def _cpus(row: ServerRow, screen: Screen) -> str:
    """Its CPUs; a gateway's are those of its workers."""
    workers = row["workers"]
    return screen.number(row["cpus"]) + ("" if workers is None else f" ({some(workers['live'], 'worker')})")
