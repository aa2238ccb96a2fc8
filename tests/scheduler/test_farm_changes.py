"""What is collected while somebody watches, and that nothing is while nobody does."""

import pytest

from sccachedist.budgets import Party
from sccachedist.outcomes import Outcome, Refusal
from sccachedist.records.ring import Entry, entry_of
from sccachedist.scheduler.events import (
    Departure,
    Event,
    Fault,
    JobAdopted,
    JobAllocated,
    JobStarted,
    RequestRefused,
    ServerAvoided,
    ServerDrained,
    ServerJoined,
    ServerLeft,
    ServerUnfit,
    SlotLent,
)
from sccachedist.scheduler.farm_changes import MOST_ENDED, MOST_STARTED, Changes, FarmChanges
from sccachedist.wire.messages import JobId
from tests.scheduler.farms import GCC, A

JOB = JobId(7)
ENTRY: Entry = entry_of(JOB, 0.0, 1.0, "10.0.0.1", str(A), GCC, Outcome.COMPILED)


@pytest.fixture
def changes() -> FarmChanges:
    changes = FarmChanges()
    changes.watch()
    return changes


@pytest.mark.parametrize(
    "event", [JobAllocated(1.0, JOB, A, Party("10.0.0.1"), GCC), JobStarted(1.0, JOB, A), JobAdopted(1.0, JOB, A)]
)
def test_jobs(changes: FarmChanges, event: Event) -> None:
    """A job is named once, however many steps it has made."""
    changes(event)
    changes(event)
    assert changes.take() == Changes(started={JOB: None})


@pytest.mark.parametrize(
    "event",
    [
        ServerJoined(1.0, A, 8, True),
        ServerLeft(1.0, A, Departure.GONE),
        ServerDrained(1.0, A, True, True),
        ServerAvoided(1.0, A, 31.0, Fault.NOT_TAKEN),
        ServerUnfit(1.0, A, "no space"),
    ],
)
def test_servers(changes: FarmChanges, event: Event) -> None:
    """A build server to which something happens is looked at."""
    changes(event)
    assert changes.take() == Changes(servers={A: None})


@pytest.mark.parametrize(
    "event", [SlotLent(1.0, JOB, A), RequestRefused(1.0, 1.0, Party("10.0.0.1"), "", Refusal.QUEUE_TIMEOUT, "")]
)
def test_others(changes: FarmChanges, event: Event) -> None:
    """Other events change nothing that is shown of a server or a job that is not over."""
    changes(event)
    assert changes.take() == Changes()


def test_taken_once(changes: FarmChanges) -> None:
    """What has been taken is not there any more."""
    changes.ended(ENTRY)
    assert changes.take() == Changes(ended=[ENTRY])
    assert changes.take() == Changes()


def test_bounded(changes: FarmChanges) -> None:
    """However busy the farm is, so many jobs are kept and no more; the others are counted."""
    for number in range(MOST_STARTED + 50):
        changes(JobStarted(1.0, JobId(number), A))
    for _ in range(MOST_ENDED + 50):
        changes.ended(ENTRY)
    taken = changes.take()
    assert (len(taken.started), len(taken.ended), taken.more) == (MOST_STARTED, MOST_ENDED, 50)


def test_unwatched() -> None:
    """Nothing is kept before somebody watches, nor after."""
    changes = FarmChanges()
    for watched in (False, True, False):
        if watched:
            changes.watch()
        else:
            changes.ignore()
        changes(JobStarted(1.0, JOB, A))
        changes.ended(ENTRY)
        assert (changes.take() == Changes()) is not watched
