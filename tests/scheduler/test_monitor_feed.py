"""When monitors are told what, while a scheduler goes on."""

from collections.abc import Callable, Iterator
from typing import Any

import attrs
import pytest
from twisted.internet.address import IPv4Address
from twisted.internet.error import ConnectionDone
from twisted.internet.interfaces import IProtocolFactory
from twisted.internet.task import Clock
from twisted.internet.testing import StringTransport
from twisted.logger import LogLevel, capturedLogs
from twisted.python.failure import Failure

from farmkit.deferreds import outcome
from farmkit.memory_reactor import Reactor
from sccachedist.config import MonitorSettings, RecordSettings
from sccachedist.monitor.conversation import OPENING
from sccachedist.monitor.messages import MonitorLogin, encoded
from sccachedist.monitor.port import Monitor, MonitorPort
from sccachedist.scheduler import service as service_module
from sccachedist.scheduler.events import Event
from sccachedist.scheduler.farm_views import FarmViews
from sccachedist.scheduler.job_records import JobRecords
from sccachedist.scheduler.monitor_events import MonitorEvents
from sccachedist.scheduler.monitor_feed import LOOK_SECS, WRITE_SECS, MonitorFeed
from sccachedist.scheduler.service import scheduler_service
from sccachedist.web import slices as slices_module
from sccachedist.web.slices import Slices
from sccachedist.web.turns import unhurried
from sccachedist.wire.messages import JobState
from tests.monitor.shown import Shown
from tests.scheduler.farms import assigned
from tests.scheduler.test_service import SETTINGS
from tests.scheduler.test_term import SERVER, Scheduler, job_of

NAME = "127-0-0-1:11502"
LOGIN = OPENING + OPENING + encoded(MonitorLogin())


class Connection(StringTransport):
    """A socket, and what the monitor at its other end shows."""

    monitor: Monitor
    shown: Shown

    def __init__(self, port: IProtocolFactory) -> None:
        super().__init__()
        monitor = port.buildProtocol(IPv4Address("TCP", "127.0.0.1", 40_000))
        assert isinstance(monitor, Monitor)
        self.monitor = monitor
        self.shown = Shown()
        self.monitor.makeConnection(self)
        self.monitor.dataReceived(LOGIN)
        self.clear()

    def see(self) -> Shown:
        """Take in what has come."""
        self.shown.take(self.value())
        self.clear()
        return self.shown

    def abortConnection(self) -> None:
        """Lose the connection, as a reactor would in its next turn."""
        if not self.disconnecting:
            self.disconnecting = True
            self.monitor.connectionLost(Failure(ConnectionDone()))


class Watched(Scheduler):
    """A scheduler that monitors may watch."""

    def __attrs_post_init__(self) -> None:
        super().__attrs_post_init__()
        records = JobRecords(RecordSettings(), 0.0, self.clock.seconds)
        #: What slices wait for, and the CPU time of each item.
        self.turning = Clock()
        self.slow = self.spent = 0.0
        self.begun_pictures = 0

        def begin_picture() -> MonitorEvents:
            self.begun_pictures += 1
            return MonitorEvents(RecordSettings, records.name_of, 0.0)

        def spend() -> float:
            self.spent += self.slow
            return self.spent

        self.views = FarmViews(self.terms, Slices(unhurried(self.turning), spend), records)
        self.feed = MonitorFeed(self.views, begin_picture, self.clock)
        self.port = MonitorPort(self.feed.joined, self.feed.left, self.clock)
        self.told = ToldTo(self.feed)
        self.terms.renew()
        self.beat()

    def pass_time(self, secs: float = WRITE_SECS) -> None:
        """Let time pass in the steps of the feed."""
        for _ in range(round(secs / WRITE_SECS)):
            self.clock.advance(WRITE_SECS)

    def start(self) -> None:
        """A job begins to compile."""
        placed = self.place()
        if self.servers.assignments.waiting:
            self.servers.assignments.answer(SERVER, assigned())
        self.says({job_of(placed): JobState.STARTED})


class ToldTo(list[Event]):
    """Events, and an observer of them."""

    def __init__(self, observer: Callable[[Event], None]) -> None:
        super().__init__()
        self._observer = observer

    def append(self, event: Event) -> None:
        super().append(event)
        self._observer(event)


@pytest.fixture
def watched() -> Watched:
    return Watched()


def test_nobody_watches(watched: Watched) -> None:
    """Without a monitor nothing is drawn and no timer runs."""
    watched.start()
    assert (watched.begun_pictures, watched.clock.getDelayedCalls()) == (0, [])


