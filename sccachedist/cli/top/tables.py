"""The tables of ``top``: what each row of a document shows, in the order and the choice of the user.

Pure. The columns are those of the commands with the same names; how a terminal is drawn on is not known here.
"""

import zlib
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, TypeVar

import attrs

from sccachedist.cli.farm import clients, jobs, servers, toolchains
from sccachedist.cli.farm.screen import Cell, Column, Screen
from sccachedist.cli.farm.words import HOME, REMOTE, counted
from sccachedist.outcomes import TimedPhase
from sccachedist.records.documents import RunningRow, ServerRow

T = TypeVar("T")

#: What a cell is ordered by; None, for what is not known, comes last.
Order = float | str | None
#: A row of a document.
Row = Any
#: A cell: pieces of text, each with the name of its style.
Pieces = tuple[tuple[str, str], ...]
#: How many slots each client has at each build server, by its address.
Holders = Mapping[str, Mapping[str | None, int]]

_SLOTS, _WHY = ([column.title for column in servers.COLUMNS].index(title) for title in ("SLOTS", "WHY"))

#: The styles of clients in the bars of slots, and of the slots that are free.
TINTS = tuple(f"client{place}" for place in range(6))
FREE = "dim"
#: The pieces of a bar, and the width of a cell that may be cut, unless it is the last one.
_BAR, _WIDEST = 16, 48


@attrs.frozen
class TopTable:
    """A kind of things.

    :param key: what tells a row from all others, also later.
    :param cells: what a row has in each column.
    :param orders: what rows are ordered by in a column, by its title; in any other, it is the text of the cell.
    :param first: the title of the column that they are ordered by at first, from the largest on.
    """

    name: str
    key: Callable[[Row], str]
    columns: Sequence[Column]
    cells: Callable[[Row, Screen], Sequence[Cell | str | Pieces]]
    orders: Mapping[str, Callable[[Row], Order]]
    first: str

    def column(self, title: str) -> int:
        """The place of a column."""
        return [column.title for column in self.columns].index(title)


@attrs.frozen
class TopLine:
    """A row as it is shown; ``row`` is what it was made of."""

    key: str
    cells: tuple[Pieces, ...]
    row: Row


@attrs.frozen
class TopChoice:
    """What the user wants to see of a table.

    :param column: the title of the column that rows are ordered by, ``falling`` from the largest on.
    :param words: what a row has to contain, each of them, in any case of letters.
    """

    column: str
    falling: bool = True
    words: str = ""

    def beside(self, table: TopTable, step: int) -> "TopChoice":
        """The same, ordered by a column further to the right or to the left."""
        place = (table.column(self.column) + step) % len(table.columns)
        column = table.columns[place]
        return attrs.evolve(self, column=column.title, falling=column.right)


def lines(table: TopTable, rows: Iterable[Row], choice: TopChoice, screen: Screen) -> list[TopLine]:
    """The rows that are wanted, in the order that is wanted, each once. Those of equal order stay as they come."""
    wanted = choice.words.casefold().split()
    made = [_line(table, row, screen) for row in rows]
    shown = [line for line in made if all(word in _text(line) for word in wanted)] if wanted else made
    place = table.column(choice.column)
    order = table.orders.get(choice.column)
    orders = [(_plain(line.cells[place]) if order is None else order(line.row), line) for line in shown]
    known = [(value, line) for value, line in orders if value is not None]
    known.sort(key=lambda pair: pair[0], reverse=choice.falling)
    found = [line for _, line in known] + [line for value, line in orders if value is None]
    return list({line.key: line for line in found}.values())


def titles(table: TopTable, choice: TopChoice, screen: Screen) -> list[str]:
    """The titles of a table's columns; the one that rows are ordered by says in which direction."""
    up, down = ("▲", "▼") if screen.unicode else ("^", "v")
    mark = f" {down if choice.falling else up}"
    return [column.title + mark * (column.title == choice.column) for column in table.columns]


def slot_bar(slots: int, taken: int, holders: Mapping[str | None, int], screen: Screen) -> Pieces:
    """A bar with a piece for each slot, or for several; those that are taken have the tints of their clients.

    :param holders: how many slots each client has; the clients of the others are not known.
    """
    width = max(0, min(_BAR, slots))
    shares = [(_tint(client), count) for client, count in sorted(holders.items(), key=lambda pair: pair[0] or "")]
    shares.append(("", taken - sum(holders.values())))
    pieces, done, begin = [], 0, 0
    for style, count in shares:
        done += max(0, count)
        end = min(width, round(width * done / slots)) if slots else 0
        if end > begin:
            pieces.append((screen.bar * (end - begin), style))
            begin = end
    return (*pieces, (("·" if screen.unicode else ".") * (width - begin), FREE))


def holders_of(running: Iterable[RunningRow]) -> Holders:
    """How many slots each client has at each build server."""
    found: dict[str, Counter[str | None]] = {}
    for job in running:
        found.setdefault(job["server"], Counter())[job["client"]] += 1
    return found


