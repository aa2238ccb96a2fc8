"""The build servers of a scheduler: which of them gets a job.

Pure: the time is an argument. It knows which jobs each server has, not what becomes of them.
:mod:`sccachedist.scheduler.backoff` decides how long a server is backed off that did not take a job, and
:mod:`sccachedist.scheduler.home_rates` which server sends too many jobs home.

:mod:`sccachedist.scheduler.ranking` says what makes one server better than another. The best one is found without a
look at the others (:mod:`sccachedist.scheduler.pools`), so a farm of thousands is as quick as one of two.
"""

from collections import Counter
from collections.abc import Collection, Iterable, Iterator
from itertools import islice
from math import inf

from sccachedist.auth.bearer import neighbourhood
from sccachedist.errors import UnknownServer
from sccachedist.policy import PlacementRule
from sccachedist.scheduler.alarms import Alarms
from sccachedist.scheduler.backoff import Backoff
from sccachedist.scheduler.build_server import BuildServer
from sccachedist.scheduler.home_rates import HomeRates
from sccachedist.scheduler.kinds import ANYWHERE, Need
from sccachedist.scheduler.out_of_service import Drain, OutOfService
from sccachedist.scheduler.pools import Pools, first_ranked
from sccachedist.scheduler.ranking import Ranking
from sccachedist.scheduler.server_counts import ServerCounts
from sccachedist.wire.addresses import ServerId
from sccachedist.wire.extension import Health, ServerReport
from sccachedist.wire.machines import ANY, UNKNOWN
from sccachedist.wire.messages import Heartbeat

#: The most servers with a toolchain that are looked at for one with a CPU to spare.
MOST_HOLDERS = 16
#: Toolchains that are remembered of a server. Clients bring any further one although the server has it.
MOST_TOOLCHAINS = 1 << 16
#: The most servers that are looked at in one go because they may be silent, or because a backoff may be over; and the
#: most that are dropped in one go.
MOST_LOOKED_AT, MOST_DROPPED = 50, 5


