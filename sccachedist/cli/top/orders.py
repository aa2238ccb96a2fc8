"""What ``top`` has a scheduler do for an administrator: the body of the request, and what came of it in a sentence."""

from collections.abc import Mapping
from typing import Any

from sccachedist.cli.top.tables import Row
from sccachedist.client.farm import Farm
from sccachedist.printable import excerpt

#: What is asked for, as ``doc/api`` has it.
Body = Mapping[str, Any]

#: What a key does, by the tab that it is pressed in.
_KEYS = {("servers", "d"): "drain", ("servers", "u"): "undrain", ("jobs", "k"): "kill", ("clients", "k"): "kill"}
_LONGEST = 1000


def body_of(tab: str, key: str, row: Row) -> dict[str, Any] | None:
    """The body of a request about a row; None if the key asks for nothing there."""
    action = _KEYS.get((tab, key))
    if action is None:
        return None
    if tab == "servers":
        return {"action": action, "servers": [row["address"]]}
    if tab == "clients":
        return {"action": action, "client": row["client"]}
    return {"action": action, "job": row["id"]} if "phase" in row else None


def asked_about(body: Body, would: str) -> str:
    """What the user is asked: what it is about, and what would be done."""
    about = body.get("client") or body.get("job") or " ".join(body.get("servers", ()))
    return f"{body['action']} {excerpt(about)}: {would}"


def act(farm: Farm, body: Body, *, preview: bool = False) -> str:
    """Have it done, or have it said what it would do.

    :raises PeerError: it is not done; the text says why.
    """
    document = farm.act({**body, "preview": True} if preview else body)
    return excerpt(document["text"], _LONGEST)
