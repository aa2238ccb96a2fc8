"""The life of a build server's jobs, rule by rule."""

from collections.abc import Callable

import pytest

from sccachedist.errors import BadTransition, NoPlace, UnknownJob
from sccachedist.server.jobs import (
    MOST_JOBS,
    OUR_SLOT_SECS,
    PUBLISHED_SLOT_SECS,
    TOKEN_SECS,
    UNCLAIMED_SECS,
    Issue,
    ServerCore,
    few,
)
from sccachedist.wire.archive_id import ArchiveId
from sccachedist.wire.extension import Availability
from sccachedist.wire.messages import AssignJobResult, JobId, JobState

JOB, OTHER_JOB = JobId(7), JobId(8)
GCC, CLANG = ArchiveId("0c" * 32), ArchiveId("c1" * 32)
PENDING, READY = AssignJobResult(JobState.PENDING, True), AssignJobResult(JobState.READY, False)
#: How far a job has come.
STAGES = ("waits", "uploads", "ready", "claimed", "over")


def open_core(slots: int = 100) -> ServerCore:
    """A core that takes jobs."""
    core = ServerCore(slots)
    core.open()
    return core


def with_job(stage: str, now: float = 0.0) -> ServerCore:
    """A core whose job has come as far as this."""
    core = open_core()
    core.assign(JOB, GCC, present=stage not in STAGES[:2], now=now)
    if stage == "uploads":
        core.begin_upload(JOB, now)
    if stage in ("claimed", "over"):
        core.claim(JOB, now)
    if stage == "over":
        core.drop(JOB)
    return core


@pytest.mark.parametrize(("present", "answer"), [(False, PENDING), (True, READY)])
def test_assigned(present: bool, answer: AssignJobResult) -> None:
    """A job waits for its toolchain where that is missing; the same assignment may come again and finds it so."""
    core = open_core()
    for again in (present, True, False):
        assert core.assign(JOB, GCC, present=again, now=0.0) == answer


@pytest.mark.parametrize("stage", STAGES)
def test_taken(stage: str) -> None:
    """A job is here from its assignment to its end, however far it is."""
    assert with_job(stage).taken == (stage != "over")


@pytest.mark.parametrize("stage", STAGES[:3])
def test_no_swap(stage: str) -> None:
    """A second assignment never changes a job's toolchain."""
    core = with_job(stage)
    with pytest.raises(BadTransition, match="job 7 is assigned already"):
        core.assign(JOB, CLANG, present=True, now=0.0)
    assert core.toolchain(JOB) == GCC


@pytest.mark.parametrize("toolchain", [GCC, CLANG])
def test_no_second_run(toolchain: ArchiveId) -> None:
    """A job that runs is not assigned again."""
    core = with_job("claimed")
    with pytest.raises(BadTransition, match="job 7 is assigned already"):
        core.assign(JOB, toolchain, present=True, now=0.0)
    assert core.running == 1


def test_life_of_a_job() -> None:
    """A job is assigned, gets its toolchain, is claimed, runs and is forgotten."""
    core = with_job("uploads")
    assert core.toolchain_arrived(JOB, now=1.0)
    core.end_upload(JOB)
    assert core.running == 0
    assert core.claim(JOB, now=2.0) == GCC
    assert core.running == 1
    assert core.drop(JOB)
    assert core.running == 0
    assert core.assign(JOB, CLANG, present=True, now=3.0) == READY


def test_second_upload() -> None:
    """A toolchain that is delivered twice makes its job ready once."""
    core = with_job("waits")
    assert [core.toolchain_arrived(JOB, now=1.0) for _ in range(2)] == [True, False]


BEGINNINGS: list[Callable[[ServerCore], object]] = [
    lambda core: core.begin_upload(JOB, now=1.0),
    lambda core: core.claim(JOB, now=1.0),
]


@pytest.mark.parametrize("begin", BEGINNINGS)
@pytest.mark.parametrize("stage", ["uploads", "claimed", "over"])
def test_one_request_at_a_time(stage: str, begin: Callable[[ServerCore], object]) -> None:
    """A job that has an open request gets no second one, and what is over gets none."""
    core = with_job(stage)
    named = core.named
    with pytest.raises(UnknownJob, match="job 7"):
        begin(core)
    assert core.named == named


