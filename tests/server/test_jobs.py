"""The life of a build server's jobs, rule by rule."""

from collections.abc import Callable

import pytest

from sccachedist.errors import BadTransition, UnknownJob
from sccachedist.job_phases import JobPhase
from sccachedist.server.jobs import UNCLAIMED_SECS, ServerCore
from sccachedist.wire.archive_id import ArchiveId
from sccachedist.wire.extension import Availability
from sccachedist.wire.messages import AssignJobResult, JobState
from tests.server.cores import CLANG, GCC, JOB, OTHER_JOB, PENDING, READY, STAGES, open_core, with_job


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


def test_states() -> None:
    """A build server says in a word whether it takes jobs, and why not."""
    core = ServerCore()
    seen = [(core.state, core.unready)]
    for change in (
        core.open,
        lambda: core.drain(True),
        lambda: setattr(core, "unfit", "the disk is full"),
        core.leave,
    ):
        change()
        seen.append((core.state, core.unready))
    assert seen == [
        ("starting", "it is starting"),
        ("open", ""),
        ("drained", "it is drained"),
        ("unfit", "it is unfit for jobs: the disk is full"),
        ("leaving", "it is shutting down"),
    ]


def test_counts() -> None:
    """Jobs are counted by phase, and by whether they found their toolchain."""
    core = with_job("claimed")
    core.assign(OTHER_JOB, CLANG, present=False, now=0.0)
    assert core.phases == {JobPhase.STARTED: 1, JobPhase.PENDING: 1}
    assert sum(core.arrived.values()) == 2


def test_life_of_a_job() -> None:
    """A job is assigned, gets its toolchain, is claimed, runs and is forgotten."""
    core = with_job("uploads")
    assert core.toolchain_arrived(JOB, now=1.0)
    core.end_upload(JOB)
    assert core.running == 0
    assert core.claim(JOB, now=2.0) == GCC
    assert core.running == 1
    assert JOB in core
    assert core.drop(JOB)
    assert JOB not in core
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
    """A job that was not assigned is not there, even if others are."""
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


def test_unfit() -> None:
    """While it is unfit it accepts no job, and says why; clients that were sent here before may come."""
    core = with_job("ready")
    core.unfit = "the disk is full"
    assert core.availability is Availability.DRAINING
    with pytest.raises(BadTransition, match="this build server is unfit for jobs: the disk is full"):
        core.assign(OTHER_JOB, GCC, present=True, now=0.0)
    core.claim(JOB, now=0.0)
    core.unfit = ""
    core.assign(OTHER_JOB, GCC, present=True, now=0.0)


@pytest.mark.parametrize(
    ("slots", "untold", "unclaimed", "has_spare"),
    [
        (8, 0, 0, True),  # of one job, whose slot may be wanted by one more client
        (8, 2, 0, True),
        (8, 3, 0, False),
        (8, 0, 6, True),  # one job, and six clients that do not come
        (8, 0, 7, False),
        (8, 2, 5, False),
    ],
)
def test_spare_slots(slots: int, untold: int, unclaimed: int, *, has_spare: bool) -> None:
    core = with_job("waits")
    core.slots = slots
    assert core.has_spare(untold, unclaimed) is has_spare
