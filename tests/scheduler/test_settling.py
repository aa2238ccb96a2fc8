"""Requests that come before a scheduler knows a build server: they wait if it has just begun to decide."""

from collections.abc import Callable
from typing import Any

import attrs
import pytest
from twisted.internet.defer import Deferred
from twisted.internet.task import Clock

from farmkit.deferreds import outcome, pending
from farmkit.fakes import FakeBuildServers
from sccachedist.budgets import Party
from sccachedist.config import QueueSettings, SchedulerLimits
from sccachedist.config.clients import ClientSettings
from sccachedist.outcomes import Refusal
from sccachedist.scheduler.allocation import LEAST_LOOK_SECS
from sccachedist.scheduler.events import Event, Events, JobAllocated, RequestRefused
from sccachedist.scheduler.farm_actions import Step
from sccachedist.scheduler.interventions import Interventions
from sccachedist.scheduler.job_tokens import JobTokens
from sccachedist.scheduler.out_of_service import Drain, Pause
from sccachedist.scheduler.standings import Standings
from sccachedist.scheduler.term import Term, Terms
from sccachedist.wire.addresses import ServerId
from sccachedist.wire.extension import Availability, ServerReport
from sccachedist.wire.messages import AllocJobFail, AllocJobSuccess, JobId, JobState, Toolchain
from tests.scheduler.farms import GCC, A, B, assigned, farm, heartbeat

ANN, BOB = Party("ann@10.0.0.1"), Party("bob@10.0.0.1")
#: When the process began, by its clock: a term's time counts from its own beginning.
START = 1000.0
SLOTS = 3
MOST_WAITING = 10


@attrs.define
class Scheduler:
    """One that has just begun, and knows no build server; a build server has 3 slots."""

    max_wait_secs: int = 60
    settle_secs: int = 10
    max_slots: int | None = None
    clock: Clock = attrs.field(factory=Clock)
    servers: FakeBuildServers = attrs.field(factory=FakeBuildServers)
    told: list[Event] = attrs.field(factory=list)
    terms: Terms = attrs.field(init=False)
    started: set[JobId] = attrs.field(factory=set)
    number: int = 0

    def __attrs_post_init__(self) -> None:
        self.clock.advance(START)
        self.terms = Terms(self.begin)

    def begin(self) -> Term:
        standings = Standings({"ann": ClientSettings(max_slots=self.max_slots)})
        waiting = QueueSettings(self.max_wait_secs, MOST_WAITING, self.settle_secs)
        tokens, told = JobTokens(self.clock.seconds), [self.told.append]
        return Term(farm(), self.servers, waiting, self.clock, tokens, told, standings.of)

    def place(self, client: Party = ANN, archive_id: str = GCC) -> Deferred[Any]:
        return Deferred.fromCoroutine(self.terms.place(client, Toolchain(archive_id)))

    def beat(self, server: ServerId = A, availability: Availability | None = Availability.OPEN, cpus: int = 2) -> None:
        """A heartbeat of a build server, of a published one without an availability."""
        self.number += 1
        report = None if availability is None else ServerReport(self.number, 5, availability, (), ())
        self.terms.current._follow(
            self.terms.current._core.heartbeat(server, heartbeat(cpus), self.clock.seconds(), report)
        )

    def perform(self, perform: Callable[[Interventions, float], Events]) -> None:
        self.terms.current.perform([Step("farm", "", perform=perform)])

    def serve(self) -> None:
        """Each build server that is asked takes the job, and its client comes at once."""
        while self.servers.assignments.waiting:
            self.servers.assignments.answer(self.servers.assignments.waiting[0], assigned())
            self.start()

    def start(self) -> None:
        for event in tuple(self.told):
            if isinstance(event, JobAllocated) and event.job_id not in self.started:
                self.started.add(event.job_id)
                self.terms.current.update(event.server_id, event.job_id, JobState.STARTED)

    @property
    def refusals(self) -> list[Refusal]:
        return [event.refusal for event in self.told if isinstance(event, RequestRefused)]


def served(placed: Deferred[Any]) -> bool:
    return not pending(placed) and isinstance(outcome(placed), AllocJobSuccess)