ABOUT: list[Callable[[ServerCore], object]] = [
    *BEGINNINGS,
    lambda core: core.toolchain(JOB),
    lambda core: core.awaits_toolchain(JOB),
    lambda core: core.toolchain_arrived(JOB, now=1.0),
]


@pytest.mark.parametrize("about", ABOUT)
def test_not_assigned(about: Callable[[ServerCore], object]) -> None:
    """A job that nobody assigned is not there, whatever others are."""
    core = open_core()
    core.assign(OTHER_JOB, GCC, present=True, now=0.0)
    with pytest.raises(UnknownJob, match="no job 7 waits here"):
        about(core)
    assert not core.drop(JOB)


def test_claimed_before_its_toolchain_is_there() -> None:
    """A client may claim a job whose toolchain another one brings; that is said when it has come."""
    core = with_job("waits")
    core.claim(JOB, now=0.0)
    assert core.awaits_toolchain(JOB)
    core.toolchain_arrived(JOB, now=1.0)
    assert not core.awaits_toolchain(JOB)


@pytest.mark.parametrize("stage", ["waits", "ready"])
def test_unclaimed(stage: str) -> None:
    """A job that no client comes for is over after a while."""
    core = with_job(stage, now=100.0)
    assert core.expire(now=100.0 + UNCLAIMED_SECS) == ()
    assert core.expire(now=100.1 + UNCLAIMED_SECS) == (JOB,)
    assert core.expire(now=100.1 + UNCLAIMED_SECS) == ()
    with pytest.raises(UnknownJob):
        core.claim(JOB, now=701.0)


@pytest.mark.parametrize("stage", ["uploads", "claimed"])
def test_long_requests(stage: str) -> None:
    """A job that has an open request is never forgotten, and those around it are."""
    core = with_job(stage)
    core.assign(OTHER_JOB, GCC, present=True, now=0.0)
    assert core.expire(now=86400.0) == (OTHER_JOB,)
    assert core.drop(JOB)


def test_upload_gives_time() -> None:
    """A client that has just brought the toolchain has all the time again."""
    core = with_job("waits")
    core.toolchain_arrived(JOB, now=UNCLAIMED_SECS)
    assert core.expire(now=2 * UNCLAIMED_SECS) == ()


def test_an_upload_ends_once() -> None:
    """What is told of an upload that is over has no effect."""
    core = with_job("claimed")
    core.end_upload(JOB)
    assert core.running == 1
    core.drop(JOB)
    core.end_upload(JOB)
    assert core.named == ()


def test_starting() -> None:
    """A build server that has just begun takes no job before its builder works."""
    core = ServerCore()
    with pytest.raises(BadTransition, match="starting"):
        core.assign(JOB, GCC, present=True, now=0.0)
    core.open()
    assert core.assign(JOB, GCC, present=True, now=0.0) == READY


def test_leaving() -> None:
    """A build server that goes away takes no new job; what it was assigned may still be claimed."""
    core = with_job("ready")
    core.leave()
    with pytest.raises(BadTransition, match="shutting down"):
        core.assign(OTHER_JOB, GCC, present=True, now=0.0)
    assert core.assign(JOB, GCC, present=True, now=0.0) == READY
    assert core.claim(JOB, now=0.0) == GCC


def test_gone() -> None:
    """With the word that a build server is gone, all is over that has no open request; nothing more is taken."""
    core = with_job("claimed")
    core.assign(OTHER_JOB, GCC, present=True, now=0.0)
    core.end()
    core.introduce(OTHER_JOB, GCC, present=True, now=0.0)
    assert (core.taken, core.running) == (1, 1)


# -- places --


def engaged(slots: int, *, since: float = 0.0, now: float = 0.0) -> int:
    """How many of very many clients get a place, whose tokens are all good."""
    core, taken = open_core(slots), 0
    for number in range(10 * slots + 50):
        core.introduce(JobId(number), GCC, present=True, now=since)
        try:
            core.claim(JobId(number), now)
            taken += 1
        except NoPlace:
            core.drop(JobId(number))
    assert (core.taken, core.refused) == (taken, 10 * slots + 50 - taken)
    return taken


@pytest.mark.parametrize(("slots", "most"), [(1, 3), (3, 5), (16, 20)])
def test_places(slots: int, most: int) -> None:
    """A build server takes its slots and a few more, whatever tokens it is shown."""
    assert engaged(slots) == slots + few(slots) == most


