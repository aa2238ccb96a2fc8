"""Tells a sandbox worker how far an upload has come, so that the worker unpacks the archive meanwhile: daemon's side.

It does not know how the worker is found, nor what it does with the archive. The worker's side is
:mod:`sccachedist.sandbox.archive.growing_archive`.
"""

from collections.abc import Callable, Coroutine
from typing import Any

from twisted.internet.defer import Deferred

from sccachedist.builders.worker_protocol import ARRIVED, Arrived, frame
from sccachedist.daemon.logs import Logger
from sccachedist.wire.bincode import encode

log = Logger()

#: Bytes of an archive before a worker starts to unpack it, and between two messages to the worker.
STEP = 1 << 20

Work = Coroutine[Deferred[Any], Any, None]


class UploadFollower:
    """A :class:`~sccachedist.builders.interface.UploadObserver` that has a worker unpack the archive.

    :param begin: called once, at the first :data:`STEP`; it asks a worker, inside :meth:`asked`.
    """

    def __init__(self, begin: Callable[["UploadFollower"], Work]) -> None:
        self._begin = begin
        self._arrived = Arrived(0, whole=False)
        self._told = 0
        self._tell: Callable[[bytes], None] | None = None
        self._asking: Deferred[None] | None = None
        self._over = False

    def received(self, size: int) -> None:
        """See :meth:`sccachedist.builders.interface.UploadObserver.received`."""
        if size - self._told < STEP or self._over:
            return
        begun, self._told, self._arrived = self._told > 0, size, Arrived(size, whole=False)
        if begun:
            self._say()
        else:
            Deferred.fromCoroutine(self._begin(self)).addErrback(lambda failure: log.failure("not followed", failure))

    def verified(self, size: int) -> None:
        """See :meth:`sccachedist.builders.interface.UploadObserver.verified`."""
        if not self._over:
            self._over, self._arrived = True, Arrived(size, whole=True)
            self._say()

    def aborted(self) -> None:
        """See :meth:`sccachedist.builders.interface.UploadObserver.aborted`."""
        if not self._over:
            self._over = True
            if self._asking is not None:
                self._asking.cancel()

    async def asked(self, asking: Callable[[], Work]) -> None:
        """Wait for the worker's answer.

        :raises CancelledError: the upload was aborted.
        """
        self._asking = Deferred.fromCoroutine(asking())
        await self._asking

    def reach(self, tell: Callable[[bytes], None] | None) -> None:
        """Set the function that writes to the worker, and tell it the current size; None: it no longer reads."""
        self._tell = tell
        self._say()

    def _say(self) -> None:
        if self._tell is not None:
            self._tell(frame(encode(ARRIVED, self._arrived)))
