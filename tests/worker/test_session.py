"""A session with a gateway: jobs come, run and are answered; what is lost, too much or unwanted is ended."""

from collections.abc import Iterator
from pathlib import Path

import attrs
import pytest

from farmkit.deferreds import outcome
from sccachedist.config import WorkerLimits
from sccachedist.errors import DecodeError, PeerError
from sccachedist.outcomes import SentLocal
from sccachedist.wire.gateway import Built, Busy, NotBuilt, WorkerOrders
from sccachedist.wire.usage import NO_USAGE
from sccachedist.worker.session import ORDERS_SECS, PAUSE_SECS, SMALL
from tests.worker.gateways import Bench, FakeGateway, job

BUILT = Built(NO_USAGE)


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    bench = Bench(tmp_path)
    yield bench
    bench.end()


def test_a_job(bench: Bench) -> None:
    """Its inputs are there when it runs; its result goes back as a whole, and nothing of it stays."""
    gateway = FakeGateway()
    bench.session(gateway)
    gateway.only_poll().give(job(7))
    assert bench.runs.inputs == {7: b"inputs"}
    assert gateway.polls == {}, "there is one slot"
    bench.runs.running[7].callback(BUILT)
    assert gateway.answers == [(7, BUILT, b"result")]
    assert bench.counted == ["built"]
    assert bench.spooled == []
    assert len(gateway.polls) == 1


def test_no_job(bench: Bench) -> None:
    """A request that is answered with nothing is made again."""
    gateway = FakeGateway()
    bench.session(gateway)
    (first,) = gateway.polls
    bench.clock.advance(20)
    gateway.only_poll().end()
    (second,) = gateway.polls
    assert second != first
    gateway.only_poll().end()
    assert gateway.polls == {}, "one that has none at once is not asked at once"
    bench.clock.advance(PAUSE_SECS)
    assert len(gateway.polls) == 1
    assert bench.spooled == []


def test_a_job_without_a_result(bench: Bench) -> None:
    """Its gateway is told why, and gets no file."""
    gateway, said = FakeGateway(), NotBuilt(SentLocal.SANDBOX, "", "no sandbox")
    bench.session(gateway)
    gateway.only_poll().give(job(7))
    bench.runs.running[7].callback(said)
    assert gateway.answers == [(7, said, None)]
    assert bench.counted == ["not_built"]


def test_the_next_job_comes_with_the_same_request(bench: Bench) -> None:
    """A request that brings an answer asks for the next job, which runs when the answer is there."""
    gateway = FakeGateway(hold_answers=True)
    bench.session(gateway)
    gateway.only_poll().give(job(7))
    bench.runs.running[7].callback(BUILT)
    assert (gateway.polls, gateway.with_answers, bench.counted) == ({}, [], [])
    gateway.held[0].callback(True)
    assert (list(gateway.polls), gateway.with_answers, bench.counted) == ([2], [2], ["built"])
    assert bench.spooled == []
    gateway.only_poll().give(job(8))
    assert bench.runs.inputs == {7: b"inputs", 8: b"inputs"}


def test_no_next_job(bench: Bench) -> None:
    """If there is none soon, it is asked for by itself."""
    gateway = FakeGateway()
    bench.session(gateway)
    gateway.only_poll().give(job(7))
    bench.runs.running[7].callback(BUILT)
    gateway.only_poll().end()
    assert (list(gateway.polls), gateway.with_answers) == ([3], [2])


def test_an_answer_that_is_not_waited_for(bench: Bench) -> None:
    """If its job is ended when it is on its way, the request goes on for the next job's sake."""
    gateway = FakeGateway(hold_answers=True)
    bench.session(gateway)
    gateway.only_poll().give(job(7))
    bench.runs.running[7].callback(BUILT)
    gateway.listening.callback(WorkerOrders(cancel=(7,)))
    assert bench.spooled == []
    gateway.held[0].callback(False)
    gateway.polls[2].give(job(8))
    assert list(bench.runs.running) == [8]
    assert bench.counted == []


def test_a_result_that_cannot_be_read(bench: Bench) -> None:
    """The gateway is told so."""
    gateway = FakeGateway(broken_disk=True)
    bench.session(gateway)
    gateway.only_poll().give(job(7))
    bench.runs.running[7].callback(BUILT)
    ((_, _, result), (ticket, said, nothing)) = gateway.answers
    assert isinstance(said, NotBuilt)
    assert (result, ticket, said.reason, nothing) == (b"result", 7, SentLocal.DISK, None)
    assert bench.counted == ["not_built"]


