"""Server tokens: which build server sends a request.

A server token names an address, which must be the sender's: the published rule, "Tokens" in ``doc/protocol``. Only from
networks that an operator names may it be another one, of those that stand beside. What a build server may do is not
known here.
"""

from collections.abc import Mapping, Sequence
from contextlib import suppress
from functools import partial
from typing import Protocol

import attrs

from sccachedist.auth.bearer import IPAddress, IPNetwork, same_secret
from sccachedist.auth.succession import Secrets, keys, texts
from sccachedist.errors import DecodeError, PeerRefused, ServerRevoked
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
    """All build servers show the same secret, each after its own address: ``ip:port TOKEN``.

    For a while, the secret before it is good as well.
    """

    tokens: Secrets[str] = attrs.field(converter=texts)

    @property
    def secrets(self) -> tuple[bytes, ...]:
        """Those that are good now, the current one first."""
        return tuple(token.encode() for token in (self.tokens.current, *self.tokens.others()))

    def identify(self, token: str) -> ServerId:
        """Compare the secret with the configured one, and read the address."""
        address, _, secret = token.partition(" ")
        shown = self.tokens.which(partial(same_secret, secret))
        if shown is None:
            raise PeerRefused("invalid_bearer_token", "server token refused")
        try:
            server_id = ServerId.parse(address)
        except DecodeError as error:
            raise PeerRefused("invalid_bearer_token", "server token without an address") from error
        if shown != self.tokens.current:
            self.tokens.outdated(str(server_id))
        return server_id


@attrs.frozen
class SignedServerToken:
    """Each build server has a token of its own, which the scheduler's key has signed, or for a while the key before."""

    keys: Secrets[bytes] = attrs.field(converter=keys)

    @property
    def secrets(self) -> tuple[bytes, ...]:
        """Those that are good now, the current one first."""
        return (self.keys.current, *self.keys.others())

    def identify(self, token: str) -> ServerId:
        """Check the signature and read the address."""
        try:
            return read_server_token(token, self.keys.current)
        except PeerRefused:
            for other in self.keys.others():
                with suppress(PeerRefused):
                    server_id = read_server_token(token, other)
                    self.keys.outdated(str(server_id))
                    return server_id
            raise


@attrs.define
class Revocable:
    """Lets in the build servers that another check lets in, but for some.

    :param revoked: each by its address and port, or all at one IP address.
    """

    auth: SharedServerToken | SignedServerToken
    revoked: frozenset[ServerId | IPAddress] = frozenset()

    @property
    def secrets(self) -> tuple[bytes, ...]:
        """The secrets that are good now, the current one first."""
        return self.auth.secrets

    @property
    def has_one_token(self) -> bool:
        """Whether all build servers show the same token: then each can take any address that it sends from."""
        return isinstance(self.auth, SharedServerToken)

    def identify(self, token: str) -> ServerId:
        """Check the token, and then whether that build server is revoked."""
        server_id = self.auth.identify(token)
        if self.is_revoked(server_id):
            raise ServerRevoked(f"build server {server_id} is revoked: server_auth.revoked of the scheduler has it")
        return server_id

    def is_revoked(self, server_id: ServerId) -> bool:
        """Whether a build server is one of those."""
        return bool(self.revoked) and (server_id in self.revoked or server_id.host in self.revoked)


@attrs.define(eq=False)
class Rewritten:
    """Which senders may be build servers of other addresses, because their own are rewritten on the way.

    :param networks: networks of senders, each with those of the addresses that their tokens may name.
    """

    networks: Mapping[IPNetwork, Sequence[IPNetwork]] = attrs.field(factory=dict)

    def may_be(self, sender: IPAddress, server_id: ServerId) -> bool:
        """Whether a request from an address may be that build server's."""
        return server_id.host == sender or any(
            sender in senders and any(server_id.host in named for named in addresses)
            for senders, addresses in self.networks.items()
        )


def check_server(
    auth: ServerAuth, token: str | None, sender: IPAddress, rewritten: Rewritten | None = None
) -> ServerId:
    """The build server that sends a request.

    :param rewritten: where the network rewrites addresses; None if nowhere.
    :raises PeerRefused: its token is missing or wrong, or names another address than the sender's.
    """
    if token is None:
        raise PeerRefused("invalid_bearer_token", "no server token")
    server_id = auth.identify(token)
    if not (rewritten or Rewritten()).may_be(sender, server_id):
        raise PeerRefused("invalid_bearer_token_mismatched_address", f"a token of {server_id} came from {sender}")
    return server_id
