"""Toolchains that the farm has: which clients need not bring one, and who is told where it is."""

import attrs
import pytest

from sccachedist.budgets import Party
from sccachedist.outcomes import Outcome, SentLocal
from sccachedist.scheduler import presumptions
from sccachedist.scheduler.build_server import MOST_UNFETCHED, NO_FETCHES_SECS, PRESUMED_SECS, UNFETCHED_SECS
from sccachedist.scheduler.core import Reservation, SchedulerCore
from sccachedist.scheduler.jobs import OWN_BRINGS_SECS
from sccachedist.wire.abilities import Abilities
from sccachedist.wire.addresses import ServerId
from sccachedist.wire.extension import ServerReport
from sccachedist.wire.holders import MOST_HOLDERS
from sccachedist.wire.job_summary import JobSummary, packed
from sccachedist.wire.messages import AssignJobResult, JobId, JobState
from tests.scheduler.farms import CLANG, FIRST_JOB, GCC, A, B, C, Ours, assigned, heartbeat

PENDING, READY, STARTED, COMPLETE = JobState
ANN, BOB = Party("ann"), Party("bob")


class Sharing(Ours):
    """A build server that fetches toolchains from others, and gives them its own."""

    def report(
        self, jobs: dict[JobId, JobState] | None = None, *toolchains: str, open_: bool = True, secs: int = 5
    ) -> ServerReport:
        told = super().report(jobs, *toolchains, open_=open_, secs=secs)
        return attrs.evolve(told, abilities=Abilities(fetches=True))

    def ends(self, reserved: Reservation, reason: SentLocal | None, now: float = 0.0) -> None:
        outcome = Outcome.COMPILED if reason is None else Outcome.SENT_LOCAL
        octets = packed(JobSummary(outcome, reason))
        self.says({reserved.job_id: COMPLETE}, now, summaries=((reserved.job_id, octets),))


@attrs.define
class Farm:
    """Three build servers that share, of which B has a toolchain; each allocation is at the one that has nothing."""

    core: SchedulerCore = attrs.field(factory=lambda: SchedulerCore(FIRST_JOB))
    a: Sharing = attrs.field(init=False)
    b: Sharing = attrs.field(init=False)
    c: Sharing = attrs.field(init=False)

    def __attrs_post_init__(self) -> None:
        self.a, self.b, self.c = (Sharing(self.core, server_id) for server_id in (A, B, C))
        for server in (self.a, self.b, self.c):
            server.beat(server.report())

    def beat(self, now: float, *holders: Ours) -> None:
        for server in (self.a, self.b, self.c):
            server.beat(server.report({}, *([GCC] if server in holders else [])), now)

    def asks(
        self, server: Ours, now: float = 0.0, client: Party | None = ANN, toolchain: str = GCC
    ) -> tuple[Reservation, bool]:
        """Give a job to a server, and say whether its client has to bring the toolchain."""
        others = {A, B, C} - {server.server_id}
        reserved = self.core.reserve(now, others, toolchain=toolchain, client=client)
        assert reserved.server_id == server.server_id
        answer = reserved.presumed
        if answer is None:
            answer = self.core.presumptions.reconsidered(reserved.job_id, server.server_id, assigned(PENDING), now)
        self.core.confirm(reserved, answer, now)
        return reserved, answer.need_toolchain

    def where(self, server: Ours, now: float = 0.0, toolchain: str = GCC) -> tuple[set[ServerId], bool]:
        where = self.core.presumptions.where(toolchain, server.server_id, now)
        return {holder.server_id for holder in where.holders}, where.is_coming


@pytest.fixture
def farm() -> Farm:
    return Farm()


def test_farm_has_it(farm: Farm) -> None:
    """A client need not bring what another server has: one that is asked first, or one that is presumed."""
    farm.beat(0.0, farm.b)
    _, needed = farm.asks(farm.a)
    assert not needed
    assert farm.where(farm.a) == ({B}, False)
    assert farm.where(farm.b) == (set(), False)
    reserved, needed = farm.asks(farm.a)
    assert (reserved.presumed, needed) == (AssignJobResult(PENDING, need_toolchain=False), False)
    _, needed = farm.asks(farm.a, toolchain=CLANG)
    assert needed


