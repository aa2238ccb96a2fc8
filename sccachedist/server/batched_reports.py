"""Reports states of jobs to our scheduler: all new states in one request, one request at a time.

If a request does not arrive, only ends of jobs are sent again: a heartbeat may never have listed a short job, so the
scheduler would not miss it in the next one. All other states are in the next heartbeat, which then comes soon. A start
is reported only of a job that goes on for a while: with the next request if that comes soon, and in time, before the
scheduler lends the slot to another job because the client seems not to come.

While slots are free, the end of a job waits a moment for the next end, so that one request carries both. A published
scheduler gets :mod:`sccachedist.server.per_job_reports`.
"""

from collections.abc import Callable
from itertools import takewhile

from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.interfaces import IDelayedCall, IReactorTime
from twisted.internet.task import deferLater
from twisted.python.failure import Failure

from sccachedist.daemon.logs import Logger
from sccachedist.errors import PeerError
from sccachedist.server.scheduler_session import SchedulerSession, unreached
from sccachedist.waiters import Waiters
from sccachedist.wire.messages import JobId, JobState

log = Logger()

#: Seconds until ends of jobs that did not arrive are sent again, at first and at most. Short at first: the scheduler
#: may only have closed a kept connection. Longer then: a scheduler that is away is not asked all the time.
FIRST_AGAIN_SECS, MOST_AGAIN_SECS = 0.05, 1.0
#: Seconds that the end of a job waits at most for others.
LATER_SECS = 0.05
#: Seconds that a job runs before its start is reported: with a request that is made anyway, and in one of its own. The
#: scheduler holds its slot for longer.
ALONG_SECS, STARTED_SECS = 0.05, 0.2
#: States in one request, and bytes of summaries: a scheduler takes four times as many (limits.heartbeat_bytes).
MOST_STATES, MOST_SUMMARIES_BYTES = 1000, 256 * 1024

#: A job, its state, and what became of it in bytes (:mod:`sccachedist.wire.job_summary`); empty if that is not known.
_Report = tuple[JobId, JobState, bytes]


class BatchedReports:
    """Delivers reports, many in one ``job_states``.

    :param troubled: called when the scheduler did not take a request.
    :param can_wait: whether the scheduler may count this number of free slots as used for a moment.
    """

    def __init__(
        self,
        scheduler: SchedulerSession,
        clock: IReactorTime,
        troubled: Callable[[], None],
        can_wait: Callable[[int], bool],
    ) -> None:
        self._scheduler, self._clock, self._troubled, self._can_wait = scheduler, clock, troubled, can_wait
        self._states: list[_Report] = []
        self._started: dict[JobId, float] = {}
        self._look: IDelayedCall | None = None
        self._busy = self._is_urgent = False
        self._again = FIRST_AGAIN_SECS
        self._delivery: Deferred[None] | None = None
        self._pause: Deferred[None] | None = None
        self._waiting = Waiters()

    def report(self, job_id: JobId, state: JobState, summary: bytes = b"", *, at_once: bool = False) -> None:
        """Report a job's state with the next request.

        :param summary: what became of a job that is over, in bytes.
        :param at_once: whether the report must not wait for others.
        """
        if state is JobState.STARTED:
            self._started[job_id] = self._clock.seconds()
            self._look_for_started(STARTED_SECS)
            return
        if state is JobState.COMPLETE:
            self._started.pop(job_id, None)
        self._is_urgent |= at_once
        self._tell(job_id, state, summary)

    def _look_for_started(self, seconds: float) -> None:
        if self._look is None:
            self._look = self._clock.callLater(seconds, self._tell_started)

    def _tell_started(self) -> None:
        """Report the starts of jobs that still run; one timer serves all."""
        self._look = None
        for job_id in self._pop_started(STARTED_SECS):
            self._tell(job_id, JobState.STARTED)
        if self._started:
            oldest = next(iter(self._started.values()))
            self._look_for_started(oldest + STARTED_SECS - self._clock.seconds())

    def _pop_started(self, secs: float) -> list[JobId]:
        """Forget the jobs that have run for so long and whose starts are not reported, and return them."""
        now = self._clock.seconds()
        found = list(takewhile(lambda job_id: now - self._started[job_id] >= secs, self._started))
        for job_id in found:
            del self._started[job_id]
        return found

    def _tell(self, job_id: JobId, state: JobState, summary: bytes = b"") -> None:
        self._states.append((job_id, state, summary))
        if not self._busy:
            self._busy = True
            self._delivery = Deferred.fromCoroutine(self._deliver()).addErrback(_failed)
        self._go_on()

    @property
    def waiting(self) -> int:
        """How many states wait for a request."""
        return len(self._states)

    async def delivered(self) -> None:
        """Wait until all reports are delivered or dropped."""
        if self._busy:
            heard = self._waiting.wait()
            self._go_on()
            await heard

    def give_up(self) -> None:
        """Drop all reports that have not been delivered yet."""
        self._started.clear()
        if self._look is not None:
            self._look.cancel()
            self._look = None
        if self._busy and self._delivery is not None:
            self._delivery.cancel()

    @property
    def _is_patient(self) -> bool:
        """Whether all pending reports may wait: they are ends of jobs, none is urgent, and enough slots are free."""
        only_ends = all(state is JobState.COMPLETE for _, state, _ in self._states)
        return only_ends and not self._is_urgent and not self._waiting and self._can_wait(len(self._states))

    def _go_on(self) -> None:
        if self._pause is not None and not self._is_patient:
            self._pause.callback(None)

    async def _deliver(self) -> None:
        try:
            await deferLater(self._clock, 0)  # the caller of report() goes on first, e.g. with its answer
            while self._states:
                if self._is_patient:
                    self._pause = Deferred()
                    await self._pause.addTimeout(LATER_SECS, self._clock, lambda *_: None)
                    self._pause = None
                self._states += [(job_id, JobState.STARTED, b"") for job_id in self._pop_started(ALONG_SECS)]
                count = _fitting(self._states)
                reports, self._states = self._states[:count], self._states[count:]
                await self._send(reports)
        finally:
            self._busy, self._pause, self._is_urgent = False, None, False
            self._waiting.wake()

    async def _send(self, reports: list[_Report]) -> None:
        states = tuple((job_id, state) for job_id, state, _ in reports)
        summaries = tuple((job_id, summary) for job_id, _, summary in reports if summary)
        try:
            await self._scheduler.job_states(states, summaries)
        except PeerError as error:
            log.debug("the scheduler was not told of {count} states: {error}", count=len(states), error=str(error))
            self._troubled()
            ends = [report for report in reports if report[1] is JobState.COMPLETE]
            if ends and unreached(error):
                self._states[:0] = ends
                pause, self._again = self._again, min(2 * self._again, MOST_AGAIN_SECS)
                await deferLater(self._clock, pause)
        else:
            self._again = FIRST_AGAIN_SECS


def _fitting(reports: list[_Report]) -> int:
    """How many of some reports fit into one request, at least one."""
    size = 0
    for count, (_, _, summary) in enumerate(reports[:MOST_STATES]):
        size += len(summary)
        if size > MOST_SUMMARIES_BYTES:
            return count
    return min(len(reports), MOST_STATES)


def _failed(failure: Failure) -> None:
    if not failure.check(CancelledError):  # by give_up()
        log.failure("reports of jobs", failure)
