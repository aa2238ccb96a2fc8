"""Why a request got no slot: each way to get none has its word, and is told once."""

from collections.abc import Callable
from typing import Any

import attrs
import pytest
from twisted.internet.defer import Deferred
from twisted.internet.task import Clock

from farmkit.deferreds import outcome, pending
from farmkit.fakes import FakeBuildServers
from sccachedist.budgets import Party
from sccachedist.config import QueueSettings
from sccachedist.errors import AuthUnavailable, ClientRefused, ClientTokenEnded, LimitExceeded, PeerError
from sccachedist.job_phases import JobPhase
from sccachedist.outcomes import Refusal
from sccachedist.scheduler.core import SchedulerCore
from sccachedist.scheduler.events import Event, RequestRefused
from sccachedist.scheduler.job_tokens import JobTokens
from sccachedist.scheduler.out_of_service import Drain
from sccachedist.scheduler.term import Term, Terms
from sccachedist.wire.messages import AllocJobFail, Toolchain
from tests.scheduler.farms import FIRST_JOB, GCC, A, B, farm, heartbeat, job_in

CLIENT = Party("#0123@10.0.0.1")


@attrs.define
class Scheduler:
    """A scheduler whose build servers have 3 slots each."""

    core: SchedulerCore = attrs.field(factory=lambda: farm(2))
    queue: QueueSettings = attrs.field(factory=lambda: QueueSettings(0, 3))
    clock: Clock = attrs.field(factory=Clock)
    servers: FakeBuildServers = attrs.field(factory=FakeBuildServers)
    told: list[Event] = attrs.field(factory=list)
    terms: Terms = attrs.field(init=False)

    def __attrs_post_init__(self) -> None:
        self.terms = Terms(self.begin)

    def begin(self) -> Term:
        tokens = JobTokens(self.clock.seconds)
        return Term(self.core, self.servers, self.queue, self.clock, tokens, [self.told.append])

    def place(self, archive_id: str = GCC) -> Deferred[Any]:
        return Deferred.fromCoroutine(self.terms.place(CLIENT, Toolchain(archive_id)))

    def fill(self) -> None:
        for _ in range(3):
            job_in(JobPhase.STARTED, self.core)

    @property
    def refused(self) -> list[RequestRefused]:
        return [event for event in self.told if isinstance(event, RequestRefused)]


def no_servers() -> Scheduler:
    scheduler = Scheduler(farm())
    scheduler.clock.advance(10.0)
    scheduler.place()
    return scheduler


def drained() -> Scheduler:
    scheduler = Scheduler()
    scheduler.core.interventions.drain(A, Drain(), now=0.0)
    scheduler.place()
    scheduler.clock.advance(10.0)
    return scheduler


def no_slot() -> Scheduler:
    scheduler = Scheduler()
    scheduler.fill()
    scheduler.place()
    return scheduler


def queue_timeout() -> Scheduler:
    scheduler = Scheduler(queue=QueueSettings(60, 3))
    scheduler.fill()
    scheduler.place()
    scheduler.clock.advance(60.0)
    return scheduler


def queue_full() -> Scheduler:
    scheduler = Scheduler(queue=QueueSettings(60, 3))
    scheduler.fill()
    for _ in range(3):  # a client fills half of the queue
        scheduler.place()
    return scheduler


def not_assigned() -> Scheduler:
    scheduler = Scheduler(farm(2, 2))
    scheduler.place()
    for server in (A, B):
        scheduler.servers.assignments.answer(server, PeerError("status 500", status=500))
    return scheduler


def bad_toolchain() -> Scheduler:
    scheduler = Scheduler()
    scheduler.place("../../etc/passwd")
    return scheduler


def unclaimed_jobs() -> Scheduler:
    scheduler = Scheduler(SchedulerCore(FIRST_JOB, most_unclaimed=0))
    scheduler.core.heartbeat(A, heartbeat(), now=0.0)
    scheduler.place()
    return scheduler


