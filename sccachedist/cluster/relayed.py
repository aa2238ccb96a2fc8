"""A leader's answer on its way to the sender of the question.

A short one is read whole before any of it goes on: if it breaks off, the question can still be asked again. A longer
one, or one that stays open, goes on piece by piece at the sender's pace.
"""

from typing import cast

from twisted.internet.defer import CancelledError
from twisted.internet.interfaces import IPushProducer
from twisted.internet.protocol import Protocol, connectionDone
from twisted.python.failure import Failure
from twisted.web.iweb import UNKNOWN_LENGTH, IResponse

from sccachedist.cluster.hop import inward
from sccachedist.cluster.leader_calls import LeaderAway
from sccachedist.peers.bodies import read_body
from sccachedist.web.responses import Outlet, Response, StreamResponse

#: The most bytes of an answer that is read whole.
SHORT = 1 << 16


async def relayed(response: IResponse) -> Response | StreamResponse:
    """An answer as it goes on.

    :raises LeaderAway: a short one breaks off.
    """
    headers = inward(response.headers.getAllRawHeaders())
    if response.length is not UNKNOWN_LENGTH and response.length <= SHORT:
        try:
            return Response(response.code, headers, await read_body(response, SHORT))
        except CancelledError:
            raise
        except Exception as error:  # whatever Twisted's client makes of it
            raise LeaderAway(f"the answer breaks off: {type(error).__name__}", is_unheard=False) from error
    if response.length is not UNKNOWN_LENGTH:
        headers += (("Content-Length", str(response.length)),)
    return StreamResponse(Response(response.code, headers), RelayedBody(response))


class RelayedBody(Protocol):
    """The body of an answer, a :class:`~sccachedist.web.responses.Source`."""

    def __init__(self, response: IResponse) -> None:
        self._response = response
        self._outlet: Outlet | None = None
        self._is_begun = self._is_paused = self._is_over = False

    def attach(self, outlet: Outlet) -> None:
        """The head of the response is written."""
        self._outlet = outlet
        self._begin()

    def end(self) -> None:
        """Say no more: its leader leads no longer, and may have gone without a word."""
        if self._outlet is not None:
            self._outlet.end()

    def dataReceived(self, data: bytes) -> None:
        """Pass a piece on."""
        if self._outlet is not None:
            self._outlet.write(data)

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        """There is no more. If it was cut short, the sender sees that: it is closed before its length is reached."""
        self._is_over = True
        self.end()

    def pauseProducing(self) -> None:
        """The sender takes no more for now, so no more is read from the leader."""
        self._is_paused = True
        if self._is_begun and not self._is_over:
            cast(IPushProducer, self.transport).pauseProducing()

    def resumeProducing(self) -> None:
        """The sender takes more."""
        self._is_paused = False
        if self._is_begun and not self._is_over:
            cast(IPushProducer, self.transport).resumeProducing()

    def stopProducing(self) -> None:
        """The sender takes nothing more: :meth:`detach` follows."""

    def detach(self) -> None:
        """The response is over: the leader is told, also if its answer never began to go on."""
        self._outlet = None
        if not self._is_begun:
            self._begin()
        if not self._is_over and self.transport is not None:
            self.transport.loseConnection()

    def _begin(self) -> None:
        self._is_begun = True
        self._response.deliverBody(self)
        if self._is_paused and not self._is_over:
            self.pauseProducing()
