"""The life of a build server's jobs, rule by rule."""

from collections.abc import Callable

import pytest

from sccachedist.errors import BadTransition, UnknownJob
from sccachedist.server.core import MOST_SPENT, UNCLAIMED_SECS, ServerCore, Stage
from sccachedist.wire.archive_id import ArchiveId
from sccachedist.wire.messages import AssignJobResult, JobId, JobState
from sccachedist.wire.reports import Availability

JOB, OTHER_JOB = JobId(7), JobId(8)
GCC, CLANG = ArchiveId("0c" * 32), ArchiveId("c1" * 32)
PENDING, READY = AssignJobResult(JobState.PENDING, True), AssignJobResult(JobState.READY, False)


def open_core() -> ServerCore:
    """A core that takes jobs."""
    core = ServerCore()
    core.open()
    return core


def with_job(stage: Stage | None, now: float = 0.0) -> ServerCore:
    """A core whose job has come as far as this; None for one that has ended."""
    core = open_core()
    core.assign(JOB, GCC, present=stage is not Stage.AWAITS_TOOLCHAIN, now=now)
    if stage in (Stage.RUNNING, None):
        core.start(JOB, now)
    if stage is None:
        core.finish(JOB)
    return core


@pytest.mark.parametrize(("present", "answer"), [(False, PENDING), (True, READY)])
def test_assigned(present: bool, answer: AssignJobResult) -> None:
    """A job waits for its toolchain where that is missing; the same assignment may come again and finds it so."""
    core = open_core()
    for again in (present, True, False):
        assert core.assign(JOB, GCC, present=again, now=0.0) == answer


@pytest.mark.parametrize("stage", [*Stage, None])
def test_taken(stage: Stage | None) -> None:
    """A job is here from its assignment to its end, however far it is."""
    assert with_job(stage).taken == (stage is not None)


@pytest.mark.parametrize("stage", [Stage.AWAITS_TOOLCHAIN, Stage.READY])
def test_no_swap(stage: Stage) -> None:
    """A second assignment never changes a job's toolchain."""
    core = with_job(stage)
    with pytest.raises(BadTransition, match="job 7 is assigned already"):
        core.assign(JOB, CLANG, present=True, now=0.0)
    assert core.awaited_toolchain(JOB) == GCC


@pytest.mark.parametrize("toolchain", [GCC, CLANG])
def test_no_second_run(toolchain: ArchiveId) -> None:
    """A job that runs is not assigned again."""
    core = with_job(Stage.RUNNING)
    with pytest.raises(BadTransition, match="job 7 is assigned already"):
        core.assign(JOB, toolchain, present=True, now=0.0)
    assert core.running == 1


def test_life_of_a_job() -> None:
    """A job is assigned, gets its toolchain, is claimed, runs and is forgotten."""
    core = with_job(Stage.AWAITS_TOOLCHAIN)
    assert core.awaited_toolchain(JOB) == GCC
    assert core.toolchain_arrived(JOB, now=1.0)
    assert core.running == 0
    assert core.start(JOB, now=2.0) == GCC
    assert core.running == 1
    core.finish(JOB)
    assert core.running == 0
    assert core.assign(JOB, CLANG, present=True, now=3.0) == READY


def test_second_upload() -> None:
    """A toolchain that is delivered twice makes its job ready once."""
    core = with_job(Stage.AWAITS_TOOLCHAIN)
    assert [core.toolchain_arrived(JOB, now=1.0) for _ in range(2)] == [True, False]


CLAIMS: list[Callable[[ServerCore], object]] = [
    lambda core: core.awaited_toolchain(JOB),
    lambda core: core.toolchain_arrived(JOB, now=1.0),
    lambda core: core.start(JOB, now=1.0),
]


@pytest.mark.parametrize("claim", CLAIMS)
@pytest.mark.parametrize("stage", [Stage.RUNNING, None])
def test_claimed_once(stage: Stage | None, claim: Callable[[ServerCore], object]) -> None:
    """A job that runs or has run is no more there for its client."""
    with pytest.raises(UnknownJob, match="no job 7 waits here"):
        claim(with_job(stage))


@pytest.mark.parametrize("claim", CLAIMS)
def test_not_assigned(claim: Callable[[ServerCore], object]) -> None:
    """A job that nobody assigned is not there, whatever others are."""
    core = open_core()
    core.assign(OTHER_JOB, GCC, present=True, now=0.0)
    with pytest.raises(UnknownJob, match="no job 7 waits here"):
        claim(core)


def test_no_toolchain_yet() -> None:
    """A client cannot claim a job before its toolchain is there, and can after."""
    core = with_job(Stage.AWAITS_TOOLCHAIN)
    with pytest.raises(UnknownJob, match="job 7 has no toolchain yet"):
        core.start(JOB, now=0.0)
    core.toolchain_arrived(JOB, now=1.0)
    assert core.start(JOB, now=1.0) == GCC