class Fleet:
    """All build servers that live.

    :param out_of_service: which addresses are drained.
    :param by_network: whether servers are counted by their network, see :meth:`count_at`.
    """

    def __init__(self, out_of_service: OutOfService | None = None, *, by_network: bool = False) -> None:
        self._servers: dict[ServerId, BuildServer] = {}
        self._by_network, self._by_place = by_network, Counter[str]()
        self._holders: dict[str, dict[ServerId, None]] = {}
        self._sizes: dict[str, int] = {}
        self._machines: dict[str, int] = {}
        self._shunned: set[ServerId] = set()
        self._backoffs: Alarms[ServerId] = Alarms(self._comes_back, MOST_LOOKED_AT)
        self._silences: Alarms[ServerId] = Alarms(self._looked_at, MOST_LOOKED_AT)
        self.counts = ServerCounts()
        self._home_rates = HomeRates()
        self.ranking = Ranking()
        self.out_of_service = out_of_service or OutOfService()
        self._cpus = self._slots = 0
        self._pools = Pools()  # those with room and without a backoff are ranked

    def __len__(self) -> int:
        return len(self._servers)

    def __getitem__(self, server_id: ServerId) -> BuildServer:
        server = self._servers.get(server_id)
        if server is None:
            raise UnknownServer(f"Unknown build server {server_id}")
        return server

    def get(self, server_id: ServerId) -> BuildServer | None:
        """The server at this address, if it lives."""
        return self._servers.get(server_id)

    def servers(self) -> Iterable[BuildServer]:
        """All of them."""
        return self._servers.values()

    def toolchains(self) -> list[str]:
        """The toolchains that are known to be somewhere."""
        return list(self._holders)

    def holders(self, toolchain: str) -> tuple[ServerId, ...]:
        """The servers that are known to have a toolchain."""
        return tuple(self._holders.get(toolchain, ()))

    def size_of(self, toolchain: str) -> int | None:
        """The bytes of a toolchain, as the first build server has it that told; None if none did."""
        return self._sizes.get(toolchain)

    def machine_of(self, toolchain: str) -> int:
        """Which machine a toolchain needs, as those that have it say; any, if they do not agree."""
        return self._machines.get(toolchain, UNKNOWN)

    @property
    def num_toolchains(self) -> int:
        """How many different toolchains are known to be somewhere."""
        return len(self._holders)

    def count_at(self, server_id: ServerId) -> int:
        """How many servers are at the IP address of this one, or in its network."""
        return self._by_place[self._place(server_id)]

    def _place(self, server_id: ServerId) -> str:
        return neighbourhood(server_id.host) if self._by_network else str(server_id.host)

    @property
    def num_cpus(self) -> int:
        """The CPUs of all servers."""
        return self._cpus

    @property
    def slots(self) -> int:
        """The slots of all servers."""
        return self._slots

    def takes_jobs(self, need: Need) -> bool:
        """Whether some server that suits a need accepts jobs (it may be full)."""
        return self.counts.has_taker(need)

    def has_room(self, need: Need = ANYWHERE) -> bool:
        """Whether some server that suits should get a job: one that is backed off only if no other accepts jobs."""
        if any(pool.has_room for pool in self._pools.suiting(need)):
            return True
        return bool(self._shunned) and not self.has_better_than((), need) and any(self._shunned_with_room(need))

    @property
    def is_mixed(self) -> bool:
        """Whether there are servers of different machines."""
        return self._pools.is_mixed

    def has_better_than(self, tried: Collection[ServerId], need: Need = ANYWHERE) -> bool:
        """Whether some server that suits, other than ``tried``, accepts jobs and is not backed off (it may be full)."""
        return self.counts.has_better_than(tried, need)

    def _shunned_with_room(self, need: Need) -> Iterator[BuildServer]:
        for server_id in self._shunned:
            server = self._servers[server_id]
            if server.has_room and self._pools.kind(server_id).suits(need):
                yield server

    def enter(self, server: BuildServer) -> None:
        """Add a server."""
        server.drain = self.out_of_service.drains.get(server.server_id)
        self._servers[server.server_id] = server
        self._by_place[self._place(server.server_id)] += 1
        self._cpus += server.heartbeat.num_cpus
        self._slots += server.slots
        self._listen(server)
        self.changed(server)

    def renew(self, server: BuildServer, heartbeat: Heartbeat, report: ServerReport | None) -> None:
        """Note the new heartbeat of a known server, and what it adds to that."""
        self._slots -= server.slots
        self._cpus += heartbeat.num_cpus - server.heartbeat.num_cpus
        kept = server.heartbeat if heartbeat == server.heartbeat else heartbeat  # one of both is enough in memory
        server.heartbeat, server.report = kept, report
        self._slots += server.slots
        self._listen(server)
        self.changed(server)

    def holds(self, server: BuildServer, toolchains: Collection[str]) -> None:
        """Note that a server has these toolchains and no others."""
        held = set(toolchains)
        for toolchain in server.toolchains - held:
            self._forget_holder(server, toolchain)
        for toolchain in held - server.toolchains:
            server.unfetched.pop(toolchain, None)
            self._holders.setdefault(toolchain, {})[server.server_id] = None
        server.toolchains = held

    def gained(self, server: BuildServer, toolchain: str) -> None:
        """Note that a server has this toolchain, too."""
        server.presumed.pop(toolchain, None)
        server.unfetched.pop(toolchain, None)
        if len(server.toolchains) < MOST_TOOLCHAINS:
            server.toolchains.add(toolchain)
            self._holders.setdefault(toolchain, {})[server.server_id] = None

    def lost(self, server: BuildServer, toolchain: str) -> None:
        """Note that a server no longer has this toolchain."""
        if toolchain in server.toolchains:
            server.toolchains.remove(toolchain)
            self._forget_holder(server, toolchain)

    def learned(self, server: BuildServer, report: ServerReport) -> None:
        """Apply a server's changes of its toolchains. If earlier ones were not heard, do nothing: it repeats all."""
        if not report.since:
            self.holds(server, report.toolchains[:MOST_TOOLCHAINS])
            server.told = report.until
        elif report.since <= server.told:
            for toolchain in report.gone:
                self.lost(server, toolchain)
            for toolchain in report.toolchains:
                self.gained(server, toolchain)
            server.told = max(server.told, report.until)
        if report.host is not None:
            for toolchain, size in zip(report.toolchains, report.host.sizes, strict=False):
                if toolchain in self._holders:
                    self._sizes.setdefault(toolchain, size)
        if report.abilities is not None:
            for toolchain, machine in zip(report.toolchains, report.abilities.built_for, strict=False):
                if toolchain in self._holders and machine != UNKNOWN:
                    known = self._machines.setdefault(toolchain, machine)
                    self._machines[toolchain] = machine if machine == known else ANY

    def leave(self, server_id: ServerId) -> BuildServer:
        """Remove a server."""
        server = self._servers.pop(server_id)
        place = self._place(server_id)
        self._by_place[place] -= 1
        if not self._by_place[place]:
            del self._by_place[place]
        self._cpus -= server.heartbeat.num_cpus
        self._slots -= server.slots
        self._shunned.discard(server_id)
        self._pools.leave(server_id)
        self.counts.leave(server_id)
        self.holds(server, ())
        return server

    def drain(self, server_id: ServerId, drain: Drain | None) -> None:
        """Give the server at an address no more jobs, also if it comes later; with None, jobs again."""
        self.out_of_service.drain(server_id, drain)
        if (server := self._servers.get(server_id)) is not None:
            server.drain = drain
            self.changed(server)

    def renew_drains(self) -> None:
        """Go by what is out of service now: it has been recalled."""
        for server in self._servers.values():
            server.drain = self.out_of_service.drains.get(server.server_id)
            self.changed(server)

    def failed(self, server: BuildServer, began: float, now: float) -> None:
        """Back a server off: it did not take a job that it was given at ``began``."""
        server.proven = False
        server.backoff = server.backoff.after_failure(began, now)
        self._shun(server)

    def succeeded(self, server: BuildServer, now: float) -> None:
        """End a server's backoff: it has taken a job."""
        server.proven = True
        server.backoff = Backoff()
        self._take_back(server, now)
        self.changed(server)

    def ended(self, server: BuildServer, ended: int, home: int, now: float) -> bool:
        """Count jobs of a published server, and how many of them were sent home; returns whether it is avoided."""
        return self._judged(server, self._home_rates.add(server.record, ended, home, now))

    def told(self, server: BuildServer, health: Health, now: float) -> bool:
        """Count what our server tells of its jobs; returns whether it is avoided from now on."""
        return self._judged(server, self._home_rates.told(server.record, health.ended, health.sent_home, now))

    def _judged(self, server: BuildServer, is_avoided: bool) -> bool:
        if is_avoided:
            self._shun(server)
        return is_avoided

    def _shun(self, server: BuildServer) -> None:
        self._shunned.add(server.server_id)
        self._backoffs.set(server.server_id, server.avoided_until, len(self._shunned))
        self.changed(server)

    def changed(self, server: BuildServer) -> None:
        """Rank and count a server again: its jobs have changed, or what it says of itself."""
        is_avoided = server.server_id in self._shunned
        self._pools.rank(server.server_id, server.kind, None if is_avoided else self.ranking.cost(server))
        self.counts.count(server, is_avoided=is_avoided)

    def place_by(self, rule: PlacementRule) -> None:
        """Choose servers by another rule from now on."""
        self.ranking.rule = rule
        for server in self._servers.values():
            self.changed(server)

    def silent(self, now: float) -> list[ServerId]:
        """Servers that have been silent for too long: some of them at a time, for each is to be dropped."""
        found: list[ServerId] = []
        for server_id in self._silences.due(now):
            server = self._servers[server_id]
            server.looked_at = inf
            if server.is_silent(now) and len(found) < MOST_DROPPED:
                found.append(server_id)
            else:
                self._listen(server)
        return found

    def has_silent(self, now: float) -> bool:
        """Whether some were left over."""
        return (first := self._silences.first) is not None and first < now

    def _listen(self, server: BuildServer) -> None:
        """Look at a server when it has been silent for too long: not again after each word of it."""
        when = server.seen + server.patience_secs
        if when < server.looked_at:
            server.looked_at = when
            self._silences.set(server.server_id, when, len(self._servers))

    def _looked_at(self, server_id: ServerId) -> float:
        return inf if (server := self._servers.get(server_id)) is None else server.looked_at

    def _comes_back(self, server_id: ServerId) -> float:
        return self._servers[server_id].avoided_until if server_id in self._shunned else inf

    def choose(
        self, toolchain: str, tried: Collection[ServerId], now: float, need: Need = ANYWHERE
    ) -> BuildServer | None:
        """The server for a job; None if none that suits has room.

        It is one that has the toolchain and a CPU to spare, unless there is none, or the best of all is better although
        it lacks the toolchain. A server that is backed off is chosen only if no other has room: first the one that
        failed longest ago. A toolchain that no server has looked at yet goes to the machine that most servers have, as
        long as one of these has a CPU to spare.

        :param tried: servers that have refused this job already.
        """
        self.end_backoffs(now)
        best = self._best(need, tried)
        if best is None:
            return min(
                (server for server in self._shunned_with_room(need) if server.server_id not in tried),
                key=lambda server: max(server.backoff.failed, server.record.avoided.failed),
                default=None,
            )
        if toolchain in best.toolchains:
            return best
        holders = [server for server in self._holders_of(toolchain, need) if server.server_id not in tried]
        return self.ranking.best_holder(toolchain, best, holders)

    def _holders_of(self, toolchain: str, need: Need) -> Iterator[BuildServer]:
        """Some of the servers with the toolchain and a CPU to spare; any other is looked at again after all of them."""
        holders = self._holders.get(toolchain, {})
        for server_id in tuple(islice(holders, MOST_HOLDERS)):
            server = self._servers[server_id]
            suits = need is ANYWHERE or self._pools.kind(server_id).suits(need)
            if suits and server.has_idle_cpu and server_id not in self._shunned:
                yield server
            else:
                holders[server_id] = holders.pop(server_id)

    def lenders(self, toolchain: str, but: ServerId, most: int) -> list[BuildServer]:
        """Some of the servers that have a toolchain and give it to others; others come first the next time.

        :param but: is not among them.
        """
        holders, found = self._holders.get(toolchain, {}), list[BuildServer]()
        for server_id in tuple(islice(holders, MOST_HOLDERS)):
            if len(found) < most:
                holders[server_id] = holders.pop(server_id)
                if server_id != but and self._servers[server_id].shares:
                    found.append(self._servers[server_id])
        return found

    def has_lender(self, toolchain: str, but: ServerId) -> bool:
        """Whether one of the servers that have a toolchain would give it to the one ``but``."""
        holders = islice(self._holders.get(toolchain, {}), MOST_HOLDERS)
        return any(server_id != but and self._servers[server_id].shares for server_id in holders)

    def _best(self, need: Need, tried: Collection[ServerId]) -> BuildServer | None:
        pools = self._pools.suiting(need)
        if need.machine == UNKNOWN and self._pools.is_mixed:
            likely = first_ranked(self._pools.commonest(pools), tried)
            if likely is not None and self._servers[likely[2]].has_idle_cpu:
                return self._servers[likely[2]]
        found = first_ranked(pools, tried)
        return None if found is None else self._servers[found[2]]

    def forgive(self, server: BuildServer, now: float) -> None:
        """Let a server get jobs like any other, even if it has failed."""
        server.backoff = Backoff()
        server.record = server.record.forgiven(now)
        self._take_back(server, now)

    def end_backoffs(self, now: float) -> None:
        """Use servers again whose backoffs are over."""
        for server_id in self._backoffs.due(now):
            self._take_back(self._servers[server_id], now)

    def _take_back(self, server: BuildServer, now: float) -> None:
        """Use a server again, unless it is still backed off."""
        if server.server_id not in self._shunned:
            return
        if now > server.avoided_until:
            self._shunned.discard(server.server_id)
            self.changed(server)
        else:
            self._backoffs.set(server.server_id, server.avoided_until, len(self._shunned))

    def _forget_holder(self, server: BuildServer, toolchain: str) -> None:
        holders = self._holders[toolchain]
        del holders[server.server_id]
        if not holders:
            del self._holders[toolchain]
            self._sizes.pop(toolchain, None)
            self._machines.pop(toolchain, None)
