"""A scheduler's term: what its observers hear, and what a new term finds."""

from typing import Any

import attrs
import pytest
from twisted.internet.defer import Deferred
from twisted.internet.task import Clock

from farmkit.deferreds import outcome, pending
from farmkit.fakes import FakeBuildServers
from sccachedist.budgets import Party
from sccachedist.config import QueueSettings
from sccachedist.errors import DecidedElsewhere, PeerError
from sccachedist.scheduler.core import SchedulerCore
from sccachedist.scheduler.events import (
    Asked,
    Event,
    JobAllocated,
    JobEnd,
    JobEnded,
    LateSummary,
    RequestRefused,
    ServerAsked,
    ServerAvoided,
    ServerJoined,
)
from sccachedist.scheduler.job_tokens import JobTokens
from sccachedist.scheduler.term import Term, Terms
from sccachedist.wire.addresses import ServerId
from sccachedist.wire.bincode import decode
from sccachedist.wire.extension import Availability, JobStates, ServerReport
from sccachedist.wire.messages import (
    HEARTBEAT,
    AllocJobFail,
    AllocJobSuccess,
    AssignJobResult,
    HeartbeatResult,
    JobId,
    JobState,
    SchedulerStatus,
    Toolchain,
)
from tests.scheduler.farms import GCC, assigned
from tests.support.exchanges import exchange

SERVER = ServerId.parse("127.0.0.1:11502")
#: With 2 CPUs, and so with 3 slots.
HEARTBEAT_16 = decode(HEARTBEAT, exchange(16).body)
SLOTS = 3
CLIENT = Party("client")


@attrs.define
class Scheduler:
    """The terms of one scheduler; the ids of each term's jobs begin a thousand higher."""

    clock: Clock = attrs.field(factory=Clock)
    servers: FakeBuildServers = attrs.field(factory=FakeBuildServers)
    told: list[Event] = attrs.field(factory=list)
    begun: int = 0
    terms: Terms = attrs.field(init=False)
    number: int = 0

    def __attrs_post_init__(self) -> None:
        self.terms = Terms(self.begin)

    def begin(self) -> Term:
        self.begun += 1
        core, tokens = SchedulerCore(JobId(1000 * self.begun)), JobTokens(self.clock.seconds)
        return Term(core, self.servers, QueueSettings(60, 10), self.clock, tokens, [self.told.append])

    def beat(self, jobs: dict[JobId, JobState] | None = None) -> HeartbeatResult:
        """A heartbeat of our build server."""
        self.number += 1
        report = ServerReport(self.number, 5, Availability.OPEN, tuple((jobs or {}).items()), ())
        return self.terms.current.heartbeat(SERVER, HEARTBEAT_16, report)[0]

    def place(self) -> Deferred[Any]:
        return Deferred.fromCoroutine(self.terms.place(CLIENT, Toolchain(GCC)))

    def fill(self) -> list[JobId]:
        """Take all slots of the build server, for jobs that run."""
        jobs = []
        for _ in range(SLOTS):
            placed = self.place()
            if self.servers.assignments.waiting:  # the first one only: it is ours
                self.servers.assignments.answer(SERVER, assigned())
            jobs.append(job_of(placed))
            self.says({jobs[-1]: JobState.STARTED})
        return jobs

    def says(self, states: dict[JobId, JobState]) -> None:
        self.number += 1
        said = JobStates(HEARTBEAT_16.server_nonce, self.number, tuple(states.items()))
        self.terms.current.job_states(SERVER, said)


@pytest.fixture
def scheduler() -> Scheduler:
    scheduler = Scheduler()
    assert scheduler.beat() == HeartbeatResult(is_new=True)
    return scheduler


def job_of(placed: Deferred[Any]) -> JobId:
    success = outcome(placed)
    assert isinstance(success, AllocJobSuccess), success
    return success.job_alloc.job_id