def server_table(holders: Holders) -> TopTable:
    """The build servers, with a bar of the slots of each."""

    def cells(row: ServerRow, screen: Screen) -> list[Cell | str | Pieces]:
        shown: list[Cell | str | Pieces] = [*servers.cells(row, screen)]
        bar = slot_bar(row["slots"], row["taken"], holders.get(row["address"], {}), screen)
        shown[_SLOTS] = (*bar, (f" {row['taken']:>3}/{row['slots']:<3}", ""))
        return _why_beside_slots(shown)

    return attrs.evolve(_SERVERS, cells=cells)


def _why_beside_slots(shown: Sequence[T]) -> list[T]:
    """Columns or cells of a build server: what keeps one from new jobs is to be seen on narrow terminals, too."""
    moved = list(shown)
    moved.insert(_SLOTS + 1, moved.pop(_WHY))
    return moved


def _tint(client: str | None) -> str:
    return "" if client is None else TINTS[zlib.crc32(client.encode(errors="replace")) % len(TINTS)]


def _line(table: TopTable, row: Row, screen: Screen) -> TopLine:
    *others, last = zip(table.columns, table.cells(row, screen), strict=True)
    cells = [_pieces(cell, column, screen) for column, cell in others]
    return TopLine(table.key(row), (*cells, _pieces(last[1], Column(""), screen)), row)


def _pieces(cell: Cell | str | Pieces, column: Column, screen: Screen) -> Pieces:
    if isinstance(cell, tuple):
        return cell
    text, style = (cell.text, cell.style) if isinstance(cell, Cell) else (cell, "")
    return ((screen.cut(text, _WIDEST, column.keep) if column.keep else text, style),)


def _plain(cell: Pieces) -> str:
    return "".join(text for text, _ in cell)


def _text(line: TopLine) -> str:
    return " ".join(map(_plain, line.cells)).casefold()


def _job_cells(row: Row, screen: Screen) -> Sequence[Cell | str]:
    """One that is over, or one that is not, in the same columns."""
    if "outcome" in row:
        return jobs.over_cells(row, screen)
    job, client, server = (screen.text(text) for text in (row["id"][-jobs.DIGITS :], row["client"], row["server"]))
    secs = screen.duration(row["secs"])
    return [
        "",
        job,
        client,
        server,
        screen.dash,
        secs,
        screen.dash,
        screen.dash,
        Cell(screen.text(row["phase"]), "head"),
    ]


def _phase(word: str) -> Callable[[Row], Order]:
    return lambda row: row.get("phases", {}).get(word)


def _free_disk(row: ServerRow) -> Order:
    return min(
        (size for size in (row["disk_free"]["cache"], row["disk_free"]["build"]) if size is not None), default=None
    )


def _of(key: str) -> Callable[[Row], Order]:
    return lambda row: row.get(key)


_SERVERS = TopTable(
    "servers",
    _of("address"),  # type: ignore[arg-type]
    _why_beside_slots(servers.COLUMNS),
    servers.cells,
    {
        "SLOTS": _of("taken"),
        "CPUS": _of("cpus"),
        "DONE": _of("ended"),
        "OWN FAULT": _of("sent_local_share"),
        "LOAD": _of("load"),
        "MEM": _of("memory_free"),
        "DISK": _free_disk,
        "SPEED": _of("speed"),
        "TOOLCHAINS": _of("toolchains"),
        "REGISTERED": _of("up_secs"),
        "SEEN": _of("seen_secs"),
    },
    "SLOTS",
)
#: Records of what is over, and jobs that are not: those come first.
JOBS = TopTable(
    "jobs",
    lambda row: f"{row['id']} {row.get('asked', '')}",
    jobs.OVER,
    _job_cells,
    {
        "ENDED": lambda row: row.get("ended", float("inf")),
        "TOTAL": lambda row: row["secs"] if "secs" in row else row["ended"] - row["asked"],
        "COMPILE": _phase(TimedPhase.COMPILE.word),
        "WAIT": _phase(TimedPhase.QUEUE_WAIT.word),
    },
    "ENDED",
)
CLIENTS = TopTable(
    "clients",
    _of("client"),  # type: ignore[arg-type]
    clients.COLUMNS,
    clients.cells,
    {
        "HOLDS": _of("holds"),
        "WAITS": _of("waits"),
        "WEIGHT": _of("weight"),
        "SLOT TIME": _of("slot_secs"),
        "COMPILED": lambda row: counted(row["recent"]["outcomes"], REMOTE),
        "SENT HOME": lambda row: counted(row["recent"]["outcomes"], HOME),
    },
    "HOLDS",
)
TOOLCHAINS = TopTable(
    "toolchains",
    _of("toolchain"),  # type: ignore[arg-type]
    toolchains.COLUMNS,
    toolchains.cells,
    {"JOBS": _of("jobs"), "LAST USE": _of("last_use"), "HELD BY": lambda row: len(row["held_by"])},
    "JOBS",
)
