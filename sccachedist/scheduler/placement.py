"""Whether a job could be placed now, and why not: what is asked before a slot is taken.

Pure. Which server gets the job is decided in :mod:`sccachedist.scheduler.fleet`.
"""

from collections.abc import Collection

from sccachedist.errors import NoCapacity
from sccachedist.outcomes import Refusal
from sccachedist.policy import PlacementRule
from sccachedist.scheduler.build_server import BuildServer
from sccachedist.scheduler.fleet import Fleet
from sccachedist.scheduler.kinds import ANYWHERE, Need
from sccachedist.scheduler.scouts import Scouts
from sccachedist.wire.addresses import ServerId
from sccachedist.wire.machines import UNKNOWN


class Placement:
    """Looks at the build servers.

    The question is always about those that suit a need; by default, about all.
    """

    def __init__(self, fleet: Fleet) -> None:
        self._fleet, self._scouts = fleet, Scouts()

    @property
    def rule(self) -> PlacementRule:
        """The rule by which servers are chosen."""
        return self._fleet.ranking.rule

    @rule.setter
    def rule(self, rule: PlacementRule) -> None:
        self._fleet.place_by(rule)

    def need(self, toolchain: str, labels: frozenset[str] = frozenset()) -> Need:
        """What a job with a toolchain needs, of a client that needs labels."""
        machine = self._fleet.machine_of(toolchain)
        return Need(machine, labels) if labels or machine else ANYWHERE

    def has_servers(self, need: Need = ANYWHERE) -> bool:
        """Whether some build server accepts jobs (it may be full)."""
        return self._fleet.takes_jobs(need)

    def has_room(self, need: Need = ANYWHERE) -> bool:
        """Whether some build server should get a job now; else the job waits for a better one."""
        return self._fleet.has_room(need)

    def has_better_than(self, tried: Collection[ServerId], need: Need = ANYWHERE) -> bool:
        """Whether some server other than ``tried`` accepts jobs and is not backed off (it may be full)."""
        return self._fleet.has_better_than(tried, need)

    def chosen(self, server: BuildServer, toolchain: str, now: float) -> None:
        """Note that a server gets a job; of several machines, it may find out which one the toolchain needs."""
        if self._fleet.machine_of(toolchain) == UNKNOWN and toolchain and server.kind.machines and self._fleet.is_mixed:
            self._scouts.send(toolchain, now)

    def is_looked_at(self, toolchain: str, now: float) -> bool:
        """Whether a job finds out just now which machine a toolchain needs: others with the same wait for that."""
        return self._scouts.is_out(toolchain, now) and self._fleet.machine_of(toolchain) == UNKNOWN

    def next_looked_at(self, now: float) -> float | None:
        """When jobs wait for that no longer; None if none does."""
        return self._scouts.next_back(now)

    def no_capacity(self, need: Need, tried: Collection[ServerId]) -> NoCapacity:
        """Why a job gets no slot.

        :param tried: the servers that have refused it.
        """
        if tried:
            return NoCapacity(Refusal.NOT_ASSIGNED, self._insufficient)
        if not self.has_servers(need) and self.has_servers():
            of_labels = Need(labels=need.labels)
            if not self.has_servers(of_labels):
                return NoCapacity(Refusal.NO_LABEL, f"no {of_labels} takes jobs")
            return NoCapacity(Refusal.NO_MACHINE, f"no {need} takes jobs")
        return NoCapacity(Refusal.NO_SLOT if self.has_servers() else Refusal.NO_SERVERS, self._insufficient)

    @property
    def _insufficient(self) -> str:
        return f"Insufficient capacity across {len(self._fleet)} available servers"
