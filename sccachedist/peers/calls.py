"""A call to a peer: octets by POST, octets back, or a :class:`~sccachedist.errors.PeerError`.

The scheduler calls its build servers (:func:`pinned_calls`), a build server its scheduler
(:func:`trusting_calls`). What the octets mean is for them to know.
"""

from collections.abc import Iterator
from typing import NoReturn

import attrs
from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.error import (
    ConnectError,
    ConnectingCancelledError,
    ConnectionDone,
    ConnectionLost,
    DNSLookupError,
)
from twisted.internet.interfaces import IReactorTime
from twisted.python.failure import Failure
from twisted.web.client import (
    Agent,
    BrowserLikePolicyForHTTPS,
    HostnameCachingHTTPSPolicy,
    ResponseFailed,
    ResponseNeverReceived,
)
from twisted.web.http_headers import Headers
from twisted.web.iweb import IAgent, IPolicyForHTTPS

from sccachedist.errors import PeerError
from sccachedist.peers.bodies import Octets, drop_body, read_body
from sccachedist.peers.connections import BoundedPool, PinnedPool
from sccachedist.peers.pins import PinPolicy, Pins

_OK = 200
#: All that Twisted's client fails with for a reason that lies outside of this process.
_FAILURES = (ConnectError, ConnectingCancelledError, DNSLookupError, ResponseFailed)


@attrs.frozen
class Calls:
    """Makes calls.

    :param clock: counts the time limits.
    :param pool: the connections that ``kept`` keeps.
    :param kept: asks over a connection from before where there is one.
    :param fresh: asks over a connection of its own.
    """

    _clock: IReactorTime
    _pool: BoundedPool
    _kept: IAgent
    _fresh: IAgent

    async def post(self, url: str, body: bytes, *, token: str, timeout: float, limit: int) -> bytes:
        """Send ``body`` and give the body of the answer, whose status is 200.

        A peer may close a connection just when it is used again: then the call is made once more, so that a
        peer may see it twice. All calls of the protocol can bear that.

        :param token: the bearer token; no error's text holds it.
        :param timeout: seconds for all of it, connecting and both attempts included.
        :param limit: bytes of the answer's body, below :data:`~sccachedist.peers.connections.ANSWER_BYTES`.
        :raises PeerError: for whatever else happens; with the status, if that is what is wrong.
        """

        def too_slow(result: object, seconds: float) -> NoReturn:
            cause = result.value if isinstance(result, Failure) else None
            raise PeerError(f"no answer within {seconds:g} s") from cause

        call = Deferred.fromCoroutine(self._ask(_Call(url, body, token, limit)))
        try:
            return await call.addTimeout(timeout, self._clock, too_slow)
        except PeerError as error:
            raise PeerError(f"POST {url}: {error}", status=error.status) from error
        except _FAILURES as error:
            causes = list(_causes(error))
            if any(isinstance(cause, CancelledError | ConnectingCancelledError) for cause in causes):
                raise CancelledError from error
            raise PeerError(f"POST {url}: {_text(causes)}") from error

    async def close(self) -> None:
        """Close the connections that are kept."""
        await self._pool.closeCachedConnections()

    async def _ask(self, call: "_Call") -> bytes:
        try:
            return await call.over(self._kept)
        except ResponseNeverReceived as error:
            if not all(type(cause) in (ConnectionDone, ConnectionLost) for cause in _causes(error)):
                raise
        return await call.over(self._fresh)


@attrs.frozen
class _Call:
    """One call, that may be made several times."""

    _url: str
    _body: bytes
    _token: str = attrs.field(repr=False)
    _limit: int

    async def over(self, agent: IAgent) -> bytes:
        """Make it."""
        headers = Headers({"Authorization": [f"Bearer {self._token}"], "Content-Type": ["application/octet-stream"]})
        response = await agent.request(b"POST", self._url.encode(), headers, Octets(self._body))
        if response.code != _OK:
            drop_body(response)
            raise PeerError(f"status {response.code}", status=response.code)
        return await read_body(response, self._limit)


def pinned_calls(reactor: IReactorTime, pins: Pins) -> Calls:
    """Calls by ``https`` to whoever shows the certificate that is pinned for the URL's host and port."""
    return _calls(reactor, PinPolicy(pins), PinnedPool(reactor, pins))


def trusting_calls(reactor: IReactorTime) -> Calls:
    """Calls by ``http``, or by ``https`` to whom the platform's certificate authorities vouch for."""
    return _calls(reactor, HostnameCachingHTTPSPolicy(BrowserLikePolicyForHTTPS()), BoundedPool(reactor))


def _calls(reactor: IReactorTime, policy: IPolicyForHTTPS, pool: BoundedPool) -> Calls:
    kept = Agent(reactor, policy, pool=pool)
    fresh = Agent(reactor, policy, pool=BoundedPool(reactor, persistent=False))
    return Calls(reactor, pool, kept, fresh)


def _causes(error: BaseException) -> Iterator[BaseException]:
    """What lies behind an error of Twisted's client, which wraps failures in failures."""
    reasons = getattr(error, "reasons", None)
    if not reasons:
        yield error
    for failure in reasons or ():
        yield from _causes(failure.value)


def _text(causes: list[BaseException]) -> str:
    """Say it in one line, however much of it a peer has written."""
    return ", ".join(f"{type(cause).__name__}: {cause}" for cause in causes)[:300]
