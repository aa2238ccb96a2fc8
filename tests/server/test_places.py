"""How many jobs a build server has at a time: places for those in time, a few for those that come late."""

import pytest

from sccachedist.errors import NoPlace
from sccachedist.server.jobs import MOST_JOBS, OUR_SLOT_SECS, PUBLISHED_SLOT_SECS, Issue, few
from sccachedist.wire.messages import JobId
from tests.server.cores import GCC, JOB, open_core


def engaged(slots: int, *, now: float = 0.0) -> int:
    """How many of very many clients get a place, whose tokens are all good."""
    core, taken = open_core(slots), 0
    for number in range(10 * slots + 50):
        core.introduce(JobId(number), GCC, present=True, now=0.0)
        try:
            core.claim(JobId(number), now)
            taken += 1
        except NoPlace:
            core.drop(JobId(number))
    assert (core.taken, core.refused) == (taken, 10 * slots + 50 - taken)
    return taken


@pytest.mark.parametrize(("slots", "most"), [(1, 6), (3, 14), (16, 68)])
def test_places(slots: int, most: int) -> None:
    """A build server takes so many jobs as its slots can be lent by two schedulers, and a few more, with any tokens."""
    assert engaged(slots) == 4 * slots + few(slots) == most


@pytest.mark.parametrize("slots", [1, 3, 16])
def test_late(slots: int) -> None:
    """Those who come when their slots may be others' get the few places only, and others their slots."""
    assert engaged(slots, now=OUR_SLOT_SECS + 1) == few(slots)
    assert engaged(slots, now=OUR_SLOT_SECS) == 4 * slots + few(slots)


def test_late_and_others_in_time() -> None:
    """However many come late, there is a place for each slot that the scheduler gives."""
    core = open_core(3)
    for number in range(9):
        core.introduce(JobId(number), GCC, present=True, now=0.0 if number < 6 else 20.0)
    taken = []
    for number in range(9):
        try:
            core.claim(JobId(number), now=20.0)
            taken.append(number)
        except NoPlace:
            pass
    assert taken == [0, 1, 6, 7, 8]


def test_one_late_after_the_other() -> None:
    """A job that is over, or an upload, gives its place among the few back."""
    core, late = open_core(1), OUR_SLOT_SECS + 1
    for number in range(2 * few(1) + 1):
        core.introduce(JobId(number), GCC, present=False, now=0.0)
        core.begin_upload(JobId(number), now=late)
        core.end_upload(JobId(number))
        core.claim(JobId(number), now=late)
        core.drop(JobId(number))
    assert core.refused == 0


def test_late_by_its_token() -> None:
    """A client is late from the issue of its token on, by the clock of who issued it."""
    core = open_core(1)
    for number in range(4):
        core.introduce(JobId(number), GCC, present=True, now=0.0, issue=Issue(1000, 1000 + OUR_SLOT_SECS + 1))
    taken = 0
    for number in range(4):
        try:
            core.claim(JobId(number), now=0.0)
            taken += 1
        except NoPlace:
            pass
    assert taken == few(1)


def test_late_for_a_published_scheduler() -> None:
    """It keeps a slot for longer."""
    core = open_core(1)
    for number in range(4):
        core.assign(JobId(number), GCC, present=True, now=0.0)
    core.claim(JobId(0), now=PUBLISHED_SLOT_SECS + 1)
    core.claim(JobId(1), now=PUBLISHED_SLOT_SECS + 1)
    with pytest.raises(NoPlace, match="2 of RUN are open, and 2 of them late"):
        core.claim(JobId(2), now=PUBLISHED_SLOT_SECS + 1)
    core.claim(JobId(3), now=PUBLISHED_SLOT_SECS)


def test_uploads_have_places() -> None:
    """An upload holds a place until it ends, and never that of a job that could run."""
    core = open_core(1)
    for number in range(5):
        core.assign(JobId(number), GCC, present=False, now=0.0)
    for number in range(3):
        core.begin_upload(JobId(number), now=0.0)
    with pytest.raises(NoPlace):
        core.begin_upload(JobId(3), now=0.0)
    core.claim(JobId(4), now=0.0)
    core.end_upload(JobId(0))
    core.begin_upload(JobId(3), now=0.0)


@pytest.mark.parametrize("claimed", [True, False])
def test_many_that_wait(claimed: bool) -> None:
    """Of too many jobs that wait for their clients the oldest is forgotten; its token is good once more."""
    core = open_core()
    core.introduce(JOB, GCC, present=True, now=0.0)
    if claimed:
        core.claim(JOB, now=0.0)
    for number in range(100, 100 + MOST_JOBS):
        core.introduce(JobId(number), GCC, present=True, now=0.0)
    assert (core.taken, core.running) == (MOST_JOBS, claimed)
    core.introduce(JobId(100), GCC, present=True, now=0.0)
    core.claim(JobId(100), now=0.0)


def test_as_many_requests_as_jobs() -> None:
    """Where every job has an open request none makes room."""
    core = open_core(2 * MOST_JOBS)
    for number in range(MOST_JOBS + 1):
        core.introduce(JobId(number), GCC, present=True, now=0.0)
        core.claim(JobId(number), now=0.0)
    assert core.running == MOST_JOBS + 1
