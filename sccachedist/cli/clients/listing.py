"""``client list``: the clients with names, a line for each of their tokens, and who uses which. Pure."""

from collections.abc import Iterator, Mapping
from datetime import UTC, datetime

from sccachedist.cli.farm.screen import Cell, Column, Screen, table
from sccachedist.config.clients import ClientSettings
from sccachedist.records.client_documents import NamedClientsDocument

#: How many digits of a token's SHA-256 are shown.
SHOWN_DIGITS = 8
#: A token that ends within so many seconds is to be exchanged.
SOON_SECS = 7 * 86400.0

_COLUMNS = (
    Column("CLIENT", keep="start"),
    Column("WEIGHT", right=True),
    Column("CLASS"),
    Column("MAX SLOTS", right=True),
    Column("LABELS", keep="start", spare=True),
    Column("TOKEN"),
    Column("ADDED", spare=True),
    Column("ENDS"),
    Column("LAST USED"),
)

#: When each token was used, by its client's name and its first digits: None if it was not.
_Uses = dict[tuple[str, str], float | None]


def render(clients: Mapping[str, ClientSettings], known: NamedClientsDocument | None, screen: Screen) -> str:
    """The clients in the order of their file.

    :param known: what the scheduler knows; None if it does not tell.
    """
    if not clients:
        return "no client has a name: sccachedist client add gives one"
    rows = [row for name, client in clients.items() for row in _rows(name, client, _uses(known), screen)]
    lines = [table(_COLUMNS, rows, screen)]
    if known is not None:
        lines.append(screen.fitting(f"used since {screen.clock(known['since'])}"))
    return "\n".join(lines)


def _uses(known: NamedClientsDocument | None) -> _Uses | None:
    if known is None:
        return None
    return {
        (client["name"], token["sha256"]): token["last_used"]
        for client in known["clients"]
        for token in client["tokens"]
    }


def _rows(name: str, client: ClientSettings, uses: _Uses | None, screen: Screen) -> Iterator[list[Cell | str]]:
    most, labels = screen.number(client.max_slots), screen.text(" ".join(client.labels) or None)
    share: list[Cell | str] = [name, f"{client.weight:g}", client.class_.value, most, labels]
    for token in client.tokens:
        digits = token.sha256[:SHOWN_DIGITS]
        ends = screen.dash if token.until is None else _end(token.until, screen)
        yield [*share, digits, _day(token.added, screen), ends, _use(uses, name, digits, screen)]
        share = [""] * len(share)
    if not client.tokens:
        yield [*share, *[screen.dash] * 4]


def _day(added: float | None, screen: Screen) -> str:
    return screen.dash if added is None else str(datetime.fromtimestamp(added, UTC).date())


def _end(until: float, screen: Screen) -> Cell:
    if until <= screen.now:
        return Cell(f"ended {screen.clock(until)}", "bad")
    return Cell(screen.clock(until), "warn" if until - screen.now < SOON_SECS else "")


def _use(uses: _Uses | None, name: str, digits: str, screen: Screen) -> Cell | str:
    if uses is None:
        return screen.dash
    if (name, digits) not in uses:
        return Cell("the scheduler has not read it", "warn")
    used = uses[name, digits]
    return "not used" if used is None else f"{screen.duration(max(0.0, screen.now - used))} ago"
