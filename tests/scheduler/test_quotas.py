"""``max_slots``: a client has no more jobs at a time, waits for one of its own to end, and is told why it got none."""

from typing import Any

import attrs
import pytest
from twisted.internet.defer import Deferred
from twisted.internet.task import Clock

from farmkit.deferreds import outcome, pending
from farmkit.fakes import FakeBuildServers
from sccachedist.budgets import Party
from sccachedist.config import QueueSettings
from sccachedist.config.clients import ClientSettings
from sccachedist.errors import PeerError
from sccachedist.outcomes import Refusal
from sccachedist.scheduler.core import SchedulerCore
from sccachedist.scheduler.events import Event, RequestRefused
from sccachedist.scheduler.job_tokens import JobTokens
from sccachedist.scheduler.standings import Standings
from sccachedist.scheduler.term import Term
from sccachedist.wire.extension import JobStates
from sccachedist.wire.messages import AllocJobFail, AllocJobSuccess, JobId, JobState, Toolchain
from tests.scheduler.farms import FIRST_JOB, GCC, A, B, Ours, assigned, farm, heartbeat

ANN, ANN_TOO, BOB = Party("ann@10.0.0.1"), Party("ann@10.0.0.2"), Party("bob@10.0.0.1")


@attrs.define
class Scheduler:
    """Ann may have two slots, anyone else all that two build servers have: 9."""

    max_wait_secs: int = 60
    core: SchedulerCore = attrs.field(factory=lambda: farm(3, 5))
    clock: Clock = attrs.field(factory=Clock)
    servers: FakeBuildServers = attrs.field(factory=FakeBuildServers)
    told: list[Event] = attrs.field(factory=list)
    standings: Standings = attrs.field(factory=lambda: Standings({"ann": ClientSettings(max_slots=2)}))
    term: Term = attrs.field(init=False)

    def __attrs_post_init__(self) -> None:
        waiting, tokens = QueueSettings(self.max_wait_secs, 20), JobTokens(self.clock.seconds)
        observers = [self.told.append]
        self.term = Term(self.core, self.servers, waiting, self.clock, tokens, observers, self.standings.of)

    def place(self, client: Party = ANN) -> Deferred[Any]:
        return Deferred.fromCoroutine(self.term.place(client, Toolchain(GCC), self.clock.seconds()))

    def answer(self) -> None:
        """All build servers that are asked take the job."""
        for server in tuple(self.servers.assignments.waiting):
            self.servers.assignments.answer(server, assigned())

    def take(self, client: Party = ANN) -> JobId:
        """A job whose client has not come yet."""
        placed = self.place(client)
        self.answer()
        return job_of(placed)

    def run(self, client: Party = ANN) -> JobId:
        """A job that runs."""
        job = self.take(client)
        self.say(job, JobState.STARTED)
        return job

    def say(self, job: JobId, state: JobState) -> None:
        (view,) = self.core.views.of_jobs([job], 0.0)
        self.term.update(view.server_id, job, state)

    def refusal(self, placed: Deferred[Any]) -> tuple[Refusal, str]:
        failed = outcome(placed)
        assert isinstance(failed, AllocJobFail), failed
        refused = self.told[-1]
        assert isinstance(refused, RequestRefused)
        return refused.refusal, failed.msg


def job_of(placed: Deferred[Any]) -> JobId:
    success = outcome(placed)
    assert isinstance(success, AllocJobSuccess), success
    return success.job_alloc.job_id


def test_it_waits_for_its_own_jobs() -> None:
    """Though slots are free, and others have them at once; the end of another's job is no end of its own."""
    scheduler = Scheduler()
    first, _ = scheduler.run(), scheduler.run(ANN_TOO)
    third, fourth = scheduler.place(), scheduler.place(ANN_TOO)
    of_bob = scheduler.run(BOB)
    scheduler.say(of_bob, JobState.COMPLETE)
    assert pending(third)
    scheduler.say(first, JobState.COMPLETE)
    scheduler.answer()
    assert job_of(third)
    assert pending(fourth)
    assert (scheduler.core.views.held("ann"), scheduler.core.views.held(ANN)) == (2, 1)