def test_servers_that_do_not_share(farm: Farm) -> None:
    """One of an earlier release is neither expected to fetch nor named to others; a published one neither."""
    plain = Ours(farm.core, C)
    plain.number = 100
    plain.beat(plain.report({}, GCC))
    assert farm.where(farm.a) == (set(), False)
    assert farm.asks(farm.a)[1]
    farm = Farm()
    farm.beat(0.0, farm.b)
    plain = Ours(farm.core, C)
    plain.number = 100
    plain.beat(plain.report())
    assert farm.asks(plain)[1]
    farm.core.heartbeat(C, heartbeat(nonce=2), 0.0)
    assert farm.asks(plain)[1]


def test_reservation_that_is_gone(farm: Farm) -> None:
    """If a server goes away while it is asked, nothing is reconsidered."""
    reserved = farm.core.reserve(0.0, toolchain=GCC)
    farm.core.release(reserved, 0.0, failed=False)
    answer = assigned(PENDING)
    assert farm.core.presumptions.reconsidered(reserved.job_id, reserved.server_id, answer, 0.0) == answer


def test_one_client_brings_it_to_the_farm(farm: Farm) -> None:
    """While a client brings a toolchain to one server, it is asked for it at no other: they are told that it comes."""
    first, needed = farm.asks(farm.a)
    assert needed
    assert not farm.asks(farm.b, now=1.0)[1]
    assert farm.where(farm.b, now=1.0) == (set(), True)
    farm.a.says({first.job_id: PENDING}, now=1.0)
    for now in range(2, 100, 4):
        farm.a.beat(farm.a.report({first.job_id: PENDING}), float(now))
        farm.b.beat(farm.b.report(), float(now))
        assert not farm.asks(farm.b, float(now))[1]
        assert not farm.asks(farm.a, float(now))[1]
        farm.core.expire(float(now))
    assert farm.where(farm.b, now=100.0) == (set(), True)
    farm.a.says({first.job_id: READY}, now=100.0)
    assert farm.where(farm.b, now=100.0) == ({A}, False)


def test_own_upload_that_lasts_for_ever(farm: Farm) -> None:
    """One's own upload is relied on for minutes, not for ever."""
    first, _ = farm.asks(farm.a)
    farm.a.says({first.job_id: PENDING}, now=1.0)
    end = OWN_BRINGS_SECS + 2
    for now in (100.0, 200.0, 300.0, 400.0, 500.0, end):
        farm.a.beat(farm.a.report({first.job_id: PENDING}, secs=120), now)
        farm.b.beat(farm.b.report(secs=120), now)
    assert farm.asks(farm.b, end)[1]
    assert farm.where(farm.b, end) == (set(), False) or farm.where(farm.c, end)[1]


def test_upload_of_another(farm: Farm) -> None:
    """Another client's upload is relied on for a few seconds, wherever it goes: it may be slow, or never end."""
    first, _ = farm.asks(farm.a)
    farm.a.says({first.job_id: PENDING}, now=1.0)
    assert not farm.asks(farm.b, 2.0, BOB)[1]
    later = 2.0 + PRESUMED_SECS + 1
    farm.a.beat(farm.a.report({first.job_id: PENDING}), later)
    farm.b.beat(farm.b.report(), later)
    assert farm.asks(farm.b, later, BOB)[1]
    assert not farm.asks(farm.a, later, ANN)[1]


def test_upload_that_does_not_begin(farm: Farm) -> None:
    """A client that does not begin to bring it is not relied on."""
    farm.asks(farm.a)
    assert farm.where(farm.b, now=3.0) == (set(), False)
    assert farm.asks(farm.b, now=3.0)[1]


def test_fetch_that_fails(farm: Farm) -> None:
    """If a job goes home because the fetch failed, clients are asked for a while; a compile shows that it works."""
    farm.beat(0.0, farm.b)
    job, needed = farm.asks(farm.a)
    assert not needed
    farm.a.ends(job, SentLocal.TOOLCHAIN)
    assert farm.asks(farm.a)[1]
    later = UNFETCHED_SECS + 1
    farm.beat(later, farm.b)
    job, needed = farm.asks(farm.a, later)
    assert not needed
    farm.a.ends(job, None, later)
    assert not farm.asks(farm.a, later)[1]


