"""A call to a peer: octets out, octets back, or a :class:`~sccachedist.errors.PeerError`.

The scheduler calls its build servers (:func:`pinned_calls`), and a build server its scheduler (:func:`trusting_calls`).
Services that are not of the farm are called by :mod:`sccachedist.peers.service_calls`. Only the callers know what the
octets mean.
"""

import json
from collections.abc import Callable, Coroutine, Iterator
from functools import cached_property, lru_cache, partial
from http.cookiejar import DefaultCookiePolicy
from ipaddress import IPv4Address, IPv6Address
from typing import Any, NoReturn, TypeAlias, TypeVar, cast

import attrs
from hyperlink import URL
from treq.client import HTTPClient
from treq.cookies import IndexableCookieJar
from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.error import (
    ConnectError,
    ConnectingCancelledError,
    ConnectionDone,
    ConnectionLost,
    DNSLookupError,
)
from twisted.internet.interfaces import IDelayedCall, IReactorTime
from twisted.internet.threads import deferToThreadPool
from twisted.python.failure import Failure
from twisted.web.client import (
    Agent,
    BrowserLikePolicyForHTTPS,
    HostnameCachingHTTPSPolicy,
    RequestTransmissionFailed,
    ResponseFailed,
    ResponseNeverReceived,
)
from twisted.web.http_headers import Headers
from twisted.web.iweb import IAgent, IBodyProducer, IPolicyForHTTPS, IResponse
from zope.interface import implementer

from sccachedist.errors import PeerError
from sccachedist.peers.bodies import Octets, read_body
from sccachedist.peers.connection_pool import BoundedPool, Endpoints, PinnedPool
from sccachedist.peers.pins import PinPolicy, Pins
from sccachedist.peers.wrong_scheme import PATIENCE_SECS, wrong_scheme
from sccachedist.printable import excerpt

#: Seconds in which a peer has to accept a connection; its kernel is asked twice in them. An answer may take longer, but
#: a peer that is not there is not waited for.
CONNECT_SECS = 3.0

T = TypeVar("T")

#: Makes a request: method, parsed URL, ``headers`` and ``data``; the result is the response.
Ask = Callable[..., Deferred[Any]]
#: From the origin of a URL to what is wrong with its scheme.
Look = Callable[[str], Deferred[str | None]]

#: The errors of Twisted's client whose cause lies outside this process.
FAILURES = (ConnectError, ConnectingCancelledError, DNSLookupError, RequestTransmissionFailed, ResponseFailed)

#: Takes the headers of an answer.
Heard: TypeAlias = Callable[[Headers], None]


def _nothing_heard(_: Headers) -> None:
    pass