def test_the_next_job_comes_while_a_large_answer_is_on_its_way(bench: Bench) -> None:
    """The slot is free when the job has run."""
    bench.runs.result = bytes(SMALL + 1)
    gateway = FakeGateway(hold_answers=True)
    bench.session(gateway)
    gateway.only_poll().give(job(7))
    bench.runs.running[7].callback(BUILT)
    gateway.only_poll().give(job(8))
    assert list(bench.runs.running) == [8]
    gateway.held[0].callback(True)
    assert bench.counted == ["built"]


def test_an_answer_goes_first(bench: Bench) -> None:
    """While another place is open, nothing is asked of the gateway until it has taken the answer."""
    gateway = FakeGateway(hold_answers=True)
    bench.desk.slots.most = 2
    bench.session(gateway)
    first, second = gateway.polls
    gateway.polls[first].give(job(7))
    bench.runs.running[7].callback(BUILT)
    assert list(gateway.polls) == [second]
    gateway.held[0].callback(True)
    assert list(gateway.polls) == [second, second + 1]


def test_the_first_job_has_the_slot(bench: Bench) -> None:
    """When a gateway's job comes, the other's request is withdrawn; a job that is faster than that is declined."""
    one, two = FakeGateway("https://one:1"), FakeGateway("https://two:1")
    bench.session(one)
    bench.session(two)
    one.only_poll().give(job(1))
    assert two.withdrawn == list(two.polls)
    two.only_poll().begin(job(2), b"inp")
    assert two.answers == [(2, Busy(), None)]
    assert two.polls == {}, "the rest of its inputs is not waited for"
    assert bench.counted == ["declined"]
    bench.runs.running[1].callback(BUILT)
    assert len(one.polls) == len(two.polls) == 1


def test_orders_to_end_a_job(bench: Bench) -> None:
    """It is killed at once, no answer is sent, and its slot is free. Unknown tickets are passed over."""
    gateway = FakeGateway()
    bench.session(gateway)
    gateway.only_poll().give(job(7))
    gateway.listening.callback(WorkerOrders(cancel=(5, 7)))
    assert bench.runs.killed == [7]
    assert gateway.answers == []
    assert bench.spooled == []
    assert len(gateway.polls) == 1
    assert len(gateway.states) == 1, "a gateway that has orders at once does not keep a worker busy"
    bench.clock.advance(ORDERS_SECS)
    assert len(gateway.states) == 2, "it listens again"


def test_orders_to_end_a_job_that_arrives(bench: Bench) -> None:
    """Its inputs are not waited for."""
    gateway = FakeGateway()
    bench.session(gateway)
    gateway.only_poll().begin(job(7), b"inp")
    gateway.listening.callback(WorkerOrders(cancel=(7,)))
    assert bench.spooled == []
    assert list(gateway.polls) == [2]
    assert gateway.answers == []


def test_a_gateway_that_is_lost(bench: Bench) -> None:
    """Its jobs are killed, those that arrive too, and the session ends with the reason."""
    gateway = FakeGateway()
    bench.desk.slots.most = 2
    ended = bench.session(gateway)
    first, second = gateway.polls.values()
    first.give(job(7))
    second.begin(job(8), b"inp")
    gateway.listening.errback(PeerError("nothing has moved for 10 s"))
    assert isinstance(outcome(ended), PeerError)
    assert bench.runs.killed == [7]
    assert (gateway.polls, gateway.answers, bench.spooled) == ({}, [], [])
    assert bench.desk.slots.is_idle
    assert bench.desk.sessions == set()


def test_a_new_certificate(bench: Bench) -> None:
    """It is trusted from then on."""
    gateway = FakeGateway()
    bench.session(gateway)
    gateway.listening.callback(WorkerOrders())
    bench.clock.advance(ORDERS_SECS)
    gateway.listening.callback(WorkerOrders(certificate=b"PEM"))
    assert bench.trusted == [(gateway.url, b"PEM")]


