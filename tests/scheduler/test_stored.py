"""Toolchains in object stores: which build server looks for one, what its answer means to others, and for how long."""

import attrs
import pytest

from sccachedist.outcomes import SentLocal
from sccachedist.scheduler import stored
from sccachedist.scheduler.build_server import UNFETCHED_SECS
from sccachedist.scheduler.core import Reservation
from sccachedist.scheduler.stored import LACKING_SECS, StoredToolchains
from sccachedist.wire.abilities import Abilities, ObjectStoreFacts
from sccachedist.wire.extension import ServerReport
from sccachedist.wire.messages import AssignJobResult, JobId, JobState
from tests.scheduler.farms import CLANG, GCC, A, C, Ours
from tests.scheduler.test_fetched_toolchains import ANN, BOB, COMPLETE, PENDING, READY, Farm, Sharing

STORE = "https://objects.example/farm/"
IS_STORED, IS_NOT = AssignJobResult(PENDING, need_toolchain=False), AssignJobResult(PENDING, need_toolchain=True)


class Storing(Sharing):
    """A build server with an object store; others fetch from it only if it shares."""

    shares = True
    store = STORE

    def report(
        self, jobs: dict[JobId, JobState] | None = None, *toolchains: str, open_: bool = True, secs: int = 5
    ) -> ServerReport:
        told = super().report(jobs, *toolchains, open_=open_, secs=secs)
        return attrs.evolve(told, abilities=Abilities(fetches=self.shares, store=ObjectStoreFacts(self.store)))


@attrs.define
class StoringFarm(Farm):
    """Three build servers of one object store, each of which has taken a job."""

    a: Storing = attrs.field(init=False)
    b: Storing = attrs.field(init=False)
    c: Storing = attrs.field(init=False)

    def __attrs_post_init__(self) -> None:
        super().__attrs_post_init__()
        self.a, self.b, self.c = (self.storing(server) for server in (self.a, self.b, self.c))

    def storing(self, server: Ours) -> Storing:
        made = Storing(self.core, server.server_id)
        made.number = server.number + 100
        made.beat(made.report())
        self.proves(made)
        return made

    def proves(self, server: Ours) -> None:
        others = {A, self.b.server_id, C} - {server.server_id}
        reserved = self.core.reserve(0.0, others)
        self.core.confirm(reserved, AssignJobResult(READY, need_toolchain=False), 0.0)
        server.says({reserved.job_id: COMPLETE})

    def reserve(self, server: Ours, now: float = 0.0, toolchain: str = GCC) -> Reservation:
        others = {A, self.b.server_id, C} - {server.server_id}
        return self.core.reserve(now, others, toolchain=toolchain, client=ANN)

    def answers(self, reserved: Reservation, answer: AssignJobResult, now: float = 0.0) -> bool:
        """A build server answers to a job; returns whether the client has to bring the toolchain."""
        assigned = self.core.presumptions.reconsidered(reserved.job_id, reserved.server_id, answer, now)
        self.core.confirm(reserved, assigned, now)
        return assigned.need_toolchain

    def needs(self, server: Ours, now: float = 0.0, toolchain: str = GCC) -> bool | None:
        """Whether a client has to bring the toolchain of a job; None if the server is asked first."""
        reserved = self.reserve(server, now, toolchain)
        self.core.release(reserved, now, failed=False)
        return None if reserved.presumed is None else reserved.presumed.need_toolchain

    def live(self, now: float) -> None:
        for server in (self.a, self.b, self.c):
            server.beat(server.report(), now)


@pytest.fixture
def farm() -> StoringFarm:
    return StoringFarm()


def test_the_store_has_it(farm: StoringFarm) -> None:
    """One server looks; then no client is asked for it, whichever server of that store gets the job."""
    reserved = farm.reserve(farm.a)
    assert reserved.presumed is None
    assert not farm.answers(reserved, IS_STORED)
    assert farm.needs(farm.a) is False
    assert farm.needs(farm.b) is False
    assert farm.needs(farm.b, toolchain=CLANG) is None


