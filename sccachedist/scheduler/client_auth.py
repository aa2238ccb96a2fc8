"""Who decides about client tokens, by the configuration, and whom they ask over the network."""

import attrs
from twisted.internet.interfaces import IReactorTime

from sccachedist.auth.clients import INSECURE_CLIENT_TOKEN, ClientAuth, SharedClientToken
from sccachedist.auth.jwks import SignedClientTokens, SigningKeys
from sccachedist.auth.token_service import ForwardedClientTokens
from sccachedist.config import InsecureAuth, JwtValidate, ProxyToken, SchedulerSettings, TokenAuth
from sccachedist.daemon.logs import Logger
from sccachedist.errors import AuthUnavailable, PeerError
from sccachedist.peers.http_client import Calls

log = Logger()

#: Seconds in which an identity provider or a token service has to answer.
ANSWER_SECS = 10.0
#: Bytes that its answer may have.
ANSWER_BYTES = 1 << 19
#: What a token service answers to a wrong token. That it has moved, is too slow or is asked too often is not the
#: token's fault, and must not fail a build.
_REFUSALS = frozenset(range(400, 500)) - {408, 429}


@attrs.frozen
class HttpKeyProvider:
    """A JSON Web Key Set behind its URL."""

    _calls: Calls
    _url: str

    async def fetch(self) -> bytes:
        """Get it."""
        return await self._calls.get(self._url, timeout=ANSWER_SECS, limit=ANSWER_BYTES)


@attrs.frozen
class HttpTokenService:
    """A service that answers with success where a token is good."""

    _calls: Calls
    _url: str

    async def accepts(self, token: str) -> bool:
        """Show it the token."""
        try:
            await self._calls.get(self._url, token=token, timeout=ANSWER_SECS, limit=ANSWER_BYTES)
        except PeerError as error:
            if error.status in _REFUSALS:
                return False
            log.warn("nobody to check client tokens: {error}", error=str(error))
            raise AuthUnavailable("client tokens cannot be checked now") from error
        return True


def client_auth(settings: SchedulerSettings, calls: Calls, clock: IReactorTime) -> ClientAuth:
    """Who decides about client tokens."""
    match settings.client_auth:
        case InsecureAuth():
            log.warn("client_auth is DANGEROUSLY_INSECURE: whoever reaches this scheduler may use the farm")
            return SharedClientToken(INSECURE_CLIENT_TOKEN)
        case TokenAuth(token=token):
            return SharedClientToken(token)
        case ProxyToken(url=url, cache_secs=cache_secs):
            return ForwardedClientTokens(
                HttpTokenService(calls, url), cache_secs or 0, settings.limits.token_checks, clock.seconds
            )
        case JwtValidate(audience=audience, issuer=issuer, jwks_url=url):
            keys = SigningKeys(HttpKeyProvider(calls, url), clock.seconds)
            return SignedClientTokens(keys, audience, issuer, settings.jwt.algorithms)
