"""The life of a job at its scheduler, from its reservation on, rule by rule."""

from collections.abc import Callable

import pytest

from sccachedist.errors import BadTransition, UnknownJob, UnknownServer
from sccachedist.job_phases import JobPhase
from sccachedist.scheduler.core import SchedulerCore
from sccachedist.wire.messages import JobId, JobState
from tests.scheduler.farms import FIRST_JOB, A, B, Expired, assigned, expired, farm, free_slots, heartbeat, job_in

# -- reservations --


@pytest.mark.parametrize("state", [JobState.PENDING, JobState.READY])
def test_confirmed(state: JobState) -> None:
    """A job is in progress when its build server has taken it, not before."""
    core = farm(2)
    reserved = core.reserve(now=0.0)
    assert core.status().in_progress == 0
    core.confirm(reserved, assigned(state), now=1.0)
    assert (core.status().in_progress, free_slots(core)) == (1, 2)


def test_released() -> None:
    """A job that will not be gives its slot back, once."""
    core = farm(2)
    reserved = core.reserve(now=0.0)
    for _ in range(2):
        core.release(reserved, now=0.0, failed=False)
    assert free_slots(core) == 3


@pytest.mark.parametrize("state", [JobState.STARTED, JobState.COMPLETE])
def test_impossible_assignment(state: JobState) -> None:
    """A build server that says that a new job runs or has ended loses it, and its good name."""
    core = farm(2, 2)
    reserved = core.reserve(now=0.0)
    with pytest.raises(BadTransition, match=f"a new job is {state.name}"):
        core.confirm(reserved, assigned(state), now=0.0)
    core.release(reserved, now=0.0, failed=True)
    assert (core.status().in_progress, free_slots(core)) == (0, 6)
    assert core.reserve(now=0.0).server_id == B


def drop(core: SchedulerCore) -> float:
    core.expire(now=91.0)
    return 91.0


def drop_and_return(core: SchedulerCore) -> float:
    core.heartbeat(A, heartbeat(), now=drop(core))
    return 91.0


def replace(core: SchedulerCore) -> float:
    core.heartbeat(A, heartbeat(nonce=2), now=1.0)
    return 1.0


def never_answer(core: SchedulerCore) -> float:
    for now in (80.0, 160.0, 240.0, 300.0):
        core.heartbeat(A, heartbeat(), now)
    assert expired(core, 300.0) == Expired((), ())
    assert expired(core, 300.1) == Expired((), (FIRST_JOB,))
    return 300.1


@pytest.mark.parametrize("happens", [drop, drop_and_return, replace, never_answer])
def test_server_goes_away_during_an_allocation(happens: Callable[[SchedulerCore], float]) -> None:
    """An allocation that its build server did not live to see is neither confirmed nor held against the next one."""
    core = farm(2)
    reserved = core.reserve(now=0.0)
    now = happens(core)
    with pytest.raises(UnknownServer, match="went away during an allocation"):
        core.confirm(reserved, assigned(), now)
    core.release(reserved, now, failed=True)
    core.heartbeat(B, heartbeat(), now)
    core.heartbeat(A, heartbeat(nonce=2), now)
    assert (core.status().in_progress, free_slots(core, now)) == (0, 6)
    assert {core.reserve(now).server_id, core.reserve(now).server_id} == {A, B}


def test_keys_stay_secret() -> None:
    """What may get into a log does not hold a job key."""
    core = farm(2)
    assert "job key" not in f"{core.reserve(now=0.0)} {heartbeat()}"


# -- jobs --


@pytest.mark.parametrize("phase", JobPhase)
@pytest.mark.parametrize("state", JobState)
def test_steps(phase: JobPhase, state: JobState) -> None:
    """A report moves a job forward, over what was lost too; one that comes late changes nothing."""
    core = farm(2)
    job = job_in(phase, core)
    if phase is JobPhase.RESERVED or state is JobState.PENDING:
        with pytest.raises(BadTransition, match=f"Job 7 cannot go from {phase.name} to {state.name}"):
            core.update(job.job_id, A, state, now=50.0)
        assert expired(core, 90.1).servers == (A,)
        return
    core.update(job.job_id, A, state, now=50.0)
    assert free_slots(core) == (3 if state is JobState.COMPLETE else 2)
    started = phase is JobPhase.STARTED or state is JobState.STARTED
    assert expired(core, 111.0) == Expired((), () if started or state is JobState.COMPLETE else (job.job_id,))


def test_life_of_a_job() -> None:
    """Each report of a job may come again and may find it where it was; when it is complete, its slot is free."""
    core = farm(2)
    job = job_in(JobPhase.PENDING, core)
    for state in (JobState.READY, JobState.STARTED):
        for _ in range(2):
            core.update(job.job_id, A, state, now=1.0)
            assert (core.status().in_progress, free_slots(core)) == (1, 2)
    for _ in range(2):
        core.update(job.job_id, A, JobState.COMPLETE, now=2.0)
        assert (core.status().in_progress, free_slots(core)) == (0, 3)


