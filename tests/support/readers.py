"""Those who may look into a farm, with tokens that tests know."""

from hashlib import sha256
from ipaddress import ip_network
from typing import Any

import attrs

from sccachedist.auth.clients import SharedClientToken, address_of
from sccachedist.config import AdminSettings, PersonSettings, WebSettings
from sccachedist.scheduler.farm_readers import FarmReaders
from sccachedist.scheduler.roles import Principals

CLIENT, VIEWER, ADMIN, ANN = "clienttok", "viewertok", "admintok", "annstoken"
ADMINS = AdminSettings(ADMIN, {"ann": PersonSettings(sha256(ANN.encode()).hexdigest())})
#: The proxies that are trusted.
PROXIES = ip_network("10.9.0.0/16")


def farm_readers(web: WebSettings | None = None, admin: AdminSettings = ADMINS, **others: Any) -> FarmReaders:
    """The readers of a farm that takes these four tokens."""
    web = attrs.evolve(web or WebSettings(), viewer_token=VIEWER)
    clients = others.pop("clients", SharedClientToken(CLIENT))
    return FarmReaders(clients, Principals.of(admin, web), web, [PROXIES], address_of, **others)


async def at_once() -> None:
    """Wait for nothing: what administrators do is kept nowhere."""
