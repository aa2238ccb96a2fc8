"""Makes the check of client tokens that the configuration names, and the calls that the check needs.

How a token is checked is not known here: :mod:`sccachedist.auth` decides that.
"""

from collections.abc import Callable, Mapping
from secrets import token_hex

import attrs
from twisted.internet.interfaces import IReactorTime
from twisted.logger import LogLevel
from twisted.web.http_headers import Headers

from sccachedist.auth.clients import INSECURE_CLIENT_TOKEN, ClientAuth, SharedClientToken, digest_of, unnamed
from sccachedist.auth.jwks import SigningKeys
from sccachedist.auth.signed_tokens import SignedClientTokens
from sccachedist.auth.succession import Secrets
from sccachedist.auth.token_service import ForwardedClientTokens
from sccachedist.config import ClientAuthSettings, InsecureAuth, JwtValidate, ProxyToken, SchedulerSettings, TokenAuth
from sccachedist.daemon.logs import Logger, QuietLog
from sccachedist.errors import AuthUnavailable, PeerError
from sccachedist.peers.http_client import Calls
from sccachedist.peers.proxies import Proxies

log = Logger()

#: Seconds in which an identity provider or a token service has to answer.
ANSWER_SECS = 10.0
#: The most bytes of its answer.
ANSWER_BYTES = 1 << 19
#: The statuses by which a token service refuses a token. A redirect, a proxy that wants other credentials (407), a
#: timeout (408) and "too many requests" (429) are not the token's fault, and must not fail a build.
_REFUSALS = frozenset(range(400, 500)) - {407, 408, 429}


@attrs.frozen
class HttpKeyProvider:
    """A JSON Web Key Set behind its URL."""

    _calls: Calls
    _url: str

    async def fetch(self) -> bytes:
        """Get the key set's JSON."""
        return await self._calls.get(self._url, timeout=ANSWER_SECS, limit=ANSWER_BYTES)


@attrs.define
class HttpTokenService:
    """A service that answers a good token with success.

    :param name_header: the header of its answer that has the name of the token's owner, if there is one.
    """

    _calls: Calls
    _url: str
    _quiet_log: QuietLog
    name_header: str | None = None

    async def user_of(self, token: str) -> str | None:
        """The owner of a token that the service accepts, as far as it says; None if it refuses the token.

        :raises AuthUnavailable: it does not say.
        """
        users = [""]

        def heard(headers: Headers) -> None:
            users.extend(headers.getRawHeaders(self.name_header, []) if self.name_header else ())

        try:
            await self._calls.get(self._url, token=token, timeout=ANSWER_SECS, limit=ANSWER_BYTES, heard=heard)
        except PeerError as error:
            if error.status in _REFUSALS:
                return None
            form = "client tokens cannot be checked: {error}"
            self._quiet_log.tell(log, LogLevel.warn, "token service", form, why=str(error), error=str(error))
            raise AuthUnavailable("client tokens cannot be checked now") from error
        self._quiet_log.forget("token service")
        return users[-1]


def service_proxies(settings: SchedulerSettings, environment: Mapping[str, str]) -> Proxies:
    """The proxies through which the service that the configuration names is asked, if it names one."""
    match settings.client_auth:
        case JwtValidate(jwks_url=url) | ProxyToken(url=url):
            proxies = Proxies.of_environment(environment)
        case _:
            return Proxies()
    for name in proxies.ignored:
        log.warn("{variable} is ignored: expected http://[USER:PASSWORD@]HOST[:PORT]", variable=name)
    if proxy := proxies.of(url):
        log.info("{url} is asked through the proxy {proxy}", url=url, proxy=str(proxy))
    return proxies


def client_digest(settings: ClientAuthSettings) -> str:
    """The digest of the secret that all clients share; if each has its own, one that is good until the next start."""
    match settings:
        case TokenAuth(token=token):
            return digest_of(token)
        case InsecureAuth():
            return digest_of(INSECURE_CLIENT_TOKEN)
    return token_hex(32)


def client_auth(
    settings: SchedulerSettings,
    calls: Calls,
    clock: IReactorTime,
    outdated: Callable[[str], None] = lambda _: None,
    knows: Callable[[str], bool] = unnamed,
) -> ClientAuth:
    """The check of client tokens that the configuration names.

    :param outdated: called with the address of a client that shows a token from before.
    :param knows: whether a client has a name that an identity provider or a token service may give it.
    """
    match settings.client_auth:
        case InsecureAuth():
            log.warn("client_auth is DANGEROUSLY_INSECURE: all who reach this scheduler may use the farm")
            return SharedClientToken(INSECURE_CLIENT_TOKEN)
        case TokenAuth(token=token, previous_token=previous):
            return SharedClientToken(Secrets(token, previous, outdated, clock.seconds))
        case ProxyToken(url=url, cache_secs=cache_secs):
            service = HttpTokenService(calls, url, QuietLog(clock.seconds), settings.clients.name_header)
            most = settings.limits.token_checks
            return ForwardedClientTokens(service, cache_secs or 0, most, clock.seconds, knows)
        case JwtValidate(audience=audience, issuer=issuer, jwks_url=url):
            keys = SigningKeys(HttpKeyProvider(calls, url), clock.seconds)
            claim = settings.jwt.name_claim
            return SignedClientTokens(keys, audience, issuer, settings.jwt.algorithms, claim, knows)
