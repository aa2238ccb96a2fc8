"""Hands over together what TLS records one read from the network has brought: Twisted hands over each by itself.

For servers and clients alike. What the bytes mean, and when a read is over, is not known here.
"""

from typing import cast

from twisted.internet.interfaces import IHandshakeListener, ITransport
from twisted.internet.protocol import Protocol, connectionDone
from twisted.python.failure import Failure
from zope.interface import implementer


@implementer(IHandshakeListener)
class Records(Protocol):
    """Collects the records of one read for the protocol inside TLS.

    :param inner: that protocol.
    :ivar held: those that it has not been given yet.
    """

    def __init__(self, inner: Protocol) -> None:
        self.inner = inner
        self.held: list[bytes] = []

    def makeConnection(self, transport: ITransport) -> None:  # noqa: N802  # Twisted's name
        """Begin."""
        self.inner.makeConnection(transport)

    def handshakeCompleted(self) -> None:
        """Tell the inner protocol that TLS has begun."""
        if IHandshakeListener.providedBy(self.inner):
            cast(IHandshakeListener, self.inner).handshakeCompleted()

    def dataReceived(self, data: bytes) -> None:
        """Keep a record."""
        self.held.append(data)

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        """Hand over what came with the end, then tell the inner protocol of it."""
        if self.held:
            self.hand_over()
        self.inner.connectionLost(reason)

    def hand_over(self) -> tuple[int, int]:
        """Hand over what was kept.

        :return: how many bytes and how many records that was.
        """
        records, self.held = self.held, []
        data = b"".join(records)
        self.inner.dataReceived(data)
        return len(data), len(records)
