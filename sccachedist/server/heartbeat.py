"""Sends heartbeats to the scheduler at intervals, and goes on after any error.

What a heartbeat says is in :mod:`sccachedist.server.announcement`; the scheduler's answer sets the interval.
"""

import random
from collections.abc import Callable

from twisted.application.service import Service
from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IDelayedCall, IReactorTime
from twisted.logger import LogLevel
from twisted.python.failure import Failure

from sccachedist.daemon.logs import Logger, QuietLog
from sccachedist.errors import PeerError
from sccachedist.server.scheduler_session import SchedulerSession, unreached
from sccachedist.toolchains.changes import ToolchainLog
from sccachedist.waiters import Waiters
from sccachedist.wire.extension import Orders, SchedulerReport, ServerReport
from sccachedist.wire.messages import Heartbeat

log = Logger()

#: Seconds from one heartbeat to the next, for a published scheduler.
PUBLISHED_SECS = 30.0
#: Seconds to the next try after a failed one, doubled after each further failure, up to the second number: a restarted
#: scheduler knows its build servers again two seconds after it can be reached.
FIRST_RETRY_SECS, MOST_RETRY_SECS = 0.2, 1.5
#: The largest part of that pause that a random number takes off, so that the build servers of a farm do not all come at
#: once.
JITTER = 0.25
#: The least seconds between two heartbeats, even if :meth:`HeartbeatService.soon` is called more often.
LEAST_SECS = 1.0
#: The most seconds between two heartbeats, even if a scheduler with many build servers asks for more.
MOST_SECS = 60
#: Bytes of news of toolchains in one heartbeat; the rest is in the next ones, which come soon.
NEWS_BYTES = 128 * 1024
#: The kind of log lines that say why a heartbeat failed, and what else they say about a refusal.
_NOT_HEARD = "heartbeat"
_REFUSED = (
    " (it refuses this server's token or address; its log says why, of several schedulers that of the one that leads)"
)


