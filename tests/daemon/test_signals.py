"""Signals that end other programs, and not a daemon: each is answered with what is done at it."""

import os
import signal
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from twisted.logger import capturedLogs

from farmkit.memory_reactor import Reactor
from sccachedist.daemon import signals
from sccachedist.daemon.signals import SURVIVED, OnSignal, survive, survive_and_tell


@pytest.fixture(autouse=True)
def _as_it_was(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(signals, "_actions", {})  # a role of an earlier test may not have been stopped
    monkeypatch.setattr(signals, "_due", set())
    before = {name: signal.getsignal(getattr(signal, name)) for name in SURVIVED}
    yield
    for name, handler in before.items():
        signal.signal(getattr(signal, name), handler)


class WhenItRuns(Reactor):
    """A reactor that gets to a call from a signal's handler in its next turn."""

    def callFromThread(self, function: Callable[..., Any], *arguments: Any) -> None:  # noqa: N802
        self.callLater(0, function, *arguments)


def send(name: str) -> None:
    os.kill(os.getpid(), getattr(signal, name))


@pytest.mark.parametrize("name", SURVIVED)
def test_survived(name: str) -> None:
    """The process goes on, and somebody is told."""
    told: list[str] = []
    survive(told.append)
    send(name)
    assert told == [name]


@pytest.mark.parametrize("name", SURVIVED)
def test_nothing_to_do(name: str) -> None:
    """What a role has no use for is one line in the log, written when the reactor comes to it."""
    reactor = WhenItRuns()
    survive_and_tell(reactor)
    with capturedLogs() as events:
        send(name)
        assert events == []
        reactor.advance(0)
    [line] = events
    assert (line["signal"], line["log_format"]) == (name, "{signal}: nothing is done at this signal now")


def test_while_a_role_runs() -> None:
    """A role does what it has for a signal; before and after, nothing, and says so."""
    reactor: Any = WhenItRuns()
    done: list[str] = []
    survive_and_tell(reactor)
    service = OnSignal("SIGUSR1", lambda: done.append("drained"), reactor)
    with capturedLogs() as events:
        for step in (lambda: None, service.startService, service.stopService):
            step()
            send("SIGUSR1")
            reactor.advance(0)
    assert done == ["drained"]
    assert [event["signal"] for event in events] == ["SIGUSR1", "SIGUSR1"]


def test_a_storm() -> None:
    """Signals that come faster than they are acted on ask for no more than one that comes then."""
    reactor: Any = WhenItRuns()
    done: list[int] = []

    def acts() -> None:
        done.append(len(done))
        if len(done) == 1:
            for _ in range(100):
                send("SIGHUP")

    service = OnSignal("SIGHUP", acts, reactor)
    service.startService()
    for _ in range(100):
        send("SIGHUP")
    for _ in range(10):
        reactor.advance(0)
    assert done == [0, 1]


def test_several_actions() -> None:
    """All that is to be done at a signal is done, also when one part fails; each part ends by itself."""
    reactor: Any = WhenItRuns()
    done: list[str] = []
    survive_and_tell(reactor)
    services = [
        OnSignal("SIGHUP", work, reactor)
        for work in (lambda: 1 // 0, lambda: done.append("a"), lambda: done.append("b"))
    ]
    for service in services:
        service.startService()
    with capturedLogs() as events:
        send("SIGHUP")
        reactor.advance(0)
    assert done == ["a", "b"]
    assert [event["log_failure"].check(ZeroDivisionError) for event in events] == [ZeroDivisionError]
    for service in services[:2]:
        service.stopService()
    send("SIGHUP")
    reactor.advance(0)
    assert done == ["a", "b", "b"]
    services[2].stopService()


def test_the_end() -> None:
    """When the reactor has shut down, the signals come to nothing, also while Python ends."""
    reactor = WhenItRuns()
    survive_and_tell(reactor)
    (ending,) = reactor.triggers["after"]["shutdown"]
    ending[0]()
    assert {signal.getsignal(getattr(signal, name)) for name in SURVIVED} == {signal.SIG_IGN}
