"""Reports states of jobs to a published scheduler, one request for each.

The reports of one job are sent in order, those of different jobs side by side. A report that does not arrive is sent
again, after each of :data:`RETRY_SECS`. A report that the scheduler refuses is not: the scheduler no longer knows the
job. Our scheduler gets :mod:`sccachedist.server.batched_reports`.
"""

from collections import deque
from collections.abc import Callable

from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.interfaces import IReactorTime
from twisted.internet.task import deferLater
from twisted.logger import LogLevel
from twisted.python.failure import Failure

from sccachedist.daemon.logs import Logger, QuietLog
from sccachedist.errors import PeerError
from sccachedist.server.scheduler_session import SchedulerSession, unreached
from sccachedist.waiters import Waiters
from sccachedist.wire.messages import JobId, JobState

log = Logger()

#: Seconds before each further try to deliver a report; after the last try it is dropped.
RETRY_SECS = (1.0, 2.0, 4.0, 8.0, 15.0, 30.0)


class PerJobReports:
    """Delivers reports, each in a ``job_state`` of its own.

    :param troubled: called when the scheduler could not be reached or refused a report: it may have been restarted.
    """

    def __init__(self, scheduler: SchedulerSession, clock: IReactorTime, troubled: Callable[[], None]) -> None:
        self._scheduler, self._clock, self._troubled = scheduler, clock, troubled
        self._queues: dict[JobId, deque[JobState]] = {}
        self._under_way: set[Deferred[None]] = set()
        self._waiting = Waiters()
        self._quiet_log = QuietLog(clock.seconds)

    def report(self, job_id: JobId, state: JobState) -> None:
        """Report a job's state, after the job's earlier reports."""
        if job_id in self._queues:
            self._queues[job_id].append(state)
            return
        self._queues[job_id] = deque([state])
        delivery = Deferred.fromCoroutine(self._deliver(job_id))
        self._under_way.add(delivery)
        delivery.addErrback(_failed, job_id).addCallback(lambda _: self._under_way.remove(delivery))

    @property
    def waiting(self) -> int:
        """How many states are on their way, or wait for their job's earlier ones."""
        return sum(map(len, self._queues.values()))

    async def delivered(self) -> None:
        """Wait until all reports are delivered or dropped."""
        if self._queues:
            await self._waiting.wait()

    def give_up(self) -> None:
        """Drop all reports that have not been delivered yet."""
        for delivery in tuple(self._under_way):
            delivery.cancel()

    async def _deliver(self, job_id: JobId) -> None:
        queue = self._queues[job_id]
        try:
            while queue:
                await self._send(job_id, queue[0])
                queue.popleft()
        finally:
            del self._queues[job_id]
            if not self._queues:
                self._waiting.wake()

    async def _send(self, job_id: JobId, state: JobState) -> None:
        pauses = iter(RETRY_SECS)
        while True:
            try:
                return await self._scheduler.job_state(job_id, state)
            except PeerError as error:
                self._troubled()
                pause = next(pauses, None) if unreached(error) else None
                if pause is None:
                    self._quiet_log.tell(
                        log,
                        LogLevel.warn,
                        "report",
                        "the scheduler was not told that job {job_id} is {state}: {error}",
                        why=str(error).replace(str(job_id), ""),
                        job_id=job_id,
                        state=state.name,
                        error=str(error),
                    )
                    return None
            await deferLater(self._clock, pause)


def _failed(failure: Failure, job_id: JobId) -> None:
    if not failure.check(CancelledError):  # by give_up()
        log.failure("reports of job {job_id}", failure, job_id=job_id)
