"""Telling the scheduler how jobs move, without holding a job up: in the way that suits the scheduler there is."""

from collections.abc import Callable

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IReactorTime

from sccachedist.server.one_by_one import OneByOne
from sccachedist.server.scheduler_link import SchedulerLink
from sccachedist.server.together import Together
from sccachedist.wire.messages import JobId, JobState

#: Seconds that a client waits at most for its scheduler to hear of what it did.
HEARD_SECS = 1.0


class Reports:
    """Delivers reports.

    :param troubled: told when the scheduler could not be reached or refused a report: it may have been restarted.
    :param can_wait: whether a scheduler of ours may take so many more slots for used than are, for a moment.
    """

    def __init__(
        self,
        scheduler: SchedulerLink,
        clock: IReactorTime,
        troubled: Callable[[], None],
        can_wait: Callable[[int], bool],
    ) -> None:
        self._scheduler, self._clock = scheduler, clock
        self._one_by_one = OneByOne(scheduler, clock, troubled)
        self._together = Together(scheduler, clock, troubled, can_wait)

    def report(self, job_id: JobId, state: JobState) -> None:
        """Tell the scheduler, soon, that a job has come to a state."""
        (self._together if self._scheduler.is_ours else self._one_by_one).report(job_id, state)

    def remark(self, job_id: JobId, state: JobState) -> None:
        """Tell a scheduler of ours what a published one has no ear for: how an upload begins and fails."""
        if self._scheduler.is_ours:
            self._together.report(job_id, state, at_once=True)  # the next client may have to be asked for the toolchain

    async def heard(self) -> None:
        """Wait, for a moment, until a scheduler of ours has heard of all that there is."""
        heard = Deferred.fromCoroutine(self._together.delivered())
        await heard.addTimeout(HEARD_SECS, self._clock, lambda *_: None)

    async def delivered(self) -> None:
        """Wait until nothing is left to be delivered."""
        await self._one_by_one.delivered()
        await self._together.delivered()

    def give_up(self) -> None:
        """Stop trying to deliver what has not been delivered yet."""
        self._one_by_one.give_up()
        self._together.give_up()