@pytest.mark.parametrize("pieces", [(b"12345", b"6"), (b"123456",)])
def test_inputs_that_are_too_large(bench: Bench, pieces: tuple[bytes, ...]) -> None:
    """The gateway hears of that before they are all there, and the rest is given up."""
    bench.limits = attrs.evolve(WorkerLimits(), inputs_bytes=5)
    gateway = FakeGateway()
    bench.session(gateway)
    poll = gateway.only_poll()
    poll.begin(job(7), b"")
    for piece in pieces:
        poll.sink(piece)
    ((ticket, said, _),) = gateway.answers
    assert isinstance(said, NotBuilt)
    assert (ticket, said.reason, said.kind) == (7, SentLocal.LIMIT, "inputs_bytes")
    assert list(gateway.polls) == [2]
    assert (bench.runs.inputs, bench.spooled) == ({}, [])


def test_a_request_that_fails(bench: Bench) -> None:
    """While the gateway answers otherwise, it is made again after a pause; what has come is thrown away."""
    gateway = FakeGateway()
    bench.session(gateway)
    gateway.only_poll().begin(job(7), b"inp")
    gateway.only_poll().ends.errback(PeerError("the answer breaks off"))
    assert gateway.polls == {}
    assert bench.spooled == []
    bench.clock.advance(PAUSE_SECS)
    assert list(gateway.polls) == [2]
    assert gateway.answers == []


def test_a_gateway_that_talks_nonsense(bench: Bench) -> None:
    """It is asked again after a pause."""
    gateway = FakeGateway()
    bench.session(gateway)
    poll = gateway.only_poll()
    with pytest.raises(DecodeError) as told:
        poll.sink(b"\xff" * 8)
    poll.ends.errback(told.value)
    assert gateway.polls == {}
    bench.clock.advance(PAUSE_SECS)
    assert list(gateway.polls) == [2]


@pytest.mark.parametrize("sent", [b"", b"\x05"])
def test_a_body_that_ends_too_early(bench: Bench, sent: bytes) -> None:
    """Nothing of it is run."""
    gateway = FakeGateway()
    bench.session(gateway)
    poll = gateway.only_poll()
    poll.sink(sent)
    poll.end()
    assert bench.runs.inputs == {}
    bench.clock.advance(PAUSE_SECS)
    assert list(gateway.polls) == [2]


def test_an_answer_that_is_lost(bench: Bench) -> None:
    """The next job is asked for; the gateway hears with the next request for orders that this one is over."""
    gateway = FakeGateway(lost_answers=True)
    bench.session(gateway)
    gateway.only_poll().give(job(7))
    gateway.listening.callback(WorkerOrders())
    bench.clock.advance(ORDERS_SECS)
    bench.runs.running[7].callback(BUILT)
    assert bench.counted == ["not_wanted"]
    gateway.listening.callback(WorkerOrders())
    assert gateway.polls == {}
    bench.clock.advance(PAUSE_SECS)
    assert list(gateway.polls) == [3]
    assert [(state.places, state.last_place) for state in gateway.states] == [((1,), 1), ((1,), 1), ((2,), 2)]


def test_closed(bench: Bench) -> None:
    """A worker that wants no more jobs withdraws its requests, and finishes what it has."""
    bench.desk.slots.most = 2
    gateway = FakeGateway()
    bench.session(gateway)
    first, second = gateway.polls.values()
    first.give(job(7))
    bench.desk.slots.closed = "drained"
    bench.desk.follow()
    assert gateway.withdrawn == [2]
    second.end()
    bench.runs.running[7].callback(BUILT)
    assert gateway.answers == [(7, BUILT, b"result")]
    assert gateway.polls == {}
    gateway.listening.callback(WorkerOrders())
    bench.clock.advance(ORDERS_SECS)
    assert gateway.states[-1].slots == 0


def test_jobs_that_are_given_back(bench: Bench) -> None:
    """Other work has come to the host: gateways hear at once that others may have the jobs."""
    gateway = FakeGateway()
    bench.session(gateway)
    gateway.only_poll().give(job(7))
    bench.desk.slots.spare = 0
    bench.desk.give_back()
    assert bench.runs.killed == [7]
    assert gateway.answers == [(7, Busy(), None)]
    assert (bench.counted, bench.spooled) == (["declined"], [])
    assert gateway.polls == {}, "no more are asked for"
    bench.desk.give_back()
    bench.desk.slots.spare = None
    bench.desk.follow()
    gateway.only_poll().give(job(8))
    gateway.listening.callback(WorkerOrders(cancel=(8,)))
    assert (bench.runs.killed, len(gateway.answers)) == ([7, 8], 1)
