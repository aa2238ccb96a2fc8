"""Telling a scheduler of ours how jobs move: all that is new in one request, one request at a time.

Of one that does not arrive only the ends of jobs are repeated: no heartbeat has named a short one, and none would be
missed in the next. What else it said, that one says, which comes soon then. That a job has started is told only where
it goes on for a while: before the scheduler lends its slot to others, for the client seems not to come.

The end of a job whose slot nobody can be waiting for waits a moment for the next one.
"""

from collections.abc import Callable

from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.interfaces import IDelayedCall, IReactorTime
from twisted.internet.task import deferLater
from twisted.python.failure import Failure

from sccachedist.daemon.logs import Logger
from sccachedist.errors import PeerError
from sccachedist.server.scheduler_session import SchedulerSession, unreached
from sccachedist.wire.messages import JobId, JobState

log = Logger()

#: Seconds until the ends of jobs are told again that did not arrive, the first time and at most: a kept connection
#: that the scheduler closes just then costs a moment, a scheduler that is away is not asked all the time.
FIRST_AGAIN_SECS, MOST_AGAIN_SECS = 0.05, 1.0
#: Seconds that the end of a job waits at most to be told with others.
LATER_SECS = 0.05
#: Seconds that a job has to go on before it is told that it has started; the scheduler holds its slot for longer.
STARTED_SECS = 0.25
#: States in one request.
MOST_STATES = 1000


class BatchedReports:
    """Delivers reports, many in one ``job_states``.

    :param troubled: told when the scheduler did not take them.
    :param can_wait: whether it does no harm that the scheduler takes so many more slots for used than are.
    """

    def __init__(
        self,
        scheduler: SchedulerSession,
        clock: IReactorTime,
        troubled: Callable[[], None],
        can_wait: Callable[[int], bool],
    ) -> None:
        self._scheduler, self._clock, self._troubled, self._can_wait = scheduler, clock, troubled, can_wait
        self._states: list[tuple[JobId, JobState]] = []
        self._started: dict[JobId, float] = {}
        self._look: IDelayedCall | None = None
        self._busy = self._is_urgent = False
        self._again = FIRST_AGAIN_SECS
        self._delivery: Deferred[None] | None = None
        self._pause: Deferred[None] | None = None
        self._waiting: list[Deferred[None]] = []

    def report(self, job_id: JobId, state: JobState, *, at_once: bool = False) -> None:
        """Tell the scheduler, with the next request, that a job has come to a state.

        :param at_once: whether it may not wait for others.
        """
        if state is JobState.STARTED:
            self._started[job_id] = self._clock.seconds()
            self._look_for_started(STARTED_SECS)
            return
        if state is JobState.COMPLETE:
            self._started.pop(job_id, None)
        self._is_urgent |= at_once
        self._tell(job_id, state)

    def _look_for_started(self, seconds: float) -> None:
        if self._look is None:
            self._look = self._clock.callLater(seconds, self._tell_started)

    def _tell_started(self) -> None:
        """Tell of the jobs that go on, the oldest of which come first; one look serves many."""
        self._look = None
        now = self._clock.seconds()
        while self._started:
            job_id, since = next(iter(self._started.items()))
            if now - since < STARTED_SECS:
                self._look_for_started(since + STARTED_SECS - now)
                return
            del self._started[job_id]
            self._tell(job_id, JobState.STARTED)

    def _tell(self, job_id: JobId, state: JobState) -> None:
        self._states.append((job_id, state))
        if not self._busy:
            self._busy = True
            self._delivery = Deferred.fromCoroutine(self._deliver()).addErrback(_failed)
        self._go_on()

    async def delivered(self) -> None:
        """Wait until nothing is left to be delivered."""
        if self._busy:
            waiter: Deferred[None] = Deferred()
            self._waiting.append(waiter)
            self._go_on()
            await waiter

    def give_up(self) -> None:
        """Stop trying to deliver what has not been delivered yet."""
        self._started.clear()
        if self._look is not None:
            self._look.cancel()
            self._look = None
        if self._busy and self._delivery is not None:
            self._delivery.cancel()

    @property
    def _is_patient(self) -> bool:
        """Whether nobody waits for what there is to tell."""
        only_ends = all(state is JobState.COMPLETE for _, state in self._states)
        return only_ends and not self._is_urgent and not self._waiting and self._can_wait(len(self._states))

    def _go_on(self) -> None:
        if self._pause is not None and not self._is_patient:
            self._pause.callback(None)

    async def _deliver(self) -> None:
        try:
            await deferLater(self._clock, 0)  # whoever reports has more urgent things to do
            while self._states:
                if self._is_patient:
                    self._pause = Deferred()
                    await self._pause.addTimeout(LATER_SECS, self._clock, lambda *_: None)
                    self._pause = None
                states, self._states = tuple(self._states[:MOST_STATES]), self._states[MOST_STATES:]
                await self._send(states)
        finally:
            self._busy, self._pause, self._is_urgent = False, None, False
            waiting, self._waiting = self._waiting, []
            for waiter in waiting:
                waiter.callback(None)

    async def _send(self, states: tuple[tuple[JobId, JobState], ...]) -> None:
        try:
            await self._scheduler.job_states(states)
        except PeerError as error:
            log.debug("the scheduler was not told of {count} states: {error}", count=len(states), error=str(error))
            self._troubled()
            ends = [(job_id, state) for job_id, state in states if state is JobState.COMPLETE]
            if ends and unreached(error):
                self._states[:0] = ends
                pause, self._again = self._again, min(2 * self._again, MOST_AGAIN_SECS)
                await deferLater(self._clock, pause)
        else:
            self._again = FIRST_AGAIN_SECS


def _failed(failure: Failure) -> None:
    if not failure.check(CancelledError):  # given up
        log.failure("reports of jobs", failure)
