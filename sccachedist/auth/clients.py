"""Client tokens: who may have a job allocated."""

import hashlib
from typing import Protocol

import attrs

from sccachedist.auth.bearer import IPAddress, neighbourhood, same_secret
from sccachedist.budgets import Party
from sccachedist.errors import ClientRefused

#: The token of a client where the configuration says ``DANGEROUSLY_INSECURE``.
INSECURE_CLIENT_TOKEN = "dangerously_insecure_client"


def digest_of(token: str) -> str:
    """What a token is known by without being given away."""
    return hashlib.sha256(token.encode()).hexdigest()


def party_of(account: str, sender: IPAddress) -> Party:
    """The client that shares with others: the same account at the same address is one.

    :param account: the digest of a token, or of what it says of its owner.
    """
    return Party(f"{account[:16]}@{neighbourhood(sender)}")


class ClientAuth(Protocol):
    """Decides whether a client token is good."""

    async def check(self, token: str | None, sender: IPAddress) -> Party:
        """Return when the client may go on.

        :returns: as whom it takes its share; all spellings of one token give the same.
        :raises ClientRefused: it may not.
        :raises AuthUnavailable: nobody can tell now.
        """


@attrs.frozen
class SharedClientToken:
    """All clients show the same token."""

    token: str = attrs.field(repr=False)

    async def check(self, token: str | None, sender: IPAddress) -> Party:
        """Compare the token with the one that was configured."""
        if token is None:
            raise ClientRefused("no_bearer_auth", "no client token")
        if not same_secret(token, self.token):
            raise ClientRefused("bearer_auth_failed", "client token refused")
        return party_of(digest_of(token), sender)
