"""Which build server gets a job where the fastest one is to have it."""

from random import Random

import attrs
import pytest

from sccachedist.budgets import Party
from sccachedist.errors import NoCapacity
from sccachedist.outcomes import Lack
from sccachedist.policy import PlacementRule
from sccachedist.scheduler.core import SchedulerCore
from sccachedist.scheduler.speeds import ARRIVAL_SECS, STALE_SECS
from sccachedist.wire.abilities import Abilities, Offer
from sccachedist.wire.addresses import ServerId
from sccachedist.wire.extension import Availability, Health, JobStates, ServerReport
from sccachedist.wire.host_facts import HostFacts
from sccachedist.wire.messages import JobId, JobState, job_capacity
from tests.scheduler.farms import FIRST_JOB, GCC, SERVERS, A, B, C, assigned, heartbeat
from tests.scheduler.test_speeds import told

ANN = Party("ann")
CPUS = 2
SLOTS = job_capacity(CPUS)


@attrs.define
class Farm:
    """Three build servers with two CPUs each, of which all is known that jobs tell.

    :param ours: whether they are ours.
    :param secs: of a job at each of them; all take a second of CPU.
    :param offers: of those that offer something else than all that they have.
    """

    ours: bool = True
    secs: dict[ServerId, float] = attrs.field(factory=lambda: dict.fromkeys(SERVERS, 1.0))
    offers: dict[ServerId, Offer] = attrs.field(factory=dict)
    rule: PlacementRule = PlacementRule.FASTEST
    now: float = 0.0
    core: SchedulerCore = attrs.field(factory=lambda: SchedulerCore(FIRST_JOB))
    numbers: dict[ServerId, int] = attrs.field(factory=lambda: dict.fromkeys(SERVERS, 0))
    jobs: dict[JobId, ServerId] = attrs.field(factory=dict)
    random: Random = attrs.field(factory=lambda: Random(7))

    def __attrs_post_init__(self) -> None:
        self.core.placement.rule = self.rule
        for server in SERVERS:
            self.beat(server)

    def beat(self, server: ServerId, *toolchains: str) -> None:
        self.numbers[server] += 1
        jobs = tuple((job, JobState.STARTED) for job, at in self.jobs.items() if at == server)
        report = ServerReport(self.numbers[server], 5, Availability.OPEN, jobs, toolchains or (GCC,))
        if server in self.offers:
            report = attrs.evolve(
                report, health=Health(), version="1", host=HostFacts(), abilities=Abilities(offer=self.offers[server])
            )
        self.core.heartbeat(server, heartbeat(CPUS), self.now, report if self.ours else None)

    def begin(self, toolchain: str = GCC) -> tuple[ServerId, JobId]:
        reserved = self.core.reserve(self.now, toolchain=toolchain, client=ANN)
        self.core.confirm(reserved, reserved.presumed or assigned(), self.now)
        self.say(reserved.server_id, reserved.job_id, JobState.STARTED)
        self.jobs[reserved.job_id] = reserved.server_id
        return reserved.server_id, reserved.job_id

    def end(self, server: ServerId, job: JobId) -> None:
        del self.jobs[job]
        self.say(server, job, JobState.COMPLETE)

    def say(self, server: ServerId, job: JobId, state: JobState) -> None:
        if not self.ours:
            self.core.update(job, server, state, self.now)
            return
        self.numbers[server] += 1
        summary = told(ran_us=round(self.secs[server] * self.random.uniform(1.5e6, 1.51e6)))
        summaries = ((job, summary),) if state is JobState.COMPLETE else ()
        self.core.job_states(server, JobStates(1, self.numbers[server], ((job, state),), summaries), self.now)

    def build(self, jobs: int) -> None:
        """A job for each server at a time, each as long as it takes there."""
        for _ in range(jobs):
            begun = [self.begin() for _ in SERVERS]
            ends = [
                (self.now + self.secs[server] * self.random.uniform(1.0, 1.01), server, job) for server, job in begun
            ]
            for self.now, server, job in sorted(ends):
                self.end(server, job)
            self.now += 0.1
            for server in SERVERS:
                self.beat(server)

    def placed(self, count: int) -> list[ServerId]:
        """Where the next jobs go, sorted."""
        return sorted((self.begin()[0] for _ in range(count)), key=SERVERS.index)


def test_until_something_is_known() -> None:
    """Servers that are not known yet are loaded alike."""
    assert Farm().placed(6) == [A, A, B, B, C, C]


@pytest.mark.parametrize("rule", PlacementRule)
def test_equal_servers(rule: PlacementRule) -> None:
    """Of equal servers, both rules choose in the same order."""
    farm = Farm(rule=rule)
    farm.build(20)
    assert farm.placed(9) == [A] * 3 + [B] * 3 + [C] * 3


def test_a_slow_server_gets_a_job_later() -> None:
    """One that takes three times as long gets its first when the others would take as long with one more."""
    farm = Farm(secs={A: 1.0, B: 1.0, C: 2.5})
    farm.build(20)
    assert farm.placed(6) == [A] * 3 + [B] * 3
    assert farm.placed(1) == [C]


def test_the_least_loaded_by_the_other_rule() -> None:
    """By the other rule that makes no difference, and a change of the rule holds at once."""
    farm = Farm(secs={A: 1.0, B: 1.0, C: 2.5})
    farm.build(20)
    farm.core.placement.rule = PlacementRule.LEAST_LOADED
    assert farm.placed(3) == [A, B, C]
    assert farm.core.placement.rule is PlacementRule.LEAST_LOADED