def client_gone_from_the_queue() -> Scheduler:
    scheduler = Scheduler(queue=QueueSettings(60, 3))
    scheduler.fill()
    _cancelled(scheduler.place())
    return scheduler


def client_gone_during_assignment() -> Scheduler:
    scheduler = Scheduler()
    _cancelled(scheduler.place())
    return scheduler


def shutdown() -> Scheduler:
    scheduler = Scheduler(queue=QueueSettings(60, 3))
    scheduler.fill()
    scheduler.place()
    scheduler.terms.stop()
    return scheduler


def incident() -> Scheduler:
    scheduler = Scheduler()
    placed = scheduler.place()
    scheduler.servers.assignments.answer(A, ZeroDivisionError("secret"))
    placed.addErrback(lambda _: None)
    return scheduler


def _cancelled(placed: Deferred[Any]) -> None:
    placed.addErrback(lambda _: None)
    placed.cancel()


def _turned_away(error: Exception) -> Scheduler:
    scheduler = Scheduler()
    scheduler.terms.current.turned_away(Party("10.0.0.1"), 0.0, error)
    return scheduler


@pytest.mark.parametrize(
    ("happens", "word", "detail"),
    [
        (no_servers, Refusal.NO_SERVERS, "across 0 available"),
        (drained, Refusal.NO_SERVERS, "across 1 available"),
        (no_slot, Refusal.NO_SLOT, "across 1 available"),
        (queue_timeout, Refusal.QUEUE_TIMEOUT, "within 60 seconds"),
        (queue_full, Refusal.QUEUE_FULL, "queue.max_waiting"),
        (not_assigned, Refusal.NOT_ASSIGNED, "across 2 available"),
        (bad_toolchain, Refusal.BAD_TOOLCHAIN, "archive id"),
        (unclaimed_jobs, Refusal.UNCLAIMED_JOBS, "limit: unclaimed_jobs"),
        (client_gone_from_the_queue, Refusal.CLIENT_GONE, ""),
        (client_gone_during_assignment, Refusal.CLIENT_GONE, ""),
        (shutdown, Refusal.SHUTDOWN, "stops"),
        (incident, Refusal.INCIDENT, ""),
        (lambda: _turned_away(ClientRefused("x", "client token refused")), Refusal.UNAUTHORIZED, "token refused"),
        (lambda: _turned_away(ClientTokenEnded("ann", 86400.0)), Refusal.TOKEN_ENDED, "ann ended on 1970-01-02"),
        (lambda: _turned_away(AuthUnavailable("cannot be checked")), Refusal.AUTH_UNAVAILABLE, "cannot be checked"),
        (lambda: _turned_away(LimitExceeded("token_checks", "many")), Refusal.OVER_LIMIT, "token_checks"),
    ],
)
def test_words(happens: Callable[[], Scheduler], word: Refusal, detail: str) -> None:
    """A request that gets no slot is told once, with the word for it and what its client hears."""
    (refused,) = happens().refused
    assert refused.refusal is word
    assert detail in refused.detail
    assert "secret" not in refused.detail
    assert refused.toolchain in ("", GCC)


def test_when_it_was_asked() -> None:
    """A request that waited began when its client asked, also if the term ended meanwhile."""
    scheduler = Scheduler(queue=QueueSettings(60, 3))
    scheduler.fill()
    scheduler.clock.advance(5.0)
    waiting = scheduler.place()
    scheduler.clock.advance(10.0)
    scheduler.terms.renew()
    assert pending(waiting)
    assert scheduler.refused == []
    scheduler.clock.advance(60.0)
    assert isinstance(outcome(waiting), AllocJobFail)
    (refused,) = scheduler.refused
    assert (refused.asked, refused.at, refused.client, refused.toolchain) == (5.0, 75.0, CLIENT, GCC)
