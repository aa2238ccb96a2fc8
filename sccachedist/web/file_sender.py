"""Sends a file as fast as the network takes it.

It knows consumers and files; what is in a file, and to whom it is sent, is not known here.
"""

from typing import BinaryIO

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IConsumer, IPushProducer
from zope.interface import implementer

#: Bytes that are read at a time: as much as a transport buffers before it asks for a pause.
CHUNK = 1 << 16


async def send_file(file: BinaryIO, consumer: IConsumer, before: bytes = b"") -> None:
    """Write a file to a consumer, up to its end.

    If this is cancelled or fails, the consumer cannot be used any more.

    :param before: octets that go before the file, with its first piece.
    """
    pace = _Pace()
    consumer.registerProducer(pace, True)
    while chunk := before + file.read(CHUNK):
        before = b""
        consumer.write(chunk)
        await pace.allowed()
    consumer.unregisterProducer()


@implementer(IPushProducer)
class _Pace:
    """Whether the network takes more."""

    def __init__(self) -> None:
        self._resumed: Deferred[None] | None = None

    async def allowed(self) -> None:
        """Wait until there is room."""
        if self._resumed is not None:
            await self._resumed

    def pauseProducing(self) -> None:
        """There is no room."""
        if self._resumed is None:
            self._resumed = Deferred()

    def resumeProducing(self) -> None:
        """There is room again."""
        resumed, self._resumed = self._resumed, None
        if resumed is not None:
            resumed.callback(None)

    def stopProducing(self) -> None:
        """The other end has gone: :func:`send_file` is about to be cancelled."""
