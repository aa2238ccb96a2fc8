"""The document of clients with names, which administrators see.

Pure. What it says is told in ``doc/api``; :mod:`sccachedist.records.documents` has those for all readers.
"""

from typing import TypedDict


class NamedTokenRow(TypedDict):
    """A token of a client with a name, by the first eight digits of its SHA-256."""

    sha256: str
    added: float | None
    until: float | None
    last_used: float | None


#: A client with a name, by the file of clients, with what it has now. The functional form, for ``class`` is a word of
#: Python.
NamedClientRow = TypedDict(
    "NamedClientRow",
    {
        "name": str,
        "weight": float,
        "max_slots": int | None,
        "class": str,
        "slots": int,
        "waiting": int,
        "addresses": int,
        "tokens": list[NamedTokenRow],
    },
)


class NamedClientsDocument(TypedDict):
    """``GET /api/v1/admin/clients``: a token that was not used since ``since`` has no ``last_used``."""

    v: int
    since: float
    clients: list[NamedClientRow]
