"""What an administrator's words mean, and what follows from them."""

import re
from typing import Any

import attrs
import pytest

from sccachedist.budgets import Party
from sccachedist.scheduler import farm_actions
from sccachedist.scheduler.core import SchedulerCore
from sccachedist.scheduler.events import Departure, Event, JobEnded, ServerDrained, ServerLeft
from sccachedist.scheduler.farm_actions import CannotBeDone, Circumstances, NothingMatches, Plan, plan
from sccachedist.scheduler.farm_orders import requested
from sccachedist.scheduler.interventions import FORGET_SECS
from sccachedist.scheduler.out_of_service import Drain, Pause
from sccachedist.wire.addresses import ServerId
from sccachedist.wire.extension import Orders
from sccachedist.wire.host_facts import HostFacts
from sccachedist.wire.messages import JobId
from tests.scheduler.farms import CLANG, GCC, A, B, C, Ours, assigned, farm, heartbeat

ANN, BOB = Party("#0123@10.0.0.1"), Party("#4567@10.0.0.2")
V6 = ServerId.parse("[2001:db8::1]:10501")
ELSEWHERE = ServerId.parse("192.0.2.1:10501")


@attrs.define
class Farm:
    """A core with A and B, which are published, and what an administrator does to it."""

    core: SchedulerCore = attrs.field(factory=lambda: farm(2, 2))
    now: float = 0.0
    waiting: int = 0
    missed: list[ServerId] = attrs.field(factory=list)
    told: list[Event] = attrs.field(factory=list)

    def plan(self, action: str, **body: Any) -> Plan:
        around = Circumstances(
            by="ann",
            now=self.now,
            time=1000 + self.now,
            waiting=self.waiting,
            missed=self.missed,
            forget=self.missed.remove,
            name_of=lambda client: client and client.rpartition("@")[2],
        )
        return plan(requested({"action": action} | body), self.core.interventions, around)

    def do(self, action: str, **body: Any) -> Plan:
        """Do it, once it is known what it would do."""
        done = self.plan(action, **body)
        assert self.plan(action, **body).text == done.text
        for step in done.steps:
            self.told += step.perform(self.core.interventions, self.now)
        return done

    def about(self, action: str, **body: Any) -> list[str]:
        return [step.about for step in self.plan(action, **body).steps]

    def job(self, client: Party | None = None, toolchain: str = "") -> JobId:
        reserved = self.core.reserve(self.now, client=client, toolchain=toolchain)
        self.core.confirm(reserved, reserved.presumed or assigned(), self.now)
        return reserved.job_id


@pytest.fixture(name="known")
def published() -> Farm:
    return Farm()


@pytest.fixture(name="ours")
def of_ours() -> Farm:
    """A farm whose one build server is ours, and has two toolchains."""
    core = SchedulerCore(JobId(400))
    ours = Ours(core)
    ours.beat(attrs.evolve(ours.report({}, GCC, CLANG), host=HostFacts(name="build17.example.org")))
    ours.proves_itself()
    return Farm(core)


@pytest.mark.parametrize(
    ("names", "meant"),
    [
        (["127.0.0.1:10501"], [A]),
        (["127.0.0.1"], [A]),
        (["127.0.0.?"], [A, B]),
        (["*:10501"], [A, B, V6]),
        (["*"], [A, B, V6]),
        (["127.0.0.2", "127.0.0.1:*"], [A, B]),
        (["[2001:db8::*"], [V6]),
        (["2001:db8::1"], [V6]),
        (["127.0.0.1", "192.0.2.1:10501"], [A, ELSEWHERE]),
        (["nowhere", "127.0.0.1"], [A]),
    ],
)
def test_who_is_meant(known: Farm, names: list[str], meant: list[ServerId]) -> None:
    """By an address, a host, or a pattern in which brackets stand for themselves; a whole address always means one."""
    known.core.heartbeat(V6, heartbeat(), 0.0)
    assert known.about("drain", servers=names) == list(map(str, meant))