@pytest.mark.parametrize("max_wait_secs", [0, 3, 60])
@pytest.mark.parametrize("availability", [Availability.OPEN, None], ids=["ours", "published"])
def test_served_when_a_build_server_comes(max_wait_secs: int, availability: Availability | None) -> None:
    """At once, whatever ``queue.max_wait_secs`` says of slots."""
    scheduler = Scheduler(max_wait_secs)
    waiting = scheduler.place()
    scheduler.clock.advance(9.0)
    assert pending(waiting)
    assert scheduler.terms.current.settling_secs == 1.0
    scheduler.beat(availability=availability)
    assert scheduler.terms.current.settling_secs == 0.0
    scheduler.serve()
    assert served(waiting)


@pytest.mark.parametrize("max_wait_secs", [0, 3, 10, 60])
def test_not_longer_than_configured(max_wait_secs: int) -> None:
    """The time counts from the term's beginning: then all that wait are refused, and later ones at once."""
    scheduler = Scheduler(max_wait_secs)
    first = scheduler.place()
    scheduler.clock.advance(8.0)
    second = scheduler.place(BOB)
    assert pending(first)
    scheduler.clock.advance(2.0)
    scheduler.clock.advance(LEAST_LOOK_SECS)
    third = scheduler.place()
    for placed in (first, second, third):
        assert outcome(placed) == AllocJobFail("Insufficient capacity across 0 available servers")
    assert scheduler.refusals == [Refusal.NO_SERVERS] * 3
    assert scheduler.clock.getDelayedCalls() == []


def test_switched_off() -> None:
    """With 0 it is as with the published scheduler."""
    scheduler = Scheduler(settle_secs=0)
    assert isinstance(outcome(scheduler.place()), AllocJobFail)
    assert scheduler.terms.current.settling_secs == 0.0


@pytest.mark.parametrize("availability", [Availability.DRAINING, Availability.GONE])
def test_build_servers_that_take_no_jobs(availability: Availability) -> None:
    """Another one may be on its way, or this one be fit soon."""
    scheduler = Scheduler()
    scheduler.beat(A, availability)
    waiting = scheduler.place()
    scheduler.clock.advance(5.0)
    assert pending(waiting)
    scheduler.beat(B)
    scheduler.serve()
    assert served(waiting)


def test_drained_build_servers() -> None:
    """They are none that take jobs, until they are let."""
    scheduler = Scheduler()
    scheduler.beat()
    scheduler.perform(lambda farm, now: farm.drain(A, Drain(), now))
    waiting = scheduler.place()
    scheduler.clock.advance(5.0)
    assert pending(waiting)
    scheduler.perform(lambda farm, now: farm.drain(A, None, now))
    scheduler.serve()
    assert served(waiting)


def test_the_last_build_server_goes_again() -> None:
    """That a farm has come and gone within seconds says nothing either."""
    scheduler = Scheduler()
    scheduler.beat()
    scheduler.beat(availability=Availability.GONE)
    scheduler.place()
    scheduler.clock.advance(9.0)
    assert scheduler.refusals == []
    scheduler.clock.advance(1.0)
    assert scheduler.refusals == [Refusal.NO_SERVERS]


@pytest.mark.parametrize(
    ("max_wait_secs", "until", "refusal"),
    [(0, 10.0, Refusal.NO_SLOT), (3, 10.0, Refusal.QUEUE_TIMEOUT), (60, 62.0, Refusal.QUEUE_TIMEOUT)],
)
def test_too_few_slots(max_wait_secs: int, until: float, refusal: Refusal) -> None:
    """Who gets no slot of the first build server waits on for the others: as long as for a first one, at least."""
    scheduler = Scheduler(max_wait_secs)
    scheduler.clock.advance(2.0)
    placed = [scheduler.place(Party(f"client@10.0.0.{number}")) for number in range(SLOTS + 1)]
    scheduler.clock.advance(2.0)
    scheduler.beat()
    scheduler.serve()
    assert sum(map(served, placed)) == SLOTS
    scheduler.clock.advance(until - 4.5)
    assert scheduler.refusals == []
    scheduler.clock.advance(0.5)
    assert scheduler.refusals == [refusal]


def test_without_a_queue_later_ones_do_not_wait() -> None:
    """As soon as a build server takes jobs, ``queue.max_wait_secs`` is what counts."""
    scheduler = Scheduler(max_wait_secs=0)
    scheduler.beat()
    placed = [scheduler.place() for _ in range(SLOTS + 1)]
    scheduler.serve()
    assert [served(each) for each in placed] == [True] * SLOTS + [False]
    assert scheduler.refusals == [Refusal.NO_SLOT]


