"""Which tokens belong to clients with names, and what becomes of those that end."""

import math
from ipaddress import ip_address

import attrs
import pytest
from twisted.internet.defer import Deferred

from farmkit.deferreds import outcome
from sccachedist.auth.clients import BELIEVED_SECS, SharedClientToken, digest_of
from sccachedist.auth.named_clients import NamedClientTokens
from sccachedist.auth.roster import REMEMBERED_SECS, SHOWN_SECS, Known, Roster, TokenEnded, TokenUse
from sccachedist.budgets import Party
from sccachedist.config.clients import ClientSettings, TokenSettings
from sccachedist.errors import ClientRefused, ClientTokenEnded

NOW = 1_800_000_000.0
OLD, NEW, BOBS = digest_of("old"), digest_of("new"), digest_of("bob's")
ANN = ClientSettings(tokens=(TokenSettings(OLD, until=NOW), TokenSettings(NEW)))
BOB = ClientSettings(tokens=(TokenSettings(BOBS),))
CLIENTS = {"ann": ANN, "bob": BOB, "_default": ClientSettings()}


def test_who_has_a_token() -> None:
    """All tokens of a client are good; no other is."""
    roster = Roster(CLIENTS)
    assert roster.find(OLD, NOW - 1) == roster.find(NEW, NOW) == Known("ann")
    assert roster.find(BOBS, NOW) == Known("bob")
    assert roster.find(digest_of("eve's"), NOW) is None
    assert roster.names == ("ann", "bob")
    assert [roster.knows(name) for name in ("ann", "eve", "_default", "")] == [True, False, False, False]
    assert roster
    assert not Roster({"_default": ClientSettings(), "ann": ClientSettings()})


def test_a_token_that_ends() -> None:
    """It is told from an unknown one for thirty days."""
    roster = Roster(CLIENTS)
    assert roster.find(OLD, NOW) == roster.find(OLD, NOW + REMEMBERED_SECS - 1) == TokenEnded("ann", NOW)
    assert roster.find(OLD, NOW + REMEMBERED_SECS) is None
    assert roster.find(NEW, NOW + 10 * REMEMBERED_SECS) == Known("ann")


def test_another_file() -> None:
    """It counts at once. When a token was used last is kept, of those that are still there."""
    roster = Roster(CLIENTS)
    roster.find(NEW, NOW)
    roster.find(BOBS, NOW + 1)
    assert roster.names_with_tokens == {"ann", "bob"}
    roster.replace({"ann": ClientSettings(tokens=(TokenSettings(NEW),))})
    assert roster.names_with_tokens == {"ann"}
    assert roster.find(BOBS, NOW) is None
    assert not roster.knows("bob")
    parties = ("ann@10.0.0.1", "bob@10.0.0.1", "#0123@10.0.0.1", "10.0.0.1")
    assert [roster.client_of(Party(party)) for party in parties] == ["ann", "_default", "_default", "_default"]
    shown = [("ann", [TokenUse(TokenSettings(NEW), NOW)]), ("_default", [])]
    assert [(name, uses) for name, _, uses in roster.uses()] == shown
    roster.replace(CLIENTS)
    assert [[use.last_used for use in uses] for _, _, uses in roster.uses()] == [[None, NOW], [None], []]


def test_which_ends_matter() -> None:
    """Those of tokens that were shown within a day: who shows the new one already has exchanged it."""
    roster = Roster(CLIENTS)
    assert roster.ends(NOW) == {}
    roster.find(NEW, NOW - 100)
    assert roster.ends(NOW) == {}
    roster.find(OLD, NOW - 50)
    assert roster.ends(NOW) == {"ann": NOW}
    assert roster.ends(NOW + SHOWN_SECS) == {}
    assert (roster.until(OLD), roster.until(NEW), roster.until("none")) == (NOW, None, None)


@attrs.define
class Door:
    """Who is let in, beside those with the token ``hunter2``."""

    now: float = NOW - 100
    roster: Roster = attrs.field(factory=lambda: Roster(CLIENTS))
    tokens: NamedClientTokens = attrs.field(init=False)

    def __attrs_post_init__(self) -> None:
        self.tokens = NamedClientTokens(self.roster, SharedClientToken("hunter2"), lambda: self.now)

    def check(self, token: str | None) -> Party | BaseException:
        parties: list[Party] = []
        checked = self.tokens.check(token, ip_address("192.0.2.1"))
        error = outcome(Deferred.fromCoroutine(checked).addCallback(parties.append))
        return error if isinstance(error, BaseException) else parties[0]


def test_beside_the_published_way() -> None:
    """A client with a name is its name at an address; others are as they were."""
    door = Door()
    assert (door.check("old"), door.check("new"), door.check("bob's")) == (
        "ann@192.0.2.1",
        "ann@192.0.2.1",
        "bob@192.0.2.1",
    )
    assert door.check("hunter2") == outcome_of_shared()
    for token in ("eve's", "", None, OLD):
        assert type(door.check(token)) is ClientRefused


def outcome_of_shared() -> Party:
    return Party(f"#{digest_of('hunter2')[:16]}@192.0.2.1")


def test_ended() -> None:
    """One that has ended is refused in words that say so; after thirty days, as any wrong one."""
    door = Door(now=NOW)
    refused = door.check("old")
    assert isinstance(refused, ClientTokenEnded)
    assert str(refused) == "the token of ann ended on 2027-01-15: ask an administrator of this farm for a new one"
    door.now += REMEMBERED_SECS
    refused = door.check("old")
    assert type(refused) is ClientRefused
    assert "Ask an administrator of this farm for a new one" in str(refused)


@pytest.mark.parametrize(
    ("token", "secs"), [("new", BELIEVED_SECS), ("old", 100.0), ("hunter2", math.inf), ("bob's", BELIEVED_SECS)]
)
def test_believed(token: str, secs: float) -> None:
    """A browser is believed for no longer than its token is good; a token with a name may be revoked."""
    assert Door().tokens.believed_secs(token, NOW - 100) == secs
    assert Door().tokens.believed_secs("old", NOW + 1) == 0
