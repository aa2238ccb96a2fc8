"""Reports states of jobs to the scheduler without delaying a job: in batches to ours, one by one to a published one.

How a report travels and is repeated is in :mod:`sccachedist.server.batched_reports` and
:mod:`sccachedist.server.per_job_reports`.
"""

from collections.abc import Callable

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IReactorTime

from sccachedist.server.batched_reports import BatchedReports
from sccachedist.server.per_job_reports import PerJobReports
from sccachedist.server.scheduler_session import SchedulerSession
from sccachedist.wire.messages import JobId, JobState

#: The most seconds that a client waits until our scheduler has heard of its failed upload.
HEARD_SECS = 1.0


class JobReports:
    """Delivers reports.

    :param troubled: called when the scheduler could not be reached or refused a report: it may have been restarted.
    :param can_wait: whether our scheduler may count this number of free slots as used for a moment.
    """

    def __init__(
        self,
        scheduler: SchedulerSession,
        clock: IReactorTime,
        troubled: Callable[[], None],
        can_wait: Callable[[int], bool],
    ) -> None:
        self._scheduler, self._clock = scheduler, clock
        self._per_job = PerJobReports(scheduler, clock, troubled)
        self._batched = BatchedReports(scheduler, clock, troubled, can_wait)

    def report(self, job_id: JobId, state: JobState, summary: bytes = b"") -> None:
        """Report a job's state soon.

        :param summary: what became of a job that is over, in bytes, for our scheduler.
        """
        if self._scheduler.is_ours:
            self._batched.report(job_id, state, summary)
        else:
            self._per_job.report(job_id, state)

    def report_extension(self, job_id: JobId, state: JobState, summary: bytes = b"") -> None:
        """Report a state that only our scheduler understands.

        An upload begins, one that was not needed ends, or a job will not run.
        """
        if self._scheduler.is_ours:
            self._batched.report(
                job_id, state, summary, at_once=True
            )  # the scheduler may have to ask the next client to upload

    @property
    def waiting(self) -> int:
        """How many reports have not been delivered yet."""
        return self._batched.waiting + self._per_job.waiting

    async def flush(self) -> None:
        """Wait until our scheduler has every report, at most :data:`HEARD_SECS`."""
        heard = Deferred.fromCoroutine(self._batched.delivered())
        await heard.addTimeout(HEARD_SECS, self._clock, lambda *_: None)

    async def delivered(self) -> None:
        """Wait until all reports are delivered or dropped."""
        await self._per_job.delivered()
        await self._batched.delivered()

    def give_up(self) -> None:
        """Drop all reports that have not been delivered yet."""
        self._per_job.give_up()
        self._batched.give_up()
