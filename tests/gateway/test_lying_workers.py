"""Workers that say more than they may: nothing of it stays, and no job is lost by it."""

from contextlib import suppress

import pytest

from farmkit.deferreds import outcome, pending
from farmkit.memory_http import Connection
from sccachedist.config import ConnectionLimits
from sccachedist.gateway import dispatch
from sccachedist.wire.gateway import WORKER_ANSWER, Built, head
from sccachedist.wire.usage import Usage
from tests.gateway.gateways import Gateway, counts

USAGE = Usage(run_ns=7)
RESULT = b"a result"


def test_answers_at_a_time(gateway: Gateway, in_memory: bool) -> None:
    """Of several answers for a job the one that began last counts, and of the others nothing stays meanwhile."""
    run = gateway.run()
    worker = gateway.worker()
    worker.takes()
    body = worker.bytes_of(worker.path("answer", 1), head(WORKER_ANSWER, Built(USAGE)) + RESULT)
    connections = [gateway.browser.connect() for _ in range(20)]
    for connection in connections:
        connection.say(body[:-1])
    assert len(gateway.spooled) == (1 if in_memory else 2)
    assert gateway.memory.used < 2 * len(body)
    for connection in connections[:-1]:
        connection.say(body[-1:])
    assert [counts(*connection.answers()) for connection in connections[:-1]] == [False] * 19
    assert pending(run)
    connections[0].leave()
    connections[-1].say(body[-1:])
    assert counts(*connections[-1].answers())
    assert outcome(run) is None
    assert [path.read_bytes() for path in gateway.spooled] == [RESULT]
    assert gateway.memory.used == 0


def test_an_answer_that_nobody_waits_for(gateway: Gateway, in_memory: bool) -> None:
    """When a job's client goes, nothing stays of the answer that has begun to come."""
    job = gateway.job()
    run = gateway.run(job)
    worker = gateway.worker()
    worker.takes()
    body = worker.bytes_of(worker.path("answer", 1), head(WORKER_ANSWER, Built(USAGE)) + RESULT)
    connection = gateway.browser.connect()
    connection.say(body[:-1])
    run.cancel()
    outcome(run)
    assert (gateway.spooled, gateway.memory.used) == ([job.inputs], 0)
    connection.say(body[-1:])
    assert not counts(*connection.answers())


def test_too_many_places(gateway: Gateway, monkeypatch: pytest.MonkeyPatch) -> None:
    """A place that a worker may not have is refused, and nothing of it stays."""
    monkeypatch.setattr(dispatch, "MOST_PLACES", 2)
    worker = gateway.worker()
    places = [worker.place(number) for number in range(2)]
    assert [worker.ask("next", number=number).status for number in range(2, 9)] == [400] * 7
    assert all(worker.ask("withdraw", number=number).status == 200 for number in range(9))
    assert [len(place.answers()) for place in places] == [1, 1]
    assert gateway.sessions._sessions[worker.welcome.session].places == {}


def test_connections_of_workers(gateway: Gateway) -> None:
    """They do not count for their address, but for no more than half of all connections: others come in, too."""
    connections = gateway.browser.site.connections
    gateway.browser.site.limits = connections.limits = ConnectionLimits(connections=10, connections_per_address=3)
    worker = gateway.worker()
    places: list[Connection] = []
    with suppress(AssertionError):  # the connection is refused
        while True:
            places.append(worker.place(len(places)))
    assert len(connections) == 5 + 3
    assert gateway.browser.connect("10.0.0.7").connected
    for place in places:
        place.leave()
    assert all(worker.place(number).connected for number in range(100, 104))
