"""A farm in simulated time around the real scheduler core: its demands, and what comes of them.

There are no sockets and no clock: an event is a time and a function. A compile takes the same time on every machine,
and an upload takes as long as its bytes need. The time that the network and the daemons add is left to the cases that
measure it.
"""

import heapq
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from itertools import count
from random import Random

import attrs

from sccachedist.budgets import Party
from sccachedist.errors import LimitExceeded, NoCapacity
from sccachedist.scheduler.core import Reservation, SchedulerCore
from sccachedist.scheduler.queue import Queue
from sccachedist.scheduler.standings import Standing
from sccachedist.wire.addresses import ServerId
from sccachedist.wire.extension import Availability, JobStates, ServerReport
from sccachedist.wire.messages import AssignJobResult, Heartbeat, JobId, JobState, job_capacity

#: Seconds between two heartbeats of a published build server, and of our own.
PUBLISHED_HEARTBEAT_SECS, OUR_HEARTBEAT_SECS = 30, 5
#: Seconds between two searches of the scheduler for what has expired.
EXPIRE_SECS = 10.0
#: How many clients may wait for a slot at a time.
MAX_WAITING = 10_000
#: A client's CPUs for local compiles.
CLIENT_CPUS = 8
#: Bytes that a client uploads per second.
UPLOAD_RATE = 100e6


@attrs.frozen
class Policy:
    """How slots are allocated.

    :param ours: whether the build servers report the toolchains that they hold. Then the scheduler prefers a holder,
        and need not ask it first.
    :param wait_secs: how long a client waits for a slot before it compiles locally.
    """

    name: str
    ours: bool
    wait_secs: float


PUBLISHED = Policy("published", ours=False, wait_secs=0.0)
OURS = Policy("ours", ours=True, wait_secs=60.0)


@attrs.frozen
class Demand:
    """A client: the compiles that it has to do, in seconds each, and how many of them it does at a time.

    :param arrives: when it begins.
    :param toolchain: the archive that all its compiles need.
    :param size: the bytes of that archive.
    :param weight: of the client among others; ``is_batch``: whether its class is batch.
    """

    client: Party
    arrives: float
    at_a_time: int
    compiles: tuple[float, ...]
    toolchain: str
    size: int
    weight: float = 1.0
    is_batch: bool = False


@attrs.define(eq=False)
class Compile:
    """One compile, and how it went."""

    demand: Demand
    seconds: float
    asked: float
    started: float = 0.0
    ended: float = 0.0
    is_remote: bool = False


@attrs.define(eq=False)
class _Server:
    """A build server: its toolchains, each with the time since when it is there, and its jobs."""

    server_id: ServerId
    heartbeat: Heartbeat
    here: dict[str, float] = attrs.field(factory=dict)
    jobs: dict[JobId, JobState] = attrs.field(factory=dict)
    number: int = 0


