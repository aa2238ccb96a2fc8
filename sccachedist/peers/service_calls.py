"""Calls to services that are not of the farm: an identity provider, a token service.

They go through the proxies of the environment and along redirects, as the published scheduler's do; calls between the
daemons never do. Which proxy and which redirect count, :mod:`sccachedist.peers.proxies` and
:mod:`sccachedist.peers.redirects` decide.
"""

from collections.abc import Callable

from hyperlink import URL
from twisted.internet.defer import CancelledError, Deferred, succeed
from twisted.internet.error import ConnectingCancelledError
from twisted.internet.interfaces import IReactorTime
from twisted.web.client import BrowserLikePolicyForHTTPS, HostnameCachingHTTPSPolicy
from twisted.web.http_headers import Headers
from twisted.web.iweb import IBodyProducer, IResponse

from sccachedist.errors import PeerError
from sccachedist.peers.bodies import read_body
from sccachedist.peers.connection_pool import BoundedPool, Endpoints
from sccachedist.peers.http_client import (
    CONNECT_SECS,
    FAILURES,
    Ask,
    Calls,
    asking_by,
    causes_of,
    looking_in_a_thread,
    parsed,
    text_of,
)
from sccachedist.peers.proxies import Proxies
from sccachedist.peers.proxy_agent import ProxyingAgent
from sccachedist.peers.redirects import MOST_REDIRECTS, redirected, same_peer
from sccachedist.peers.wrong_scheme import wrong_scheme

#: The most bytes that are read of the body beside a redirect.
_BODY_BYTES = 1 << 16


def service_calls(reactor: IReactorTime, proxies: Proxies) -> Calls:
    """Calls by ``http``, or by ``https`` to a server whose certificate the platform's authorities signed.

    :param proxies: those of this process's environment.
    """
    policy = HostnameCachingHTTPSPolicy(BrowserLikePolicyForHTTPS())
    endpoints = Endpoints(reactor, policy, CONNECT_SECS, lambda: None)
    look = looking_in_a_thread(reactor, wrong_scheme)

    def way(url: str) -> str:
        proxy = proxies.of(url)
        return "" if proxy is None else f" through the proxy {proxy}"

    def asking(pool: BoundedPool) -> Ask:
        ask = asking_by(ProxyingAgent(reactor, pool, proxies, endpoints, policy), reactor)

        def asked(method: str, url: URL, *, headers: Headers, data: IBodyProducer | None) -> Deferred[IResponse]:
            return Deferred.fromCoroutine(_followed(ask, way, method, url, headers, data))

        return asked

    def looked(url: str) -> Deferred[str | None]:
        return succeed(None) if proxies.of(url) else look(url)  # it would look past the proxy

    pool = BoundedPool(reactor)
    return Calls(reactor, pool, asking(pool), asking(BoundedPool(reactor, persistent=False)), looked, way)


async def _followed(
    ask: Ask, way: Callable[[str], str], method: str, url: URL, headers: Headers, data: IBodyProducer | None
) -> IResponse:
    """The response to a request, or to the one that redirects led to.

    :raises PeerError: that was no success, or there were too many.
    """
    response: IResponse = await ask(method, url, headers=headers, data=data)
    here = url.to_text()
    for redirects in range(MOST_REDIRECTS + 1):
        location = (response.headers.getRawHeaders("Location") or [None])[0]
        there = redirected(here, response.code, location)
        if there is None:
            break
        await read_body(response, _BODY_BYTES)  # so that the connection can be used again
        if redirects == MOST_REDIRECTS:
            raise PeerError(f"more than {MOST_REDIRECTS} redirects")
        if not same_peer(here, there):
            headers = headers.copy()
            headers.removeHeader("Authorization")
        here = there
        response = await _redirected(ask, way, method, here, headers, data)
    return response


async def _redirected(
    ask: Ask, way: Callable[[str], str], method: str, url: str, headers: Headers, data: IBodyProducer | None
) -> IResponse:
    """The response where a redirect led to; an error names the place."""
    try:
        response: IResponse = await ask(method, parsed(url), headers=headers, data=data)
    except (PeerError, *FAILURES) as error:
        causes = list(causes_of(error))
        if any(isinstance(cause, CancelledError | ConnectingCancelledError) for cause in causes):
            raise
        why = str(error) if isinstance(error, PeerError) else text_of(causes)
        raise PeerError(f"redirected to {url}{way(url)}: {why}") from error
    if response.code // 100 in (2, 3):
        return response
    await read_body(response, _BODY_BYTES)
    raise PeerError(f"redirected to {url}{way(url)}: status {response.code}", status=response.code)
