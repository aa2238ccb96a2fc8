"""The heartbeat: now and then the scheduler hears that this build server lives, whatever goes wrong in between."""

from collections.abc import Callable

from twisted.application.service import Service
from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IDelayedCall, IReactorTime
from twisted.python.failure import Failure

from sccachedist.errors import PeerError
from sccachedist.logs import Logger
from sccachedist.server.scheduler_link import SchedulerLink
from sccachedist.wire.messages import Heartbeat

log = Logger()

#: Seconds from one heartbeat to the next, and to the next try after one that failed: as published.
HEARTBEAT_SECS, RETRY_SECS = 30.0, 10.0
#: Seconds that lie between two heartbeats at least, however often one is asked for.
LEAST_SECS = 1.0


class HeartbeatService(Service):
    """Sends heartbeats while it runs.

    :param message: makes what is sent, anew each time: the certificate changes now and then.
    """

    name = "heartbeat"

    def __init__(self, scheduler: SchedulerLink, message: Callable[[], Heartbeat], clock: IReactorTime) -> None:
        self._scheduler, self._message, self._clock = scheduler, message, clock
        self._next: IDelayedCall | None = None
        self._under_way: Deferred[None] | None = None
        self._known = False

    def startService(self) -> None:
        """Send the first one now."""
        super().startService()
        self._beat()

    def stopService(self) -> None:
        """Send none any more."""
        super().stopService()
        if self._next is not None:
            self._next.cancel()
            self._next = None
        if self._under_way is not None:
            self._under_way.cancel()

    def soon(self) -> None:
        """Send the next one in a moment: the scheduler may not know this server any more."""
        if self._next is not None and self._next.getTime() > self._clock.seconds() + LEAST_SECS:
            self._next.reset(LEAST_SECS)

    def _beat(self) -> None:
        self._next = None
        self._under_way = Deferred.fromCoroutine(self._tell())
        self._under_way.addCallbacks(lambda _: HEARTBEAT_SECS, self._failed).addCallback(self._schedule)

    async def _tell(self) -> None:
        is_new = await self._scheduler.heartbeat(self._message())
        if is_new or not self._known:
            log.info("registered with the scheduler")
        self._known = True

    def _failed(self, failure: Failure) -> float:
        """Say it, and try again before long: no error ends the heartbeats."""
        self._known = False
        if failure.check(PeerError):
            log.warn("no heartbeat: {error}", error=failure.getErrorMessage())
        elif self.running:
            log.failure("no heartbeat", failure)
        return RETRY_SECS

    def _schedule(self, seconds: float) -> None:
        self._under_way = None
        if self.running:
            self._next = self._clock.callLater(seconds, self._beat)