@pytest.mark.parametrize("slots", [1, 3, 16])
def test_late(slots: int) -> None:
    """Those who come when their slots may be others' get the few places only, and others their slots."""
    assert engaged(slots, now=OUR_SLOT_SECS + 1) == few(slots)
    assert engaged(slots, now=OUR_SLOT_SECS) == slots + few(slots)


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


# -- jobs that a client brings along --


def test_introduced() -> None:
    """A job that only its client's token speaks of lives like any other; the token may come with each request."""
    core = open_core()
    for _ in range(2):
        core.introduce(JOB, GCC, present=False, now=0.0)
    assert core.awaits_toolchain(JOB)
    assert core.toolchain_arrived(JOB, now=1.0)
    assert core.claim(JOB, now=2.0) == GCC
    core.introduce(JOB, GCC, present=True, now=3.0)
    assert core.running == 1


@pytest.mark.parametrize("end", ["claimed", "dropped", "dropped in its upload", "expired"])
def test_not_again(end: str) -> None:
    """A token opens its job once: when that is over, in whatever way, it opens nothing."""
    core = open_core()
    core.introduce(JOB, GCC, present=True, now=0.0)
    if end == "claimed":
        core.claim(JOB, now=0.0)
    if end == "dropped in its upload":
        core.begin_upload(JOB, now=0.0)
    if end == "expired":
        core.expire(now=UNCLAIMED_SECS + 1)
    core.drop(JOB)
    core.introduce(JOB, GCC, present=True, now=1000.0)
    with pytest.raises(UnknownJob):
        core.claim(JOB, now=1000.0)


@pytest.mark.parametrize(
    ("issue", "opens"),
    [
        (Issue(), True),
        (Issue(at=1000), True),
        (Issue(time=99999.0), True),
        (Issue(at=1000, time=1000.0 + TOKEN_SECS), True),
        (Issue(at=1000, time=1001.0 + TOKEN_SECS), False),
        (Issue(at=99999, time=1000.0), True),
    ],
)
def test_old_tokens(issue: Issue, opens: bool) -> None:
    """A token opens nothing when it is old, by its scheduler's clock and as far as that is known."""
    core = open_core()
    core.introduce(JOB, GCC, present=True, now=0.0, issue=issue)
    assert core.taken == opens


def test_introduced_as_another() -> None:
    """No token changes a job's toolchain."""
    core = with_job("ready")
    with pytest.raises(BadTransition, match="job 7 is assigned already"):
        core.introduce(JOB, CLANG, present=True, now=0.0)


def test_introduced_while_starting() -> None:
    """A build server that cannot work yet takes no job from a client either; one that is drained or leaves does."""
    core = ServerCore()
    core.introduce(JOB, GCC, present=True, now=0.0)
    with pytest.raises(UnknownJob):
        core.claim(JOB, now=0.0)
    core.open()
    core.drain(True)
    core.leave()
    core.introduce(JOB, GCC, present=True, now=0.0)
    assert core.claim(JOB, now=0.0) == GCC


@pytest.mark.parametrize(
    ("stage", "state"),
    [("waits", None), ("uploads", JobState.PENDING), ("ready", None), ("claimed", JobState.STARTED), ("over", None)],
)
def test_named(stage: str, state: JobState | None) -> None:
    """The scheduler hears of jobs that are claimed, and of those whose client is bringing the toolchain."""
    assert with_job(stage).named == (() if state is None else ((JOB, state),))


def test_availability() -> None:
    """What the scheduler is told: whether this server takes jobs, and when it is gone."""
    core = ServerCore()
    said = [core.availability]
    for change in (core.open, lambda: core.drain(True), lambda: core.drain(False), core.leave, core.end):
        change()
        said.append(core.availability)
    closed, open_, gone = Availability.DRAINING, Availability.OPEN, Availability.GONE
    assert said == [closed, open_, closed, open_, closed, gone]


def test_drained() -> None:
    """A build server that is drained takes no new job, until it is not any more."""
    core = with_job("ready")
    core.drain(True)
    with pytest.raises(BadTransition, match="drained"):
        core.assign(OTHER_JOB, GCC, present=True, now=0.0)
    assert core.assign(JOB, GCC, present=True, now=0.0) == READY
    core.drain(False)
    assert core.assign(OTHER_JOB, GCC, present=True, now=0.0) == READY
