"""The connections of one role: counts them, makes room for new ones, and closes those of late peers.

If there is no room for one more, the connection is closed that has been open longest without a good token: a peer with
a good token shows it at once, and strangers that only sit there lock no other peer out.

About every second, all connections are looked at, some at a time: no request waits for the look at thousands. One
delayed call serves them all, and none is left when no peer is connected. :mod:`sccachedist.web.deadlines` decides when
a peer is late, :mod:`sccachedist.web.channel` what it is told.
"""

from collections import OrderedDict
from collections.abc import Sequence
from itertools import islice
from typing import Protocol

import attrs
from twisted.internet.interfaces import IDelayedCall, IReactorTime
from twisted.logger import LogLevel

from sccachedist.auth.bearer import IPNetwork, crowd_of, plain_address
from sccachedist.config import ConnectionLimits
from sccachedist.daemon.logs import Logger, QuietLog
from sccachedist.web.port_counts import PortCounts

log = Logger()

#: Seconds from the end of one look at all connections to the next look.
SWEEP_SECS = 1.0
#: Connections that are looked at at a time, and seconds until the next ones are.
SWEPT, PAUSE_SECS = 100, 0.01


class Watched(Protocol):
    """A connection, as this module knows it."""

    @property
    def peer_host(self) -> str:
        """The IP address at the other end."""

    @property
    def is_idle(self) -> bool:
        """Whether it is the peer's turn to send a request."""

    def overdue(self, now: float) -> str | None:
        """The key of the limit that a late peer has hit; empty if that has no key; None if the peer is not late."""

    def give_up(self, limit: str) -> None:
        """Close the connection; ``limit`` is as :meth:`overdue` says."""


@attrs.define
class _Crowd:
    """The connections from one address.

    :param count: how many there are; ``free``: those of them that do not count.
    :param strangers: those without a good token, the oldest first.
    """

    count: int = 0
    free: set[Watched] = attrs.field(factory=set)
    strangers: OrderedDict[Watched, None] = attrs.field(factory=OrderedDict)


class Connections:
    """The open connections of a role.

    :param exempt: the networks whose addresses stand for many peers each.
    :param counts: counts the limits that are hit.
    """

    def __init__(
        self, limits: ConnectionLimits, exempt: Sequence[IPNetwork], clock: IReactorTime, counts: PortCounts
    ) -> None:
        self.counts = counts
        self.limits, self.exempt, self._clock = limits, exempt, clock
        self.quiet_log = QuietLog(clock.seconds)
        self._open: set[Watched] = set()
        self._free = 0
        self._crowds: dict[str, _Crowd] = {}
        self._strangers: OrderedDict[Watched, None] = OrderedDict()
        self._known: OrderedDict[Watched, None] = OrderedDict()
        self._next_sweep: IDelayedCall | None = None
        self._unswept: list[Watched] = []

    def __len__(self) -> int:
        return len(self._open)

    def make_room_for(self, host: str) -> bool:
        """Whether one more may be opened from an address. Another may be closed for it; what is done is logged."""
        limits, crowd = self.limits, self._crowds.get(crowd_of(host))
        if crowd and crowd.count - len(crowd.free) >= limits.connections_per_address and not self._is_exempt(host):
            return self._replace("connections_per_address", host, next(iter(crowd.strangers), None))
        if len(self._open) < limits.connections:
            return True
        idle = (known for known in islice(self._known, SWEPT) if known.is_idle)
        last = next(iter(self._strangers), None) or next(idle, None)
        return self._replace("connections", host, last)

    def know(self, connection: Watched) -> None:
        """Note that a connection has shown a good token: one without is closed before it."""
        if connection in self._open:
            self._strangers.pop(connection, None)
            self._crowds[crowd_of(connection.peer_host)].strangers.pop(connection, None)
            self._known[connection] = None
            self._known.move_to_end(connection)

    def count_no_more(self, connection: Watched) -> None:
        """Let a connection not count for its address: its sender may have many, as may others there.

        Half of all connections may be such ones: so one sender of them leaves some to others, as any other does.
        """
        if connection in self._open and self._free < self.limits.connections // 2:
            free = self._crowds[crowd_of(connection.peer_host)].free
            self._free += connection not in free
            free.add(connection)

    def _replace(self, limit: str, host: str, closed: Watched | None) -> bool:
        if closed is None:
            self.tell(limit, host, "a connection refused")
            return False
        shown = "was idle" if closed in self._known else "has shown no good token"
        self.tell(limit, closed.peer_host, f"a connection closed that {shown}")
        self.remove(closed)
        closed.give_up("")
        return True

    def tell(self, limit: str, peer: str, what: str, *, is_counted: bool = False) -> None:
        """Count which limit a peer has hit, and tell the log unless it has been told lately.

        :param limit: its key under ``[limits]``.
        :param what: what the peer did, or what was done to it.
        :param is_counted: whether a response to the peer counts it.
        """
        self.counts.limits[limit] += not is_counted
        self.quiet_log.tell(
            log,
            LogLevel.warn,
            f"limit {limit}",
            "limits.{limit}: {what}, {peer}",
            by=crowd_of(peer),
            why=what,
            limit=limit,
            what=what,
            peer=peer,
        )

    def add(self, connection: Watched) -> None:
        """Count a connection that was opened."""
        self._open.add(connection)
        crowd = self._crowds.setdefault(crowd_of(connection.peer_host), _Crowd())
        crowd.count += 1
        crowd.strangers[connection] = self._strangers[connection] = None
        if self._next_sweep is None:
            self._next_sweep = self._clock.callLater(SWEEP_SECS, self._sweep)

    def remove(self, connection: Watched) -> None:
        """Count a closed connection no longer; it may have been removed before, to make room."""
        if connection not in self._open:
            return
        self._open.remove(connection)
        crowd = self._crowds[crowd_of(connection.peer_host)]
        crowd.count -= 1
        self._free -= connection in crowd.free
        crowd.free.discard(connection)
        for several in (crowd.strangers, self._strangers, self._known):
            several.pop(connection, None)
        if not crowd.count:
            del self._crowds[crowd_of(connection.peer_host)]
        if not self._open and self._next_sweep is not None:
            self._next_sweep.cancel()
            self._next_sweep = None
            self._unswept = []

    def _is_exempt(self, host: str) -> bool:
        return any(plain_address(host) in network for network in self.exempt)

    def _sweep(self) -> None:
        self._unswept = self._unswept or list(self._open)
        looked_at = [connection for connection in self._unswept[-SWEPT:] if connection in self._open]
        del self._unswept[-SWEPT:]
        self._next_sweep = self._clock.callLater(PAUSE_SECS if self._unswept else SWEEP_SECS, self._sweep)
        now = self._clock.seconds()
        for connection in looked_at:
            if (limit := connection.overdue(now)) is not None:
                with log.failuresHandled("giving up a connection failed"):
                    connection.give_up(limit)
