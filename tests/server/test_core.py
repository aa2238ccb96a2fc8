"""The life of a build server's jobs, rule by rule."""

from collections.abc import Callable

import pytest

from sccachedist.errors import BadTransition, UnknownJob
from sccachedist.server.core import UNCLAIMED_SECS, ServerCore, Stage
from sccachedist.wire.archive_id import ArchiveId
from sccachedist.wire.messages import AssignJobResult, JobId, JobState

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
