"""How many build servers are in which state, and of which kind: counted as they change, never by a look at all.

Pure. When a server is avoided, and that it has to be counted again, :mod:`sccachedist.scheduler.fleet` knows.
"""

from collections import Counter
from collections.abc import Iterable

import attrs

from sccachedist.records.documents import ServerState
from sccachedist.scheduler.build_server import BuildServer
from sccachedist.scheduler.kinds import Need, ServerKind
from sccachedist.wire.addresses import ServerId


def state_of(*, unfit: str, is_open: bool, slots: int, is_avoided: bool, is_full: bool) -> ServerState:
    """The one of these words that says best whether a build server gets jobs."""
    if unfit:
        return "unfit"
    if not is_open:
        return "draining"
    if not slots:
        return "busy"
    if is_avoided:
        return "avoided"
    return "full" if is_full else "open"


@attrs.frozen
class _Counted:
    """A build server, as it is counted."""

    state: ServerState
    slots: int
    is_open: bool
    is_avoided: bool
    is_published: bool
    workers: int
    kind: ServerKind


class ServerCounts:
    """The counts.

    :ivar states: how many are in each state.
    :ivar open_slots: the slots of those that accept jobs.
    :ivar published: how many are published ones.
    :ivar workers: how many workers all gateways have.
    """

    def __init__(self) -> None:
        self.states: Counter[ServerState] = Counter()
        self.open_slots = self.published = self.workers = 0
        self._counted: dict[ServerId, _Counted] = {}
        self._takers: Counter[tuple[ServerKind, bool]] = Counter()

    def count(self, server: BuildServer, *, is_avoided: bool) -> None:
        """Count a server as it is now; it may be new."""
        slots = server.slots
        state = state_of(
            unfit=server.unfit,
            is_open=server.is_open,
            slots=slots,
            is_avoided=is_avoided,
            is_full=server.taken >= slots,
        )
        now = _Counted(state, slots, server.takes_jobs, is_avoided, server.report is None, server.workers, server.kind)
        before = self._counted.get(server.server_id)
        if now != before:
            if before is not None:
                self._add(before, -1)
            self._counted[server.server_id] = now
            self._add(now, 1)

    def leave(self, server_id: ServerId) -> None:
        """Count a server no longer."""
        self._add(self._counted.pop(server_id), -1)

    def has_taker(self, need: Need) -> bool:
        """Whether a server that suits accepts jobs (it may be full)."""
        return any(kind.suits(need) for kind, _ in self._takers)

    def has_better_than(self, tried: Iterable[ServerId], need: Need) -> bool:
        """Whether one that suits, other than ``tried``, accepts jobs and is not avoided (it may be full)."""
        count = sum(count for (kind, is_avoided), count in self._takers.items() if not is_avoided and kind.suits(need))
        return count > sum(self._is_good(server_id, need) for server_id in set(tried))

    def _is_good(self, server_id: ServerId, need: Need) -> bool:
        counted = self._counted.get(server_id)
        return counted is not None and counted.is_open and not counted.is_avoided and counted.kind.suits(need)

    def _add(self, counted: _Counted, times: int) -> None:
        self.states[counted.state] += times
        self.published += times * counted.is_published
        self.workers += times * counted.workers
        if counted.is_open:
            self.open_slots += times * counted.slots
            taker = counted.kind, counted.is_avoided
            self._takers[taker] += times
            if not self._takers[taker]:
                del self._takers[taker]