def test_observed(scheduler: Scheduler) -> None:
    """Observers hear of each event once, in order, whichever call has caused it: a request's or an allocation's."""
    refused = scheduler.place()
    scheduler.servers.assignments.answer(SERVER, PeerError("status 500", status=500))
    assert [type(event) for event in scheduler.told] == [
        ServerJoined,
        ServerAsked,
        JobEnded,
        ServerAvoided,
        RequestRefused,
    ]
    assert pending(refused) or isinstance(outcome(refused), AllocJobFail)
    scheduler.told.clear()
    scheduler.clock.advance(11)  # its backoff is over
    scheduler.terms.current.expire()
    placed = scheduler.place()
    scheduler.servers.assignments.answer(SERVER, assigned())
    job = job_of(placed)
    scheduler.says({job: JobState.COMPLETE})
    allocated, asked, ended = scheduler.told
    assert asked == ServerAsked(11.0, SERVER, 0.0, Asked.TAKEN)
    assert isinstance(allocated, JobAllocated)
    assert isinstance(ended, JobEnded)
    assert (allocated.job_id, ended.job_id, ended.how) == (job, job, JobEnd.COMPLETE)


@pytest.mark.parametrize(
    ("answer", "told"),
    [
        (PeerError("status 500", status=500), Asked.REFUSED),
        (PeerError("refused the connection"), Asked.UNREACHED),
        (assigned(JobState.STARTED), Asked.REFUSED),
        (assigned(), Asked.TAKEN),
    ],
)
def test_what_came_of_asking(scheduler: Scheduler, answer: AssignJobResult | PeerError, told: Asked) -> None:
    """Each question to a build server is told once, with how long it took."""
    scheduler.place()
    scheduler.clock.advance(1.5)
    scheduler.servers.assignments.answer(SERVER, answer)
    asked = [event for event in scheduler.told if isinstance(event, ServerAsked)]
    assert asked == [ServerAsked(1.5, SERVER, 1.5, told)]


def test_one_that_has_proven_itself(scheduler: Scheduler) -> None:
    """It is not asked again."""
    scheduler.fill()
    assert sum(isinstance(event, JobAllocated) for event in scheduler.told) == SLOTS
    assert sum(isinstance(event, ServerAsked) for event in scheduler.told) == 1


def test_a_client_that_goes(scheduler: Scheduler) -> None:
    """What a build server would have answered is not known."""
    placed = scheduler.place()
    placed.addErrback(lambda _: None)
    placed.cancel()
    assert not [event for event in scheduler.told if isinstance(event, ServerAsked)]


def test_told_after_a_heartbeat(scheduler: Scheduler) -> None:
    """What a build server tells of a job reaches observers also if a heartbeat has dropped the job before."""
    job, other, *_ = scheduler.fill()
    scheduler.beat({other: JobState.STARTED})
    scheduler.told.clear()
    states, summaries = ((other, JobState.COMPLETE),), ((other, b"x"), (job, b"y"))
    said = JobStates(HEARTBEAT_16.server_nonce, scheduler.number + 1, states, summaries)
    scheduler.terms.current.job_states(SERVER, said)
    ended, late = scheduler.told
    assert isinstance(ended, JobEnded)
    assert (ended.job_id, ended.summary) == (other, b"x")
    assert late == LateSummary(0.0, job, SERVER, b"y")


def test_a_slot_is_given_in_one_step(scheduler: Scheduler) -> None:
    """A client whose turn has come has its slot, even if another one asks before it goes on."""
    jobs = scheduler.fill()
    waiting = scheduler.place()
    assert scheduler.terms.current.snapshot().waiting == 1
    others: list[Deferred[Any]] = []
    scheduler.terms.current._observers = [lambda event: others.append(scheduler.place()), scheduler.told.append]
    scheduler.says({jobs[0]: JobState.COMPLETE})  # an observer that is as greedy as can be
    assert job_of(waiting)
    assert all(map(pending, others))


