"""TLS that takes few steps for large bodies: all records of one read from the network are handed over together.

Twisted hands over each TLS record by itself. The size of a read follows from what the peer sends: large records are
read a quarter of a megabyte at a time. Tiny ones cost as much each, so a read of them brings no more than a turn of the
reactor has time for. What the bytes mean is not known here.
"""

from functools import partial
from typing import Any, cast

from twisted.internet.interfaces import ITransport
from twisted.internet.protocol import Protocol, connectionDone
from twisted.protocols.tls import TLSMemoryBIOFactory
from twisted.python.failure import Failure

from sccachedist.tls_records import Records
from sccachedist.web._twisted import ForewarnedTLS
from sccachedist.web.turns import Tap, Turns

#: Bytes that are read at a time: from a peer that has just come, and from one that sends much.
FIRST_READ, READ = 1 << 14, 1 << 18
#: Bytes of an average record below which reads stay small.
_SMALL_RECORD = 1 << 10


class BulkTLS(ForewarnedTLS):
    """TLS that hands over the records of one read together.

    :param party: the address in whose turn this connection is served, see :class:`Turns`.
    """

    def __init__(self, factory: TLSMemoryBIOFactory, inner: Protocol, turns: Turns, party: str) -> None:
        self._records = Records(inner)
        super().__init__(factory, self._records)
        self._turns, self._party = turns, party
        self._tap: Tap | None = None

    def makeConnection(self, transport: ITransport) -> None:  # noqa: N802  # Twisted's name
        """Begin."""
        carrier = cast(Any, transport)
        self._tap = Tap(carrier.pauseProducing, carrier.resumeProducing)
        carrier.bufferSize = FIRST_READ
        super().makeConnection(transport)

    def pauseProducing(self) -> None:
        """The inner protocol wants no more for now."""
        if self._tap is not None:
            self._tap.close("inside")

    def resumeProducing(self) -> None:
        """The inner protocol wants more."""
        if self._tap is not None:
            self._tap.open("inside")

    def dataReceived(self, data: bytes) -> None:
        """Decrypt what comes, now or in a later turn."""
        if not self._turns.run(self._party, partial(self._decrypt, data)) and self._tap is not None:
            self._tap.close("no turn yet")

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        """The connection is closed."""
        self._tap = None
        super().connectionLost(reason)

    def _decrypt(self, data: bytes) -> None:
        if self._tap is not None:  # it is connected
            self._tap.open("no turn yet")
            super().dataReceived(data)
            self._hand_over()

    def about_to_end(self) -> None:
        """Hand over what came before the end in the same read: it may be answered at once, and not afterwards."""
        self._hand_over()

    def _hand_over(self) -> None:
        if self._records.held:
            self._read_by(*self._records.hand_over())

    def _read_by(self, size: int, records: int) -> None:
        """Choose how much is read next: more if the last read was full of large records."""
        carrier = cast(Any, self.transport)
        if size < records * _SMALL_RECORD:
            carrier.bufferSize = FIRST_READ
        elif size > carrier.bufferSize // 2:
            carrier.bufferSize = READ
