"""Makes the check of server tokens that the configuration names, and notes who shows a secret from before a rotation.

How a token is checked is not known here: :mod:`sccachedist.auth` decides that.
"""

from collections.abc import Sequence
from ipaddress import ip_network

from twisted.internet.interfaces import IReactorTime
from twisted.logger import LogLevel

from sccachedist.auth.bearer import IPNetwork
from sccachedist.auth.servers import INSECURE_SERVER_TOKEN, Revocable, SharedServerToken, SignedServerToken
from sccachedist.auth.succession import Secrets
from sccachedist.config import InsecureAuth, JwtHs256, NetworkSettings, ServerAuthSettings, ServersTokenAuth, TokenAuth
from sccachedist.daemon.logs import Logger, QuietLog

log = Logger()


class Outdated:
    """Peers that still show a secret from before: the log names them now and then, and ``counts`` has how often.

    When a count stands still, the previous secret can go out of the configuration.
    """

    def __init__(self, clock: IReactorTime) -> None:
        self._quiet_log = QuietLog(clock.seconds)
        self.counts = {"client": 0, "server": 0}

    def client(self, address: str) -> None:
        """A client at this address does."""
        self._tell("client", address, "client {peer} shows a token from before client_auth.token")

    def server(self, server_id: str) -> None:
        """The build server at this address does."""
        self._tell("server", server_id, "build server {peer} shows a token from before the secret of server_auth")

    def _tell(self, kind: str, peer: str, form: str) -> None:
        self.counts[kind] += 1
        self._quiet_log.tell(log, LogLevel.info, f"outdated {kind}", form, by=peer, peer=peer)


def rewritten(settings: NetworkSettings) -> dict[IPNetwork, Sequence[IPNetwork]]:
    """The networks of ``network.servers_from``, as the check of a sender's address takes them."""
    return {ip_network(name): its.addresses for name, its in settings.servers_from.items()}


def server_auth(settings: ServerAuthSettings, outdated: Outdated, clock: IReactorTime) -> Revocable:
    """The check of server tokens that the configuration names."""
    match settings:
        case InsecureAuth():
            log.warn("server_auth is DANGEROUSLY_INSECURE: all who reach this scheduler may be build servers")
            return Revocable(SharedServerToken(INSECURE_SERVER_TOKEN))
        case TokenAuth(token=token, previous_token=previous):
            revoked = settings.revoked if isinstance(settings, ServersTokenAuth) else ()
            tokens = Secrets(token, previous, outdated.server, clock.seconds)
            return Revocable(SharedServerToken(tokens), frozenset(revoked))
        case JwtHs256(secret_key=key, previous_secret_key=before, revoked=revoked):
            keys = Secrets(key, before, outdated.server, clock.seconds)
            return Revocable(SignedServerToken(keys), frozenset(revoked))
