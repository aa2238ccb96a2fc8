"""Which share of a full farm each party has."""

from ipaddress import ip_address

from sccachedist.auth.clients import nameless, party_of
from sccachedist.budgets import Party
from sccachedist.config.clients import ClientClass, ClientSettings
from sccachedist.scheduler.standings import Standing, Standings

HERE, THERE = ip_address("192.0.2.1"), ip_address("2001:db8::7")
ANN, ANN_THERE = party_of("ann", HERE), party_of("ann", THERE)
ONE, OTHER = party_of(nameless("0" * 64), HERE), party_of(nameless("0" * 64), THERE)
CLIENTS = {
    "ann": ClientSettings(weight=2, max_slots=8),
    "night": ClientSettings(class_=ClientClass.BATCH),
    "_default": ClientSettings(weight=0.5, max_slots=3),
}


def test_a_client_with_a_name() -> None:
    """It is one client at all of its addresses."""
    standings = Standings(CLIENTS)
    assert standings.of(ANN) == standings.of(ANN_THERE) == Standing("ann", 2, 8)
    assert standings.of(party_of("night", HERE)) == Standing("night", is_batch=True)


def test_clients_without_a_name() -> None:
    """Each address is a client of its own, with the share of ``_default``; without it, with one share."""
    standings = Standings(CLIENTS)
    assert standings.of(ONE) == Standing(ONE, 0.5, 3)
    assert standings.of(OTHER) == Standing(OTHER, 0.5, 3)
    assert Standings({}).of(ONE) == Standing(ONE)
    assert standings.named("10.0.0.1") == Standing("10.0.0.1", 0.5, 3)
    assert standings.named("night").class_ is ClientClass.BATCH
    assert Standings({}).of(Party("192.0.2.1")) == Standing("192.0.2.1")


def test_another_file() -> None:
    """It counts at once, for those who wait, too; who is not in it any more has no name."""
    standings = Standings(CLIENTS)
    standings.replace({"ann": ClientSettings(weight=7)})
    assert standings.of(ANN) == Standing("ann", 7)
    assert standings.of(party_of("night", HERE)) == Standing("night@192.0.2.1")
    assert standings.of(party_of("_default", HERE)) == Standing("_default@192.0.2.1")