def test_the_store_lacks_it(farm: StoringFarm) -> None:
    """A client brings it, and the others wait for that one. If it does not come, someone looks again after a while."""
    reserved = farm.reserve(farm.a)
    assert farm.answers(reserved, IS_NOT)
    assert farm.needs(farm.b) is False
    farm.a.ends(reserved, SentLocal.CLIENT_GONE)
    assert farm.needs(farm.b) is True
    farm.live(LACKING_SECS)
    assert farm.needs(farm.b, LACKING_SECS) is None


def test_many_at_once(farm: StoringFarm) -> None:
    """Of many clients whose requests wait for a look in vain, one has to bring the toolchain."""
    first, second = farm.reserve(farm.a), farm.reserve(farm.b)
    assert farm.answers(first, IS_NOT)
    assert not farm.answers(second, IS_NOT)


def test_another_store(farm: StoringFarm) -> None:
    """What one store has says nothing of another one."""
    farm.answers(farm.reserve(farm.a), IS_STORED)
    farm.b.store = "https://objects.example/another/"
    farm.b.beat(farm.b.report())
    assert farm.needs(farm.b) is None


def test_a_fetch_that_fails(farm: StoringFarm) -> None:
    """What is not there any more costs one job: its server is not relied on for it, and another one looks again."""
    farm.answers(farm.reserve(farm.a), IS_STORED)
    job = farm.reserve(farm.a)
    assert job.presumed == IS_STORED
    farm.core.confirm(job, IS_STORED, 0.0)
    farm.a.ends(job, SentLocal.TOOLCHAIN)
    assert farm.needs(farm.a) is True
    assert farm.needs(farm.b) is None
    farm.live(UNFETCHED_SECS)
    assert farm.needs(farm.a, UNFETCHED_SECS) is None


def test_an_answer_of_one_that_is_not_relied_on(farm: StoringFarm) -> None:
    """One whose fetch has failed is not asked to look; what it answers all the same changes nothing for others."""
    job = farm.reserve(farm.a)
    farm.answers(job, IS_STORED)
    farm.a.ends(job, SentLocal.TOOLCHAIN)
    assert farm.answers(farm.reserve(farm.a), IS_NOT)
    assert farm.needs(farm.b) is False  # it is brought now


def test_without_other_servers(farm: StoringFarm) -> None:
    """A server that shares nothing gets from its store what it lacks, and nothing from others."""
    farm.a.shares = False
    farm.a.beat(farm.a.report())
    farm.b.beat(farm.b.report({}, GCC))
    reserved = farm.reserve(farm.a)
    assert reserved.presumed is None
    assert farm.answers(reserved, IS_NOT)
    assert farm.needs(farm.a, toolchain=CLANG) is None
    farm.answers(farm.reserve(farm.a, toolchain=CLANG), IS_STORED)
    assert farm.needs(farm.a, toolchain=CLANG) is False


def test_others_have_it(farm: StoringFarm) -> None:
    """The store is not asked for what another server has."""
    farm.b.beat(farm.b.report({}, GCC))
    assert farm.needs(farm.a) is False


def test_no_store() -> None:
    """A server without a store that needs no toolchain says nothing of one."""
    farm = Farm()
    reserved = farm.core.reserve(0.0, toolchain=GCC, client=BOB)
    assert farm.core.presumptions.reconsidered(reserved.job_id, reserved.server_id, IS_STORED, 0.0) == IS_STORED


def test_popular(farm: StoringFarm) -> None:
    """A server that joins is told of what a store may have, though no server has it now."""
    farm.answers(farm.reserve(farm.a), IS_STORED)
    told = {each.toolchain: each.size for each in farm.core.presumptions.popular(C, 0.0)}
    assert told[GCC] == 0
    assert CLANG not in told


def test_sizes() -> None:
    """A size that is known is kept when it is not told again."""
    known = StoredToolchains()
    known.used(GCC, 5)
    known.used(GCC, None)
    assert (known.likely_size(GCC), known.likely_size(CLANG)) == (5, None)


def test_what_is_remembered_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of too many, the oldest are forgotten: someone looks again."""
    monkeypatch.setattr(stored, "MOST_STORED", 2)
    known = StoredToolchains()
    for toolchain in "abac":
        known.found(STORE, toolchain)
    assert [known.has(STORE, toolchain) for toolchain in "abc"] == [True, False, True]
