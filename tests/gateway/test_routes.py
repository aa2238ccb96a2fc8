"""A gateway's endpoints, from bytes to bytes: who may come, who gets a job, what becomes of an answer."""

import pytest

from farmkit.deferreds import outcome, pending
from farmkit.memory_http import bearer, request
from sccachedist.errors import BuildError, DiskError, ForeignToolchain, LimitExceeded
from sccachedist.gateway.known import GRACE_SECS, PING_SECS
from sccachedist.gateway.routes import ROOT
from sccachedist.gateway.worker_sessions import POLL_SECS, RETELL_SECS
from sccachedist.outcomes import SentLocal
from sccachedist.policy import OnFailure
from sccachedist.wire.abilities import Abilities, GatewayFacts
from sccachedist.wire.gateway import (
    WORKER_ANSWER,
    Built,
    Busy,
    NotBuilt,
    Welcome,
    WorkerJob,
    WorkerOrders,
    head,
)
from sccachedist.wire.messages import JobId
from sccachedist.wire.usage import Usage
from tests.gateway.gateways import INPUTS, OTHER_TOKEN, TOKEN, FakeWorker, Gateway, counts, given, orders
from tests.toolchains.stocks import ARCHIVES, GCC, RUSTC

USAGE = Usage(run_ns=7)
RESULT = b"a result"


@pytest.mark.usefixtures("in_memory")
def test_a_job(gateway: Gateway) -> None:
    """A job waits for a worker, which gets all of it, and whose answer takes the place of the inputs."""
    run = gateway.run()
    worker = gateway.worker()
    job, inputs = worker.takes()
    assert job == WorkerJob(1, JobId(1), GCC, b"a request", False, OnFailure.VERIFY)
    assert (inputs, gateway.watch.begun_count) == (INPUTS, 1)
    assert pending(run)
    assert counts(worker.answers(1, Built(USAGE, 5000), RESULT))
    assert outcome(run) is None
    assert [path.read_bytes() for path in gateway.spooled] == [RESULT]
    assert (gateway.watch.usages, gateway.watch.toolchains_ns) == ([USAGE], [5000])
    assert not counts(worker.answers(1, Built(USAGE), b"another"))
    assert [path.read_bytes() for path in gateway.spooled] == [RESULT]
    assert gateway.memory.used == 0


def test_a_place_waits(gateway: Gateway) -> None:
    """A worker that waits gets the next job; without one it is answered with nothing, after a while or at its word."""
    worker = gateway.worker()
    first, second = worker.place(1), worker.place(2)
    run = gateway.run()
    assert given(second.answers()[0])[0].ticket == 1
    assert first.answers() == []
    assert worker.ask("withdraw", number=1).body == b""
    assert [(each.status, each.body) for each in first.answers()] == [(200, b"")]
    third = worker.place(3)
    gateway.clock.advance(POLL_SECS)
    assert [(each.status, each.body) for each in third.answers()] == [(200, b"")]
    assert worker.ask("withdraw", number=3).status == 200
    assert pending(run)
    run.cancel()
    outcome(run)


def test_asked_twice(gateway: Gateway) -> None:
    """If a worker asks again for the same place, its earlier request is answered with nothing."""
    worker = gateway.worker()
    earlier, later = worker.place(1), worker.place(1)
    assert [each.body for each in earlier.answers()] == [b""]
    run = gateway.run()
    assert given(later.answers()[0])[0].ticket == 1
    run.cancel()
    outcome(run)


def test_a_place_that_is_left(gateway: Gateway) -> None:
    """No job goes to a worker that has closed the connection of a place, and it is not lost for that."""
    worker = gateway.worker()
    worker.place(1).leave()
    run = gateway.run()
    assert worker.takes(2)[0].ticket == 1
    run.cancel()
    outcome(run)


