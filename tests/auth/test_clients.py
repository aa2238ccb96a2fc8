"""Which clients may have jobs."""

import traceback
from ipaddress import ip_address

from twisted.internet.defer import Deferred
from twisted.trial.unittest import SynchronousTestCase

from sccachedist.auth.clients import SharedClientToken, account_of, address_of, nameless, party_of
from sccachedist.auth.succession import Secrets
from sccachedist.budgets import Party
from sccachedist.errors import ClientRefused

SENDERS = ("192.0.2.1", "192.0.2.2", "2001:db8::1", "2001:db8:0:1::1", "2001:db8:0:1:ffff::2")
AUTH = SharedClientToken("hunter2")


class SharedTokenTests(SynchronousTestCase):
    """All clients show ``hunter2``."""

    def check(self, token: str | None, sender: str = "192.0.2.1") -> Deferred[Party]:
        return Deferred.fromCoroutine(AUTH.check(token, ip_address(sender)))

    def test_good(self) -> None:
        """The token lets a client in, who is another one at another address; one of IPv6 may have many."""
        parties = [self.successResultOf(self.check("hunter2", sender)) for sender in SENDERS]
        assert len(set(parties)) == len(SENDERS) - 1
        assert parties[-2] == parties[-1]
        assert not [party for party in parties if "hunter2" in party]

    def test_refused(self) -> None:
        """Another one does not, nor does none, and the client is told which of both it is."""
        for token in (None, "", "hunter", "hunter22", "HUNTER2", " hunter2"):
            error = self.failureResultOf(self.check(token), ClientRefused).value
            assert error.challenge == ("no_bearer_auth" if token is None else "bearer_auth_failed")

    def test_rotation(self) -> None:
        """For a while, the token before it is good as well: its client is the same party, and is named."""
        named: list[str] = []
        auth = SharedClientToken(Secrets("hunter2", "hunter1", named.append))
        parties = [
            self.successResultOf(Deferred.fromCoroutine(auth.check(token, ip_address("192.0.2.1"))))
            for token in ("hunter2", "hunter1")
        ]
        assert parties[0] == parties[1]
        assert named == ["192.0.2.1"]
        wrong = Deferred.fromCoroutine(auth.check("hunter0", ip_address("192.0.2.1")))
        assert self.failureResultOf(wrong, ClientRefused).value.challenge == "bearer_auth_failed"

    def test_secret(self) -> None:
        """Neither what is configured nor what was shown can get into a log."""
        error = self.failureResultOf(self.check("hunter3"), ClientRefused).value
        for text in (repr(AUTH), "".join(traceback.format_exception(error))):
            assert "hunter" not in text.replace("test_clients", "")


class PartyTests(SynchronousTestCase):
    """What a party says."""

    def test_named(self) -> None:
        """A name and an address can be read of it again."""
        party = party_of("build-7.x", ip_address("2001:db8::1"))
        assert party == "build-7.x@2001:db8::/64"
        assert (account_of(party), address_of(party)) == ("build-7.x", "2001:db8::/64")

    def test_nameless(self) -> None:
        """The digest of a token is no name: none begins with ``#``."""
        party = party_of(nameless("0123456789abcdef" * 4), ip_address("192.0.2.1"))
        assert party == "#0123456789abcdef@192.0.2.1"
        assert (account_of(party), address_of(party)) == ("#0123456789abcdef", "192.0.2.1")

    def test_strangers(self) -> None:
        """Who has shown no good token has an address alone."""
        assert (account_of(Party("192.0.2.1")), address_of(Party("192.0.2.1"))) == ("", "192.0.2.1")
        assert address_of(None) == "unknown"
