"""An archive that is unpacked while it comes in, from the side of the daemon: what its worker is told, and when.

How the worker is found, and what it makes of the archive, is the builder's business.
"""

from collections.abc import Callable, Coroutine
from typing import Any

from twisted.internet.defer import Deferred

from sccachedist.builders.worker_protocol import ARRIVED, Arrived, frame
from sccachedist.daemon.logs import Logger
from sccachedist.wire.bincode import encode

log = Logger()

#: Bytes of an archive before it is worth while to unpack it meanwhile, and between two words about it.
STEP = 1 << 20

Work = Coroutine[Deferred[Any], Any, None]


class UploadFollower:
    """A :class:`~sccachedist.builders.interface.UploadObserver` that has a worker unpack the archive.

    :param begin: does so: it asks the worker by :meth:`asked`.
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
        """Wait for the worker.

        :raises CancelledError: the archive was given up.
        """
        self._asking = Deferred.fromCoroutine(asking())
        await self._asking

    def reach(self, tell: Callable[[bytes], None] | None) -> None:
        """A worker listens from now on; None: it does so no more."""
        self._tell = tell
        self._say()

    def _say(self) -> None:
        if self._tell is not None:
            self._tell(frame(encode(ARRIVED, self._arrived)))