def test_who_is_meant_by_a_name(ours: Farm) -> None:
    """Our build servers tell the names of their hosts."""
    assert ours.about("drain", servers=["build1?.*"]) == [str(A)]
    with pytest.raises(NothingMatches, match=re.escape(r"no build server is meant by build, \x1b*")):
        ours.plan("drain", servers=["build", "\x1b*"])


def test_a_pattern_takes_no_time(known: Farm) -> None:
    """Stars cost a little each, whatever they have to match."""
    with pytest.raises(NothingMatches):
        known.plan("drain", servers=["*1" * 49 + "x"] * 100)


def test_drain(known: Farm) -> None:
    """It gets no jobs, by whom and why is known, and what it has goes on; so it is with an address without a server."""
    known.job()
    known.do("drain", servers=[str(B), str(C)], reason="disk", until=60)
    done = known.do("drain", servers=[str(A)])
    assert done.text == "1 build server gets no new jobs"
    assert done.steps[0].text == f"{A} is drained: it gets no new jobs, the 1 job that is there goes on"
    assert known.core.interventions.out_of_service.drains == {
        A: Drain("ann", "", 1000.0, None),
        B: Drain("ann", "disk", 1000.0, 1060.0),
        C: Drain("ann", "disk", 1000.0, 1060.0),
    }
    assert not known.core.placement.has_servers()
    assert known.told[1] == ServerDrained(0.0, C, drained=True, is_here=False, by="ann", reason="disk")
    assert [step.found for step in known.plan("drain", servers=[str(B), str(C)]).steps] == [True, False]
    known.core.heartbeat(C, heartbeat(), 1.0)
    assert not known.core.placement.has_servers()


def test_drains_are_few(known: Farm, monkeypatch: pytest.MonkeyPatch) -> None:
    """One that is drained may be drained for another reason."""
    monkeypatch.setattr(farm_actions, "MOST_DRAINS", 1)
    known.do("drain", servers=[str(A)])
    known.do("drain", servers=[str(A)], reason="disk")
    with pytest.raises(CannotBeDone, match="no more than 1 addresses can be drained"):
        known.plan("drain", servers=[str(B)])


def test_undrain(known: Farm) -> None:
    """A pattern means those that are drained, an address itself."""
    known.do("drain", servers=[str(B), str(C)])
    assert known.about("undrain", servers=["*"]) == [str(B), str(C)]
    assert known.about("undrain", servers=["*", str(A)]) == [str(B), str(C), str(A)]
    assert known.about("undrain", servers=["127.0.0.1"]) == [str(A)]
    done = known.do("undrain", servers=["*"])
    assert [step.text for step in done.steps] == [
        f"{B} is not drained: it gets new jobs",
        f"no build server has the address {C}; one that comes there gets jobs",
    ]
    assert known.told[-2] == ServerDrained(0.0, B, drained=False, is_here=True, by="ann")
    assert known.core.interventions.out_of_service.drains == {}
    with pytest.raises(NothingMatches):
        known.plan("undrain", servers=["10.*"])


def test_undrain_one_that_drains_itself(ours: Farm) -> None:
    """That is said."""
    server = Ours(ours.core)
    server.number = 10
    server.beat(server.report(open_=False))
    assert "it drains itself" in ours.plan("undrain", servers=[str(A)]).steps[0].text


def test_forgive(known: Farm) -> None:
    """A build server that failed is used at once; it is nothing new that nothing was wrong."""
    for _ in range(2):
        reserved = known.core.reserve(0.0)
        known.core.release(reserved, 0.0, failed=True)
    known.now = 1.0
    assert known.about("forgive", servers=["*"]) == [str(A), str(B)]
    done = known.do("forgive", servers=[str(A)])
    assert done.steps[0].text == f"{A} gets jobs like any other again, 9 s earlier"
    assert known.core.reserve(1.0).server_id == A
    assert known.about("forgive", servers=["*"]) == [str(B)]
    with pytest.raises(NothingMatches, match=f"{A} is not avoided"):
        known.plan("forgive", servers=[str(A)])
    known.do("forgive", servers=[str(B)])
    with pytest.raises(NothingMatches, match="none of the 2 build servers is avoided"):
        known.plan("forgive", servers=["*"])