@pytest.mark.parametrize("token", ["wrong", None])
@pytest.mark.parametrize(
    "path",
    ["hello", "orders/x", "next/x/1", "withdraw/x/1", "answer/x/1", "answer/x/1/2", "leave/x", "toolchain/x"],
)
def test_strangers(gateway: Gateway, path: str, token: str | None) -> None:
    """A request without a worker's token is refused."""
    method = "GET" if path.startswith("toolchain") else "POST"
    answer = gateway.browser.ask(request(method, f"{ROOT}/{path}", b"", {} if token is None else bearer(token)))
    assert answer.status == 401


def test_whose_session(gateway: Gateway) -> None:
    """A session is good for the token that opened it; without one, a worker is told to open another."""
    worker = gateway.worker(token=OTHER_TOKEN)
    for other in (FakeWorker(gateway, TOKEN, worker.welcome), FakeWorker(gateway, OTHER_TOKEN)):
        assert other.ask("leave").status == 410
    assert worker.ask("leave").status == 200


def test_welcome(gateway: Gateway) -> None:
    """A worker hears how often to ask, how long a job may run, and with which certificate the gateway shows itself."""
    welcome = gateway.worker().welcome
    assert welcome == Welcome(welcome.session, PING_SECS, GRACE_SECS, POLL_SECS, 60, b"PEM 1")
    assert len(welcome.session) == 32


def test_cancelled(gateway: Gateway) -> None:
    """When a client has gone, the worker is told at once to end its job, or when it asks next."""
    worker = gateway.worker()
    for ticket in (1, 2):
        run = gateway.run()
        worker.takes(ticket)
        listening = worker.listens() if ticket == 1 else None
        run.cancel()
        outcome(run)
        assert orders(listening or worker.listens(places=(2,), last=2)) == WorkerOrders((ticket,))
        assert not counts(worker.answers(ticket, Built(USAGE), RESULT))
    assert gateway.sessions.dispatch.given == 0


def test_cancelled_before_it_came(gateway: Gateway) -> None:
    """A worker is told until it is through with the job's place: it may not have had the job when it was told first."""
    worker, run = gateway.worker(), gateway.run()
    worker.takes()
    run.cancel()
    outcome(run)
    assert orders(worker.listens(places=(1,), last=1)) == WorkerOrders((1,))
    again = worker.listens(places=(1,), last=1)
    assert again.answers() == []
    gateway.clock.advance(RETELL_SECS)
    assert orders(again) == WorkerOrders((1,))
    through = worker.listens(places=(2,), last=2)
    gateway.clock.advance(RETELL_SECS)
    assert through.answers() == []
    gateway.clock.advance(PING_SECS)
    assert orders(through) == WorkerOrders()


def test_orders_twice(gateway: Gateway) -> None:
    """Of two requests for orders the later one counts: the earlier is answered with nothing, and may break."""
    worker = gateway.worker()
    run = gateway.run()
    worker.takes()
    earlier = worker.listens()
    later = worker.listens()
    assert orders(earlier) == WorkerOrders()
    earlier.leave()
    run.cancel()
    outcome(run)
    assert orders(later) == WorkerOrders((1,))


def test_pings(gateway: Gateway) -> None:
    """A request for orders is answered after a while; from then on, a new certificate comes with each answer."""
    worker = gateway.worker()
    listening = worker.listens()
    gateway.certificate = b"PEM 2"
    gateway.later(PING_SECS)
    assert orders(listening) == WorkerOrders((), b"PEM 2")
    listening = worker.listens()
    gateway.later(PING_SECS)
    assert orders(listening) == WorkerOrders((), b"PEM 2")


