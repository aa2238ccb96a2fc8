"""Large bodies in few steps: what one read from the network brings is handed over at once.

Twisted hands over each TLS record and each chunk by itself, and a client's chunks are small. What comes, and where it
goes, is not known here.
"""

import re
from collections.abc import Callable
from typing import Any, cast

from OpenSSL import SSL
from twisted.protocols.policies import ProtocolWrapper
from twisted.protocols.tls import TLSMemoryBIOProtocol
from twisted.python.failure import Failure
from twisted.web.http import _ChunkedTransferDecoder

#: Bytes that are read at a time from a peer that sends much; Twisted reads a quarter.
READ = 1 << 18

_MUCH = 1 << 16  # what Twisted reads at most
_RECORD = 1 << 14  # no more is in a record of TLS
_BOUNDARY = re.compile(rb"\r\n([1-9A-Fa-f][0-9A-Fa-f]{0,7})\r\n")  # between two chunks, as a rule


class BulkTLS(TLSMemoryBIOProtocol):
    """TLS that hands over together the records that have come."""

    def dataReceived(self, data: bytes) -> None:
        """Take what comes."""
        if len(data) >= _MUCH:
            cast(Any, self.transport).bufferSize = READ
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
            ProtocolWrapper.dataReceived(self, b"".join(records))
        if isinstance(end, SSL.ZeroReturnError):
            self._shutdownTLS()
            self._tlsShutdownFinished(None)
        elif end is not None:
            self._tlsShutdownFinished(Failure(end))
        self._flushSendBIO()


class BulkChunks(_ChunkedTransferDecoder):
    """A body in chunks that hands over together what has come of them.

    What stands between chunks is Twisted's to read, but for the usual.
    """

    def __init__(self, give: Callable[[bytes], None], finish: Callable[[bytes], None]) -> None:
        super().__init__(give, lambda _: None)
        self._finish = finish

    def dataReceived(self, data: bytes) -> None:
        """Take what comes."""
        view, at = memoryview(data), 0
        pieces: list[memoryview] = []
        while at < len(data) and self.state != "FINISHED":
            if self.state == "BODY":
                pieces.append(view[at : at + self.length])
                at += len(pieces[-1])
                self.length -= len(pieces[-1])
                self.state = "BODY" if self.length else "CRLF"
            elif self.state == "CRLF" and not self._buffer and (boundary := _BOUNDARY.match(data, at)):
                self.state, self.length, at = "BODY", int(boundary[1], 16), boundary.end()
            else:  # up to the end of a line, so that nothing of a body is among it
                line = data[at : data.find(b"\n", at) + 1 or len(data)]
                super().dataReceived(line)
                at += len(line)
        if pieces:
            self.dataCallback(b"".join(pieces))
        if self.state == "FINISHED":
            self._finish(data[at:])
