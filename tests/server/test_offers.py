"""A build server whose host has other work, or no memory: what becomes of the jobs that come and of those that run."""

import pytest

from farmkit.deferreds import outcome, pending
from sccachedist.errors import BadTransition, NoPlace
from sccachedist.outcomes import Lack, Outcome, SentLocal
from sccachedist.wire.abilities import Offer
from sccachedist.wire.extension import Availability
from sccachedist.wire.messages import JobNotFound, JobState
from tests.server.servers import HEAD, JOB, OTHER, PARTY, Host, answered, run, spooled
from tests.toolchains.stocks import ARCHIVES

BUSY, SHORT = Offer(0, Lack.BUSY.word), Offer(1, Lack.NO_MEMORY.word)


@pytest.fixture
def ready(host: Host) -> Host:
    """A build server that has the toolchain, and two jobs for it."""
    outcome(host.stock.bring(ARCHIVES[0]))
    host.assign()
    host.assign(OTHER)
    return host


def offer(host: Host, offered: Offer) -> None:
    host.core.offers(offered)
    host.server.turns.allow(offered)


def endings(host: Host) -> list[tuple[Outcome, SentLocal | None, str]]:
    return [(summary.outcome, summary.reason, summary.kind) for _, _, summary in host.ended]


def gone_home(lack: Lack) -> tuple[Outcome, SentLocal, str]:
    return Outcome.SENT_LOCAL, SentLocal.NO_PLACE, lack.word


def test_what_comes_all_the_same(ready: Host) -> None:
    """Its client is told before it has sent anything, and compiles; the scheduler hears that the slot is free."""
    offer(ready, BUSY)
    assert outcome(run(ready)) == JobNotFound()
    assert ready.server.receive_toolchain(OTHER, HEAD, PARTY).complete() is None
    assert endings(ready) == [gone_home(Lack.BUSY)] * 2
    assert (ready.core.refused, ready.core.taken) == (2, 0)


def test_what_a_published_scheduler_assigns(host: Host) -> None:
    """It hears that there is no room, so that it asks another server; a job that it has assigned stays."""
    host.assign()
    offer(host, BUSY)
    host.assign()
    with pytest.raises(BadTransition, match="takes 0 jobs for now: busy"):
        host.assign(OTHER)
    offer(host, SHORT)
    host.assign(OTHER)


@pytest.mark.parametrize(("offered", "slots"), [(BUSY, 0), (SHORT, 1), (Offer(3), 3), (Offer(9, Lack.BUSY.word), 3)])
def test_slots_for_now(host: Host, offered: Offer, slots: int) -> None:
    """What its metrics tell is what the scheduler gives it."""
    host.core.slots = 3
    offer(host, offered)
    assert host.core.slots_for_now == slots


def test_it_is_open(ready: Host) -> None:
    """A scheduler of ours reads how many slots there are; the server does not drain."""
    offer(ready, BUSY)
    assert (ready.core.availability, ready.core.state, ready.core.closed) == (Availability.OPEN, "busy", "")
    offer(ready, SHORT)
    assert ready.core.state == "open"
    offer(ready, Offer(3))
    assert ready.core.offer is None


def test_jobs_that_are_too_many(ready: Host) -> None:
    """They wait until one has ended, and are as good then."""
    offer(ready, SHORT)
    first, second = run(ready), run(ready, OTHER)
    assert len(ready.builder.jobs.waiting) == 1
    with pytest.raises(BadTransition, match="takes 1 jobs for now: no_memory"):
        ready.assign(type(JOB)(99))
    ready.builder.jobs.answer(JOB, None)
    assert answered(first) == ready.builder.result
    assert pending(second)
    ready.builder.jobs.answer(OTHER, None)
    assert answered(second) == ready.builder.result


def test_jobs_that_are_given_back(ready: Host) -> None:
    """What runs ends, what waits goes home, and the server is as fit as before."""
    offer(ready, Offer(1, Lack.BUSY.word))
    running, waiting = run(ready), run(ready, OTHER)
    offer(ready, BUSY)
    assert isinstance(outcome(waiting), NoPlace)
    assert pending(running), "it gets what others leave"
    ready.server.courses.give_back()
    assert isinstance(outcome(running), NoPlace)
    assert endings(ready) == [gone_home(Lack.BUSY)] * 2
    assert (ready.builder.jobs.waiting, spooled(ready), ready.server.health.sent_home) == ([], [], 0)
    assert ready.reported(JOB, OTHER).count(JobState.COMPLETE) == 2
    ready.server.courses.give_back()