def test_toolchain_that_came_all_the_same(farm: Farm) -> None:
    """When a client has brought what could not be fetched, that is forgotten."""
    farm.beat(0.0, farm.b)
    job, _ = farm.asks(farm.a)
    farm.a.ends(job, SentLocal.TOOLCHAIN)
    farm.beat(1.0, farm.a, farm.b)
    farm.a.beat(farm.a.report(), 2.0)
    assert not farm.asks(farm.a, 2.0)[1]


def test_other_ends(farm: Farm) -> None:
    """What ends a job otherwise says nothing of fetches, nor do words that mean nothing."""
    farm.beat(0.0, farm.b)
    for reason in (SentLocal.CLIENT_GONE, SentLocal.DISK):
        job, _ = farm.asks(farm.a)
        farm.a.ends(job, reason)
    job, _ = farm.asks(farm.a)
    farm.a.says({job.job_id: COMPLETE}, summaries=((job.job_id, b"nonsense"),))
    assert not farm.asks(farm.a)[1]


def test_server_that_reaches_no_other(farm: Farm) -> None:
    """One whose fetches all fail is expected to fetch nothing for some minutes, of any toolchain."""
    farm.b.beat(farm.b.report({}, GCC, CLANG, *(f"{number:064x}" for number in range(MOST_UNFETCHED))))
    for number in range(MOST_UNFETCHED):
        job, needed = farm.asks(farm.a, toolchain=f"{number:064x}")
        assert not needed
        farm.a.ends(job, SentLocal.TOOLCHAIN)
    assert farm.asks(farm.a)[1]
    later = NO_FETCHES_SECS + 1
    farm.a.beat(farm.a.report(), later)
    farm.b.beat(farm.b.report({}, GCC), later)
    assert not farm.asks(farm.a, later)[1]


def test_many_holders() -> None:
    """Of many that have it, some are named, and others the next time."""
    core = SchedulerCore(FIRST_JOB)
    ids = [ServerId.parse(f"127.0.1.{number}:10501") for number in range(1, 2 * MOST_HOLDERS + 1)]
    for server_id in ids:
        server = Sharing(core, server_id)
        server.beat(server.report({}, GCC))
    told = [{holder.server_id for holder in core.presumptions.where(GCC, A, 0.0).holders} for _ in range(4)]
    assert [len(each) for each in told] == [MOST_HOLDERS] * 4
    assert set.union(*told) == set(ids)


def test_popular(farm: Farm) -> None:
    """A build server that joins is told what was needed most and can be had, without what it has itself."""
    for toolchain in (CLANG, GCC, GCC):
        farm.asks(farm.a, toolchain=toolchain)
    farm.b.beat(farm.b.report({}, GCC, CLANG))
    assert [each.toolchain for each in farm.core.presumptions.popular(C, 0.0)] == [GCC, CLANG]
    assert farm.core.presumptions.popular(B, 0.0) == ()


def test_what_is_remembered_is_bounded(farm: Farm, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of many toolchains that are brought, the oldest are forgotten; then a client brings one that comes already."""
    monkeypatch.setattr(presumptions, "MOST_BROUGHT", 1)
    farm.asks(farm.a, toolchain=GCC)
    farm.asks(farm.a, toolchain=CLANG)
    assert farm.where(farm.b, toolchain=CLANG) == (set(), True)
    assert farm.where(farm.b, toolchain=GCC) == (set(), False)


def test_a_client_that_brings_nothing(farm: Farm) -> None:
    """A job that is over brings its toolchain no more: the next client is asked for it, with any server."""
    reserved, needed = farm.asks(farm.a)
    assert needed
    assert farm.where(farm.b)[1]
    farm.a.ends(reserved, SentLocal.CLIENT_GONE)
    assert not farm.where(farm.b)[1]


def test_a_client_that_need_not_bring_it(farm: Farm) -> None:
    """A job whose client need not bring the toolchain does not count as one that does, when a fetch has failed."""
    farm.beat(0.0, farm.b)
    farm.asks(farm.a)
    reserved, _ = farm.asks(farm.a)
    farm.a.ends(reserved, SentLocal.TOOLCHAIN, 1.0)
    _, needed = farm.asks(farm.a, 1.0)
    assert needed
