"""What a scheduler's core says that happened, and what it shows of itself."""

from collections.abc import Callable

import pytest

from sccachedist.budgets import Party
from sccachedist.job_phases import JobPhase
from sccachedist.scheduler.core import SchedulerCore
from sccachedist.scheduler.events import (
    Departure,
    Event,
    Fault,
    JobAdopted,
    JobAllocated,
    JobEnd,
    JobEnded,
    JobStarted,
    ServerAvoided,
    ServerDrained,
    ServerJoined,
    ServerLeft,
    SlotLent,
)
from sccachedist.scheduler.out_of_service import Drain
from sccachedist.scheduler.shares import HOLD_SECS
from sccachedist.scheduler.snapshot import ClientView, JobView, ToolchainView
from sccachedist.wire.extension import Availability, ServerReport
from sccachedist.wire.job_summary import MOST_BYTES
from sccachedist.wire.messages import JobId, JobState
from tests.scheduler.farms import FIRST_JOB, GCC, A, B, Ours, assigned, heartbeat

ANN, BOB = Party("ann"), Party("bob")


def test_a_job_from_begin_to_end(core: SchedulerCore) -> None:
    """Each step is told once, and the end tells when each phase began."""
    assert core.heartbeat(A, heartbeat(cpus=4), 1.0) == (ServerJoined(1.0, A, 4, ours=False),)
    assert core.heartbeat(A, heartbeat(cpus=4), 2.0) == ()
    reserved = core.reserve(3.0, toolchain=GCC, client=ANN)
    allocated = (JobAllocated(4.0, FIRST_JOB, A, ANN, GCC),)
    assert core.confirm(reserved, assigned(JobState.PENDING), 4.0) == allocated
    assert core.update(FIRST_JOB, A, JobState.READY, 5.0) == ()
    assert core.update(FIRST_JOB, A, JobState.STARTED, 6.0) == (JobStarted(6.0, FIRST_JOB, A),)
    assert core.update(FIRST_JOB, A, JobState.STARTED, 6.5) == ()
    began = {JobPhase.RESERVED: 3.0, JobPhase.PENDING: 4.0, JobPhase.READY: 5.0, JobPhase.STARTED: 6.0}
    ended = JobEnded(7.0, FIRST_JOB, A, ANN, GCC, JobEnd.COMPLETE, began, asked=3.0)
    assert core.update(FIRST_JOB, A, JobState.COMPLETE, 7.0) == (ended,)
    assert core.update(FIRST_JOB, A, JobState.COMPLETE, 8.0) == ()


def test_phases_that_were_not_reported(core: SchedulerCore) -> None:
    """The begin of a phase that was not reported is not made up."""
    core.heartbeat(A, heartbeat(), 0.0)
    core.confirm(core.reserve(1.0), assigned(), 2.0)
    (ended,) = core.update(FIRST_JOB, A, JobState.COMPLETE, 3.0)
    assert isinstance(ended, JobEnded)
    assert dict(ended.began) == {JobPhase.RESERVED: 1.0, JobPhase.READY: 2.0}


def test_a_long_upload_is_one_phase(core: SchedulerCore, ours: Ours) -> None:
    """Signs of an upload put the job's time limit off, but not the begin of its phase."""
    job = ours.allocate(1.0).job_id
    for now in (2.0, 20.0):
        ours.says({job: JobState.PENDING}, now)
    (shown,) = core.snapshot({}, 25.0).jobs
    assert shown.began == {JobPhase.RESERVED: 24.0, JobPhase.PENDING: 24.0}


def not_taken(core: SchedulerCore) -> tuple[Event, ...]:
    return core.release(core.reserve(0.0), 50.0, failed=True)


def allocated_to_a_published_server(core: SchedulerCore) -> None:
    core.confirm(core.reserve(0.0), assigned(), 0.0)


def expired_job(core: SchedulerCore) -> tuple[Event, ...]:
    allocated_to_a_published_server(core)
    core.heartbeat(A, heartbeat(), 50.0)
    return core.expire(61.0)


def silent_server(core: SchedulerCore) -> tuple[Event, ...]:
    allocated_to_a_published_server(core)
    return core.expire(100.0)


def restarted_server(core: SchedulerCore) -> tuple[Event, ...]:
    allocated_to_a_published_server(core)
    return core.heartbeat(A, heartbeat(nonce=2), 50.0)


@pytest.mark.parametrize(
    ("happens", "how", "why"),
    [
        (not_taken, JobEnd.NOT_TAKEN, None),
        (expired_job, JobEnd.EXPIRED, None),
        (silent_server, JobEnd.SERVER_LEFT, Departure.SILENT),
        (restarted_server, JobEnd.SERVER_LEFT, Departure.REPLACED),
    ],
)
def test_ends(
    core: SchedulerCore, happens: Callable[[SchedulerCore], tuple[Event, ...]], how: JobEnd, why: Departure | None
) -> None:
    """Each end of a job has its reason, and so has each departure of a build server; the jobs end first."""
    core.heartbeat(A, heartbeat(), 0.0)
    events = happens(core)
    ends = [(place, event.how) for place, event in enumerate(events) if isinstance(event, JobEnded)]
    departures = [(place, event.why) for place, event in enumerate(events) if isinstance(event, ServerLeft)]
    assert [end for _, end in ends] == [how]
    assert [departure for _, departure in departures] == ([] if why is None else [why])
    assert not departures or ends[0][0] < departures[0][0]


