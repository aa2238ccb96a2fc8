"""Build servers of different speeds in simulated time, and rules by which they get jobs.

A server's CPUs are shared in equal parts: of more jobs than CPUs, each runs as much slower. An event is a time and a
number. What the network adds is left to the cases that measure it. :mod:`bench.uneven` says what is simulated.
"""

import heapq
from collections import deque
from collections.abc import Iterator, Sequence
from itertools import count
from random import Random
from typing import Protocol

import attrs

from sccachedist.budgets import Party
from sccachedist.job_phases import JobPhase
from sccachedist.outcomes import SERVER_PHASES, Outcome, TimedPhase
from sccachedist.policy import PlacementRule
from sccachedist.scheduler.build_server import BuildServer
from sccachedist.scheduler.fleet import Fleet
from sccachedist.scheduler.jobs import Job
from sccachedist.wire.addresses import ServerId
from sccachedist.wire.extension import Availability, ServerReport
from sccachedist.wire.job_summary import JobSummary, packed
from sccachedist.wire.messages import Heartbeat, JobId, job_capacity

_CLIENT, _TOOLCHAIN = Party("client"), "0" * 64
_COMPILE = SERVER_PHASES.index(TimedPhase.COMPILE)
#: Seconds from one heartbeat of a server to the next.
_HEARTBEAT_SECS = 5.0
#: How many servers are drawn by the power of two choices before a job waits.
_DRAWS = 64


@attrs.frozen
class Host:
    """A build server: the speed of its CPUs, and which part of their time it gets, for quotas or foreign load."""

    cpus: int
    speed: float
    part: float

    @property
    def capacity(self) -> float:
        """Seconds of work that it does in a second."""
        return self.cpus * self.speed * self.part


@attrs.define(eq=False)
class Simulated:
    """One job: its length on a usual CPU, and what became of it.

    :param at: the number of its server; None if it ran at home, or has not begun.
    """

    work: float
    asked: float
    began: float = 0.0
    ended: float = 0.0
    at: int | None = None


class Rule(Protocol):
    """Chooses a server for each job."""

    name: str
    #: Whether a job waits if it has no server; else it is compiled at home.
    waits: bool

    def choose(self, job: Simulated, now: float) -> int | None:
        """The number of a server with room, whose slot the job takes; None for none."""

    def ended(self, job: Simulated, host: Host, now: float) -> None:
        """Give back a job's slot."""


class ByFleet:
    """The scheduler's own choice, by one of its rules.

    :param tells: whether build servers tell the CPU time of jobs, as ours do.
    """

    def __init__(
        self, name: str, hosts: Sequence[Host], rule: PlacementRule, *, waits: bool = True, tells: bool = True
    ) -> None:
        self.name, self.waits, self._tells = name, waits, tells
        self._fleet, self._ids, self._jobs = Fleet(), count(), dict[int, tuple[JobId, Job]]()
        self._fleet.place_by(rule)
        report = ServerReport(1, 5, Availability.OPEN, (), (_TOOLCHAIN,)) if tells else None
        self._servers = [
            BuildServer(_address(number), Heartbeat(b"", host.cpus, number, b"", b""), 0.0, report)
            for number, host in enumerate(hosts)
        ]
        self._next_beat = 0.0
        self._numbers = {server.server_id: number for number, server in enumerate(self._servers)}
        for server in self._servers:
            self._fleet.enter(server)

    def choose(self, job: Simulated, now: float) -> int | None:
        """See :class:`Rule`."""
        self._hear(now)
        server = self._fleet.choose(_TOOLCHAIN, (), now)
        if server is None:
            return None
        job_id = JobId(next(self._ids))
        server.jobs.add(job_id)
        self._jobs[id(job)] = (
            job_id,
            Job(server.server_id, _CLIENT, _TOOLCHAIN, JobPhase.STARTED, now, beside=server.taken),
        )
        self._fleet.changed(server)
        return self._numbers[server.server_id]

    def ended(self, job: Simulated, host: Host, now: float) -> None:
        """See :class:`Rule`."""
        job_id, known = self._jobs.pop(id(job))
        server = self._fleet[known.server_id]
        server.seen = now
        self._fleet.ranking.ended(server, known, _summary(job, host, now) if self._tells else b"", now)
        server.jobs.remove(job_id)
        self._fleet.changed(server)

    def _hear(self, now: float) -> None:
        """Let the heartbeats come that are due, those of all servers one after the other."""
        while self._next_beat <= now:
            number = round(self._next_beat * len(self._servers) / _HEARTBEAT_SECS) % len(self._servers)
            server = self._servers[number]
            server.seen = self._next_beat
            self._fleet.changed(server)
            self._next_beat += _HEARTBEAT_SECS / len(self._servers)


class TwoChoices:
    """Of two servers drawn by lot, the one with fewer jobs for each CPU."""

    name = "power of two choices"
    waits = True

    def __init__(self, hosts: Sequence[Host], random: Random) -> None:
        self._hosts, self._random, self._taken = hosts, random, [0] * len(hosts)

    def choose(self, job: Simulated, now: float) -> int | None:
        """See :class:`Rule`."""
        for _ in range(_DRAWS):
            drawn = [self._random.randrange(len(self._hosts)) for _ in range(2)]
            best = min(drawn, key=lambda number: self._taken[number] / self._hosts[number].cpus)
            if self._taken[best] < job_capacity(self._hosts[best].cpus):
                self._taken[best] += 1
                return best
        return None

    def ended(self, job: Simulated, host: Host, now: float) -> None:
        """See :class:`Rule`."""
        assert job.at is not None
        self._taken[job.at] -= 1


