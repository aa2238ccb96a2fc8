"""Server tokens: which build server sends a request.

A server token names an address, which must be the sender's: the published rule, "Tokens" in ``doc/protocol``.
What a build server may do is not known here.
"""

from typing import Protocol

import attrs

from sccachedist.auth.bearer import IPAddress, same_secret
from sccachedist.errors import DecodeError, PeerRefused
from sccachedist.wire.addresses import ServerId
from sccachedist.wire.tokens import read_server_token

#: The token of every build server if the configuration says ``DANGEROUSLY_INSECURE``.
INSECURE_SERVER_TOKEN = "dangerously_insecure_server"


class ServerAuth(Protocol):
    """Decides which build server a token belongs to."""

    def identify(self, token: str) -> ServerId:
        """The build server that the token names.

        :raises PeerRefused: the token is not good.
        """


@attrs.frozen
class SharedServerToken:
    """All build servers show the same secret, each after its own address: ``ip:port TOKEN``."""

    token: str = attrs.field(repr=False)

    def identify(self, token: str) -> ServerId:
        """Compare the secret with the configured one, and read the address."""
        address, _, secret = token.partition(" ")
        if not same_secret(secret, self.token):
            raise PeerRefused("invalid_bearer_token", "server token refused")
        try:
            return ServerId.parse(address)
        except DecodeError as error:
            raise PeerRefused("invalid_bearer_token", "server token without an address") from error


@attrs.frozen
class SignedServerToken:
    """Each build server has a token of its own, which the scheduler's key has signed."""

    key: bytes = attrs.field(repr=False)

    def identify(self, token: str) -> ServerId:
        """Check the signature and read the address."""
        return read_server_token(token, self.key)


def check_server(auth: ServerAuth, token: str | None, sender: IPAddress) -> ServerId:
    """The build server that sends a request.

    :raises PeerRefused: its token is missing or wrong, or names another address than the sender's.
    """
    if token is None:
        raise PeerRefused("invalid_bearer_token", "no server token")
    server_id = auth.identify(token)
    if server_id.host != sender:
        raise PeerRefused("invalid_bearer_token_mismatched_address", f"a token of {server_id} came from {sender}")
    return server_id