def test_forgiven_what_it_sent_home(known: Farm) -> None:
    """What it has told already is not held against it again."""
    server = known.core.interventions.server(A)
    assert server is not None
    server.record.counted = (10, 5)
    server.record.on_trial = True
    server.record.results.add(10, 5, 0.0)
    known.core.interventions.forgive(A, 0.0)
    known.core.interventions.forgive(C, 0.0)
    assert (server.record.counted, server.record.on_trial, server.record.results.part()) == ((10, 5), False, 0.0)


def test_forget_servers(known: Farm) -> None:
    """Those that are silent are dropped, those that fell silent are missed no longer; others stay."""
    known.job()
    known.now = 50.0
    known.core.heartbeat(B, heartbeat(), 45.0)
    known.missed = [C, ELSEWHERE]
    done = known.do("forget_server", servers=["127.*"])
    assert done.text == "2 build servers are forgotten"
    assert [step.text for step in done.steps] == [
        f"{A} has been silent for 50 s: it is forgotten, and its 1 job with it",
        f"{C} is missed no longer",
    ]
    assert known.missed == [ELSEWHERE]
    assert [event for event in known.told if isinstance(event, ServerLeft)] == [
        ServerLeft(50.0, A, Departure.FORGOTTEN)
    ]
    assert any(isinstance(event, JobEnded) for event in known.told)
    with pytest.raises(CannotBeDone, match=f"{B} was heard of 5 s ago: drain it instead"):
        known.plan("forget_server", servers=["*2:*"])
    assert known.core.interventions.forget_server(A, 50.0) == ()


def test_revoke(known: Farm) -> None:
    """Build servers that are let in no longer are dropped with their jobs, and no others."""
    known.job()
    told = known.core.interventions.revoke(lambda server_id: server_id == A, 50.0)
    assert [event for event in told if isinstance(event, ServerLeft)] == [ServerLeft(50.0, A, Departure.REVOKED)]
    assert any(isinstance(event, JobEnded) for event in told)
    assert known.core.interventions.server(B) is not None
    assert known.core.interventions.revoke(lambda server_id: server_id == A, 50.0) == ()


def test_kill_a_job(ours: Farm) -> None:
    """Its build server is told with each heartbeat, until the job is over."""
    job = ours.job(ANN)
    other = ours.job(ANN)
    assert ours.core.interventions.orders(A, 0.0) is None
    done = ours.do("kill", job=str(job)[-2:])
    assert done.text == "1 job will be compiled by its client"
    assert (
        done.steps[0].text == f"job {job} waits for its client on {A}, which is told with its next heartbeat to end it"
    )
    assert done.steps[0].to_json()["found"]
    assert ours.core.interventions.orders(A, 0.0) == Orders(kill=(job,)) == ours.core.interventions.orders(A, 1.0)
    assert ours.core.interventions.orders(B, 0.0) is None
    ours.core.interventions.forget_server(A, 0.0)
    assert ours.core.interventions.kill(job) == ()
    with pytest.raises(NothingMatches, match=f"no job that is not over has a number that ends with {other}"):
        ours.plan("kill", job=str(other))


def test_kill_by_an_end_that_several_have(ours: Farm) -> None:
    """Nothing is done if it is not clear which one is meant."""
    while len([job_id for job_id, _ in ours.core.interventions.jobs()]) < 11:
        ours.core.heartbeat(B, heartbeat(16), 0.0)
        last = ours.job()
    with pytest.raises(NothingMatches, match="several jobs have numbers that end with"):
        ours.plan("kill", job=str(last)[-1])


