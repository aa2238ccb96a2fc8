"""The connections of one role: counted, and looked through about every second for peers that are late.

One delayed call serves them all, and none is left when nobody is connected. Of thousands some are looked at at a time:
who asks something meanwhile does not wait for the look at all the others. What a connection says to a late peer is its
own affair.
"""

from collections import Counter
from collections.abc import Sequence
from typing import Protocol

from twisted.internet.interfaces import IDelayedCall, IReactorTime
from twisted.logger import LogLevel

from sccachedist.auth.bearer import IPNetwork, plain_address
from sccachedist.config import ConnectionLimits
from sccachedist.logs import Logger, QuietLog

log = Logger()

#: Seconds from the end of a look at all to the next one.
SWEEP_SECS = 1.0
#: Connections that are looked at at a time, and seconds until the next ones are.
SWEPT, PAUSE_SECS = 100, 0.01


class Watched(Protocol):
    """A connection."""

    @property
    def peer_host(self) -> str:
        """The IP address at the other end."""

    def overdue(self, now: float) -> str | None:
        """The limit that the peer has hit by being slow; empty where it has no key, None for most."""

    def give_up(self, limit: str) -> None:
        """Wait no longer."""


class Connections:
    """The open connections of a role.

    :param exempt: the networks whose addresses stand for many peers each.
    """

    def __init__(self, limits: ConnectionLimits, exempt: Sequence[IPNetwork], clock: IReactorTime) -> None:
        self._limits, self._exempt, self._clock = limits, exempt, clock
        self.quiet_log = QuietLog(clock.seconds)
        self._open: set[Watched] = set()
        self._by_host: Counter[str] = Counter()
        self._next_sweep: IDelayedCall | None = None
        self._unswept: list[Watched] = []

    def __len__(self) -> int:
        return len(self._open)

    def have_room_for(self, host: str) -> bool:
        """Whether one more may be opened from an address; a refusal is logged."""
        limits = self._limits
        if len(self._open) >= limits.connections:
            full = "connections"
        elif self._by_host[host] >= limits.connections_per_address and not self._is_exempt(host):
            full = "connections_per_address"
        else:
            return True
        self.tell(full, host, "a connection refused")
        return False

    def tell(self, limit: str, peer: str, what: str) -> None:
        """Tell the log, unless it has been told lately, which limit a peer has hit.

        :param limit: its key under ``[limits]``.
        :param what: what the peer did, or what was done to it.
        """
        self.quiet_log.tell(
            log, LogLevel.warn, f"limit {limit}", "limit {limit}: {what}, {peer}", limit=limit, what=what, peer=peer
        )

    def add(self, connection: Watched) -> None:
        """One has been opened."""
        self._open.add(connection)
        self._by_host[connection.peer_host] += 1
        if self._next_sweep is None:
            self._next_sweep = self._clock.callLater(SWEEP_SECS, self._sweep)

    def remove(self, connection: Watched) -> None:
        """One is closed."""
        self._open.remove(connection)
        self._by_host[connection.peer_host] -= 1
        if not self._by_host[connection.peer_host]:
            del self._by_host[connection.peer_host]
        if not self._open and self._next_sweep is not None:
            self._next_sweep.cancel()
            self._next_sweep = None
            self._unswept = []

    def _is_exempt(self, host: str) -> bool:
        return any(plain_address(host) in network for network in self._exempt)

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
