"""TLS as a client does it, over an endpoint: all records of one read from the network are handed over together.

Whom a connection trusts is not known here.
"""

from typing import Any, cast

import attrs
from twisted.internet.defer import Deferred
from twisted.internet.interfaces import (
    IOpenSSLClientConnectionCreator,
    IProtocol,
    IProtocolFactory,
    IStreamClientEndpoint,
    ITransport,
)
from twisted.internet.protocol import Protocol
from twisted.protocols.tls import BufferingTLSTransport, TLSMemoryBIOFactory
from zope.interface import implementer

from sccachedist.tls_records import Records

#: Bytes that are read at a time.
READ = 1 << 17


class _ClientTLS(BufferingTLSTransport):
    """TLS around the protocol of a client."""

    def __init__(self, factory: TLSMemoryBIOFactory, inner: IProtocol) -> None:
        self._records = Records(cast(Protocol, inner))
        super().__init__(factory, self._records)

    def makeConnection(self, transport: ITransport) -> None:  # noqa: N802  # Twisted's name
        """Begin."""
        cast(Any, transport).bufferSize = READ
        super().makeConnection(transport)

    def dataReceived(self, data: bytes) -> None:
        """Decrypt what comes, and hand it over."""
        super().dataReceived(data)
        if self._records.held:
            self._records.hand_over()


class _ClientFactory(TLSMemoryBIOFactory):
    """TLS around the protocols of a client's factory."""

    protocol = _ClientTLS


@implementer(IStreamClientEndpoint)
@attrs.frozen
class TLSEndpoint:
    """Connects as ``endpoint`` does, with TLS inside of that.

    :param creator: begins TLS on each connection.
    """

    _reactor: Any
    _endpoint: IStreamClientEndpoint
    _creator: IOpenSSLClientConnectionCreator

    def connect(self, factory: IProtocolFactory) -> Deferred[Any]:
        """Connect; the result is the protocol of ``factory``."""
        connecting: Deferred[Any] = self._endpoint.connect(_ClientFactory(self._creator, True, factory, self._reactor))
        return connecting.addCallback(lambda connected: connected.wrappedProtocol.inner)
