"""The port of ``[monitor] address``: monitors of Icecream connect here, log in, and are told what happens.

What they are told is made elsewhere, once for all. The protocol knows no secret: who reaches the port may read.
:mod:`sccachedist.monitor.conversation` decides what a monitor may say.
"""

from collections import Counter, deque
from collections.abc import Callable
from typing import Any, cast

from twisted.internet.address import IPv4Address, IPv6Address
from twisted.internet.interfaces import IAddress, IDelayedCall, IPushProducer, IReactorTime
from twisted.internet.protocol import Factory, Protocol
from twisted.logger import LogLevel
from twisted.python.failure import Failure
from zope.interface import implementer

from sccachedist.auth.bearer import crowd_of
from sccachedist.daemon.logs import Logger, QuietLog
from sccachedist.errors import DecodeError
from sccachedist.monitor.conversation import OPENING, Conversation

log = Logger()

#: Connections at a time, and from one address: monitors are few.
CONNECTIONS, PER_ADDRESS = 32, 8
#: Seconds that a monitor may take to log in.
LOGIN_SECS = 10.0
#: The most bytes that wait for a monitor that does not read, beyond what it was greeted with.
MOST_BACKLOG = 2**20
#: What is written at once.
_PIECE = 64 * 1024


class MonitorPort(Factory):
    """The connections of monitors.

    :param joined: called with each monitor that has logged in; ``left``: with each of them that goes.
    """

    noisy = False

    def __init__(
        self, joined: Callable[["Monitor"], None], left: Callable[["Monitor"], None], clock: IReactorTime
    ) -> None:
        self.joined, self.left, self.clock = joined, left, clock
        self._open: dict[Monitor, None] = {}  # the oldest first
        self._crowds: Counter[str] = Counter()
        self._quiet_log = QuietLog(clock.seconds)

    def buildProtocol(self, address: IAddress | None) -> "Monitor | None":
        """A connection; None, which closes it, if there are too many."""
        host = cast(IPv4Address | IPv6Address, address).host
        crowd = crowd_of(host)
        if self._crowds[crowd] >= PER_ADDRESS or not self._make_room_for(crowd):
            self.tell(host, "refused, for there are too many")
            return None
        monitor = Monitor(self, host)
        self._open[monitor] = None
        self._crowds[crowd] += 1
        return monitor

    def _make_room_for(self, crowd: str) -> bool:
        """Whether one more may be opened.

        The oldest that has not logged in gives way. If all have, the address with most of them gives up its oldest to
        one that has two fewer.
        """
        if len(self._open) < CONNECTIONS:
            return True
        closed = next((monitor for monitor in self._open if not monitor.logged_in), None)
        if closed is None:
            largest, most = self._crowds.most_common(1)[0]
            if most < self._crowds[crowd] + 2:
                return False
            closed = next(monitor for monitor in self._open if crowd_of(monitor.host) == largest)
        closed.drop("closed, to make room for another one")
        self.closed(closed)
        return True

    def closed(self, monitor: "Monitor") -> None:
        """Count a connection no longer."""
        if monitor in self._open:
            del self._open[monitor]
            self._crowds -= Counter([crowd_of(monitor.host)])

    def tell(self, host: str, what: str) -> None:
        """Tell the log, now and then, what is done about a monitor."""
        form = "monitor at {host}: {what}"
        self._quiet_log.tell(log, LogLevel.warn, "monitor", form, by=crowd_of(host), why=what, host=host, what=what)

    def close(self) -> None:
        """Close all connections."""
        for monitor in tuple(self._open):
            monitor.close()


@implementer(IPushProducer)
class Monitor(Protocol):
    """One connection.

    While its socket takes no more, what it is told waits here, up to a bound.
    """

    def __init__(self, port: MonitorPort, host: str) -> None:
        self.host, self._port = host, port
        self._conversation = Conversation()
        self._deadline: IDelayedCall | None = None
        self._held: deque[bytes] = deque()
        self._held_bytes, self._most_held = 0, MOST_BACKLOG
        self._is_paused = self._is_closed = False

    @property
    def logged_in(self) -> bool:
        """Whether it is told what happens."""
        return self._conversation.logged_in

    def connectionMade(self) -> None:
        """Open the conversation."""
        self._transport.registerProducer(self, True)
        self._deadline = self._port.clock.callLater(LOGIN_SECS, self._is_late)
        self._transport.write(OPENING)

    def dataReceived(self, data: bytes) -> None:
        """Hear what the monitor says."""
        was_in = self._conversation.logged_in
        try:
            answer = self._conversation.received(data)
        except DecodeError as error:
            self.drop(str(error))
            return
        if answer:
            self._transport.write(answer)
        if self._conversation.logged_in and not was_in:
            self._forget_deadline()
            self._port.joined(self)

    def connectionLost(self, reason: Failure | None = None) -> None:
        """It has gone."""
        self._forget_deadline()
        self._port.closed(self)
        if self._conversation.logged_in:
            self._port.left(self)

    def greet(self, octets: bytes) -> None:
        """Tell all that there is now. That may be much, and does not count as a backlog."""
        self._most_held = MOST_BACKLOG + len(octets)
        for begin in range(0, len(octets), _PIECE):
            self.tell(octets[begin : begin + _PIECE])

    def tell(self, octets: bytes) -> None:
        """Tell what is new; a monitor that has not read for too long is dropped."""
        if self._is_closed:
            return
        if not self._is_paused:
            self._transport.write(octets)
            return
        self._held.append(octets)
        self._held_bytes += len(octets)
        if self._held_bytes > self._most_held:
            self.drop(f"dropped, for it does not read: {self._held_bytes} bytes wait for it")

    def pauseProducing(self) -> None:
        """The socket takes no more."""
        self._is_paused = True

    def resumeProducing(self) -> None:
        """The socket takes more."""
        self._is_paused = False
        while self._held and not self._is_paused:
            octets = self._held.popleft()
            self._held_bytes -= len(octets)
            self._transport.write(octets)
        if not self._held:
            self._most_held = MOST_BACKLOG

    def stopProducing(self) -> None:
        """The connection is lost."""
        self._held.clear()

    def drop(self, why: str) -> None:
        """Close the connection for a reason, which is logged."""
        self._port.tell(self.host, why)
        self.close()

    def close(self) -> None:
        """Close the connection at once."""
        self._is_closed = True
        self._forget_deadline()
        self._held.clear()
        self._transport.abortConnection()

    @property
    def _transport(self) -> Any:  # no interface has both registerProducer and abortConnection
        return self.transport

    def _is_late(self) -> None:
        self._deadline = None
        self.drop(f"it has not logged in within {LOGIN_SECS:.0f} s")

    def _forget_deadline(self) -> None:
        deadline, self._deadline = self._deadline, None
        if deadline is not None:
            deadline.cancel()
