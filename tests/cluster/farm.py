"""Several schedulers in memory, with a network between them and an election that a test decides."""

from collections.abc import Callable
from ipaddress import ip_network
from typing import Any, cast

import attrs
from twisted.internet.address import IPv4Address
from twisted.internet.error import ConnectionAborted, ConnectionDone, ConnectionLost
from twisted.internet.error import ConnectionRefusedError as Refused
from twisted.internet.task import Clock
from twisted.internet.testing import StringTransport
from twisted.python.failure import Failure

from farmkit.memory_http import Browser
from farmkit.memory_reactor import Reactor
from sccachedist.cluster.leadership import Candidate, Following, Leadership, Leading
from sccachedist.config import AdminSettings, ClusterSettings, NetworkSettings, SchedulerSettings, TokenAuth
from sccachedist.config.cluster import StoreAddress
from sccachedist.daemon.reload import Reload
from sccachedist.scheduler.service import scheduler_service
from sccachedist.web.request import Site
from sccachedist.wire.addresses import ServerId

#: The address from which schedulers ask each other.
OTHERS = "127.0.0.9"
#: The schedulers, and a store that is never asked: a test says how an election stands.
CLUSTER = ClusterSettings(
    StoreAddress.parse("redis://127.0.0.1"), tuple(f"http://127.0.0.1:{port}" for port in (10600, 10601))
)
#: Bytes on the way in one direction, beyond which a sender is asked for a pause.
ON_THE_WAY = 1 << 16


class Settled:
    """An election of which a test says how it stands."""

    def __init__(self, current: Leadership) -> None:
        self.current = current
        self._observers: list[Callable[[Leadership], None]] = []

    def observe(self, observer: Callable[[Leadership], None]) -> None:
        self._observers.append(observer)

    def say(self, leadership: Leadership) -> None:
        self.current = leadership
        for observer in self._observers:
            observer(leadership)


class End(StringTransport):
    """One end of a connection. What is written arrives in the reactor's next turn, unless the other end rests."""

    other: "End"
    protocol: Any

    def __init__(self, clock: Clock, here: str, there: str) -> None:
        super().__init__(IPv4Address("TCP", here, 1), IPv4Address("TCP", there, 2))
        self._clock, self._rests, self._asked_to_rest = clock, False, False
        self.on_the_way = bytearray()
        self.total = 0

    def write(self, data: bytes) -> None:
        if self.connected:
            self.total += len(data)
            self.on_the_way += data
            if len(self.on_the_way) > ON_THE_WAY and self.producer is not None:
                self._asked_to_rest = True
                self.producer.pauseProducing()
            self._clock.callLater(0, self._arrive)

    def writeSequence(self, data: Any) -> None:
        self.write(b"".join(data))

    def pauseProducing(self) -> None:
        self._rests = True

    def resumeProducing(self) -> None:
        self._rests = False
        self._clock.callLater(0, self.other._arrive)

    def loseConnection(self) -> None:
        if not self.disconnecting:
            self.disconnecting = True
            self._clock.callLater(0, self._arrive)

    def abortConnection(self) -> None:
        self._clock.callLater(0, self.cut, ConnectionAborted(), ConnectionLost())

    def cut(self, here: Exception, there: Exception) -> None:
        """End the connection: what is on the way is lost."""
        for end, reason in ((self, here), (self.other, there)):
            if end.connected:
                end.connected = False
                end.protocol.connectionLost(Failure(reason))

    def _arrive(self) -> None:
        if not self.connected or self.other._rests:
            return
        data, self.on_the_way = bytes(self.on_the_way), bytearray()
        if data and self.other.connected:
            self.other.protocol.dataReceived(data)
        if self._asked_to_rest and self.producer is not None:
            self._asked_to_rest = False
            self.producer.resumeProducing()
        if self.disconnecting and not self.on_the_way and self.connected:
            self.cut(ConnectionDone(), ConnectionDone())


@attrs.define
class Connector:
    """A connection that is being made."""

    is_stopped: bool = False

    def stopConnecting(self) -> None:  # noqa: N802
        self.is_stopped = True


class Network(Reactor):
    """A memory reactor whose connections lead to its own ports.

    :ivar down: ports that refuse connections; ``silent``: those that do not answer; ``deaf``: those that read nothing.
    """

    def __init__(self) -> None:
        super().__init__()
        self.down: set[int] = set()
        self.silent: set[int] = set()
        self.deaf: set[int] = set()
        self.made: list[tuple[int, End]] = []
        self.tries: list[int] = []

    def connectTCP(  # noqa: N802
        self,
        host: str,
        port: int,
        factory: Any,
        timeout: float = 30,
        bindAddress: Any = None,  # noqa: N803
    ) -> Any:
        connector = Connector()
        factory.doStart()
        self.tries.append(port)
        self.callLater(0, self._connect, connector, host, port, factory)
        return connector

    def _connect(self, connector: Connector, host: str, port: int, factory: Any) -> None:
        sites = {each: site for each, site, *_ in self.tcpServers}
        if connector.is_stopped or port in self.silent:
            return
        if port in self.down or port not in sites:
            factory.clientConnectionFailed(connector, Failure(Refused()))
            return
        here, there = End(self, OTHERS, host), End(self, host, OTHERS)
        here.other, there.other = there, here
        here.protocol = factory.buildProtocol(there.getHost())
        there.protocol = sites[port].buildProtocol(here.getHost())
        if port in self.deaf:
            there.pauseProducing()
        self.made.append((port, there))
        here.protocol.makeConnection(here)
        there.protocol.makeConnection(there)

    def turn(self, times: int = 30) -> None:
        """Let all that needs no time happen."""
        self.pump([0] * times)

    def lose(self, port: int) -> None:
        """All connections to a port break, and no more can be made."""
        self.down.add(port)
        for each, end in self.made:
            if each == port:
                end.cut(ConnectionLost(), ConnectionLost())


@attrs.define
class Scheduler:
    """One of several, which trusts the others as it trusts proxies."""

    network: Network
    port: int
    election: Settled
    admin: str = "admintok"
    settings: SchedulerSettings = attrs.field(init=False)
    reload: Reload[SchedulerSettings] = attrs.field(init=False)
    service: Any = attrs.field(init=False)
    browser: Browser = attrs.field(init=False)

    def __attrs_post_init__(self) -> None:
        settings = SchedulerSettings(
            public_addr=ServerId.parse(f"127.0.0.1:{self.port}"),
            client_auth=TokenAuth("clienttok"),
            server_auth=TokenAuth("servertok"),
            network=NetworkSettings((ip_network(OTHERS),)),
            admin=AdminSettings(token=self.admin),
            cluster=CLUSTER,
        )
        self.settings = settings
        self.reload = Reload(settings, lambda: self.settings, self.network.seconds)
        network = self.network
        self.service = scheduler_service(settings, network, network.listen, self.reload, self.election)
        self.service.privilegedStartService()
        self.service.startService()
        (site,) = [cast(Site, site) for port, site, *_ in self.network.tcpServers if port == self.port]
        self.browser = Browser(site, self.network)

    @property
    def candidate(self) -> Candidate:
        return Candidate(f"http://127.0.0.1:{self.port}", f"run of {self.port}")

    def leads(self) -> None:
        self.election.say(Leading(1))

    def follows(self, other: "Scheduler | None" = None) -> None:
        self.election.say(Following(None if other is None else other.candidate))
