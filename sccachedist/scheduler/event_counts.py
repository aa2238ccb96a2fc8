"""How often what happened: an observer of a scheduler's events that counts them. Pure."""

from collections import Counter
from collections.abc import Callable

import attrs

from sccachedist.scheduler.events import (
    Asked,
    Departure,
    Event,
    Fault,
    JobAdopted,
    JobAllocated,
    JobEnd,
    JobEnded,
    JobStarted,
    ServerAsked,
    ServerAvoided,
    ServerJoined,
    ServerLeft,
    SlotLent,
)


@attrs.define(eq=False)
class EventCounts:
    """The numbers since the start of the scheduler.

    :param waited: called with the seconds that a request waited for the slot of a job that is over.
    :param answered: called with the seconds that a build server took to say whether it takes a job.
    """

    allocated: int = 0
    ended: Counter[JobEnd] = attrs.field(factory=Counter)
    adopted: int = 0
    lent: int = 0
    joined: int = 0
    left: Counter[Departure] = attrs.field(factory=Counter)
    avoided: Counter[Fault] = attrs.field(factory=Counter)
    asked: Counter[Asked] = attrs.field(factory=Counter)
    waited: Callable[[float], object] = attrs.field(default=lambda _: None)
    answered: Callable[[float], object] = attrs.field(default=lambda _: None)

    @property
    def assignments(self) -> dict[str, int]:
        """Reservations by whether their build server has taken the job; most are presumed to be taken."""
        presumed = {"presumed": self.allocated - self.asked[Asked.TAKEN]}
        return presumed | {answer.name.lower(): count for answer, count in self.asked.items()}

    def __call__(self, event: Event) -> None:
        """Count an event."""
        match event:
            case JobAllocated():
                self.allocated += 1
            case JobEnded(how=how):
                self.ended[how] += 1
                if how is not JobEnd.NOT_TAKEN and event.client is not None:
                    self.waited(next(iter(event.began.values())) - event.asked)
            case JobStarted():
                pass  # comes with each job: no need to try what is rare
            case JobAdopted():
                self.adopted += 1
            case ServerAsked(answer=answer):
                self.asked[answer] += 1
                self.answered(event.secs)
            case SlotLent():
                self.lent += 1
            case ServerJoined():
                self.joined += 1
            case ServerLeft(why=why):
                self.left[why] += 1
            case ServerAvoided(why=fault):
                self.avoided[fault] += 1