def test_a_new_term_serves_who_waits(scheduler: Scheduler) -> None:
    """A client that waits when the term ends is not refused: it waits on, and gets a slot in the new term."""
    scheduler.fill()
    waiting = scheduler.place()
    scheduler.terms.renew()
    assert scheduler.terms.current.status() == SchedulerStatus(0, 0, 0)
    assert pending(waiting)  # the new term knows no build server yet
    scheduler.beat()
    scheduler.servers.assignments.answer(SERVER, assigned())
    assert job_of(waiting) == JobId(2000)


def test_another_scheduler_decides(scheduler: Scheduler) -> None:
    """A client that waits when another scheduler comes to decide is not refused: it is told to ask there."""
    scheduler.fill()
    waiting = scheduler.place()
    told = len(scheduler.told)
    scheduler.terms.resign()
    assert isinstance(outcome(waiting), DecidedElsewhere)
    assert (len(scheduler.told), scheduler.terms.current.status()) == (told, SchedulerStatus(0, 0, 0))
    late = scheduler.place()  # its token was being checked meanwhile
    assert isinstance(outcome(late), DecidedElsewhere)
    assert scheduler.clock.getDelayedCalls() == []
    scheduler.terms.renew()
    assert pending(scheduler.place())


def test_a_new_term_learns_of_running_jobs(scheduler: Scheduler) -> None:
    """Our build server's next heartbeat tells the new term of its jobs, so that no slot is given twice."""
    jobs = scheduler.fill()
    scheduler.terms.renew()
    assert scheduler.beat(dict.fromkeys(jobs, JobState.STARTED)) == HeartbeatResult(is_new=True)
    assert scheduler.terms.current.status() == SchedulerStatus(1, 2, SLOTS)
    waiting = scheduler.place()
    assert pending(waiting)
    scheduler.says({jobs[0]: JobState.COMPLETE})
    scheduler.servers.assignments.answer(SERVER, assigned())
    assert job_of(waiting) == JobId(2000)


def test_a_term_ends_while_a_build_server_is_asked(scheduler: Scheduler) -> None:
    """An allocation that has its slot is completed, although its term has ended meanwhile."""
    asked = scheduler.place()
    scheduler.terms.renew()
    scheduler.servers.assignments.answer(SERVER, assigned())
    assert job_of(asked) == JobId(1000)
    assert scheduler.clock.getDelayedCalls() == []


def test_a_build_server_refuses_when_the_term_has_ended(scheduler: Scheduler) -> None:
    """A client whose build server does not take the job after all goes on in the new term, not in the old one."""
    asked = scheduler.place()
    scheduler.terms.renew()
    scheduler.beat()
    scheduler.servers.assignments.answer(SERVER, PeerError("no answer"))
    scheduler.servers.assignments.answer(SERVER, assigned())
    assert job_of(asked) == JobId(2000)


def test_waiting_passes_from_term_to_term(scheduler: Scheduler) -> None:
    """Terms that end one after the other pass a client on each time, and leave no timer behind."""
    jobs = scheduler.fill()
    running = dict.fromkeys(jobs, JobState.STARTED)
    begin = scheduler.terms._begin

    def begin_with_the_server() -> Term:
        term = begin()
        scheduler.number += 1
        report = ServerReport(scheduler.number, 5, Availability.OPEN, tuple(running.items()), ())
        term.heartbeat(SERVER, HEARTBEAT_16, report)
        return term

    scheduler.terms._begin = begin_with_the_server
    waiting = scheduler.place()
    for _ in range(3):
        scheduler.terms.renew()
        assert pending(waiting)
        assert scheduler.terms.current.snapshot().waiting == 1
    scheduler.terms.stop()
    fail = outcome(waiting)
    assert isinstance(fail, AllocJobFail)
    assert fail.msg == "the scheduler stops"
    assert scheduler.clock.getDelayedCalls() == []
