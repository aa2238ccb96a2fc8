"""The workers of a gateway as they come and go: sessions, what is offered, the begin and the end."""

from twisted.internet.defer import Deferred
from twisted.logger import capturedLogs, eventAsText

from farmkit.deferreds import outcome, pending
from sccachedist.errors import BuildError
from sccachedist.gateway.known import GRACE_SECS, PING_SECS
from sccachedist.outcomes import SentLocal
from sccachedist.wire.abilities import GatewayFacts
from sccachedist.wire.bincode import encode
from sccachedist.wire.gateway import WORKER_HELLO, Built, WorkerHello
from sccachedist.wire.usage import Usage
from tests.gateway.gateways import OTHER_TOKEN, TOKEN, Gateway, counts


def test_leaves(gateway: Gateway) -> None:
    """A worker that leaves gets no more jobs; its running one ends."""
    run = gateway.run()
    worker = gateway.worker()
    worker.takes()
    place = worker.place(2)
    assert worker.ask("leave").status == 200
    assert [each.body for each in place.answers()] == [b""]
    assert worker.ask("next", number=2).body == b""
    assert counts(worker.answers(1, Built(Usage(run_ns=7)), b"a result"))
    assert outcome(run) is None
    assert isinstance(outcome(Deferred.fromCoroutine(gateway.builder.prove())), BuildError)


def test_comes_twice(gateway: Gateway) -> None:
    """A worker that begins again has one session, and its jobs come back."""
    run = gateway.run()
    first = gateway.worker(1)
    first.takes()
    listening = first.listens()
    again = gateway.worker(1)
    assert [each.status for each in listening.answers()] == [410]
    assert again.takes()[0].ticket == 2
    assert gateway.sessions.dispatch.workers == 1
    run.cancel()
    outcome(run)


def test_other_tokens(gateway: Gateway) -> None:
    """At a reload, workers are sent away whose token is gone."""
    stays, goes = gateway.worker(1, TOKEN), gateway.worker(2, OTHER_TOKEN)
    listening = goes.listens()
    gateway.builder.take_tokens((TOKEN,))
    assert [each.status for each in listening.answers()] == [410]
    assert (stays.ask("leave").status, goes.ask("leave").status) == (200, 401)


def test_silence_and_return(gateway: Gateway) -> None:
    """The log tells when a worker is lost, and when it comes back: it, and not another one of the same name."""
    with capturedLogs() as events:
        gateway.worker(1).listens()
        gateway.later(PING_SECS + GRACE_SECS)
        gateway.later(7)
        gateway.worker(2, name="worker 1")
        gateway.worker(1).listens().leave()
        gateway.worker(1)
    assert [eventAsText(event, includeTimestamp=False, includeSystem=False) for event in events] == [
        "worker worker 1 of 2 CPUs is here",
        "worker worker 1 is silent: its jobs go to others",
        "worker worker 1 of 2 CPUs is here",
        "worker worker 1 of 2 CPUs is here again, 7 s after it was lost",
        "worker worker 1 has closed its connection: its jobs go to others",
        "worker worker 1 of 2 CPUs is here again, 0 s after it was lost",
    ]


def test_a_silent_worker_that_leaves(gateway: Gateway) -> None:
    """One that has said that it leaves, and has no jobs, is not lost."""
    worker = gateway.worker(1)
    with capturedLogs() as events:
        worker.ask("leave")
        gateway.later(GRACE_SECS)
        gateway.worker(1)
    assert [eventAsText(event, includeTimestamp=False, includeSystem=False) for event in events] == [
        "worker worker 1 leaves",
        "worker worker 1 has left",
        "worker worker 1 of 2 CPUs is here",
    ]


def test_what_is_told_of_workers(gateway: Gateway) -> None:
    """A heartbeat tells those that are here, without those whose CPUs are still offered."""
    gateway.worker(1).listens().leave()
    gateway.worker(2, cpus=3)
    assert gateway.builder.abilities(()).gateway == GatewayFacts(1, 3)
    gateway.worker(3, cpus=0, slots=0)
    assert gateway.builder.abilities(()).gateway == GatewayFacts(1, 3)


def test_what_is_offered(gateway: Gateway) -> None:
    """The CPUs of all workers; each change is told, and only changes are."""
    assert gateway.builder.cpus == 1
    gateway.worker(1)
    worker = gateway.worker(2)
    worker.listens(2)
    assert (gateway.builder.cpus, gateway.changes) == (4, 2)
    worker.listens(3)
    assert (gateway.builder.cpus, gateway.changes) == (5, 3)
    listening = worker.listens(0)
    assert (gateway.builder.cpus, gateway.changes) == (2, 4)
    listening.leave()
    gateway.later(14)  # the other one, which says nothing, is lost after five
    assert (gateway.builder.cpus, gateway.changes) == (2, 4)
    gateway.later(1)
    assert (gateway.builder.cpus, gateway.changes) == (1, 5)


def test_begins_with_its_first_worker(gateway: Gateway) -> None:
    """Before a worker is there that takes jobs, the builder has not started."""
    starts = Deferred.fromCoroutine(gateway.builder.start())
    gateway.worker(1, cpus=0, slots=0)
    assert pending(starts)
    gateway.worker(2)
    assert outcome(starts) is None
    assert outcome(Deferred.fromCoroutine(gateway.builder.start())) is None


def test_stops(gateway: Gateway) -> None:
    """A builder that stops ends its jobs, sends its workers away, and lets none in."""
    worker = gateway.worker()
    listening, place = worker.listens(), worker.place(1)
    run = gateway.run()
    waits = gateway.run(gateway.job(2))
    known = gateway.changes
    outcome(Deferred.fromCoroutine(gateway.builder.stop()))
    assert gateway.changes == known, "a scheduler would give jobs to it again"
    for each in (run, waits):
        assert outcome(each).sent_local is SentLocal.SHUTDOWN
    assert [each.status for each in listening.answers()] == [410]
    assert len(place.answers()) == 1
    hello = encode(WORKER_HELLO, WorkerHello("late", 7, 1, 2, (), (), "1"))
    assert worker.ask("hello", hello).status == 410
