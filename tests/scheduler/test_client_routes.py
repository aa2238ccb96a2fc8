"""What administrators see of clients with names, from bytes to bytes."""

import pytest

from farmkit.memory_http import Answer, Browser, bearer, request
from sccachedist.auth.clients import digest_of
from sccachedist.auth.roster import Roster
from sccachedist.budgets import Party
from sccachedist.config import ClientClass, ClientSettings, TokenSettings
from sccachedist.records.client_documents import NamedClientsDocument
from sccachedist.scheduler.client_routes import ClientRoutes
from sccachedist.scheduler.farm_views import FarmViews
from sccachedist.web.request import Site
from sccachedist.web.router import Mounted
from sccachedist.web.slices import Slices
from tests.scheduler.farms import GCC
from tests.scheduler.test_farm_routes import BEGAN, Farm
from tests.support.documents import document
from tests.support.readers import ADMIN, ANN, CLIENT, VIEWER, farm_readers

OLD, NEW = digest_of("old"), digest_of("new")
CLIENTS = {
    "ann": ClientSettings(2, 8, tokens=(TokenSettings(OLD, 1.0, 5.0), TokenSettings(NEW))),
    "nightly": ClientSettings(class_=ClientClass.BATCH),
    "_default": ClientSettings(0.5),
}
HOLDERS = ("ann@10.0.0.1", "ann@10.0.0.2", "#0123@10.0.0.1", "ann@10.0.0.1", "#4567@10.0.0.3")


def asked(farm: Farm, roster: Roster, token: str) -> Answer:
    views = FarmViews(farm.terms, Slices(farm.turns), farm.records)
    routes = ClientRoutes(views, roster, farm_readers(), BEGAN)
    browser = Browser(Site(Mounted(routes), farm.clock), farm.clock)
    return browser.ask(request("GET", "/api/v1/admin/clients", headers=bearer(token)))


@pytest.mark.parametrize("token", [ADMIN, ANN])
def test_what_they_have(token: str) -> None:
    """Each client of the file, with what it has now and when its tokens were shown; then all without a name."""
    farm, roster = Farm(), Roster(CLIENTS)
    for holder in HOLDERS:
        farm.core.reserve(0.0, toolchain=GCC, client=Party(holder))
    farm.core.reserve(0.0, toolchain=GCC)  # of an earlier scheduler's client
    roster.find(OLD, BEGAN + 7.12345)
    found = document(asked(farm, roster, token), NamedClientsDocument)
    assert (found["v"], found["since"]) == (1, BEGAN)
    ann, nightly, default = found["clients"]
    assert ann == {
        "name": "ann",
        "weight": 2,
        "max_slots": 8,
        "class": "interactive",
        "slots": 3,
        "waiting": 0,
        "addresses": 2,
        "tokens": [
            {"sha256": OLD[:8], "added": 1.0, "until": 5.0, "last_used": BEGAN + 7.123},
            {"sha256": NEW[:8], "added": None, "until": None, "last_used": None},
        ],
    }
    assert (nightly["name"], nightly["class"], nightly["slots"], nightly["tokens"]) == ("nightly", "batch", 0, [])
    assert (default["name"], default["weight"], default["slots"], default["addresses"]) == ("_default", 0.5, 2, 2)


@pytest.mark.parametrize("token", [CLIENT, VIEWER, "wrong"])
def test_who_may(token: str) -> None:
    """Administrators alone."""
    assert asked(Farm(), Roster(CLIENTS), token).status == 401


def test_who_waits() -> None:
    """Requests that wait count for their clients; those of one that the file has no more, for all without a name."""
    farm, roster = Farm(), Roster({"ann": ClientSettings()})
    farm.terms.current._queue.enter(Party("ann@10.0.0.1"), object())  # type: ignore[arg-type]
    for number in range(2):
        farm.terms.current._queue.enter(Party(f"removed@10.0.0.{number}"), object())  # type: ignore[arg-type]
    (ann, default) = document(asked(farm, roster, ADMIN), NamedClientsDocument)["clients"]
    assert (ann["waiting"], ann["slots"], ann["addresses"]) == (1, 0, 1)
    assert (default["waiting"], default["addresses"]) == (2, 2)