def test_slots_that_a_slow_server_keeps() -> None:
    """A slow server gets no more jobs than it has CPUs, and a client waits."""
    farm = Farm(secs={A: 1.0, B: 1.0, C: 3.0})
    farm.build(20)
    assert farm.placed(2 * SLOTS + CPUS) == [A] * SLOTS + [B] * SLOTS + [C] * CPUS
    assert not farm.core.placement.has_room()
    with pytest.raises(NoCapacity):
        farm.begin()
    farm.core.placement.rule = PlacementRule.LEAST_LOADED
    assert farm.placed(1) == [C]


def test_what_is_seen() -> None:
    """An administrator sees how slow a server is taken to be, where that makes a difference."""
    farm = Farm(secs={A: 1.0, B: 1.0, C: 3.0})
    farm.build(20)

    def slowness() -> dict[ServerId, float]:
        return {server.server_id: server.slowness for server in farm.core.snapshot({}, farm.now).servers}

    assert slowness() == {A: 1.0, B: 1.0, C: pytest.approx(3.0, abs=0.2)}
    farm.core.placement.rule = PlacementRule.LEAST_LOADED
    assert slowness() == dict.fromkeys(SERVERS, 1.0)


def test_others_have_its_cpus() -> None:
    """That jobs take longer where others have begun to work is not put down to other jobs of the farm."""
    farm = Farm()
    for _ in range(5):
        begun = [farm.begin() for _ in range(CPUS * len(SERVERS))]
        farm.offers[C], farm.secs[C] = Offer(1, Lack.BUSY.word), CPUS
        farm.beat(C)
        for server, job in begun:
            farm.end(server, job)
        farm.offers[C] = Offer(SLOTS)
        farm.beat(C)
    assert farm.placed(2 * CPUS) == [A] * CPUS + [B] * CPUS


def test_a_published_server() -> None:
    """What the scheduler sees of a published server is enough."""
    farm = Farm(ours=False, secs={A: 1.0, B: 1.0, C: 8.0})
    farm.build(30)
    assert farm.placed(6) == [A] * 3 + [B] * 3


def test_a_server_gets_a_job_to_find_out() -> None:
    """After a while without jobs, a slow one gets a single job like any other; what that tells, counts."""
    farm = Farm(secs={A: 1.0, B: 1.0, C: 4.0})
    farm.build(20)
    farm.now += STALE_SECS + 1
    for server in SERVERS:
        farm.beat(server)
    begun = [farm.begin() for _ in range(6)]
    ((server, probe),) = [each for each in begun if each[0] == C]
    farm.now += 6.0
    farm.end(server, probe)
    for each in begun[:2]:
        farm.end(*each)
    assert C not in farm.placed(2)


def test_jobs_of_nobody() -> None:
    """A job from before the scheduler's start tells nothing: of which toolchain and client it is, is not known."""
    farm = Farm(secs={A: 1.0, B: 1.0, C: 4.0})
    for number in range(20):
        for server in SERVERS:
            farm.say(server, JobId(10_000 + number), JobState.STARTED)
            farm.say(server, JobId(10_000 + number), JobState.COMPLETE)
    assert farm.placed(3) == [A, B, C]


def test_a_start_that_was_not_reported() -> None:
    """Of a published server's job whose start is not known, or that took no time, nothing is learned."""
    farm = Farm(ours=False)
    for _ in range(20):
        for _ in SERVERS:
            reserved = farm.core.reserve(farm.now, toolchain=GCC, client=ANN)
            farm.core.confirm(reserved, assigned(), farm.now)
            farm.core.update(reserved.job_id, reserved.server_id, JobState.COMPLETE, farm.now + 9.0)
    assert farm.placed(3) == [A, B, C]


OTHER = "d0" * 32


@pytest.mark.parametrize(("secs", "where"), [(0.01, {C}), (6.0, {A, B})])
def test_where_the_toolchain_is(secs: float, where: set[ServerId]) -> None:
    """A slow server that has the toolchain is preferred, unless a job elsewhere is done before it would be here."""
    farm = Farm(secs={A: secs, B: secs, C: 4 * secs})
    farm.build(20)
    assert 4 * 0.01 < ARRIVAL_SECS < 2 * 6.0
    for server in (A, B):
        farm.beat(server, OTHER)
    assert farm.begin()[0] in where


def test_how_long_a_toolchain_takes_to_arrive() -> None:
    """What jobs had to wait for their toolchain is what the next one is expected to wait."""
    farm = Farm(secs={A: 0.5, B: 0.5, C: 2.0})
    farm.build(20)
    for server in SERVERS:
        farm.beat(server, OTHER)
    for _ in range(5):
        begun = farm.core.reserve(farm.now, toolchain=GCC, client=ANN)
        farm.core.confirm(begun, assigned(JobState.PENDING), farm.now)
        farm.now += 0.1
        for state in (JobState.READY, JobState.READY, JobState.STARTED):
            farm.say(begun.server_id, begun.job_id, state)
            farm.now += 4.0 * (state is JobState.READY)
        farm.say(begun.server_id, begun.job_id, JobState.COMPLETE)
        farm.beat(begun.server_id, OTHER)
    farm.beat(C, OTHER, GCC)
    assert farm.begin()[0] in (A, B)
