"""Asks the scheduler that leads, over connections that are kept.

An answer is taken as fast as its reader takes it, however long it is. What is asked, and whether it is asked again, is
not known here.
"""

import math
from typing import Any

import attrs
from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.error import (
    ConnectError,
    ConnectingCancelledError,
    ConnectionDone,
    ConnectionLost,
    DNSLookupError,
)
from twisted.web.client import (
    Agent,
    BrowserLikePolicyForHTTPS,
    HostnameCachingHTTPSPolicy,
    RequestTransmissionFailed,
    ResponseFailed,
    ResponseNeverReceived,
)
from twisted.web.http_headers import Headers
from twisted.web.iweb import IResponse

from sccachedist.errors import SccachedistError
from sccachedist.peers.bodies import Octets
from sccachedist.peers.connection_pool import BoundedPool, Endpoints
from sccachedist.peers.http_client import CONNECT_SECS, causes_of, text_of

#: Idle connections that are kept, and for how many seconds: fewer than the leader keeps them by default.
KEPT, KEPT_SECS = 64, 30
#: Errors of Twisted's client: those of a leader that has certainly heard nothing, and all others.
_UNHEARD, _HALFWAY = (ConnectError, DNSLookupError), (ResponseFailed, RequestTransmissionFailed)
#: How its errors say that a call was given up.
_GIVEN_UP = (CancelledError, ConnectingCancelledError)


class LeaderAway(SccachedistError):
    """The scheduler that is known to lead has not answered.

    :param is_unheard: whether it has certainly not done what it was asked for.
    """

    def __init__(self, reason: str, *, is_unheard: bool) -> None:
        super().__init__(reason)
        self.is_unheard = is_unheard


@attrs.frozen
class PassedRequest:
    """What a leader is asked.

    :param target: path and query.
    :param may_repeat: whether it does no harm if the leader hears it twice.
    """

    method: str
    target: str
    headers: list[tuple[str, str]] = attrs.field(repr=False)
    body: bytes = attrs.field(repr=False)
    may_repeat: bool


class LeaderCalls:
    """Makes the calls. Certificates are accepted that the platform's authorities signed."""

    def __init__(self, reactor: Any) -> None:
        policy = HostnameCachingHTTPSPolicy(BrowserLikePolicyForHTTPS())
        endpoints = Endpoints(reactor, policy, CONNECT_SECS, lambda: None)
        self._pool = BoundedPool(reactor, most=math.inf)
        self._pool.maxPersistentPerHost, self._pool.cachedConnectionTimeout = KEPT, KEPT_SECS
        self._pool.retryAutomatically = False
        self._kept = Agent.usingEndpointFactory(reactor, endpoints, self._pool)
        once = BoundedPool(reactor, persistent=False, most=math.inf)
        self._fresh = Agent.usingEndpointFactory(reactor, endpoints, once)

    async def ask(self, url: str, passed: PassedRequest) -> IResponse:
        """The head of the answer; its body waits for a reader.

        What may not be repeated goes over a connection of its own: the leader may just be closing a kept one.

        :raises LeaderAway: there is none.
        """
        try:
            if passed.may_repeat:
                try:
                    return await self._over(self._kept, url, passed)
                except ResponseNeverReceived as error:
                    if not all(isinstance(cause, ConnectionDone | ConnectionLost) for cause in causes_of(error)):
                        raise
            return await self._over(self._fresh, url, passed)
        except (*_UNHEARD, *_HALFWAY, *_GIVEN_UP) as error:
            causes = [*causes_of(error)]
            if any(isinstance(cause, _GIVEN_UP) for cause in causes):
                raise CancelledError from error
            raise LeaderAway(text_of(causes), is_unheard=isinstance(error, _UNHEARD)) from error

    async def close(self) -> None:
        """Close the kept connections."""
        await self._pool.closeCachedConnections()

    def _over(self, agent: Agent, url: str, passed: PassedRequest) -> "Deferred[IResponse]":
        headers = Headers()
        for name, value in passed.headers:
            headers.addRawHeader(name.encode(), value.encode("latin-1"))
        body = Octets(passed.body) if passed.body else None
        target = f"{url.rstrip('/')}{passed.target}".encode("latin-1")
        return agent.request(passed.method.encode(), target, headers, body)