@attrs.frozen
class Calls:
    """Makes calls.

    :param clock: counts the time limits.
    :param pool: the connections that ``kept`` keeps.
    :param kept: makes a request over a kept connection, if there is one.
    :param fresh: makes a request over a connection of its own.
    :param look: says whether a URL's scheme is wrong; None if it is always right.
    :param way: how a URL is asked, for the texts of errors.
    """

    _clock: IReactorTime
    _pool: BoundedPool
    _kept: Ask
    _fresh: Ask
    _look: Look | None
    _way: Callable[[str], str]
    _spoke: set[str] = attrs.field(factory=set, init=False)

    async def get(
        self, url: str, *, token: str | None = None, timeout: float, limit: int, heard: Heard = _nothing_heard
    ) -> bytes:
        """Make a GET request, as :meth:`post` does.

        :param heard: called with the headers of a successful answer.
        """
        return await self._call(_Call(url, None, token, limit, heard), timeout)

    async def post(self, url: str, body: bytes, *, token: str, timeout: float, limit: int) -> bytes:
        """Send ``body`` and return the body of a successful answer (status 2xx).

        A peer may close a kept connection just when it is used again. Then the call is made once more, so a peer may
        see it twice; every call of the protocol allows that.

        :param token: the bearer token; no error's text holds it.
        :param timeout: seconds for everything: connecting and both attempts.
        :param limit: bytes of the answer's body, below :data:`~sccachedist.peers.connection_pool.ANSWER_BYTES`.
        :raises PeerError: for every other outcome; it has the status if that is what is wrong.
        """
        return await self._call(_Call(url, body, token, limit), timeout)

    async def close(self) -> None:
        """Close the kept connections."""
        await self._pool.closeCachedConnections()

    async def _call(self, call: "_Call", timeout: float) -> bytes:
        def too_slow(result: object, seconds: float) -> NoReturn:
            cause = result.value if isinstance(result, Failure) else None
            raise PeerError(f"no answer within {seconds:g} s") from cause

        asked = Deferred.fromCoroutine(over_kept(call.over, self._kept, self._fresh))
        found: list[str] = []
        looking = self._look_meanwhile(call, asked, found)
        try:
            octets = await asked.addTimeout(timeout, self._clock, too_slow)
        except (PeerError, CancelledError, *FAILURES) as error:
            raise await self._meaning(call, error, found) from error
        finally:
            if looking is not None and looking.active():
                looking.cancel()
        self._spoke.add(call.origin)
        return octets

    def _look_meanwhile(self, call: "_Call", asked: Deferred[bytes], found: list[str]) -> IDelayedCall | None:
        """Look in a moment whether TLS is waited for in vain, if no call to the peer has succeeded before.

        Then the call is cancelled, and what was found is added to ``found``.
        """
        look = self._look
        if look is None or not call.is_secure or call.origin in self._spoke:
            return None

        def end(wrong: str | None) -> None:
            if wrong is not None:
                found.append(wrong)
                asked.cancel()

        return self._clock.callLater(PATIENCE_SECS, lambda: look(call.origin).addCallbacks(end, lambda _: None))

    async def _meaning(self, call: "_Call", error: Exception, found: list[str]) -> Exception:
        """The error that a failed call raises."""
        causes = list(causes_of(error))
        if not found and any(isinstance(cause, CancelledError | ConnectingCancelledError) for cause in causes):
            return CancelledError()
        status = error.status if isinstance(error, PeerError) else None
        text = str(error) if isinstance(error, PeerError) else text_of(causes)
        # Some TLS ports answer a plain request with 400. That a certificate is not trusted shows that TLS is spoken.
        is_doubtful = isinstance(error, ResponseFailed) and "certificate" not in text
        if not found and self._look is not None and (is_doubtful or (status == 400 and not call.is_secure)):
            found += filter(None, [await self._look(call.origin)])
        if found:
            return PeerError(f"{call}{self._way(call.url)}: {found[0]}")
        return PeerError(f"{call}{self._way(call.url)}: {text}", status=status)


@attrs.frozen
class _Call:
    """One call, which may be made several times: a POST if there is a body, otherwise a GET."""

    url: str
    _body: bytes | None
    _token: str | None = attrs.field(repr=False)
    _limit: int
    _heard: Heard = _nothing_heard

    def __str__(self) -> str:
        return f"{self._method} {self.url}"

    @property
    def origin(self) -> str:
        """The scheme, host and port of the URL."""
        return "/".join(self.url.split("/", 3)[:3])

    @property
    def is_secure(self) -> bool:
        """Whether TLS is asked for."""
        return self.url.startswith("https:")

    @property
    def _method(self) -> str:
        return "GET" if self._body is None else "POST"

    async def over(self, ask: Ask) -> bytes:
        """Make the call."""
        headers = Headers()
        if self._token is not None:
            headers.addRawHeader("Authorization", f"Bearer {self._token}")
        if self._body is not None:
            headers.addRawHeader("Content-Type", "application/octet-stream")
        body = None if self._body is None else Octets(self._body)
        response = await ask(self._method, parsed(self.url), headers=headers, data=body)
        octets = await read_body(response, self._limit)
        if response.code // 100 != 2:
            raise refused(response.code, octets)
        if len(octets) > self._limit:
            raise PeerError(f"the answer is longer than {self._limit} bytes")
        self._heard(response.headers)
        return octets


async def over_kept(call: Callable[[Ask], Coroutine[Deferred[Any], Any, T]], kept: Ask, fresh: Ask) -> T:
    """Make a call over a kept connection; if the peer closes that just then, once more over one of its own."""
    try:
        return await call(kept)
    except (RequestTransmissionFailed, ResponseNeverReceived) as error:
        if not all(isinstance(cause, ConnectionDone | ConnectionLost) for cause in causes_of(error)):
            raise
    return await call(fresh)


@lru_cache(maxsize=256)
def parsed(url: str) -> "_Encoded":
    """The parsed URL, the same for most calls. An IPv6 address is kept as it is, for hyperlink takes it for a name."""
    encoded = _Encoded.from_text(url)
    return cast(_Encoded, encoded if ":" in encoded.host else URL.to_uri(encoded))


class _Encoded(URL):
    """A URL that is ASCII already: treq would encode it again for each call."""

    @cached_property
    def octets(self) -> bytes:
        """Its text."""
        return self.to_text().encode("ascii")

    def to_uri(self) -> URL:
        """The same URL."""
        return self


