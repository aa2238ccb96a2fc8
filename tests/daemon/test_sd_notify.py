"""What a service manager hears of a process, at a real socket for datagrams."""

import os
import socket
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from twisted.internet.task import Clock
from twisted.logger import capturedLogs

from sccachedist.daemon.sd_notify import MOST_UNTOLD, STATUS_SECS, ServiceNotifier


class Listening:
    """A manager: its socket, and what has come there."""

    def __init__(self, address: str) -> None:
        self.address = address
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._socket.bind(address)
        self._socket.setblocking(False)

    def heard(self) -> list[str]:
        """What has come since the last look."""
        messages = []
        while True:
            try:
                messages.append(self._socket.recv(4096).decode())
            except BlockingIOError:
                return messages

    def close(self) -> None:
        self._socket.close()


class Told:
    """A process under that manager, whose status is what a test says; to ask for an empty one fails."""

    def __init__(self, **environment: str) -> None:
        self.environment, self.clock, self.status = environment, Clock(), "open"
        self.service = ServiceNotifier(self.environment, self._say, self.clock)

    def _say(self) -> str:
        if not self.status:
            raise ZeroDivisionError
        return self.status


@pytest.fixture
def manager() -> Iterator[Listening]:
    with (
        tempfile.TemporaryDirectory() as folder
    ):  # a socket's name may have 107 bytes, which a test's own folder may take
        listening = Listening(str(Path(folder, "notify")))
        yield listening
        listening.close()


@pytest.fixture
def told(manager: Listening) -> Iterator[Told]:
    told = Told(NOTIFY_SOCKET=manager.address)
    yield told
    if told.service.running:
        told.service.stopService()


def test_from_start_to_end(manager: Listening, told: Told) -> None:
    """Ready, how it is doing when that changes, stopping; nothing before and after."""
    told.clock.advance(STATUS_SECS)
    assert manager.heard() == []
    told.service.startService()
    assert manager.heard() == ["READY=1", "STATUS=open"]
    told.clock.pump([STATUS_SECS] * 3)
    assert manager.heard() == []
    told.status = "open,\n1 job"
    told.clock.advance(STATUS_SECS)
    assert manager.heard() == ["STATUS=open, 1 job"]
    told.service.stopping()
    told.status = "stopping"
    told.clock.advance(STATUS_SECS)
    assert manager.heard() == ["STOPPING=1", "STATUS=stopping"]
    told.service.stopService()
    told.clock.advance(STATUS_SECS)
    assert manager.heard() == []
    assert told.clock.getDelayedCalls() == []


def test_reload(manager: Listening, told: Told) -> None:
    """The manager hears of its beginning, by the clock that it goes by, and of its end, also if it fails."""
    told.service.startService()
    manager.heard()
    before = time.clock_gettime_ns(time.CLOCK_MONOTONIC) // 1000

    @told.service.reloading()
    def reload() -> None:
        begun.extend(manager.heard())
        told.status = "all is new"
        raise ZeroDivisionError

    begun: list[str] = []
    with pytest.raises(ZeroDivisionError):
        reload()
    [first] = begun
    word, usec = first.split("\nMONOTONIC_USEC=")
    assert word == "RELOADING=1"
    assert before <= int(usec) <= time.clock_gettime_ns(time.CLOCK_MONOTONIC) // 1000
    assert manager.heard() == ["READY=1", "STATUS=all is new"]


@pytest.mark.parametrize("is_named", [False, True])
def test_watchdog(manager: Listening, is_named: bool) -> None:
    """It hears of the process twice in the time after which it would end it, also if no status is to be had."""
    told = Told(
        NOTIFY_SOCKET=manager.address, WATCHDOG_USEC="3000000", WATCHDOG_PID=str(os.getpid()) if is_named else ""
    )
    told.service.startService()
    assert manager.heard() == ["READY=1", "WATCHDOG=1", "STATUS=open"]
    told.clock.pump([1.5, 1.5])
    assert manager.heard() == ["WATCHDOG=1"] * 2
    told.status = ""
    with capturedLogs() as events:
        told.clock.pump([1.5, 1.5])
    assert manager.heard() == ["WATCHDOG=1"] * 2
    assert {event["log_format"] for event in events} == {"no status for the service manager"}
    told.service.stopService()


@pytest.mark.parametrize(("usec", "process"), [("3000000", "1"), ("soon", ""), ("0", ""), ("-1", ""), ("", "")])
def test_no_watchdog(manager: Listening, usec: str, process: str) -> None:
    """One that is meant for another process, or that is none, is not answered."""
    told = Told(NOTIFY_SOCKET=manager.address, WATCHDOG_USEC=usec, WATCHDOG_PID=process)
    told.service.startService()
    told.clock.advance(STATUS_SECS)
    assert manager.heard() == ["READY=1", "STATUS=open"]
    told.service.stopService()


def test_programs_that_are_started_know_no_manager(told: Told) -> None:
    """They must not speak in the daemon's name."""
    more = Told(NOTIFY_SOCKET="/a", WATCHDOG_USEC="1", WATCHDOG_PID="2", HOME="/root")
    assert told.environment == {}
    assert more.environment == {"HOME": "/root"}


@pytest.mark.parametrize("address", ["", "notify", "vsock:2:9999"])
def test_no_manager(address: str) -> None:
    """Without one, or with one that speaks through something else, nothing is told."""
    told = Told(NOTIFY_SOCKET=address)
    with capturedLogs() as events:
        told.service.startService()
        told.service.stopping()
        with told.service.reloading():
            pass
        told.clock.advance(STATUS_SECS)
        told.service.stopService()
    assert events == []


def test_a_name_without_a_file() -> None:
    """The address may be one of Linux's abstract names."""
    name = f"sccachedist-test-{os.getpid()}"
    manager = Listening(f"\0{name}")
    told = Told(NOTIFY_SOCKET=f"@{name}")
    told.service.startService()
    assert manager.heard()[0] == "READY=1"
    told.service.stopService()
    manager.close()


def test_a_manager_that_is_away(manager: Listening, told: Told) -> None:
    """What it has missed it hears when it is back, in order, and no news push the first out; the log says so once."""
    manager.close()
    Path(manager.address).unlink()
    with capturedLogs() as events:
        told.service.startService()
        for number in range(2 * MOST_UNTOLD):
            told.status = f"{number}"
            told.clock.advance(STATUS_SECS)
    assert [event["log_format"] for event in events] == ["the service manager is not told: {error}"]
    back = Listening(manager.address)
    told.clock.advance(STATUS_SECS)
    assert back.heard() == ["READY=1", f"STATUS={2 * MOST_UNTOLD - 1}"]
    back.close()


def test_a_manager_that_does_not_read(manager: Listening, told: Told) -> None:
    """It holds nothing up: what its socket has no room for waits."""
    told.service.startService()
    for number in range(1000):
        told.status = f"{number}"
        told.clock.advance(STATUS_SECS)
    heard = manager.heard()
    assert len(heard) < 1000
    told.clock.advance(STATUS_SECS)
    assert [*heard, *manager.heard()][-1] == "STATUS=999"
