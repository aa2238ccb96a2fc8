"""Client tokens: who may have a job allocated."""

import hashlib
from typing import NewType, Protocol

import attrs

from sccachedist.auth.bearer import same_secret
from sccachedist.errors import ClientRefused

#: The token of a client where the configuration says ``DANGEROUSLY_INSECURE``.
INSECURE_CLIENT_TOKEN = "dangerously_insecure_client"


#: Whom the slots of a farm are shared between: those who show the same token are one client.
ClientId = NewType("ClientId", str)


def client_id(token: str | None) -> ClientId:
    """Who shows a token; it does not give the token away."""
    return ClientId(hashlib.sha256((token or "").encode()).hexdigest()[:16])


class ClientAuth(Protocol):
    """Decides whether a client token is good."""

    async def check(self, token: str | None) -> None:
        """Return when the client may go on.

        :raises ClientRefused: it may not.
        """


@attrs.frozen
class SharedClientToken:
    """All clients show the same token."""

    token: str = attrs.field(repr=False)

    async def check(self, token: str | None) -> None:
        """Compare the token with the one that was configured."""
        if token is None:
            raise ClientRefused("no_bearer_auth", "no client token")
        if not same_secret(token, self.token):
            raise ClientRefused("bearer_auth_failed", "client token refused")