def test_ours_ends_and_adopts(core: SchedulerCore, ours: Ours) -> None:
    """What a heartbeat of ours names and does not name is told: a lost job, an adopted one, and the server's end."""
    job = ours.allocate(1.0).job_id
    ours.says({job: JobState.STARTED}, now=2.0)
    events = ours.beat(ours.report({JobId(99): JobState.STARTED}), now=3.0)
    assert [type(event) for event in events] == [JobAdopted, JobEnded]
    assert isinstance(events[1], JobEnded)
    assert events[1].how is JobEnd.LOST
    gone = ServerReport(ours.number + 1, 5, Availability.GONE, (), ())
    ended, left = ours.beat(gone, now=4.0)
    assert isinstance(ended, JobEnded)
    assert (ended.job_id, ended.client, ended.how) == (JobId(99), None, JobEnd.SERVER_LEFT)
    assert left == ServerLeft(4.0, A, Departure.GONE)


def test_drained_avoided_and_lent(core: SchedulerCore) -> None:
    """What keeps jobs away from a build server is told, and when others may have a slot."""
    assert core.interventions.drain(A, Drain(), now=1.0) == (ServerDrained(1.0, A, drained=True, is_here=False, by=""),)
    core.heartbeat(A, heartbeat(), 2.0)
    assert core.interventions.drain(A, None, now=3.0) == (ServerDrained(3.0, A, drained=False, is_here=True),)
    assert ServerAvoided(4.0, A, 14.0, Fault.NOT_TAKEN) in core.release(core.reserve(4.0), 4.0, failed=True)
    job = core.reserve(20.0)
    core.confirm(job, assigned(), 20.0)
    assert core.lend(20.0 + HOLD_SECS + 0.1) == (SlotLent(20.0 + HOLD_SECS + 0.1, job.job_id, A),)


def test_when_it_was_asked(core: SchedulerCore) -> None:
    """The wait for a slot is part of a job's time; an adopted job has none."""
    core.heartbeat(A, heartbeat(), 0.0)
    core.confirm(core.reserve(5.0, asked=1.0), assigned(), 6.0)
    (ended,) = core.update(FIRST_JOB, A, JobState.COMPLETE, 7.0)
    assert isinstance(ended, JobEnded)
    assert (ended.asked, ended.began[JobPhase.RESERVED], ended.summary) == (1.0, 5.0, b"")


def test_summaries(core: SchedulerCore, ours: Ours) -> None:
    """What a build server tells of its job travels with the end; of another's job, or too much, it tells in vain."""
    first, second = (ours.allocate(1.0).job_id for _ in range(2))
    core.heartbeat(B, heartbeat(), 1.0)
    others = core.reserve(1.0)
    core.confirm(others, assigned(), 1.0)
    summaries = ((first, b"x" * MOST_BYTES), (second, b"x" * (MOST_BYTES + 1)), (others.job_id, b"y"))
    assert others.server_id == B
    events = ours.says(dict.fromkeys((first, second, others.job_id), JobState.COMPLETE), 2.0, summaries=summaries)
    ends = {event.job_id: event.summary for event in events if isinstance(event, JobEnded)}
    assert ends == {first: b"x" * MOST_BYTES, second: b""}
    assert core.status().in_progress == 1


def test_what_is_refused_causes_nothing(core: SchedulerCore, ours: Ours) -> None:
    """A call that raises an error leaves no events behind for the next call to return."""
    with pytest.raises(Exception, match="job key"):
        core.heartbeat(A, heartbeat(job_key=b"another"), 1.0, ours.report())
    with pytest.raises(Exception, match="heartbeat first"):
        ours.says({JobId(5): JobState.STARTED}, nonce=3)
    assert core.expire(1.0) == ()


def test_snapshot(core: SchedulerCore, ours: Ours) -> None:
    """Servers, jobs, clients that have jobs or wait, and who has which toolchain."""
    core.heartbeat(B, heartbeat(cpus=4), 1.0)
    core.interventions.drain(B, Drain(), now=1.0)
    ours.beat(ours.report({}, GCC), now=2.0)
    job = core.reserve(3.0, toolchain=GCC, client=ANN)
    assert job.presumed is not None
    core.confirm(job, job.presumed, 3.0)
    seen = core.snapshot({BOB: 2}, 10.0)
    first, second = seen.servers
    assert (first.server_id, first.ours, first.taken, first.is_open, first.toolchains) == (A, True, 1, True, 1)
    assert (first.up_secs, first.seen_secs, first.avoided_secs) == (10.0, 8.0, 0.0)
    assert (second.server_id, second.ours, second.num_cpus, second.slots) == (B, False, 4, 5)
    assert (second.is_open, second.drain, second.jobs) == (False, Drain(), 0)
    began = {JobPhase.RESERVED: 7.0, JobPhase.READY: 7.0}
    assert seen.jobs == (JobView(job.job_id, A, ANN, GCC, JobPhase.READY, began, lent=False),)
    assert seen.waiting == 2
    assert seen.clients == (ClientView(ANN, 1, 0), ClientView(BOB, 0, 2))
    assert seen.toolchains == (ToolchainView(GCC, (A,)),)
