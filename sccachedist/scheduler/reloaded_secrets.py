"""How a running scheduler takes the secrets of its configuration, when that is read again, and how they are checked.

A secret that goes is good for ``clients.grace_secs`` more: peers that show it have that time to get the next one.
Other keys are in :mod:`sccachedist.scheduler.reloaded_parts`.
"""

from collections.abc import Iterator

from sccachedist.auth.clients import ClientAuth, SharedClientToken
from sccachedist.auth.servers import Revocable, SharedServerToken, SignedServerToken
from sccachedist.auth.signed_tokens import SignedClientTokens
from sccachedist.auth.token_service import ForwardedClientTokens
from sccachedist.config import JwtHs256, SchedulerSettings, ServersTokenAuth, TokenAuth
from sccachedist.daemon.reload import Part
from sccachedist.scheduler.client_auth import HttpTokenService, client_digest
from sccachedist.scheduler.roles import Principals
from sccachedist.scheduler.sessions import Sessions
from sccachedist.scheduler.term import Terms


def reloaded_secrets(
    clients: ClientAuth, servers: Revocable, terms: Terms, principals: Principals, sessions: Sessions
) -> Iterator[Part[SchedulerSettings]]:
    """The parts of one scheduler that know a secret.

    :param clients: the check of ``client_auth``; ``servers``: that of ``server_auth``.
    """

    def of_clients(settings: SchedulerSettings) -> None:
        match clients, settings.client_auth:
            case SharedClientToken(tokens=tokens), TokenAuth(token=token, previous_token=previous):
                tokens.replace(token, previous, settings.clients.grace_secs)
                sessions.renew(settings, client_digest(settings.client_auth))

    def of_servers(settings: SchedulerSettings) -> None:
        match servers.auth, settings.server_auth:
            case SharedServerToken(tokens=tokens), TokenAuth(token=token, previous_token=previous):
                tokens.replace(token, previous, settings.clients.grace_secs)
            case SignedServerToken(keys=keys), JwtHs256(secret_key=key, previous_secret_key=before):
                keys.replace(key, before, settings.clients.grace_secs)
        match settings.server_auth:
            case ServersTokenAuth(revoked=revoked) | JwtHs256(revoked=revoked):
                servers.revoked = frozenset(revoked)
        terms.current.revoke(servers.is_revoked)
        sessions.renew(settings, sessions.client.digest)

    def of_checks(settings: SchedulerSettings) -> None:
        match clients:
            case SignedClientTokens():
                clients.algorithms, clients.name_claim = settings.jwt.algorithms, settings.jwt.name_claim
            case ForwardedClientTokens(service=HttpTokenService() as service):
                clients.call_at_most(settings.limits.token_checks)
                if service.name_header != settings.clients.name_header:
                    service.name_header = settings.clients.name_header
                    clients.ask_again()

    yield Part(("client_auth", "clients.grace_secs"), of_clients)
    yield Part(("jwt", "clients.name_header", "limits.token_checks"), of_checks)
    yield Part(("server_auth",), of_servers)
    yield Part(("admin", "web.viewer_token"), lambda settings: principals.replace(settings.admin, settings.web))
