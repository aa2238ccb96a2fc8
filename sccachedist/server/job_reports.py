"""Telling the scheduler how jobs move, without holding a job up: in the way that suits the scheduler there is."""

from collections.abc import Callable

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IReactorTime

from sccachedist.server.batched_reports import BatchedReports
from sccachedist.server.per_job_reports import PerJobReports
from sccachedist.server.scheduler_session import SchedulerSession
from sccachedist.wire.messages import JobId, JobState

#: Seconds that a client waits at most for its scheduler to hear of what it did.
HEARD_SECS = 1.0


class JobReports:
    """Delivers reports.

    :param troubled: told when the scheduler could not be reached or refused a report: it may have been restarted.
    :param can_wait: whether a scheduler of ours may take so many more slots for used than are, for a moment.
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

    def report(self, job_id: JobId, state: JobState) -> None:
        """Tell the scheduler, soon, that a job has come to a state."""
        (self._batched if self._scheduler.is_ours else self._per_job).report(job_id, state)

    def report_extension(self, job_id: JobId, state: JobState) -> None:
        """Tell a scheduler of ours what a published one has no ear for: how an upload begins and fails."""
        if self._scheduler.is_ours:
            self._batched.report(job_id, state, at_once=True)  # the next client may have to be asked for the toolchain

    async def flush(self) -> None:
        """Wait, for a moment, until a scheduler of ours has heard of all that there is."""
        heard = Deferred.fromCoroutine(self._batched.delivered())
        await heard.addTimeout(HEARD_SECS, self._clock, lambda *_: None)

    async def delivered(self) -> None:
        """Wait until nothing is left to be delivered."""
        await self._per_job.delivered()
        await self._batched.delivered()

    def give_up(self) -> None:
        """Stop trying to deliver what has not been delivered yet."""
        self._per_job.give_up()
        self._batched.give_up()