@implementer(IAgent)
@attrs.frozen
class _Plain:
    """Requests answers without compression: treq would unpack a compressed one, however large it grows."""

    _agent: IAgent

    def request(
        self, method: bytes, uri: bytes, headers: Headers | None = None, bodyProducer: IBodyProducer | None = None
    ) -> Deferred[IResponse]:
        """Send the request."""
        if headers is not None:
            headers.removeHeader(b"Accept-Encoding")
        return self._agent.request(method, uri, headers, bodyProducer).addCallback(_as_it_is)


def _as_it_is(response: IResponse) -> IResponse:
    response.headers.removeHeader(b"Content-Encoding")
    return response


def straight(_: str) -> str:
    """How a URL is asked that needs no further word."""
    return ""


def pinned_calls(reactor: IReactorTime, pins: Pins) -> Calls:
    """Calls by ``https`` to the build server whose certificate is pinned for the URL's host and port."""
    return _calls(reactor, PinPolicy(pins), PinnedPool(reactor, pins), _any_address, None)


def _any_address() -> None:
    """Leave it to the kernel which address a call leaves from."""


def trusting_calls(
    reactor: IReactorTime,
    lost: Callable[[], None] = lambda: None,
    source: Callable[[], IPv4Address | IPv6Address | None] = _any_address,
    look: Callable[[str], str | None] = wrong_scheme,
) -> Calls:
    """Calls by ``http``, or by ``https`` to a server whose certificate the platform's authorities signed.

    :param lost: called when a peer closes a connection that is kept for the next call.
    :param source: which address of this host a call leaves from; None if the kernel is to choose it.
    :param look: see :func:`~sccachedist.peers.wrong_scheme.wrong_scheme`; called in a thread.
    """
    policy = HostnameCachingHTTPSPolicy(BrowserLikePolicyForHTTPS())
    return _calls(reactor, policy, BoundedPool(reactor, lost=lost), source, looking_in_a_thread(reactor, look))


def looking_in_a_thread(reactor: Any, look: Callable[[str], str | None]) -> Look:
    """What blocks, called in a thread of the reactor's."""
    return lambda url: deferToThreadPool(reactor, reactor.getThreadPool(), look, url)


def _calls(
    reactor: Any,
    policy: IPolicyForHTTPS,
    pool: BoundedPool,
    source: Callable[[], IPv4Address | IPv6Address | None],
    look: Look | None,
) -> Calls:
    endpoints = Endpoints(reactor, policy, CONNECT_SECS, source)

    def asking(pool: BoundedPool) -> Ask:
        agent = Agent.usingEndpointFactory(reactor, endpoints, pool)

        def ask(method: str, url: _Encoded, *, headers: Headers, data: IBodyProducer | None) -> Deferred[IResponse]:
            # Not by treq: what it adds are cookies and compression, and a build server's reports go this way.
            answered: Deferred[IResponse] = agent.request(method.encode("ascii"), url.octets, headers, data)
            return answered

        return ask

    return Calls(reactor, pool, asking(pool), asking(BoundedPool(reactor, persistent=False)), look, straight)


def asking_by(agent: IAgent, reactor: Any) -> Ask:
    """Requests by an agent, without cookies or compression, that go nowhere else."""
    no_cookies = IndexableCookieJar(DefaultCookiePolicy(allowed_domains=[]))
    client = HTTPClient(_Plain(agent), cookiejar=no_cookies)
    return partial(client.request, allow_redirects=False, unbuffered=True, reactor=reactor)


def causes_of(error: BaseException) -> Iterator[BaseException]:
    """The causes of an error of Twisted's client, which wraps failures in failures."""
    reasons = getattr(error, "reasons", None)
    if not reasons:
        yield error
    for failure in reasons or ():
        yield from causes_of(failure.value)


def refused(status: int, octets: bytes) -> PeerError:
    """The error of an answer that is no success."""
    return PeerError(f"status {status}{_said(octets)}", status=status)


def _said(octets: bytes) -> str:
    """What a daemon's answer to a wrong request says, to be appended; nothing if it is not of that form."""
    try:
        match json.loads(octets):
            case {"description": str(description)}:
                return f" ({excerpt(description)})"
    except (ValueError, RecursionError):
        pass
    return ""


def text_of(causes: list[BaseException]) -> str:
    """The causes in one line of at most 300 characters, however much a peer wrote."""
    return ", ".join(f"{type(cause).__name__}: {cause}" for cause in causes)[:300]
