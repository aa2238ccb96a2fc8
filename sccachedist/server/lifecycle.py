"""Starts and stops a build server in the right order: when its sandboxes work, the scheduler hears of it.

What the parts are is not known here: :mod:`sccachedist.server.service` makes them.
"""

from collections.abc import Awaitable, Callable

from twisted.internet.task import deferLater

from sccachedist.server.heartbeat import HeartbeatService
from sccachedist.server.job_reports import JobReports
from sccachedist.server.job_runner import JobRunner
from sccachedist.server.sandbox_service import SandboxParts, SandboxService

#: Seconds that the last reports may take when the server stops.
LAST_REPORTS_SECS = 5.0
#: Seconds that a stopping server waits for clients that were sent here, and between two checks for them.
UNCLAIMED_SECS, UNCLAIMED_PAUSE_SECS = 3.0, 0.5


class ServerService(SandboxService):
    """Starts and stops a build server in the right order.

    :param warm: is waited for before jobs are accepted: it fetches toolchains.
    """

    def __init__(
        self,
        parts: SandboxParts,
        *,
        heartbeat: HeartbeatService,
        runner: JobRunner,
        reports: JobReports,
        warm: Callable[[], Awaitable[None]],
    ) -> None:
        super().__init__(parts, "not registering")
        self._heartbeat, self._runner, self._reports, self._warm = heartbeat, runner, reports, warm

    async def _begin(self) -> None:
        await self._warm()
        self._runner.open()
        self._self_test.setServiceParent(self)
        self._heartbeat.setServiceParent(self)

    async def _sandboxes_ended(self) -> None:
        # Now, for what became of jobs that did not end in time; and before any heartbeat says that this server
        # is gone, with which the scheduler forgets it and its jobs.
        await self._within(LAST_REPORTS_SECS, self._reports.delivered())
        self._runner.end()
        await self._tell()

    async def _end(self) -> None:
        await super()._end()
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