def test_in_turns() -> None:
    """Who asked for more has no more of the first slots."""
    scheduler = Scheduler()
    many = [scheduler.place(ANN) for _ in range(3)]
    one = scheduler.place(BOB)
    scheduler.beat(cpus=1)  # two slots
    scheduler.serve()
    assert [served(each) for each in (*many, one)] == [True, False, False, True]


def test_no_more_than_may_wait() -> None:
    """The queue has its bound: who would be one too many compiles locally at once."""
    scheduler = Scheduler()
    placed = [scheduler.place(Party(f"client@10.0.0.{number}")) for number in range(MOST_WAITING + 1)]
    assert [pending(each) for each in placed] == [True] * MOST_WAITING + [False]
    assert scheduler.refusals == [Refusal.QUEUE_FULL]


@pytest.mark.parametrize(
    ("max_wait_secs", "refused"), [(0, [Refusal.QUOTA]), (60, [])], ids=["without a queue", "with a queue"]
)
def test_no_more_than_a_client_may_hold(max_wait_secs: int, refused: list[Refusal]) -> None:
    """``max_slots`` counts for those who waited, too."""
    scheduler = Scheduler(max_wait_secs, max_slots=1)
    first, second = scheduler.place(), scheduler.place()
    scheduler.beat()
    scheduler.serve()
    assert (served(first), pending(second)) == (True, True)
    scheduler.clock.advance(10.0)
    assert scheduler.refusals == refused


def test_clients_that_leave() -> None:
    """Nothing is left of them, and they take no slot."""
    scheduler = Scheduler()
    gone = scheduler.place()
    gone.addErrback(lambda _: None)
    gone.cancel()
    assert scheduler.refusals == [Refusal.CLIENT_GONE]
    assert scheduler.clock.getDelayedCalls() == []
    scheduler.beat()
    assert scheduler.servers.assignments.waiting == []


def test_nobody_waits_in_a_paused_farm() -> None:
    """Nor does one wait for what has no archive id: neither would get a slot."""
    scheduler = Scheduler()
    waiting = scheduler.place()
    scheduler.place(archive_id="../passwd")
    scheduler.perform(lambda farm, _: farm.pause(Pause("ann", "mending", 0.0)))
    assert "mending" in outcome(waiting).msg
    scheduler.place()
    assert scheduler.refusals == [Refusal.BAD_TOOLCHAIN, Refusal.PAUSED, Refusal.PAUSED]


def test_the_scheduler_stops() -> None:
    """Those who wait are sent away in time."""
    scheduler = Scheduler()
    scheduler.place()
    scheduler.terms.stop()
    assert scheduler.refusals == [Refusal.SHUTDOWN]
    assert scheduler.clock.getDelayedCalls() == []


@pytest.mark.parametrize(("settle_secs", "until"), [(0, 0.0), (5, 2.0), (20, 17.0)])
def test_reloaded(settle_secs: int, until: float) -> None:
    """Another length counts at once, also for those who wait, and from the same beginning."""
    scheduler = Scheduler()
    scheduler.place()
    scheduler.clock.advance(3.0)
    scheduler.terms.current.take_limits(QueueSettings(60, MOST_WAITING, settle_secs), SchedulerLimits())
    if until:
        scheduler.clock.advance(until - 0.5)
        assert scheduler.refusals == []
        scheduler.clock.advance(0.5)
    assert scheduler.refusals == [Refusal.NO_SERVERS]


def test_each_term_has_its_own_time() -> None:
    """One that begins when the process is old waits as the first one did, also for those who waited before."""
    scheduler = Scheduler()
    scheduler.beat()
    scheduler.clock.advance(500.0)
    scheduler.terms.renew()
    first = scheduler.place()
    scheduler.clock.advance(8.0)
    scheduler.terms.renew()
    scheduler.clock.advance(8.0)
    assert pending(first)
    scheduler.beat()
    scheduler.serve()
    assert served(first)
    scheduler.terms.renew()
    scheduler.place()
    scheduler.clock.advance(10.0)
    assert scheduler.refusals == [Refusal.NO_SERVERS]