def test_too_long() -> None:
    """It is told after ``max_wait_secs`` which limit that was."""
    scheduler = Scheduler()
    scheduler.run()
    scheduler.run()
    third = scheduler.place()
    scheduler.clock.advance(60.0)
    word, said = scheduler.refusal(third)
    assert word is Refusal.QUOTA
    assert said == "the client held all 2 slots that it may hold for 60 seconds (limit: max_slots of the client)"


def test_without_a_queue() -> None:
    """It is told at once."""
    scheduler = Scheduler(max_wait_secs=0)
    scheduler.run()
    scheduler.run()
    assert scheduler.refusal(scheduler.place())[0] is Refusal.QUOTA
    assert scheduler.run(BOB)


def test_a_full_farm() -> None:
    """Where its maximum is not what it waits for, it hears of the farm."""
    scheduler = Scheduler(core=farm(2))
    for _ in range(3):
        scheduler.run(BOB)
    waits = scheduler.place()
    scheduler.clock.advance(60.0)
    assert scheduler.refusal(waits)[0] is Refusal.QUEUE_TIMEOUT


@pytest.mark.parametrize("also_waits", [False, True])
def test_another_try(also_waits: bool) -> None:
    """A request whose build server refuses takes no slot beyond the maximum, if another one has had it meanwhile."""
    scheduler = Scheduler()
    scheduler.run()
    second = scheduler.place()
    others = [scheduler.place() for _ in range(also_waits)]
    (asked,) = scheduler.servers.assignments.waiting
    scheduler.servers.assignments.answer(asked, PeerError("status 500", status=500))
    assert scheduler.core.views.held("ann") == 2
    scheduler.answer()
    assert (pending(second), [pending(other) for other in others]) == (also_waits, [False] * also_waits)


def test_its_build_server_goes() -> None:
    """The jobs that are lost with it count no longer."""
    scheduler = Scheduler(max_wait_secs=100)
    scheduler.run()
    scheduler.run()
    third = scheduler.place()
    scheduler.clock.advance(50.0)
    scheduler.core.heartbeat(A, heartbeat(3), 50.0)
    scheduler.clock.advance(45.0)
    scheduler.term.expire()
    assert not scheduler.core.views.of_servers([B], 95.0)
    scheduler.answer()
    assert job_of(third)


def let_go_by(whose: Party) -> tuple[Scheduler, Ours, JobId]:
    """A scheduler that has dropped a job for which its client did not come, the build server, and the job."""
    scheduler = Scheduler(core=SchedulerCore(FIRST_JOB))
    ours = Ours(scheduler.core)
    ours.beat(ours.report())
    late = scheduler.take(whose)
    scheduler.clock.advance(9.0)
    scheduler.term.expire()
    return scheduler, ours, late


@pytest.mark.parametrize(("whose", "others", "is_ended"), [(ANN, 2, True), (ANN, 1, False), (BOB, 2, False)])
def test_it_comes_late(whose: Party, others: int, is_ended: bool) -> None:
    """A job that was dropped, for its client did not come, is its client's again; it ends if others have its place."""
    scheduler, ours, late = let_go_by(whose)
    assert scheduler.core.views.held(whose) == 0
    jobs = [late, *(scheduler.run(whose) for _ in range(others))]
    scheduler.term.job_states(A, JobStates(1, ours.number + 1, ((late, JobState.STARTED),)))
    assert scheduler.core.views.held(whose) == len(jobs)
    assert [job.unwanted for _, job in scheduler.core.interventions.jobs()].count(True) == is_ended
    assert scheduler.core.interventions.job(late).unwanted is is_ended
    assert not scheduler.core._slots._shares._of_new.used


def test_another_server_has_it() -> None:
    """What a build server says of a job that was another's counts for no client."""
    scheduler, _, late = let_go_by(ANN)
    liar = Ours(scheduler.core, B)
    liar.beat(liar.report(), 9.0)
    scheduler.term.job_states(B, JobStates(1, 2, ((late, JobState.STARTED),)))
    assert scheduler.core.views.of_jobs([late], 9.0)[0].client is None
    assert scheduler.core.views.held("ann") == 0


def test_another_maximum() -> None:
    """It holds at once for those who wait."""
    scheduler = Scheduler()
    scheduler.run()
    scheduler.run()
    third = scheduler.place()
    scheduler.standings.replace({"ann": ClientSettings(max_slots=3)})
    scheduler.term.renew_standings()
    scheduler.answer()
    assert job_of(third)
