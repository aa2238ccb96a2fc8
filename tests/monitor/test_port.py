"""Monitors, and strangers, at the port for monitors."""

from collections import Counter
from collections.abc import Iterator
from typing import cast

import attrs
import pytest
from twisted.internet.address import IPv4Address
from twisted.internet.error import ConnectionDone
from twisted.internet.task import Clock
from twisted.internet.testing import StringTransport
from twisted.logger import capturedLogs
from twisted.python.failure import Failure

from sccachedist.monitor.conversation import MOST_BYTES, OPENING
from sccachedist.monitor.messages import MonitorLogin, encoded
from sccachedist.monitor.port import CONNECTIONS, LOGIN_SECS, MOST_BACKLOG, PER_ADDRESS, Monitor, MonitorPort

LOGIN = OPENING + OPENING + encoded(MonitorLogin())
PIECE = bytes(MOST_BACKLOG // 4)


class Socket(StringTransport):
    """A socket whose peer reads, or does not: then it takes one write and no more."""

    reads = True

    def write(self, data: bytes) -> None:
        super().write(data)
        if not self.reads:
            cast(Monitor, self.producer).pauseProducing()

    def abortConnection(self) -> None:
        self.disconnecting = True


@attrs.define
class Port:
    """A port, and who is there."""

    clock: Clock = attrs.field(factory=Clock)
    there: list[Monitor] = attrs.field(factory=list)
    port: MonitorPort = attrs.field(init=False)

    def __attrs_post_init__(self) -> None:
        self.port = MonitorPort(self.there.append, self.there.remove, self.clock)

    def connect(self, host: str = "127.0.0.1") -> tuple[Monitor, Socket] | None:
        monitor = self.port.buildProtocol(IPv4Address("TCP", host, 40_000))
        if monitor is None:
            return None
        socket = Socket()
        monitor.makeConnection(socket)
        return monitor, socket

    def log_in(self) -> tuple[Monitor, Socket]:
        connected = self.connect("127.0.0.1")
        assert connected
        monitor, socket = connected
        monitor.dataReceived(LOGIN)
        assert socket.value() == OPENING + OPENING
        socket.clear()
        return monitor, socket


def lose(monitor: Monitor) -> None:
    monitor.connectionLost(Failure(ConnectionDone()))


@pytest.fixture
def port() -> Iterator[Port]:
    """A port on which nothing is left to be done in the end."""
    port = Port()
    with capturedLogs():
        yield port
    port.port.close()
    port.clock.advance(LOGIN_SECS)
    assert port.clock.getDelayedCalls() == []


def test_a_monitor(port: Port) -> None:
    """It logs in, is told what it is told, and goes; it has no deadline then."""
    monitor, socket = port.log_in()
    assert port.there == [monitor]
    port.clock.advance(2 * LOGIN_SECS)
    monitor.greet(b"hosts")
    monitor.tell(b"jobs")
    assert (socket.value(), socket.disconnecting) == (b"hostsjobs", False)
    lose(monitor)
    assert port.there == []


@pytest.mark.parametrize("said", [b"", OPENING, OPENING[:2], OPENING + OPENING, LOGIN[:-1]])
def test_silence(port: Port, said: bytes) -> None:
    """One that does not log in is closed after a while, whatever it said before."""
    connected = port.connect()
    assert connected
    monitor, socket = connected
    monitor.dataReceived(said)
    port.clock.advance(LOGIN_SECS - 1)
    assert not socket.disconnecting
    port.clock.advance(1)
    assert socket.disconnecting
    lose(monitor)
    assert port.there == []


@pytest.mark.parametrize("said", [b"GET / HTTP/1.1\r\n\r\n", b"\xff" * 70_000, OPENING * 2 + b"\xff" * 4])
def test_garbage(port: Port, said: bytes) -> None:
    """One that is no monitor is closed at once, and never told anything."""
    connected = port.connect()
    assert connected
    monitor, socket = connected
    monitor.dataReceived(said)
    assert socket.disconnecting
    lose(monitor)
    assert port.there == []


def test_one_that_talks(port: Port) -> None:
    """A monitor that sends on and on after its login is closed."""
    monitor, socket = port.log_in()
    monitor.dataReceived(bytes(MOST_BYTES + 1))
    assert socket.disconnecting
    lose(monitor)
    assert port.there == []


def test_crowds(port: Port) -> None:
    """One address has a few connections, and all have so many; who goes makes room. A thousand more change nothing."""
    first, _ = port.log_in()
    for _ in range(PER_ADDRESS - 1):
        assert port.connect()
    assert port.connect() is None
    assert port.connect("127.0.0.2")
    lose(first)
    assert port.connect()
    for number in range(1000):
        assert port.connect(f"10.0.{number // 250}.{number % 250 + 1}")
    assert len(port.clock.getDelayedCalls()) == CONNECTIONS


def test_strangers_give_way(port: Port) -> None:
    """Monitors stay, though many others come from more addresses; of these, the one that came first goes first."""
    monitors = [port.log_in() for _ in range(2)]
    strangers = [port.connect(f"10.0.0.{number + 1}") for number in range(CONNECTIONS)]
    gone = [number for number, stranger in enumerate(strangers) if stranger is None or stranger[1].disconnecting]
    assert gone == [0, 1]
    for stranger in strangers[2:]:
        assert stranger is not None
        stranger[0].dataReceived(LOGIN)
    assert port.connect("10.1.0.1") is not None  # for one of two at one address
    assert port.connect("10.1.0.2") is not None  # for the last, which has not logged in
    assert [socket.disconnecting for _, socket in monitors] == [True, False]


def test_a_few_addresses_with_all_connections(port: Port) -> None:
    """They leave some to others: who has not logged in, then the oldest of the one that has most."""
    crowds = [f"127.0.0.{number + 1}" for number in range(CONNECTIONS // PER_ADDRESS)]
    many = [connected for host in crowds for _ in range(PER_ADDRESS) if (connected := port.connect(host))]
    assert len(many) == CONNECTIONS
    for monitor, _ in (*many[:2], *many[3:]):
        monitor.dataReceived(LOGIN)
    newcomers = []
    while (newcomer := port.connect("10.0.0.1")) is not None:
        newcomer[0].dataReceived(LOGIN)
        newcomers.append(newcomer)
    closed = [index for index, (_, socket) in enumerate(many) if socket.disconnecting]
    left = Counter(monitor.host for index, (monitor, _) in enumerate(many) if index not in closed)
    assert len(newcomers) == len(closed) == CONNECTIONS // (len(crowds) + 1)
    assert len(newcomers) >= max(left.values()) - 1
    assert {0, 2} <= set(closed)
    for monitor, _ in (*many, *newcomers):
        lose(monitor)
    assert port.there == []


def test_reconnects(port: Port) -> None:
    """One that comes and goes a thousand times leaves nothing behind."""
    for _ in range(1000):
        lose(port.log_in()[0])
    assert (port.there, port.clock.getDelayedCalls()) == ([], [])


def test_a_slow_reader(port: Port) -> None:
    """What it does not take waits for it, in order, as long as that is no more than a bound."""
    monitor, socket = port.log_in()
    socket.reads = False
    monitor.tell(b"1")
    for each in (b"2", b"3"):
        monitor.tell(each)
    assert socket.value() == b"1"
    monitor.resumeProducing()
    assert socket.value() == b"12"
    socket.reads = True
    monitor.resumeProducing()
    monitor.tell(b"4")
    assert socket.value() == b"1234"


def test_one_that_does_not_read(port: Port) -> None:
    """It is dropped, and nothing is kept for it; others go on."""
    other, others = port.log_in()
    monitor, socket = port.log_in()
    socket.reads = False
    for _ in range(8):
        monitor.tell(PIECE)
        other.tell(PIECE)
    assert (socket.disconnecting, len(socket.value())) == (True, len(PIECE))
    assert (others.disconnecting, len(others.value())) == (False, 8 * len(PIECE))
    lose(monitor)
    assert port.there == [other]


def test_a_large_greeting(port: Port) -> None:
    """It is no backlog; when it was taken, the bound is as before."""
    monitor, socket = port.log_in()
    socket.reads = False
    whole = bytes(2 * MOST_BACKLOG)
    monitor.greet(whole)
    monitor.tell(PIECE)
    assert not socket.disconnecting
    socket.reads = True
    monitor.resumeProducing()
    assert len(socket.value()) == len(whole) + len(PIECE)
    socket.reads = False
    for _ in range(6):
        monitor.tell(PIECE)
    assert socket.disconnecting


def test_the_end(port: Port) -> None:
    """When the scheduler stops, all connections are closed; one that is lost then keeps nothing."""
    monitor, socket = port.log_in()
    port.port.close()
    assert socket.disconnecting
    monitor.stopProducing()
    lose(monitor)
