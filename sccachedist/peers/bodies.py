"""The two bodies of a call: a request body that is sent at once, an answer's body that is read up to a limit.

This module does not know which peer is called, nor why.
"""

import attrs
from twisted.internet.defer import Deferred, succeed
from twisted.internet.interfaces import IConsumer
from twisted.internet.protocol import Protocol, connectionDone
from twisted.python.failure import Failure
from twisted.web.client import ResponseDone
from twisted.web.http import PotentialDataLoss
from twisted.web.iweb import IBodyProducer, IResponse
from zope.interface import implementer


@implementer(IBodyProducer)
@attrs.frozen
class Octets:
    """A request body that is already in memory."""

    _octets: bytes

    @property
    def length(self) -> int:
        """The value of ``Content-Length``."""
        return len(self._octets)

    def startProducing(self, consumer: IConsumer) -> Deferred[None]:
        """Send all of it."""
        consumer.write(self._octets)
        return succeed(None)

    def stopProducing(self) -> None:
        """Do nothing: everything has been sent."""

    pauseProducing = resumeProducing = stopProducing


class _Collector(Protocol):
    """Collects an answer's body until the body ends, grows longer than ``limit``, or is no longer wanted."""

    def __init__(self, limit: float) -> None:
        self.body: Deferred[bytes] = Deferred(lambda _: self._cut())
        self._limit = limit
        self._octets = bytearray()

    def _cut(self) -> None:
        if self.transport is not None:
            self.transport.loseConnection()

    def dataReceived(self, data: bytes) -> None:
        """Keep the data, up to the limit."""
        if self.body.called:
            return
        self._octets += data
        if len(self._octets) > self._limit:
            self._cut()
            self.body.callback(bytes(self._octets))

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        """Hand over the body. Without a length, the end of the connection is the end of the body."""
        if self.body.called:
            return
        if reason.check(ResponseDone, PotentialDataLoss):
            self.body.callback(bytes(self._octets))
        else:
            self.body.errback(reason)


def read_body(response: IResponse, limit: float) -> Deferred[bytes]:
    """The body of an answer, or the beginning of one that is longer than ``limit`` bytes.

    The rest of a longer body is not read: the connection is closed, as it is on cancellation.
    """
    collector = _Collector(limit)
    response.deliverBody(collector)
    return collector.body
