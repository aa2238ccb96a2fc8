"""Starts and stops a build server in the right order: disks, then sandboxes, and then the scheduler hears of it.

What the parts are is not known here: :mod:`sccachedist.server.service` makes them.
"""

from collections.abc import Awaitable, Callable, Coroutine, Sequence
from typing import Any

from twisted.internet.defer import CancelledError, Deferred, maybeDeferred
from twisted.internet.interfaces import IReactorTime
from twisted.internet.task import deferLater
from twisted.python.failure import Failure

from sccachedist.builders.interface import Builder
from sccachedist.daemon.logs import Logger
from sccachedist.daemon.startup import RoleService
from sccachedist.errors import BuildError, ConfigError
from sccachedist.server.heartbeat import HeartbeatService
from sccachedist.server.job_reports import JobReports
from sccachedist.server.job_runner import JobRunner
from sccachedist.server.self_test import SelfTest

log = Logger()

#: Seconds until a builder that does not work is started again.
BUILDER_RETRY_SECS = 30.0
#: Seconds that the last reports may take when the server stops.
LAST_REPORTS_SECS = 5.0
#: Seconds that a stopping server waits for clients that were sent here, and between two checks for them.
UNCLAIMED_SECS, UNCLAIMED_PAUSE_SECS = 3.0, 0.5


class ServerService(RoleService):
    """Starts and stops a build server in the right order.

    :param opening: steps on the disk that come first, in this order.
    :param warm: is waited for before jobs are accepted: it fetches toolchains.
    :param stopping: called when stopping begins.
    """

    def __init__(
        self,
        *,
        opening: Sequence[Callable[[], object]],
        builder: Builder,
        heartbeat: HeartbeatService,
        runner: JobRunner,
        self_test: SelfTest,
        reports: JobReports,
        warm: Callable[[], Awaitable[None]],
        stopping: Callable[[], None],
        grace_secs: float,
        clock: IReactorTime,
        status: Callable[[], str],
    ) -> None:
        super().__init__(status)
        self._opening, self._builder, self._heartbeat = opening, builder, heartbeat
        self._runner, self._self_test, self._reports = runner, self_test, reports
        self._warm = warm
        self._stopping, self.grace_secs, self._clock = stopping, grace_secs, clock
        self._beginning: Deferred[None] | None = None

    def startService(self) -> None:
        """Open the caches and listen; register with the scheduler when the builder has shown that it works.

        :raises ConfigError: ``cache_dir`` cannot be used.
        """
        try:
            for opened in self._opening:
                opened()
        except OSError as error:
            raise ConfigError(f"cache_dir: {error}") from error
        super().startService()
        self._beginning = Deferred.fromCoroutine(self._begin())
        self._beginning.addErrback(_not_begun)

    def stopService(self) -> Deferred[None]:
        """Wait for running jobs, at most ``shutdown.grace_secs``, then end everything."""
        return Deferred.fromCoroutine(self._end())

    async def _begin(self) -> None:
        while True:
            try:
                await self._builder.start()
                break
            except BuildError as error:
                log.error(
                    "not registering: {error}; next try in {secs} s",
                    error=str(error),
                    secs=BUILDER_RETRY_SECS,
                )
            await deferLater(self._clock, BUILDER_RETRY_SECS)
        await self._warm()
        self._runner.open()
        self._self_test.setServiceParent(self)
        self._heartbeat.setServiceParent(self)

    async def _end(self) -> None:
        self._stopping()
        if self._beginning is not None:
            self._beginning.cancel()
        await self._within(self.grace_secs, self._finish_jobs())
        if self._self_test.parent is not None:  # else it would test a builder that has stopped
            await maybeDeferred(self._self_test.disownServiceParent)
        await self._builder.stop()
        # After that, for what became of jobs that did not end in time; and before any heartbeat says that this server
        # is gone, with which the scheduler forgets it and its jobs.
        await self._within(LAST_REPORTS_SECS, self._reports.delivered())
        self._runner.end()
        await self._tell()
        await super().stopService()
        self._reports.give_up()

    async def _finish_jobs(self) -> None:
        """Tell the scheduler to send no more jobs, and wait for the jobs and clients that it has sent."""
        self._runner.leave()
        await self._tell()
        await self._runner.idle()
        given_up = self._clock.seconds() + UNCLAIMED_SECS
        while self._heartbeat.unclaimed and self._clock.seconds() < given_up:
            await deferLater(self._clock, UNCLAIMED_PAUSE_SECS)
            await self._runner.idle()
            await self._tell()

    async def _tell(self) -> None:
        await self._within(LAST_REPORTS_SECS, self._heartbeat.tell())

    async def _within(self, seconds: float, work: Coroutine[Deferred[Any], Any, None]) -> None:
        """Wait for some work; cancel it when the time is over."""
        await Deferred.fromCoroutine(work).addTimeout(seconds, self._clock, lambda *_: None)


def _not_begun(failure: Failure) -> None:
    if not failure.check(CancelledError):  # the service stops before the builder works
        log.failure("the builder does not start", failure)