def test_a_killed_worker(gateway: Gateway) -> None:
    """Its connections break, and its jobs go to another worker at once; its places get nothing."""
    worker, other = gateway.worker(1), gateway.worker(2)
    run = gateway.run()
    worker.takes()
    listening, place, elsewhere = worker.listens(), worker.place(2), other.place(1)
    listening.leave()
    job, inputs = given(elsewhere.answers()[0])
    assert (job.ticket, inputs) == (2, INPUTS)
    assert [each.body for each in place.answers()] == [b""]
    assert worker.answers(1, Built(USAGE), RESULT).status == 410
    assert counts(other.answers(2, Built(USAGE), RESULT))
    assert outcome(run) is None
    assert gateway.watch.begun_count == 2


def test_a_silent_worker(gateway: Gateway) -> None:
    """A worker whose cable is pulled is lost within fifteen seconds."""
    worker, other = gateway.worker(1), gateway.worker(2)
    run = gateway.run()
    worker.takes()
    worker.listens()
    place = other.place(1)
    for _ in range(3):
        other.listens()
        gateway.later(5)
    assert given(place.answers()[0])[0].ticket == 2
    run.cancel()
    outcome(run)


def test_a_job_that_kills(gateway: Gateway) -> None:
    """A job whose worker is lost for the third time goes home."""
    run = gateway.run()
    for number in range(3):
        worker = gateway.worker(number)
        worker.takes()
        worker.listens().leave()
    error = outcome(run)
    assert (type(error), error.sent_local) == (BuildError, SentLocal.WORKER_LOST)


def test_no_result(gateway: Gateway) -> None:
    """What a worker could not do goes home at once: no other one is asked."""
    run = gateway.run()
    worker = gateway.worker()
    worker.takes()
    assert counts(worker.answers(1, NotBuilt(SentLocal.LIMIT, "job_secs", "too long", USAGE)))
    assert isinstance(outcome(run), LimitExceeded)
    assert gateway.watch.usages == [USAGE]


def test_another_machine(gateway: Gateway) -> None:
    """When a worker says that a toolchain is for another machine, jobs with it go to workers of that one."""
    outcome(gateway.stock.bring(ARCHIVES[0]))
    run = gateway.run()
    worker = gateway.worker(1, machines=(62, 3))
    worker.takes()
    assert counts(worker.answers(1, NotBuilt(SentLocal.MACHINE, "aarch64", "not here")))
    assert isinstance(outcome(run), ForeignToolchain)
    arm, place = gateway.worker(2, machines=(183,)), worker.place(1)
    here = GatewayFacts(2, 4)
    assert gateway.builder.abilities(("fast",)) == Abilities(machines=(3, 62, 183), labels=("fast",), gateway=here)
    run = gateway.run()
    assert place.answers() == []
    assert arm.takes()[0].ticket == 2
    run.cancel()
    outcome(run)


def test_busy(gateway: Gateway) -> None:
    """A worker that has given its slot away meanwhile hands the job back."""
    run = gateway.run()
    worker = gateway.worker()
    worker.takes()
    assert counts(worker.answers(1, Busy()))
    assert not counts(worker.answers(1, Busy()))
    assert worker.takes()[0].ticket == 2
    run.cancel()
    outcome(run)


def test_an_answer_that_breaks_off(gateway: Gateway, in_memory: bool) -> None:
    """Another worker gets the job, with all its inputs; of the half answer nothing stays."""
    run = gateway.run()
    worker = gateway.worker()
    worker.takes()
    body = head(WORKER_ANSWER, Built(USAGE)) + RESULT
    connection = gateway.browser.connect()
    connection.say(worker.bytes_of(worker.path("answer", 1), body)[:-1])
    assert (len(gateway.spooled), gateway.memory.used > 0) == ((1, True) if in_memory else (2, False))
    connection.leave()
    assert (len(gateway.spooled), gateway.memory.used) == (1, 0)
    assert orders(worker.listens()) == WorkerOrders((1,))
    assert worker.takes()[1] == INPUTS
    run.cancel()
    outcome(run)