def test_a_monitor(watched: Watched) -> None:
    """It sees what there is, and then what happens."""
    watched.start()
    there = Connection(watched.port)
    watched.pass_time(2 * WRITE_SECS)
    assert len(there.see().running) == 1
    watched.start()
    assert there.value() == b""
    watched.pass_time()
    assert len(there.see().running) == 2
    assert there.shown.names == {NAME, "client"}
    watched.pass_time(LOOK_SECS)
    assert there.see().host(NAME)["Load"] == "666"


def test_the_last_one_goes(watched: Watched) -> None:
    """As long as there is another, all goes on; then nothing is left, and the next one begins with a look."""
    first, second = Connection(watched.port), Connection(watched.port)
    watched.pass_time(2 * WRITE_SECS)
    first.abortConnection()
    watched.start()
    watched.pass_time()
    assert len(second.see().running) == 1
    second.abortConnection()
    watched.start()
    assert (watched.begun_pictures, watched.clock.getDelayedCalls()) == (1, [])
    third = Connection(watched.port)
    watched.pass_time(2 * WRITE_SECS)
    assert len(third.see().running) == 2
    assert watched.begun_pictures == 2


def test_a_long_look(watched: Watched, monkeypatch: pytest.MonkeyPatch) -> None:
    """What happens during the first look is not lost; a monitor that goes ends the look."""
    monkeypatch.setattr(slices_module, "LOOK_AFTER", 1)
    watched.slow = 1.0
    gone = Connection(watched.port)
    watched.clock.advance(WRITE_SECS)
    assert watched.turning.getDelayedCalls()
    gone.abortConnection()
    assert watched.clock.getDelayedCalls() == []
    watched.turning.advance(0)
    assert watched.turning.getDelayedCalls() == []
    there = Connection(watched.port)
    watched.clock.advance(WRITE_SECS)
    watched.start()
    watched.pass_time(LOOK_SECS + WRITE_SECS)
    assert there.value() == b""
    watched.turning.advance(0)
    watched.pass_time()
    assert len(there.see().running) == 1
    watched.start()
    watched.pass_time()
    assert len(there.see().running) == 2


def test_many_that_come_and_go(watched: Watched) -> None:
    """A thousand logins between two writes cause one look at most."""
    looks: list[int] = []
    servers = watched.terms.current.servers
    watched.terms.current.servers = lambda some: looks.append(some) or servers(some)  # type: ignore
    there = Connection(watched.port)
    for _ in range(1000):
        Connection(watched.port).abortConnection()
    watched.pass_time(3 * WRITE_SECS)
    assert (len(looks), there.see().names) == (1, {NAME})


def test_a_new_term(watched: Watched) -> None:
    """What is shown has no end in it, so monitors are closed; they come again by themselves."""
    there = Connection(watched.port)
    watched.pass_time()
    watched.terms.renew()
    watched.pass_time()
    assert there.disconnecting
    assert watched.clock.getDelayedCalls() == []


def test_a_look_that_fails(watched: Watched) -> None:
    """It is told, and tried again."""

    def fail(_some: int) -> Iterator[Any]:
        raise ZeroDivisionError

    servers, watched.terms.current.servers = watched.terms.current.servers, fail  # type: ignore
    there = Connection(watched.port)
    with capturedLogs() as events:
        watched.pass_time(LOOK_SECS)
    assert [event["log_level"] for event in events] == [LogLevel.critical]
    watched.terms.current.servers = servers  # type: ignore
    watched.pass_time(LOOK_SECS)
    assert there.see().names == {NAME}


def test_service(monkeypatch: pytest.MonkeyPatch) -> None:
    """A scheduler with ``monitor.address`` listens there, shows its hosts, and closes all when it stops."""
    monkeypatch.setattr(service_module, "check_address", lambda *_: None)
    monkeypatch.setattr("sccachedist.scheduler.monitor_feed.check_address", lambda *_: None)
    reactor = Reactor()
    settings = attrs.evolve(SETTINGS, monitor=MonitorSettings(SERVER))
    service = scheduler_service(settings, reactor, reactor.listen)
    service.privilegedStartService()
    service.startService()
    ((_, factory, *_),) = (each for each in reactor.tcpServers if each[0] == SERVER.port)
    there = Connection(factory)
    for _ in range(3):
        reactor.advance(WRITE_SECS)
    assert there.see().names == set()
    outcome(service.stopService())
    assert there.disconnecting
