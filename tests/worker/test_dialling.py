"""Gateways are dialled until they answer, and again when they are lost; a name may stand for several."""

import socket
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from twisted.internet.defer import maybeDeferred

from farmkit.deferreds import outcome
from sccachedist.errors import PeerError
from sccachedist.wire.gateway import WorkerHello
from sccachedist.worker.dialling import LOOKUP_SECS, MOST_SECS, STEADY_SECS, Diallers, pause_secs
from sccachedist.worker.service import addresses_of
from tests.worker.gateways import WELCOME, Bench, FakeGateway, job


class Dialled:
    """A worker that dials fakes."""

    def __init__(self, folder: Path, *urls: str) -> None:
        self.bench = Bench(folder)
        self.gateways: dict[str, FakeGateway] = {}
        self.names: dict[str, str] = {}
        self.addresses: dict[str, Sequence[str]] = {}
        self.diallers = Diallers(
            urls, self.lookup, self.calls, self.hello, self.bench.desk, lambda: 1.0, self.bench.clock
        )
        self.diallers.startService()

    async def lookup(self, name: str, port: int) -> Sequence[str]:
        assert port == 10501
        if name not in self.addresses:
            raise OSError("no such name")
        return self.addresses[name]

    def calls(self, url: str, name: str) -> Any:
        gateway = self.gateways[url] = FakeGateway(url)
        self.names[url] = name
        return gateway

    def hello(self, nonce: int, way: int) -> WorkerHello:
        return WorkerHello("vm", nonce, 1, 1, (62,), (), "0.1.0", way=way)

    def advance(self, seconds: float) -> None:
        self.bench.clock.advance(seconds)


URL = "https://10.0.0.7:10501"


@pytest.fixture
def dialled(tmp_path: Path) -> Dialled:
    return Dialled(tmp_path, URL)


def test_a_session(dialled: Dialled) -> None:
    """A gateway that welcomes a worker is asked for jobs."""
    gateway = dialled.gateways[URL]
    gateway.hellos[0].callback(WELCOME)
    assert len(gateway.polls) == 1
    assert (dialled.diallers.dialled, len(dialled.bench.desk.sessions)) == (1, 1)


def test_one_that_does_not_answer(dialled: Dialled) -> None:
    """It is dialled again, after longer and longer pauses, as the same worker."""
    gateway = dialled.gateways[URL]
    for pause in (0.1, 0.2, 0.4):
        gateway.hellos[-1].errback(PeerError("refused"))
        dialled.advance(pause * 0.99)
        before = len(gateway.hellos)
        dialled.advance(pause * 0.02)
        assert len(gateway.hellos) == before + 1
    assert len({(said.nonce, said.way) for said in gateway.said}) == 1


def test_one_that_is_lost(dialled: Dialled) -> None:
    """After a session that lasted, it is dialled again at once, however often it did not answer before."""
    gateway = dialled.gateways[URL]
    for _ in range(5):
        gateway.hellos[-1].errback(PeerError("refused"))
        dialled.advance(MOST_SECS)
    gateway.hellos[-1].callback(WELCOME)
    dialled.advance(STEADY_SECS)
    said = len(gateway.hellos)
    gateway.listening.errback(PeerError("lost"))
    assert dialled.bench.desk.sessions == set()
    dialled.advance(0.1)
    assert len(gateway.hellos) == said + 1


def test_pauses() -> None:
    """They grow up to a bound, and part of each is left to chance."""
    assert pause_secs(0, 1.0) == pytest.approx(0.1)
    assert pause_secs(0, 0.0) == pytest.approx(0.05)
    assert pause_secs(10**6, 1.0) == MOST_SECS


def test_a_name_with_several_addresses(tmp_path: Path) -> None:
    """Each is a gateway of its own, judged by the name; more may come, and one that goes is kept while it answers."""
    dialled = Dialled(tmp_path, "https://gateways.example:10501")
    assert dialled.gateways == {}, "the name is not known yet"
    dialled.addresses["gateways.example"] = ["10.0.0.1", "2001:db8::1"]
    dialled.advance(LOOKUP_SECS)
    assert set(dialled.gateways) == {"https://10.0.0.1:10501", "https://[2001:db8::1]:10501"}
    assert set(dialled.names.values()) == {"gateways.example"}
    first, second = dialled.gateways.values()
    assert first.said[0].nonce == second.said[0].nonce, "if they are one gateway, it knows the worker"
    assert first.said[0].way != second.said[0].way
    first.hellos[0].callback(WELCOME)
    dialled.addresses["gateways.example"] = ["10.0.0.3"]
    dialled.advance(LOOKUP_SECS)
    assert (first.closed, second.closed) == (0, 1)
    assert len(dialled.gateways) == 3
    del dialled.addresses["gateways.example"]
    dialled.advance(LOOKUP_SECS)
    assert dialled.diallers.dialled == 2, "a name that is not known now keeps its gateways"
    first.listening.errback(PeerError("lost"))
    dialled.addresses["gateways.example"] = ["10.0.0.3"]
    dialled.advance(LOOKUP_SECS)
    assert dialled.diallers.dialled == 1


def test_stopped(dialled: Dialled) -> None:
    """All sessions end, their jobs are killed, and nothing is dialled any more."""
    gateway = dialled.gateways[URL]
    gateway.hellos[0].callback(WELCOME)
    gateway.only_poll().give(job(7))
    stopped = maybeDeferred(dialled.diallers.stopService)
    assert outcome(stopped) == [None]
    assert dialled.bench.runs.killed == [7]
    assert gateway.closed == 1
    dialled.advance(LOOKUP_SECS)
    assert len(gateway.hellos) == 1


def test_stopped_by_the_end_of_a_session(dialled: Dialled) -> None:
    """A worker that waits for its last job stops when its gateway is lost: in the middle of the end of that session."""
    gateway = dialled.gateways[URL]
    gateway.hellos[0].callback(WELCOME)
    gateway.only_poll().give(job(7))
    stopped = dialled.bench.desk.idle.wait().addCallback(lambda _: dialled.diallers.stopService())
    gateway.listening.errback(PeerError("lost"))
    assert outcome(stopped) == [None]
    assert gateway.closed == 1
    dialled.advance(LOOKUP_SECS)
    assert len(gateway.hellos) == 1


def test_one_ip_version(monkeypatch: pytest.MonkeyPatch) -> None:
    """A gateway that has addresses of both is one gateway: those of the host's preferred version count."""
    six = (socket.AF_INET6, socket.SOCK_STREAM, 6, "", ("::1", 1, 0, 0))
    four = (socket.AF_INET, socket.SOCK_STREAM, 6, "", ("127.0.0.1", 1))
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: [six, four, six])
    assert addresses_of("name", 1) == ["::1", "::1"]