class HeartbeatService(Service):
    """Sends heartbeats while it runs.

    :param message: makes each heartbeat: the certificate changes now and then. Its arguments are the seconds to the
        next heartbeat, for our scheduler, and the most bytes of news of toolchains.
    :param log: which changes of toolchains the scheduler still has to hear of.
    :param seconds: the least seconds between two heartbeats; a scheduler with many build servers asks for more.
    :param obey: called with what an administrator wants this server to do, again and again until it is done.
    :param chance: returns a random number from 0 to 1.
    """

    name = "heartbeat"

    def __init__(
        self,
        scheduler: SchedulerSession,
        message: Callable[[int, int], tuple[Heartbeat, ServerReport]],
        log: ToolchainLog,
        seconds: int,
        clock: IReactorTime,
        obey: Callable[[Orders], None],
        chance: Callable[[], float] = random.random,
    ) -> None:
        self._scheduler, self._message, self._log, self._clock = scheduler, message, log, clock
        self._news_bytes, self._obey = NEWS_BYTES, obey
        self._seconds, self._chance = seconds, chance
        self._asked_for = self._announced = seconds
        self._next: IDelayedCall | None = None
        self._under_way: Deferred[None] | None = None
        self._failures, self._again = 0, False
        self._known = False
        self._quiet_log = QuietLog(clock.seconds)
        self._untold = Waiters()
        self._telling = False
        self.unclaimed = 0
        """The jobs that the scheduler has given to this build server and that have not come, as it said last."""

        self._time: float | None = None
        #: How many heartbeats the scheduler took, refused, or did not get.
        self.results = {"taken": 0, "refused": 0, "unreached": 0}
        #: When it took the last one; None before the first.
        self.taken_at: float | None = None

    @property
    def is_registered(self) -> bool:
        """Whether the scheduler took the last heartbeat."""
        return self._known

    def scheduler_time(self) -> float | None:
        """Return the time now by our scheduler's clock, which dates its tokens; None if it has not sent that."""
        return None if self._time is None else self._time + self._clock.seconds()

    def startService(self) -> None:
        """Send the first heartbeat now."""
        super().startService()
        self._beat()

    def stopService(self) -> None:
        """Send no more heartbeats."""
        super().stopService()
        if self._next is not None:
            self._next.cancel()
            self._next = None
        if self._under_way is not None:
            self._under_way.cancel()

    def soon(self) -> None:
        """Send the next heartbeat in at most :data:`LEAST_SECS`: the scheduler may not know this server or its news."""
        self._again |= self._under_way is not None
        if self._next is not None and self._next.getTime() > self._clock.seconds() + LEAST_SECS:
            self._next.reset(LEAST_SECS)

    def beat_every(self, seconds: int) -> None:
        """Let at least so many seconds pass between two heartbeats, once the next has told the scheduler of it."""
        self._seconds = self._asked_for = seconds
        self.soon()

    def connection_lost(self) -> None:
        """Send a heartbeat soon: the scheduler has closed a kept connection, so it may have been restarted."""
        if self._scheduler.is_ours:
            self.soon()

    async def tell(self) -> None:
        """Send an extra heartbeat now, and wait for its end; a failure is only logged."""
        if self.running:
            try:
                await self._tell()
            except PeerError as error:
                self._tell_why(error)

    async def told(self) -> None:
        """Wait until a heartbeat with the present state was sent, or failed; calls meanwhile share the next one."""
        told = self._untold.wait()
        if not self._telling:
            self._telling = True
            telling = Deferred.fromCoroutine(self._tell_those_who_ask())
            telling.addErrback(lambda failure: log.failure("no heartbeat", failure))
        await told

    async def _tell_those_who_ask(self) -> None:
        try:
            while self._untold:
                asking, self._untold = self._untold, Waiters()
                try:
                    await self.tell()
                finally:
                    asking.wake()
        finally:
            self._telling = False

    def _beat(self) -> None:
        self._next, self._again = None, False
        self._under_way = Deferred.fromCoroutine(self._tell())
        self._under_way.addCallbacks(self._pause, self._failed).addCallback(self._schedule)

    async def _tell(self) -> None:
        announced = self._asked_for
        try:
            result, report = await self._scheduler.heartbeat(*self._message(announced, self._news_bytes))
        except PeerError as error:
            self.results["unreached" if unreached(error) else "refused"] += 1
            if not unreached(error):  # the scheduler refused it: its limits may be smaller
                self._news_bytes //= 8
            raise
        self.results["taken"] += 1
        self.taken_at = self._clock.seconds()
        self._announced = announced
        self.unclaimed = 0 if report is None else report.unclaimed
        self._time = None if report is None or not report.time else report.time - self._clock.seconds()
        self._asked_for = self._seconds if report is None else max(self._seconds, min(report.heartbeat_secs, MOST_SECS))
        if result.is_new or not self._known:
            log.info("registered with the scheduler")
        if self._failures:
            self._quiet_log.forget(_NOT_HEARD)
        self._known, self._failures = True, 0
        self._news_bytes = min(2 * self._news_bytes + 1, NEWS_BYTES)
        if report is not None:
            self._heard(report)

    def _heard(self, report: SchedulerReport) -> None:
        """Obey, and note which changes of toolchains it has heard of; if those are not all, send the next soon."""
        if report.orders is not None:
            self._obey(report.orders)
        before = self._log.told
        self._log.heard(report.told)
        if not self._log.is_told and self._log.told > before:
            self.soon()

    def _pause(self, _: None) -> float:
        if self._again:
            return LEAST_SECS
        return self._announced if self._scheduler.is_ours else PUBLISHED_SECS

    def _failed(self, failure: Failure) -> float:
        """Log the error, and return the seconds to the next try: no error ends the heartbeats."""
        if isinstance(failure.value, PeerError):
            self._tell_why(failure.value)
        elif self.running:
            log.failure("no heartbeat", failure)
        self._known = False
        pause = min(MOST_RETRY_SECS, FIRST_RETRY_SECS * (1 << self._failures))
        self._failures = min(self._failures + 1, 10)
        return pause * (1 - JITTER * self._chance())

    def _tell_why(self, error: PeerError) -> None:
        """Log why the scheduler has not heard of this server: each new reason at once, and the same one seldom."""
        hint = "" if error.status != 401 else _REFUSED
        form = "no heartbeat: {error}{hint}"
        self._quiet_log.tell(log, LogLevel.warn, _NOT_HEARD, form, why=str(error), error=str(error), hint=hint)

    def _schedule(self, seconds: float) -> None:
        self._under_way = None
        if self.running:
            self._next = self._clock.callLater(seconds, self._beat)
