"""One request brings an answer and gets the next job."""

from farmkit.deferreds import outcome, pending
from sccachedist.gateway.worker_sessions import HOLD_SECS
from sccachedist.wire.gateway import WORKER_ANSWER, Built, Busy, head
from sccachedist.wire.usage import Usage
from tests.gateway.gateways import Gateway, swapped

BUILT, RESULT = Built(Usage(exit_code=0)), b"a result"


def test_a_job_that_waits(gateway: Gateway) -> None:
    """It goes at once to the worker that has room for it."""
    first, second = gateway.run(), gateway.run(gateway.job(2))
    worker = gateway.worker()
    worker.takes()
    (answer,) = worker.swaps(1, 2, BUILT, RESULT).answers()
    assert outcome(first) is None
    taken, job = swapped(answer)
    assert (taken, job is not None and (job.ticket, job.job_id)) == (True, (2, 2))
    second.cancel()
    outcome(second)


def test_one_that_comes_soon(gateway: Gateway) -> None:
    """It goes to the place of an answer, before those that were asked for earlier and may wait for longer."""
    first, worker = gateway.run(), gateway.worker()
    worker.takes()
    place, swaps = worker.place(2), worker.swaps(1, 3, BUILT, RESULT)
    assert outcome(first) is None
    assert swaps.answers() == place.answers() == []
    second = gateway.run(gateway.job(2))
    ((taken, job),) = map(swapped, swaps.answers())
    assert (taken, job is not None and job.ticket) == (True, 2)
    assert place.answers() == []
    second.cancel()
    outcome(second)


def test_none(gateway: Gateway) -> None:
    """If none comes soon, the worker hears that its answer was taken, and no job is given to that place any more."""
    first, worker = gateway.run(), gateway.worker()
    worker.takes()
    swaps = worker.swaps(1, 2, BUILT, RESULT)
    gateway.clock.advance(HOLD_SECS)
    assert list(map(swapped, swaps.answers())) == [(True, None)]
    assert outcome(first) is None
    second = gateway.run(gateway.job(2))
    assert pending(second)
    second.cancel()
    outcome(second)


def test_an_answer_without_effect(gateway: Gateway) -> None:
    """A worker whose job is over, or that declines one, gets the next all the same."""
    first, worker = gateway.run(), gateway.worker()
    worker.takes()
    first.cancel()
    outcome(first)
    second = gateway.run(gateway.job(2))
    (answer,) = worker.swaps(1, 2, BUILT, RESULT).answers()
    taken, job = swapped(answer)
    assert (taken, job is not None and job.ticket) == (False, 2)
    (answer,) = worker.swaps(2, 3, Busy()).answers()
    taken, job = swapped(answer)
    assert (taken, job is not None and job.ticket) == (True, 3)
    second.cancel()
    outcome(second)


def test_one_that_breaks_off(gateway: Gateway) -> None:
    """The job goes to another worker, and so does what would have come for the answer."""
    first, worker, other = gateway.run(), gateway.worker(1), gateway.worker(2)
    worker.takes()
    connection = gateway.browser.connect()
    connection.say(worker.bytes_of(f"{worker.path('answer', 1)}/2", head(WORKER_ANSWER, BUILT) + RESULT)[:-1])
    connection.leave()
    assert other.takes()[0].ticket == 2
    swaps = other.swaps(2, 2, BUILT, RESULT)
    assert outcome(first) is None
    swaps.leave()
    second = gateway.run(gateway.job(2))
    assert pending(second)
    assert worker.takes(3)[0].ticket == 3
    second.cancel()
    outcome(second)


def test_one_that_is_none(gateway: Gateway) -> None:
    """It is refused, and its place is not open."""
    run, worker = gateway.run(), gateway.worker()
    worker.takes()
    connection = gateway.browser.connect()
    connection.say(worker.bytes_of(f"{worker.path('answer', 1)}/2", b"\xff" * 10))
    assert [each.status for each in connection.answers()] == [400]
    assert gateway.sessions.dispatch.waiting == 1
    run.cancel()
    outcome(run)
