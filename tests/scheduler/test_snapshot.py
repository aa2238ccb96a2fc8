"""What is read of a scheduler without a look at everything, or some at a time."""

import pytest

from sccachedist.budgets import Party
from sccachedist.job_phases import JobPhase
from sccachedist.scheduler.core import SchedulerCore
from sccachedist.scheduler.event_counts import EventCounts
from sccachedist.scheduler.events import (
    Asked,
    Departure,
    Fault,
    JobAdopted,
    JobAllocated,
    JobEnd,
    JobEnded,
    JobStarted,
    ServerAsked,
    ServerAvoided,
    ServerDrained,
    ServerJoined,
    ServerLeft,
    SlotLent,
)
from sccachedist.wire.extension import Availability, Health, ServerReport
from sccachedist.wire.messages import JobId
from tests.scheduler.farms import CLANG, FIRST_JOB, GCC, SERVERS, A, B, C, farm, heartbeat, job_in


def test_totals() -> None:
    """Jobs are counted by their phases, with what else is known at once."""
    core = farm(8, 8)
    core.heartbeat(A, heartbeat(8), 0.0, ServerReport(1, 5, Availability.OPEN, (), (GCC, CLANG)))
    for phase in (JobPhase.RESERVED, JobPhase.STARTED, JobPhase.STARTED):
        job_in(phase, core)
    totals = core.views.totals(5)
    assert (totals.cpus, totals.waiting, totals.toolchains) == (16, 5, 2)
    assert {phase: count for phase, count in totals.phases.items() if count} == {
        JobPhase.RESERVED: 1,
        JobPhase.STARTED: 2,
    }
    assert core.status().in_progress == 2
    assert (core.views.has_given_out(FIRST_JOB), core.views.has_given_out(JobId(FIRST_JOB - 1))) == (True, False)


def test_toolchains_one_by_one() -> None:
    """One that has gone since the first was looked at is passed over."""
    core = farm(8)
    core.heartbeat(A, heartbeat(8), 0.0, ServerReport(1, 5, Availability.OPEN, (), (GCC, CLANG)))
    views = core.views.toolchains()
    assert next(views).servers == (A,)
    core.heartbeat(A, heartbeat(8), 1.0, ServerReport(2, 5, Availability.OPEN, (), ()))
    assert list(views) == []


def test_jobs_of_a_client() -> None:
    """They are counted for each party, and for all parties of an account together."""
    core = farm(8)
    for party in ("ann@10.0.0.1", "ann@10.0.0.2", "bob@10.0.0.1"):
        core.reserve(0.0, client=Party(party))
    assert [core.views.held(client) for client in ("ann", "ann@10.0.0.2", "bob", "eve")] == [2, 1, 1, 0]


@pytest.mark.parametrize(
    ("report", "state"),
    [
        (None, "open"),
        (ServerReport(1, 5, Availability.OPEN, (), (), metrics_port=7), "open"),
        (ServerReport(1, 5, Availability.DRAINING, (), ()), "draining"),
        (ServerReport(1, 5, Availability.DRAINING, (), (), health=Health("a disk")), "unfit"),
    ],
)
def test_states(report: ServerReport | None, state: str) -> None:
    """A build server is in one state, by what it says of itself."""
    core = SchedulerCore(JobId(0))
    core.heartbeat(A, heartbeat(1), 0.0, report)
    ((shown,),) = core.views.servers(10, lambda: 0.0)
    assert shown.state == state
    assert shown.metrics_port == (report.metrics_port if report else 0)


def test_full_and_avoided() -> None:
    """It is full without a free slot, and avoided for a while after it has not taken a job."""
    core = farm(1)
    reserved = core.reserve(0.0)
    core.release(reserved, 0.0, failed=True)
    assert [server.state for some in core.views.servers(10, lambda: 0.0) for server in some] == ["avoided"]
    core = farm(1)
    while core.placement.has_room():
        core.reserve(0.0)
    assert [server.state for some in core.views.servers(10, lambda: 0.0) for server in some] == ["full"]


def test_some_at_a_time() -> None:
    """Servers that come and go meanwhile do not matter: those are shown that were there and still are."""
    core, now = farm(1, 1, 1), [0.0]
    shown = core.views.servers(2, lambda: now[0])
    assert [server.server_id for server in next(shown)] == [A, B]
    now[0] = 1000.0
    core.expire(now[0])
    core.heartbeat(A, heartbeat(), 1000.0)
    assert list(shown) == [()]
    assert [server.seen_secs for some in core.views.servers(1, lambda: 1001.0) for server in some] == [1.0]
    assert SERVERS == (A, B, C)


def test_events_are_counted() -> None:
    """Each kind of event, those with a reason by that; a wait is told when its job is over."""
    waits: list[float] = []
    answers: list[float] = []
    counts, ann = EventCounts(waited=waits.append, answered=answers.append), Party("ann")

    def ended(how: JobEnd, client: Party | None = ann) -> JobEnded:
        return JobEnded(20.0, JobId(7), A, client, GCC, how, {JobPhase.RESERVED: 10.0, JobPhase.READY: 11.0}, asked=4.0)

    for event in (
        ServerJoined(0.0, A, 8, True),
        JobAllocated(11.0, JobId(7), A, ann, GCC),
        JobAllocated(11.0, JobId(8), A, ann, GCC),
        ServerAsked(11.0, A, 0.5, Asked.TAKEN),
        ServerAsked(11.0, B, 10.0, Asked.UNREACHED),
        JobStarted(12.0, JobId(7), A),
        SlotLent(12.0, JobId(7), A),
        ended(JobEnd.COMPLETE),
        ended(JobEnd.NOT_TAKEN),
        ended(JobEnd.LOST, None),
        JobAdopted(21.0, JobId(8), A),
        ServerAvoided(21.0, A, 30.0, Fault.NOT_TAKEN),
        ServerDrained(22.0, A, True, True),
        ServerLeft(22.0, A, Departure.GONE),
    ):
        counts(event)
        EventCounts()(event)
    assert (counts.allocated, counts.adopted, counts.joined, counts.lent) == (2, 1, 1, 1)
    assert counts.assignments == {"presumed": 1, "taken": 1, "unreached": 1}
    assert counts.ended == {JobEnd.COMPLETE: 1, JobEnd.NOT_TAKEN: 1, JobEnd.LOST: 1}
    assert (counts.left, counts.avoided) == ({Departure.GONE: 1}, {Fault.NOT_TAKEN: 1})
    assert (waits, answers) == ([6.0], [0.5, 10.0])