class SimulatedFarm:
    """Build servers, clients and the scheduler core.

    :param cpus: of each build server.
    """

    def __init__(self, policy: Policy, cpus: Sequence[int], demands: Sequence[Demand]) -> None:
        self.compiles: list[Compile] = []
        self.uploaded: Counter[str] = Counter()
        self.capacity = sum(map(job_capacity, cpus))
        self._policy, self._now = policy, 0.0
        self._events: list[tuple[float, int, Callable[[], None]]] = []
        self._turn = count()
        self._core = SchedulerCore(JobId(1))
        of = {each.client: Standing(each.client, each.weight, None, each.is_batch) for each in demands}
        self._queue: Queue[Compile] = Queue(MAX_WAITING, of.__getitem__)
        self._open = sum(len(demand.compiles) for demand in demands)
        self._pending = {demand.client: iter(demand.compiles) for demand in demands}
        self._local = {demand.client: [0.0] * CLIENT_CPUS for demand in demands}
        self._servers = {server.server_id: server for server in map(_server, count(), cpus)}
        for demand in demands:
            self._at(demand.arrives, lambda demand=demand: self._arrive(demand))  # type: ignore[misc]

    def run(self) -> None:
        """Run until every compile has ended."""
        every = OUR_HEARTBEAT_SECS if self._policy.ours else PUBLISHED_HEARTBEAT_SECS
        for at, server in enumerate(self._servers.values()):
            self._hear(server)
            self._repeat(every, every * at / len(self._servers), lambda server=server: self._hear(server))  # type: ignore[misc]
        self._repeat(EXPIRE_SECS, EXPIRE_SECS, lambda: self._core.expire(self._now))
        while self._open:
            self._now, _, happen = heapq.heappop(self._events)
            happen()

    def _at(self, when: float, happen: Callable[[], None]) -> None:
        heapq.heappush(self._events, (when, next(self._turn), happen))

    def _repeat(self, seconds: float, first: float, happen: Callable[[], object]) -> None:
        def again() -> None:
            happen()
            self._at(self._now + seconds, again)

        self._at(first, again)

    # -- clients --

    def _arrive(self, demand: Demand) -> None:
        for _ in range(demand.at_a_time):
            self._next(demand)

    def _next(self, demand: Demand) -> None:
        for seconds in self._pending[demand.client]:
            self.compiles.append(compile_ := Compile(demand, seconds, self._now))
            self._ask(compile_)
            return

    def _ask(self, compile_: Compile) -> None:
        if not self._policy.wait_secs or (self._core.placement.has_room() and not len(self._queue)):
            self._allocate(compile_)
            return
        try:
            self._queue.enter(compile_.demand.client, compile_)
        except LimitExceeded:
            self._compile_locally(compile_)
            return
        self._at(self._now + self._policy.wait_secs, lambda: self._give_up(compile_))

    def _give_up(self, compile_: Compile) -> None:
        if not compile_.started:
            self._queue.leave(compile_.demand.client, compile_)
            self._compile_locally(compile_)

    def _compile_locally(self, compile_: Compile) -> None:
        """Compile on the client's own CPUs, one compile on each."""
        free_at = heapq.heappop(cpus := self._local[compile_.demand.client])
        compile_.started = max(self._now, free_at)
        heapq.heappush(cpus, compile_.started + compile_.seconds)
        self._at(compile_.started + compile_.seconds, lambda: self._end(compile_))

    def _end(self, compile_: Compile) -> None:
        compile_.ended = self._now
        self._open -= 1
        self._next(compile_.demand)

    # -- a slot, an upload, a compile --

    def _allocate(self, compile_: Compile) -> None:
        demand = compile_.demand
        try:
            reserved = self._core.reserve(self._now, toolchain=demand.toolchain, client=demand.client)
        except (NoCapacity, LimitExceeded):
            self._compile_locally(compile_)
            return
        server = self._servers[reserved.server_id]
        assigned = reserved.presumed or self._assign(server, demand)
        self._core.confirm(reserved, assigned, self._now)
        compile_.is_remote, compile_.started = True, self._arrival(server, demand, assigned)
        server.jobs[reserved.job_id] = assigned.state
        self._at(compile_.started, lambda: self._start(compile_, server, reserved))

    def _assign(self, server: _Server, demand: Demand) -> AssignJobResult:
        """A build server's answer. Our own does not ask for a toolchain that another client is uploading."""
        here = server.here.get(demand.toolchain)
        if here is not None and here <= self._now:
            return AssignJobResult(JobState.READY, need_toolchain=False)
        return AssignJobResult(JobState.PENDING, here is None or not self._policy.ours)

    def _arrival(self, server: _Server, demand: Demand, assigned: AssignJobResult) -> float:
        if assigned.need_toolchain:
            self.uploaded[demand.toolchain] += demand.size
            arrival = self._now + demand.size / UPLOAD_RATE
            server.here[demand.toolchain] = min(arrival, server.here.get(demand.toolchain, arrival))
            return arrival
        return max(self._now, server.here[demand.toolchain])

    def _start(self, compile_: Compile, server: _Server, reserved: Reservation) -> None:
        self._say(server, reserved.job_id, JobState.READY)
        self._say(server, reserved.job_id, JobState.STARTED)
        self._at(self._now + compile_.seconds, lambda: self._complete(compile_, server, reserved))

    def _complete(self, compile_: Compile, server: _Server, reserved: Reservation) -> None:
        self._say(server, reserved.job_id, JobState.COMPLETE)
        while len(self._queue) and self._core.placement.has_room():
            waiting = self._queue.next()
            if waiting is not None:
                self._allocate(waiting)
        self._end(compile_)

    # -- what build servers say --

    def _say(self, server: _Server, job_id: JobId, state: JobState) -> None:
        server.jobs[job_id] = state
        if state is JobState.COMPLETE:
            del server.jobs[job_id]
        if self._policy.ours:
            server.number += 1
            states = JobStates(server.heartbeat.server_nonce, server.number, ((job_id, state),))
            self._core.job_states(server.server_id, states, self._now)
        else:
            self._core.update(job_id, server.server_id, state, self._now)

    def _hear(self, server: _Server) -> None:
        server.number += 1
        report = ServerReport(
            number=server.number,
            heartbeat_secs=OUR_HEARTBEAT_SECS,
            availability=Availability.OPEN,
            jobs=tuple(server.jobs.items()),
            toolchains=tuple(name for name, since in server.here.items() if since <= self._now),
        )
        self._core.heartbeat(server.server_id, server.heartbeat, self._now, report if self._policy.ours else None)


def _server(number: int, cpus: int) -> _Server:
    server_id = ServerId.parse(f"10.{number >> 16}.{number >> 8 & 255}.{number & 255}:10501")
    return _Server(server_id, Heartbeat(b"", cpus, number, b"", b""))


def demands(random: Random, clients: Sequence[int], all_compiles: int, arrival_secs: float) -> Iterator[Demand]:
    """Clients that share the compiles in proportion to how many they do at a time.

    Compile times have a heavy tail: half of them are below five seconds, one in a hundred is above eighty. A quarter of
    the clients needs the same toolchain, a quarter of the others the next, and so on; every third one has 215 MB.

    :param clients: for each client, how many compiles it does at a time.
    :param arrival_secs: the time within which all clients begin.
    """
    share = all_compiles / sum(clients)
    for number, at_a_time in enumerate(clients):
        compiles = (min(600.0, random.lognormvariate(1.6, 1.2)) for _ in range(max(1, round(share * at_a_time))))
        toolchain = min(40, int(random.expovariate(0.3)))
        yield Demand(
            Party(f"client {number}"),
            random.uniform(0, arrival_secs),
            at_a_time,
            tuple(compiles),
            f"{toolchain:064x}",
            (31 if toolchain % 3 else 215) * 10**6,
        )
