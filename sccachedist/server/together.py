"""Telling a scheduler of ours how jobs move: all that is new in one request, one request at a time.

Of one that does not arrive only the ends of jobs are repeated: no heartbeat has named a short one, and none would be
missed in the next. What else it said, that one says, which comes soon then. For the same reason no request is made for
a job that has started: the heartbeat says it early enough.

The end of a job whose slot nobody can be waiting for waits a moment for the next one.
"""

from collections.abc import Callable

from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.interfaces import IReactorTime
from twisted.internet.task import deferLater
from twisted.python.failure import Failure

from sccachedist.errors import PeerError
from sccachedist.logs import Logger
from sccachedist.server.scheduler_link import SchedulerLink, unreached
from sccachedist.wire.messages import JobId, JobState

log = Logger()

#: Seconds until the ends of jobs are told again that did not arrive.
AGAIN_SECS = 1.0
#: Seconds that the end of a job waits at most to be told with others.
LATER_SECS = 0.05
#: States in one request.
MOST_STATES = 1000


class Together:
    """Delivers reports, many in one ``job_states``.

    :param troubled: told when the scheduler did not take them.
    :param can_wait: whether it does no harm that the scheduler takes so many more slots for used than are.
    """

    def __init__(
        self,
        scheduler: SchedulerLink,
        clock: IReactorTime,
        troubled: Callable[[], None],
        can_wait: Callable[[int], bool],
    ) -> None:
        self._scheduler, self._clock, self._troubled, self._can_wait = scheduler, clock, troubled, can_wait
        self._states: list[tuple[JobId, JobState]] = []
        self._busy = False
        self._delivery: Deferred[None] | None = None
        self._pause: Deferred[None] | None = None
        self._waiting: list[Deferred[None]] = []

    def report(self, job_id: JobId, state: JobState) -> None:
        """Tell the scheduler, with the next request, that a job has come to a state."""
        if state is JobState.STARTED:
            return
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
        if self._busy and self._delivery is not None:
            self._delivery.cancel()

    @property
    def _is_patient(self) -> bool:
        """Whether nobody waits for what there is to tell."""
        only_ends = all(state is JobState.COMPLETE for _, state in self._states)
        return only_ends and not self._waiting and self._can_wait(len(self._states))

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
            self._busy, self._pause = False, None
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
                await deferLater(self._clock, AGAIN_SECS)


def _failed(failure: Failure) -> None:
    if not failure.check(CancelledError):  # given up
        log.failure("reports of jobs", failure)