def test_an_answer_without_room_in_memory(gateway: Gateway) -> None:
    """A small answer goes to a file while other bodies have the memory."""
    run = gateway.run()
    worker = gateway.worker()
    worker.takes()
    gateway.memory.total = 0
    assert counts(worker.answers(1, Built(USAGE), RESULT))
    assert outcome(run) is None
    assert [path.read_bytes() for path in gateway.spooled] == [RESULT]


def test_a_job_that_breaks_off(gateway: Gateway) -> None:
    """A job that did not reach its worker whole goes to another."""
    run = gateway.run()
    worker = gateway.worker()
    connection = worker.place(1)
    assert gateway.sessions.dispatch.given == 1
    gateway.sessions.broken(worker.welcome.session, 1, None)
    assert len(connection.answers()) == 1
    assert worker.takes()[0].ticket == 2
    run.cancel()
    outcome(run)


def test_inputs_that_cannot_be_read(gateway: Gateway) -> None:
    """If the gateway's own disk fails, the job goes home."""
    job = gateway.job()
    run = gateway.run(job)
    job.inputs.unlink()
    worker = gateway.worker()
    assert worker.ask("next", number=1).status == 500
    assert isinstance(outcome(run), DiskError)


@pytest.mark.usefixtures("in_memory")
def test_no_room_for_an_answer(gateway: Gateway) -> None:
    """If an answer cannot take the place of the inputs, the job goes home."""
    job = gateway.job()
    run = gateway.run(job)
    worker = gateway.worker()
    worker.takes()
    job.answer.unlink()
    job.answer.mkdir()
    (job.answer / "full").touch()
    assert counts(worker.answers(1, Built(USAGE), RESULT))
    assert isinstance(outcome(run), DiskError)
    assert gateway.spooled == [job.answer]


@pytest.mark.parametrize("body", [b"", b"\0", head(WORKER_ANSWER, Built(USAGE)), b"\xff" * 10])
def test_answers_that_are_none(gateway: Gateway, body: bytes) -> None:
    """An answer without a result, or without a head, is refused, and another worker gets the job."""
    run = gateway.run()
    worker = gateway.worker()
    worker.takes()
    assert worker.ask("answer", body, 1).status == 400
    assert worker.takes()[0].ticket == 2
    run.cancel()
    outcome(run)


@pytest.mark.parametrize(("as_json", "status"), [(False, 500), (True, 200)])
def test_too_large_an_answer(gateway: Gateway, as_json: bool, status: int) -> None:
    """An answer is no larger than a job's outputs may be; as JSON, it has more bytes."""
    run = gateway.run(gateway.job(as_json=as_json))
    worker = gateway.worker()
    worker.takes()
    assert worker.answers(1, Built(USAGE), bytes(2001 + (1 << 20))).status == status
    assert pending(run) is not as_json
    run.cancel()
    outcome(run)


def test_a_toolchain(gateway: Gateway) -> None:
    """A worker is sent the archive, which stays; one that is not here it is told of."""
    outcome(gateway.stock.bring(ARCHIVES[0]))
    worker = gateway.worker()

    def fetched(toolchain: str) -> tuple[int, bytes]:
        answer = gateway.browser.ask(worker.bytes_of(f"{ROOT}/toolchain/{toolchain}", method="GET"))
        return answer.status, answer.body

    assert [fetched(GCC) for _ in range(2)] == [(200, ARCHIVES[0])] * 2
    assert fetched(RUSTC)[0] == 500
    assert fetched("no-archive-id")[0] == 400
    gateway.stock.toolchains.forget(GCC)
    assert GCC not in gateway.stock.toolchains


def test_many_at_one_address(gateway: Gateway) -> None:
    """The connections of workers do not count for their address."""
    gateway.browser.site.limits = gateway.browser.site.connections.limits = gateway.browser.site.limits.__class__(
        connections_per_address=2
    )
    worker = gateway.worker()
    places = [worker.place(number) for number in range(5)]
    assert all(place.connected for place in places)
    for place in places:
        place.leave()
    assert len(gateway.browser.site.connections) == 1
