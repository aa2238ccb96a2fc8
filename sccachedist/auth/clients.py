"""Client tokens: which clients may have a job allocated. It does not know what a job is."""

import hashlib
import math
from functools import lru_cache, partial
from typing import Protocol

import attrs

from sccachedist.auth.bearer import IPAddress, neighbourhood, same_secret
from sccachedist.auth.succession import Secrets, texts
from sccachedist.budgets import Party
from sccachedist.errors import ClientRefused

#: Seconds for which a browser is believed whose token was good by the word of another service.
BELIEVED_SECS = 3600.0
#: The token of every client if the configuration says ``DANGEROUSLY_INSECURE``.
INSECURE_CLIENT_TOKEN = "dangerously_insecure_client"

#: What no name begins with.
_NAMELESS = "#"
_UNKNOWN = (
    "client token refused: it is unknown here, or was revoked. Ask an administrator of this farm for a new one, write "
    "it into [dist.auth] of sccache's configuration file and run sccache --stop-server"
)


def digest_of(token: str) -> str:
    """A name for a token that does not give the token away: its SHA-256, in hexadecimal."""
    return hashlib.sha256(token.encode()).hexdigest()


def nameless(digest: str) -> str:
    """The account of a client without a name.

    :param digest: of its token, or of the token's owner.
    """
    return f"{_NAMELESS}{digest[:16]}"


def unnamed(_name: str) -> bool:
    """That no client has this name: there is no clients' file."""
    return False


def party_of(account: str, sender: IPAddress) -> Party:
    """The party that a client is for budgets: the same account at the same address is one party.

    :param account: the name of a client, or what :func:`nameless` makes.
    """
    return Party(f"{account}@{neighbourhood(sender)}")


def account_of(party: Party) -> str:
    """The account of a party; empty for an address that has shown no good token."""
    return party.rpartition("@")[0]


def name_of(party: Party) -> str:
    """The name of a client; empty if it has none."""
    account = account_of(party)
    return "" if account.startswith(_NAMELESS) else account


def address_of(party: Party | None) -> str:
    """The address of a party, for a log."""
    return "unknown" if party is None else party.rpartition("@")[2]


@lru_cache(8)  # each request has the same one
def _account_of_all(configured: str) -> str:
    """The account of all who show a configured token."""
    return nameless(digest_of(configured))


def unknown_token() -> ClientRefused:
    """The refusal of a token, in words that sccache shows to the one whose build it fails."""
    return ClientRefused("bearer_auth_failed", _UNKNOWN)


class ClientAuth(Protocol):
    """Decides whether a client token is good."""

    async def check(self, token: str | None, sender: IPAddress) -> Party:
        """Return if the client may go on.

        :returns: the party that its share counts for; every spelling of one token gives the same party.
        :raises ClientRefused: it may not.
        :raises AuthUnavailable: the token cannot be checked now.
        """

    def believed_secs(self, token: str, now: float) -> float:
        """For how long a browser may be believed that has shown a good token, and does not show it again.

        :param now: in seconds since 1970.
        """


@attrs.frozen
class SharedClientToken:
    """All clients show the same token, or for a while the one before it."""

    tokens: Secrets[str] = attrs.field(converter=texts)

    async def check(self, token: str | None, sender: IPAddress) -> Party:
        """Compare the token with the configured ones. The party is the same with each of them."""
        if token is None:
            raise ClientRefused("no_bearer_auth", "no client token")
        shown = self.tokens.which(partial(same_secret, token))
        if shown is None:
            raise unknown_token()
        if shown != self.tokens.current:
            self.tokens.outdated(str(sender))
        return party_of(_account_of_all(self.tokens.current), sender)

    def believed_secs(self, token: str, now: float) -> float:
        """As long as the token is configured."""
        return math.inf