def _address(number: int) -> ServerId:
    return ServerId.parse(f"10.{number >> 16}.{number >> 8 & 255}.{number & 255}:10501")


def _summary(job: Simulated, host: Host, now: float) -> bytes:
    phases = [0] * len(SERVER_PHASES)
    phases[_COMPILE] = max(1, round((now - job.began) * 1e6))
    cpu = max(1, round(job.work / host.speed * 1e6))
    return packed(JobSummary(Outcome.COMPILED, phases_us=tuple(phases), cpu_user_us=cpu))


@attrs.define(eq=False)
class _Running:
    """A server: what is left of its jobs, as of a time."""

    host: Host
    left: dict[int, tuple[Simulated, float]] = attrs.field(factory=dict)
    at: float = 0.0
    turn: int = 0
    done: float = 0.0

    def advance(self, now: float) -> None:
        done = (now - self.at) * self.rate
        self.done += done * len(self.left)
        self.left = {key: (job, left - done) for key, (job, left) in self.left.items()}
        self.at = now

    @property
    def rate(self) -> float:
        """The work that each job does in a second."""
        return self.host.speed * self.host.part * min(1.0, self.host.cpus / max(1, len(self.left)))

    def next_end(self) -> tuple[float, int] | None:
        """When the next job ends, and which."""
        if not self.left:
            return None
        key, (_, left) = min(self.left.items(), key=lambda item: item[1][1])
        return self.at + max(0.0, left) / self.rate, key


class UnevenFarm:
    """The farm, and the jobs that come.

    :param arrivals: when each job comes, if that does not depend on others; else ``at_a_time`` are asked for at any
        time.
    :param home_cpus: of all clients together, for what has no server under a rule that does not wait.
    :ivar done_at_last: the work that servers had done when the last job was asked for.
    """

    def __init__(
        self,
        hosts: Sequence[Host],
        rule: Rule,
        work: Sequence[float],
        arrivals: Sequence[float] | None = None,
        at_a_time: int = 0,
        home_cpus: int = 1,
    ) -> None:
        self.jobs: list[Simulated] = []
        self.done_at_last = 0.0
        self._rule, self._servers = rule, [_Running(host) for host in hosts]
        self._home = [0.0] * home_cpus
        self._work, self._arrivals, self._count = iter(work), arrivals, len(work)
        self._at_a_time, self._waiting = at_a_time, deque[Simulated]()
        self._events: list[tuple[float, int, int, int]] = []  # a time, a turn, a server or -1, its turn
        self._turn = count()
        self._homes = dict[int, Simulated]()

    def run(self) -> list[Simulated]:
        """Run until all jobs have ended."""
        if self._arrivals is None:
            for _ in range(self._at_a_time):
                self._next(0.0)
        else:
            for when in self._arrivals:
                self._push(when, -1, 0)
        while self._events:
            now, _, number, turn = heapq.heappop(self._events)
            if number == -1:
                self._next(now)
            elif number == -2:
                self._end(self._homes.pop(turn), now)
            elif self._servers[number].turn == turn:
                self._complete(number, now)
        return self.jobs

    def _push(self, when: float, number: int, turn: int) -> None:
        heapq.heappush(self._events, (when, next(self._turn), number, turn))

    def _next(self, now: float) -> None:
        for work in self._work:
            self.jobs.append(job := Simulated(work, now))
            if len(self.jobs) == self._count:
                for server in self._servers:
                    server.advance(now)
                self.done_at_last = sum(server.done for server in self._servers)
            if self._waiting or not self._begin(job, now):
                self._wait(job, now)
            return

    def _wait(self, job: Simulated, now: float) -> None:
        if self._rule.waits:
            self._waiting.append(job)
            return
        job.began = max(now, heapq.heappop(self._home))
        heapq.heappush(self._home, job.began + job.work)
        key = next(self._turn)
        self._homes[key] = job
        self._push(job.began + job.work, -2, key)

    def _begin(self, job: Simulated, now: float) -> bool:
        number = self._rule.choose(job, now)
        if number is None:
            return False
        job.at, job.began = number, now
        server = self._servers[number]
        server.advance(now)
        server.left[next(self._turn)] = job, job.work
        self._look(number)
        return True

    def _look(self, number: int) -> None:
        """Set the time of a server's next end."""
        server = self._servers[number]
        server.turn = next(self._turn)
        if (found := server.next_end()) is not None:
            self._push(found[0], number, server.turn)

    def _complete(self, number: int, now: float) -> None:
        server = self._servers[number]
        server.advance(now)
        found = server.next_end()
        assert found is not None
        job, _ = server.left.pop(found[1])
        self._look(number)
        self._rule.ended(job, server.host, now)
        while self._waiting and self._begin(self._waiting[0], now):
            self._waiting.popleft()
        self._end(job, now)

    def _end(self, job: Simulated, now: float) -> None:
        job.ended = now
        if self._arrivals is None:
            self._next(now)


def uneven_hosts(random: Random, servers: int, cpus: int) -> Iterator[Host]:
    """Hosts whose speeds are distributed lognormally: half of them are between 0.7 and 1.4 times as fast as usual."""
    for _ in range(servers):
        yield Host(cpus, random.lognormvariate(0, 0.35), random.lognormvariate(0, 0.35))