@pytest.mark.parametrize("state", JobState)
@pytest.mark.parametrize("phase", JobPhase)
def test_job_of_another_server(phase: JobPhase, state: JobState) -> None:
    """No build server moves another one's job, nor lives longer by trying."""
    core = farm(2, 2)
    job = job_in(phase, core)
    before = core.status(), free_slots(core)
    with pytest.raises(UnknownJob, match=r"Job 7 is not a job of build server 127\.0\.0\.2:10501"):
        core.update(job.job_id, B, state, now=50.0)
    assert (core.status(), free_slots(core)) == before
    assert expired(core, 90.1).servers == (A, B)


@pytest.mark.parametrize("state", JobState)
def test_unknown_job(state: JobState) -> None:
    """Of a job that is not there any more it is good to hear that it is complete, and nothing else."""
    core = farm(2)
    job_id = job_in(JobPhase.STARTED, core).job_id
    core.update(job_id, A, JobState.COMPLETE, now=0.0)
    if state is JobState.COMPLETE:
        core.update(job_id, A, state, now=0.0)
    else:
        with pytest.raises(UnknownJob, match="Unknown job"):
            core.update(job_id, A, state, now=0.0)
    assert (core.status().in_progress, free_slots(core)) == (0, 3)


@pytest.mark.parametrize("state", JobState)
def test_job_of_another_scheduler(state: JobState) -> None:
    """What a build server says of a job that another scheduler gave out, or an earlier run, has no effect."""
    core = SchedulerCore(JobId(1000), job_step=10)
    core.heartbeat(A, heartbeat(cpus=2), now=0.0)
    job_in(JobPhase.STARTED, core)
    core.update(job_in(JobPhase.STARTED, core).job_id, A, JobState.COMPLETE, now=0.0)
    before = core.status(), free_slots(core)
    for job_id in (990, 1005, 9000):
        core.update(JobId(job_id), A, state, now=0.0)
    assert (core.status(), free_slots(core)) == before


@pytest.mark.parametrize(
    ("phase", "seconds"), [(JobPhase.RESERVED, 300.0), (JobPhase.PENDING, 300.0), (JobPhase.READY, 60.0)]
)
def test_unclaimed(phase: JobPhase, seconds: float) -> None:
    """A job that its client does not come for gives its slot back by itself."""
    core = farm(2)
    job = job_in(phase, core, now=1000.0)
    core.heartbeat(A, heartbeat(), now=1000.0 + seconds)
    assert expired(core, 1000.0 + seconds) == Expired((), ())
    assert expired(core, 1000.1 + seconds) == Expired((), (job.job_id,))
    assert (core.status().in_progress, free_slots(core)) == (0, 3)


def test_slow_assignment() -> None:
    """The time that a build server takes to answer does not count as its client's."""
    core = farm(2)
    reserved = core.reserve(now=0.0)
    core.confirm(reserved, assigned(JobState.READY), now=20.0)
    assert expired(core, 80.0) == Expired((), ())
    assert expired(core, 80.1) == Expired((), (reserved.job_id,))


@pytest.mark.field(15)
def test_long_upload() -> None:
    """An upload may take its time: a job has as long as any other for its next step when it is there."""
    core = farm(2)
    job = job_in(JobPhase.PENDING, core)
    for now in (80.0, 160.0, 240.0, 290.0):
        core.heartbeat(A, heartbeat(), now)
        assert expired(core, now) == Expired((), ())
    core.update(job.job_id, A, JobState.READY, now=290.0)
    core.update(job.job_id, A, JobState.READY, now=340.0)
    assert expired(core, 350.0) == Expired((), ())
    assert expired(core, 350.1) == Expired((), (job.job_id,))


def test_long_compile() -> None:
    """A compile may take as long as its client waits; a published server's lost Complete costs no slot after that."""
    core = farm(2)
    job = job_in(JobPhase.STARTED, core)
    for now in range(0, 1201, 30):
        core.heartbeat(A, heartbeat(), float(now))
        assert expired(core, float(now)) == Expired((), ())
    assert expired(core, 1200.1) == Expired((), (job.job_id,))


# -- job ids --


def test_job_ids_are_never_used_again() -> None:
    """Each try of each allocation has an id of its own, whatever became of the ones before."""
    core = farm(2)
    ids = [job_in(JobPhase.READY, core).job_id]
    for failed in (True, False):
        reserved = core.reserve(now=0.0)
        core.release(reserved, now=0.0, failed=failed)
        ids.append(reserved.job_id)
    core.heartbeat(A, heartbeat(nonce=2), now=0.0)
    ids.append(core.reserve(now=0.0).job_id)
    assert ids == [7, 8, 9, 10]
