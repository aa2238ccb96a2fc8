"""Jobs that nobody asks the build server about: when it is relied on, and whether it gets a toolchain with them."""

import attrs
import pytest

from sccachedist.scheduler.build_server import ASKED_SECS, PRESUMED_SECS, BuildServer
from sccachedist.scheduler.core import SchedulerCore
from sccachedist.wire.messages import AssignJobResult, JobState
from tests.scheduler.farms import CLANG, GCC, A, B, Ours, assigned, heartbeat

PENDING, READY, _, COMPLETE = JobState


def test_asked_first(core: SchedulerCore) -> None:
    """A build server that is new or has failed is asked whether it takes a job: it may not be where it says it is."""
    ours = Ours(core)
    ours.beat(ours.report())
    reserved = core.reserve(0.0)
    assert (reserved.ours, reserved.presumed) == (True, None)
    core.confirm(reserved, assigned(), 0.0)
    assert core.reserve(0.0).presumed is not None
    core.release(core.reserve(0.0), 0.0, failed=True)
    core.update(reserved.job_id, A, COMPLETE, 0.0)
    assert core.reserve(11.0).presumed is None


def test_asked_again(core: SchedulerCore, ours: Ours) -> None:
    """One whose client never came is asked before the next job: it may not be reached any more."""
    ours.beat(ours.report({}, GCC))
    ours.allocate()
    ours.beat(ours.report({}, GCC), now=15.0)
    core.expire(15.0)
    assert core.reserve(15.0).presumed is None


def test_late_heartbeat(core: SchedulerCore, ours: Ours) -> None:
    """One whose heartbeat is late is asked: it may be gone."""
    ours.beat(ours.report(), now=10.0)
    assert core.reserve(17.0).presumed is not None
    assert core.reserve(17.1).presumed is None


def test_published_servers_are_asked(core: SchedulerCore) -> None:
    """A published build server hears of each job by itself."""
    core.heartbeat(A, heartbeat(), 0.0)
    for _ in range(3):
        reserved = core.reserve(0.0)
        assert (reserved.ours, reserved.presumed) == (False, None)
        core.confirm(reserved, assigned(), 0.0)


def test_toolchain_is_there(core: SchedulerCore, ours: Ours) -> None:
    """A client is asked for a toolchain where the build server does not say that it has it."""
    ours.beat(ours.report({}, GCC))
    assert ours.allocate(toolchain=GCC).presumed == AssignJobResult(READY, need_toolchain=False)
    assert ours.allocate(toolchain=CLANG).presumed == AssignJobResult(PENDING, need_toolchain=True)
    ours.beat(ours.report())
    assert ours.allocate(toolchain=GCC).presumed == AssignJobResult(PENDING, need_toolchain=True)


def test_toolchains_that_another_scheduler_has_heard_of(core: SchedulerCore) -> None:
    """Until the build server has told them again it is asked: no client is to bring what is there."""
    ours = Ours(core)
    ours.beat(attrs.evolve(ours.report(), since=3, until=3))
    ours.proves_itself()
    assert core.reserve(0.0, toolchain=GCC).presumed is None
    ours.beat(attrs.evolve(ours.report({}, GCC), until=3))
    assert ours.allocate(toolchain=GCC).presumed == AssignJobResult(READY, need_toolchain=False)
    assert ours.allocate(toolchain=CLANG).presumed == AssignJobResult(PENDING, need_toolchain=True)


def test_toolchain_has_come(core: SchedulerCore, ours: Ours) -> None:
    """When a job is Ready, its toolchain is there for the next ones, before any heartbeat says so."""
    ours.says({ours.allocate().job_id: READY})
    assert ours.allocate().presumed == AssignJobResult(READY, need_toolchain=False)


def test_toolchain_is_coming(core: SchedulerCore, ours: Ours) -> None:
    """A toolchain that one client is about to bring, or is bringing, is not asked of the next one."""
    job = ours.allocate().job_id
    assert ours.allocate(now=2.0).presumed == AssignJobResult(PENDING, need_toolchain=False)
    ours.says({job: PENDING}, now=2.0)
    ours.beat(ours.report({job: PENDING}), now=7.0)
    assert ours.allocate(now=12.0).presumed == AssignJobResult(PENDING, need_toolchain=False)


def test_toolchain_that_many_begin_to_bring(core: SchedulerCore, ours: Ours) -> None:
    """However many begin uploads that do not end, after a while each client is asked for the toolchain itself."""
    needed, before = [], None
    for seconds in range(0, 30, 2):
        ours.beat(ours.report({} if before is None else {before: PENDING}), now=float(seconds))
        job = ours.allocate(now=float(seconds))
        ours.says({job.job_id: PENDING} | ({} if before is None else {before: COMPLETE}), now=float(seconds))
        assert job.presumed is not None
        needed.append(job.presumed.need_toolchain)
        before = job.job_id
    assert needed == [True, *[False] * 6, *[True] * 8]


def test_toolchains_that_are_presumed_are_few(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is remembered of them is bounded, and forgotten after some minutes or when the toolchain comes."""
    monkeypatch.setattr("sccachedist.scheduler.build_server.MOST_PRESUMED", 2)
    server = BuildServer(A, heartbeat(), 0.0)
    assert all(server.may_presume(name, 0.0) for name in "abc")
    assert [*server.presumed] == ["b", "c"]
    assert not server.may_presume("c", PRESUMED_SECS + 1)
    assert server.may_presume("c", ASKED_SECS + 1)


def test_toolchain_is_slow(core: SchedulerCore, ours: Ours) -> None:
    """An upload that takes long does not keep the next client from bringing the toolchain."""
    job = ours.allocate().job_id
    ours.says({job: PENDING}, now=1.0)
    ours.beat(ours.report({job: PENDING}), now=11.0)
    assert ours.allocate(now=11.5).presumed == AssignJobResult(PENDING, need_toolchain=True)


def test_toolchain_does_not_come(core: SchedulerCore, ours: Ours) -> None:
    """A client that has not begun to bring it is not relied on for long."""
    ours.allocate()
    ours.beat(ours.report(), now=2.5)
    assert ours.allocate(now=2.5).presumed == AssignJobResult(PENDING, need_toolchain=True)


def test_prefers_the_toolchain(core: SchedulerCore) -> None:
    """A build server that has the toolchain and a CPU to spare gets the job, else the least loaded one does."""
    ours, other = Ours(core, A), Ours(core, B)
    ours.beat(ours.report())
    other.beat(other.report({}, GCC))
    given = [core.reserve(0.0, toolchain=GCC).server_id for _ in range(5)]
    assert given == [B, B, A, A, B]