def test_kill_a_client(ours: Farm) -> None:
    """All of its jobs, also on published servers as far as that goes."""
    ours.core.heartbeat(B, heartbeat(8), 0.0)
    for client in (ANN, ANN, BOB, ANN, None):
        ours.job(client)
    jobs = {job_id: job for job_id, job in ours.core.interventions.jobs() if job.client == ANN}
    there = [job_id for job_id, job in jobs.items() if job.server_id == A]
    done = ours.do("kill", client="10.0.0.1")
    assert 0 < len(there) < 3
    assert [step.found for step in done.steps] == [job.server_id == A for job in jobs.values()]
    assert done.text.endswith("on, for a published build server takes no such orders")
    assert {job_id for job_id, job in ours.core.interventions.jobs() if job.unwanted} == set(there)
    with pytest.raises(NothingMatches, match=r"10\.0\.0\.3 has no job"):
        ours.plan("kill", client="10.0.0.3")


def test_kill_on_a_published_server(known: Farm) -> None:
    """It cannot be done, and that is said."""
    job = known.job()
    with pytest.raises(CannotBeDone, match="a published build server takes no such orders: 1 job there goes on"):
        known.plan("kill", job=str(job))


def test_pause(known: Farm) -> None:
    """It is known who paused, and why; it says what becomes of what runs and waits."""
    assert known.plan("pause", reason="move").text == "the farm is paused: clients compile themselves, and none runs"
    known.job()
    known.job()
    known.waiting = 3
    done = known.do("pause", reason="move")
    assert done.text == (
        "the farm is paused: clients compile themselves, the 2 jobs that are there go on; "
        "3 requests in the queue are sent away"
    )
    assert known.core.pause == Pause("ann", "move", 1000.0)
    assert known.do("resume").text == "the farm goes on: requests get slots again"
    assert known.core.pause is None
    with pytest.raises(NothingMatches, match="not paused"):
        known.plan("resume")


def test_forget_a_toolchain(ours: Farm) -> None:
    """Its build servers are told until they do not have it any more, for some time."""
    ours.job(ANN, GCC)
    done = ours.do("forget_toolchain", toolchain=GCC[:8])
    assert done.text == "1 build server forgets it: the next client that needs it brings it again"
    assert done.steps[0].text == (
        f"{A} is told with its next heartbeat to remove toolchain {GCC[:12]}; "
        "1 job may use it: it goes when none does, within 10 minutes"
    )
    ours.do("forget_toolchain", toolchain=CLANG, servers=["*"])
    assert ours.core.interventions.orders(A, 1.0) == Orders(forget=(GCC, CLANG))
    server = Ours(ours.core)
    server.number = 10
    server.beat(server.report({}, GCC))
    assert ours.core.interventions.orders(A, 1.0) == Orders(forget=(GCC,))
    assert ours.core.interventions.orders(A, FORGET_SECS) is None
    with pytest.raises(NothingMatches, match="no build server tells of a toolchain that begins with"):
        ours.plan("forget_toolchain", toolchain=CLANG)
    assert ours.core.interventions.forget_toolchain(B, GCC, 0.0) == ()


def test_forget_a_toolchain_that_is_elsewhere(ours: Farm) -> None:
    """Or that is not clear."""
    ours.core.heartbeat(B, heartbeat(), 0.0)
    with pytest.raises(NothingMatches, match=f"{B} is not known to have toolchain 0c0c0c0c0c0c"):
        ours.plan("forget_toolchain", toolchain=GCC, servers=[str(B)])
    server = Ours(ours.core)
    server.number = 10
    server.beat(server.report({}, GCC, GCC[:-2] + "ff"))
    with pytest.raises(NothingMatches, match="several toolchains have ids that begin with 0c0c0c0c"):
        ours.plan("forget_toolchain", toolchain="0c0c0c0c")