@pytest.mark.parametrize("stage", [Stage.AWAITS_TOOLCHAIN, Stage.READY])
def test_unclaimed(stage: Stage) -> None:
    """A job that nobody comes for is forgotten after a while."""
    core = with_job(stage, now=100.0)
    assert core.expire(now=100.0 + UNCLAIMED_SECS) == ()
    assert core.expire(now=100.1 + UNCLAIMED_SECS) == (JOB,)
    assert core.expire(now=100.1 + UNCLAIMED_SECS) == ()
    with pytest.raises(UnknownJob):
        core.start(JOB, now=701.0)


def test_upload_gives_time() -> None:
    """A client that has just brought the toolchain has all the time again."""
    core = with_job(Stage.AWAITS_TOOLCHAIN)
    core.toolchain_arrived(JOB, now=UNCLAIMED_SECS)
    assert core.expire(now=2 * UNCLAIMED_SECS) == ()


def test_long_compile() -> None:
    """A job that runs is never forgotten, and those around it are."""
    core = with_job(Stage.RUNNING)
    core.assign(OTHER_JOB, GCC, present=True, now=0.0)
    assert core.expire(now=86400.0) == (OTHER_JOB,)
    assert core.running == 1
    core.finish(JOB)


def test_starting() -> None:
    """A build server that has just begun takes no job before its builder works."""
    core = ServerCore()
    with pytest.raises(BadTransition, match="starting"):
        core.assign(JOB, GCC, present=True, now=0.0)
    core.open()
    assert core.assign(JOB, GCC, present=True, now=0.0) == READY


def test_leaving() -> None:
    """A build server that goes away takes no new job; what it was assigned may still be claimed."""
    core = with_job(Stage.READY)
    core.leave()
    with pytest.raises(BadTransition, match="shutting down"):
        core.assign(OTHER_JOB, GCC, present=True, now=0.0)
    assert core.assign(JOB, GCC, present=True, now=0.0) == READY
    assert core.start(JOB, now=0.0) == GCC


# -- jobs that a client brings along --


def test_introduced() -> None:
    """A job that only its client's token speaks of lives like any other; the token may come with each request."""
    core = open_core()
    for _ in range(2):
        core.introduce(JOB, GCC, present=False, now=0.0)
    assert core.awaits_toolchain(JOB)
    assert core.toolchain_arrived(JOB, now=1.0)
    assert core.start(JOB, now=2.0) == GCC
    core.introduce(JOB, GCC, present=True, now=3.0)
    assert core.running == 1


@pytest.mark.parametrize("claimed", [True, False])
def test_not_again(claimed: bool) -> None:
    """A token opens its job once: when that is over, or was given up, it opens nothing."""
    core = open_core()
    core.introduce(JOB, GCC, present=True, now=0.0)
    if claimed:
        core.start(JOB, now=0.0)
        core.finish(JOB)
    else:
        core.expire(now=UNCLAIMED_SECS + 1)
    core.introduce(JOB, GCC, present=True, now=1000.0)
    with pytest.raises(UnknownJob):
        core.start(JOB, now=1000.0)


def test_what_is_over_is_remembered_for_a_while() -> None:
    """The memory for jobs that are over is bounded."""
    core = open_core()
    for number in range(MOST_SPENT + 1):
        core.introduce(JobId(number), GCC, present=True, now=0.0)
        core.start(JobId(number), now=0.0)
        core.finish(JobId(number))
    core.introduce(JobId(1), GCC, present=True, now=0.0)
    with pytest.raises(UnknownJob):
        core.start(JobId(1), now=0.0)
    core.introduce(JobId(0), GCC, present=True, now=0.0)
    assert core.start(JobId(0), now=0.0) == GCC


def test_introduced_as_another() -> None:
    """No token changes a job's toolchain."""
    core = with_job(Stage.READY)
    with pytest.raises(BadTransition, match="job 7 is assigned already"):
        core.introduce(JOB, CLANG, present=True, now=0.0)


def test_introduced_while_starting() -> None:
    """A build server that cannot work yet takes no job from a client either; one that is drained or leaves does."""
    core = ServerCore()
    core.introduce(JOB, GCC, present=True, now=0.0)
    with pytest.raises(UnknownJob):
        core.start(JOB, now=0.0)
    core.open()
    core.drain(True)
    core.leave()
    core.introduce(JOB, GCC, present=True, now=0.0)
    assert core.start(JOB, now=0.0) == GCC


def test_named() -> None:
    """The scheduler hears of jobs that run, and of those whose client is bringing or awaiting the toolchain."""
    core = with_job(Stage.AWAITS_TOOLCHAIN)
    named = [core.named]
    for change in (1, -1):
        core.contact(JOB, change)
        core.contact(OTHER_JOB, change)
        named.append(core.named)
    core.toolchain_arrived(JOB, now=0.0)
    named.append(core.named)
    core.start(JOB, now=0.0)
    named.append(core.named)
    assert named == [(), ((JOB, JobState.PENDING),), (), (), ((JOB, JobState.STARTED),)]


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
    core = with_job(Stage.READY)
    core.drain(True)
    with pytest.raises(BadTransition, match="drained"):
        core.assign(OTHER_JOB, GCC, present=True, now=0.0)
    assert core.assign(JOB, GCC, present=True, now=0.0) == READY
    core.drain(False)
    assert core.assign(OTHER_JOB, GCC, present=True, now=0.0) == READY
