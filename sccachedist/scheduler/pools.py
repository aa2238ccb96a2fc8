"""The build servers of a farm by their kind, and those of each kind that should get a job, the best first.

The best server is found without a look at the others. Kinds are few: what the operators of a farm tell apart.

Pure. By which number they are ranked, and who is, is decided in :mod:`sccachedist.scheduler.fleet`.
"""

import heapq
from collections import Counter
from collections.abc import Collection, Iterable
from itertools import count

from sccachedist.scheduler.kinds import ANYWHERE, Need, ServerKind
from sccachedist.wire.addresses import ServerId

#: What a job costs there, the number of the turn in which it was that, and whose it is.
Rank = tuple[float, int, ServerId]


class Pool:
    """The build servers of one kind.

    :ivar members: all of them, in the order in which they came.
    """

    def __init__(self, kind: ServerKind) -> None:
        self.kind = kind
        self.members: dict[ServerId, None] = {}
        # What is not a server's last rank is outdated.
        self._ranks: list[Rank] = []
        self._last: dict[ServerId, Rank] = {}

    @property
    def has_room(self) -> bool:
        """Whether a server is ranked."""
        return bool(self._last)

    def rank(self, server_id: ServerId, cost: float | None, turn: int) -> None:
        """Rank a member again; without a cost, not at all. One that costs what it did keeps its place."""
        last = self._last.get(server_id)
        if last is not None and last[0] == cost:
            return
        if cost is None:
            self._last.pop(server_id, None)
        else:
            self._last[server_id] = cost, turn, server_id
            heapq.heappush(self._ranks, self._last[server_id])
        if len(self._ranks) > 2 * len(self.members) + 64:
            self._ranks = [rank for rank in self._ranks if self._is_current(rank)]
            heapq.heapify(self._ranks)

    def first(self, tried: Collection[ServerId]) -> Rank | None:
        """The server that is ranked first, of all but ``tried``."""
        passed_over = []
        found = None
        while self._ranks and found is None:
            rank = self._ranks[0]
            if not self._is_current(rank):
                heapq.heappop(self._ranks)
            elif rank[2] in tried:
                passed_over.append(heapq.heappop(self._ranks))
            else:
                found = rank
        for rank in passed_over:
            heapq.heappush(self._ranks, rank)
        return found

    def _is_current(self, rank: Rank) -> bool:
        return self._last.get(rank[2]) is rank


class Pools:
    """All build servers."""

    def __init__(self) -> None:
        self._pools: dict[ServerKind, Pool] = {}
        self._of: dict[ServerId, Pool] = {}
        self._next_turn = count()

    def kind(self, server_id: ServerId) -> ServerKind:
        """The kind of a server that is here."""
        return self._of[server_id].kind

    def rank(self, server_id: ServerId, kind: ServerKind, cost: float | None) -> None:
        """Note a server's kind and what a job costs there; None if it should get none. It may be new."""
        pool = self._of.get(server_id)
        if pool is None or pool.kind != kind:
            self.leave(server_id)
            pool = self._of[server_id] = self._pools.setdefault(kind, Pool(kind))
            pool.members[server_id] = None
        pool.rank(server_id, cost, next(self._next_turn))

    def leave(self, server_id: ServerId) -> None:
        """Forget a server, if it is here, and its kind if it was the last one."""
        pool = self._of.pop(server_id, None)
        if pool is not None:
            pool.rank(server_id, None, 0)
            del pool.members[server_id]
            if not pool.members:
                del self._pools[pool.kind]

    def suiting(self, need: Need) -> Collection[Pool]:
        """Those whose servers suit jobs with a need."""
        if need is ANYWHERE:
            return self._pools.values()
        return [pool for pool in self._pools.values() if pool.kind.suits(need)]

    @property
    def is_mixed(self) -> bool:
        """Whether there are servers of different machines."""
        return len(self._pools) > 1 and len(self._machines()) > 1

    def commonest(self, pools: Iterable[Pool]) -> Iterable[Pool]:
        """Those of the machines that most servers have."""
        (machines, _), *_ = self._machines().most_common(1)
        return [pool for pool in pools if pool.kind.machines == machines]

    def _machines(self) -> Counter[frozenset[int]]:
        counts: Counter[frozenset[int]] = Counter()
        for kind, pool in self._pools.items():
            if kind.machines:
                counts[kind.machines] += len(pool.members)
        return counts


def first_ranked(pools: Iterable[Pool], tried: Collection[ServerId]) -> Rank | None:
    """The best server of several pools, none of ``tried``; of equals, the one that has its rank for longest."""
    found = (pool.first(tried) for pool in pools)
    return min((rank for rank in found if rank is not None), key=lambda rank: rank[:2], default=None)
