"""One look of ``top`` at a farm: the documents that a scheduler gives, as far as they are shown."""

import time
from collections.abc import Callable, Sequence
from typing import Protocol, TypeVar

import attrs

from sccachedist.cli.farm import job
from sccachedist.cli.farm.screen import Screen, paragraph
from sccachedist.cli.top import tables
from sccachedist.cli.top.tables import Holders, Row, TopTable
from sccachedist.records.documents import (
    ClientsDocument,
    JobDocument,
    JobsDocument,
    ServersDocument,
    StatusDocument,
)
from sccachedist.records.toolchain_documents import ToolchainsDocument

D = TypeVar("D")

#: What one can look at, in the order of the key Tab.
TABS = ("servers", "jobs", "clients", "toolchains")
#: How many jobs that are over are shown.
_OVER = "200"
#: Below so many build servers there is a look each second.
FEW_SERVERS = 200
#: Seconds between two looks: with few build servers, with many, and at what the scheduler adds up of all records.
_FEW_SECS, _SECS, _RECORDS_SECS = 1.0, 2.0, 5.0


class Ask(Protocol):
    """Asks the scheduler for a document, as :meth:`~sccachedist.client.farm.Farm.ask` does."""

    def __call__(self, path: str, query: dict[str, str], shape: type[D]) -> D:
        """:raises PeerError: there is none."""


@attrs.frozen
class TopLook:
    """What was seen.

    :param at: when, in seconds since 1970.
    :param holders: who has which slots, if ``rows`` are build servers.
    """

    tab: str
    at: float
    status: StatusDocument
    rows: Sequence[Row]
    holders: Holders = attrs.field(factory=dict)

    @property
    def table(self) -> TopTable:
        """How the rows are shown."""
        return tables.server_table(self.holders) if self.tab == "servers" else _TABLES[self.tab]

    @property
    def secs(self) -> float:
        """The time to the next look."""
        if self.tab in ("clients", "toolchains"):
            return _RECORDS_SECS
        return _FEW_SECS if sum(self.status["servers"].values()) < FEW_SERVERS else _SECS


def look(ask: Ask, tab: str) -> TopLook:
    """Look at the farm.

    :raises PeerError: the scheduler does not let us.
    """
    status = ask("status", {}, StatusDocument)
    rows, holders = _ROWS[tab](ask)
    return TopLook(tab, time.time(), status, rows, holders)


def _servers(ask: Ask) -> tuple[Sequence[Row], Holders]:
    rows = ask("servers", {}, ServersDocument)["servers"]
    return rows, tables.holders_of(ask("jobs", {"limit": "1"}, JobsDocument)["running"])


def _jobs(ask: Ask) -> tuple[Sequence[Row], Holders]:
    document = ask("jobs", {"limit": _OVER}, JobsDocument)
    return [*document["running"], *document["jobs"]], {}


_ROWS: dict[str, Callable[[Ask], tuple[Sequence[Row], Holders]]] = {
    "servers": _servers,
    "jobs": _jobs,
    "clients": lambda ask: (ask("clients", {}, ClientsDocument)["clients"], {}),
    "toolchains": lambda ask: (ask("toolchains", {}, ToolchainsDocument)["toolchains"], {}),
}
_TABLES = {"jobs": tables.JOBS, "clients": tables.CLIENTS, "toolchains": tables.TOOLCHAINS}


def details(seen: TopLook, row: Row, screen: Screen) -> str:
    """All that is known of one row: each column in a line of its own, and what the columns have no place for."""
    if seen.tab == "jobs":
        over = "outcome" in row
        return job.render(JobDocument(v=1, job=row if over else None, running=None if over else row), screen)
    table = attrs.evolve(seen.table, columns=[attrs.evolve(column, keep=None) for column in seen.table.columns])
    (line,) = tables.lines(table, [row], tables.TopChoice(table.first), screen)
    texts = ["".join(text for text, _ in cell) for cell in line.cells]
    facts = [f"{column.title.lower():14}{text}" for column, text in zip(table.columns, texts, strict=True)]
    shown = [screen.fitting(each) if len(each) < 80 else paragraph(each, screen, "") for each in facts]
    about = {row.get("address"), row.get("name"), row.get("client")}
    noted = [each for each in seen.status["attention"] if each["about"] in about]
    shown += [f"\n{screen.text(each['text'], 1000)}\n{screen.text(each['mend'], 1000)}" for each in noted]
    return "\n".join(shown)
