"""TLS for large bodies, in few steps: what one read from the network brings is handed over at once.

Twisted hands over each TLS record by itself. How much is read at a time follows from what the peer sends: large records
are read by the quarter of a megabyte, and of tiny ones, which cost as much each, no more than a turn of the reactor has
time for. What comes, and where it goes, is not known here.
"""

from functools import partial
from typing import Any, cast

from OpenSSL import SSL
from twisted.internet.interfaces import ITransport
from twisted.internet.protocol import Protocol, connectionDone
from twisted.protocols.policies import ProtocolWrapper
from twisted.protocols.tls import TLSMemoryBIOFactory, TLSMemoryBIOProtocol
from twisted.python.failure import Failure

from sccachedist.web.turns import Tap, Turns

#: Bytes that are read at a time: from a peer that has just come, and from one that sends much.
FIRST_READ, READ = 1 << 14, 1 << 18
#: Bytes of an average record below which more is not read at a time.
_SMALL_RECORD = 1 << 10
_RECORD = 1 << 14  # no more is in a record of TLS


class BulkTLS(TLSMemoryBIOProtocol):
    """TLS that hands over together the records that have come.

    :param party: who shares the reactor's time, see :class:`Turns`.
    """

    def __init__(self, factory: TLSMemoryBIOFactory, inner: Protocol, turns: Turns, party: str) -> None:
        super().__init__(factory, inner)
        self._turns, self._party = turns, party
        self._tap: Tap | None = None

    def makeConnection(self, transport: ITransport) -> None:  # noqa: N802  # Twisted's name
        """Begin."""
        carrier = cast(Any, transport)
        self._tap = Tap(carrier.pauseProducing, carrier.resumeProducing)
        carrier.bufferSize = FIRST_READ
        super().makeConnection(transport)

    def pauseProducing(self) -> None:
        """Whoever is inside wants no more for now."""
        if self._tap is not None:
            self._tap.close("inside")

    def resumeProducing(self) -> None:
        """Whoever is inside wants more."""
        if self._tap is not None:
            self._tap.open("inside")

    def dataReceived(self, data: bytes) -> None:
        """Take what comes, now or in a later turn."""
        if not self._turns.run(self._party, partial(self._decrypt, data)) and self._tap is not None:
            self._tap.close("no turn yet")

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        """It is over."""
        self._tap = None
        super().connectionLost(reason)

    def _decrypt(self, data: bytes) -> None:
        if self._tap is not None:  # it is connected
            self._tap.open("no turn yet")
            super().dataReceived(data)

    def _flushReceiveBIO(self) -> None:  # noqa: N802  # Twisted's one place for it
        records: list[bytes] = []
        end: SSL.Error | None = None
        while end is None and not self._lostTLSConnection:
            try:
                records.append(self._tlsConnection.recv(_RECORD))
            except SSL.WantReadError:
                break
            except SSL.Error as error:
                end = error
        if records and not self._aborted:
            data = b"".join(records)
            self._read_by(len(data), len(records))
            ProtocolWrapper.dataReceived(self, data)
        if isinstance(end, SSL.ZeroReturnError):
            self._shutdownTLS()
            self._tlsShutdownFinished(None)
        elif end is not None:
            self._tlsShutdownFinished(Failure(end))
        self._flushSendBIO()

    def _read_by(self, size: int, records: int) -> None:
        """Choose how much is read next: more when the last read was full of large records."""
        carrier = cast(Any, self.transport)
        if size < records * _SMALL_RECORD:
            carrier.bufferSize = FIRST_READ
        elif size > carrier.bufferSize // 2 and carrier.bufferSize < READ:
            carrier.bufferSize *= 4
