"""Slots that are given and not used: how long they are held, for whom, and who gets them then."""

import pytest

from sccachedist.budgets import Party
from sccachedist.errors import LimitExceeded, NoCapacity, UnknownJob
from sccachedist.job_phases import JobPhase
from sccachedist.scheduler import shares as shares_module
from sccachedist.scheduler.core import Reservation, SchedulerCore
from sccachedist.scheduler.jobs import BRINGS_SECS, MOST_DROPPED, MOST_LENT, OUR_CLAIM_SECS
from sccachedist.scheduler.shares import (
    HOLD_SECS,
    PROBATION_SECS,
    UNHELD_SECS,
    UNHELD_SLOT_SECS,
    UPLOAD_PROBATION_SECS,
    Shares,
)
from sccachedist.scheduler.slots import READY_TIMES
from sccachedist.wire.messages import JobState
from tests.scheduler.farms import FIRST_JOB, A, B, Expired, Ours, assigned, expired, free_slots, heartbeat

PENDING, READY, STARTED, COMPLETE = JobState
GREEDY, MODEST = Party("greedy"), Party("modest")


def give(core: SchedulerCore, client: Party | None = GREEDY, now: float = 0.0, state: JobState = READY) -> Reservation:
    """A slot that is given to a client."""
    reserved = core.reserve(now, client=client)
    core.confirm(reserved, assigned(state), now)
    return reserved


def comes(core: SchedulerCore, client: Party, now: float = 0.0) -> None:
    """A client has a job done."""
    job = give(core, client, now)
    core.update(job.job_id, job.server_id, STARTED, now)
    core.update(job.job_id, job.server_id, COMPLETE, now)


@pytest.fixture
def published(core: SchedulerCore) -> SchedulerCore:
    """A scheduler with a published build server of 3 slots."""
    core.heartbeat(A, heartbeat(), 0.0)
    return core


# -- lending --


@pytest.mark.parametrize("state", [PENDING, READY])
def test_a_client_that_does_not_come(core: SchedulerCore, ours: Ours, state: JobState) -> None:
    """Its slot is held for a moment, and others' after that; the job is dropped a few seconds later."""
    job = give(core, state=state)
    core.lend(HOLD_SECS - 0.01)
    assert (free_slots(core), core.next_to_lend) == (2, HOLD_SECS)
    core.lend(HOLD_SECS)
    assert (free_slots(core), core.next_to_lend, core.status().in_progress) == (3, None, 1)
    patience = OUR_CLAIM_SECS[JobPhase[state.name]]
    ours.beat(ours.report(), patience)
    assert expired(core, patience) == Expired((), ())
    assert expired(core, patience + 1) == Expired((), (job.job_id,))
    assert free_slots(core) == 3


@pytest.mark.parametrize("said", [READY, STARTED])
def test_a_client_that_comes_late(core: SchedulerCore, ours: Ours, said: JobState) -> None:
    """It takes a slot again, whether or not there is one."""
    late = give(core, state=PENDING)
    core.lend(HOLD_SECS)
    others = [give(core, MODEST, HOLD_SECS) for _ in range(3)]
    ours.says({late.job_id: said, **dict.fromkeys((job.job_id for job in others), STARTED)}, HOLD_SECS)
    assert (free_slots(core), core.status().in_progress) == (0, 4)
    ours.says({others[0].job_id: COMPLETE}, HOLD_SECS)
    assert not core.placement.has_room()
    ours.says({late.job_id: COMPLETE}, HOLD_SECS)
    assert free_slots(core) == 1


def test_a_client_that_brings_its_toolchain(core: SchedulerCore, ours: Ours) -> None:
    """When it has, its slot is held for as long again."""
    job = give(core, state=PENDING)
    ours.says({job.job_id: READY}, 0.5)
    core.lend(0.5 + HOLD_SECS - 0.01)
    assert free_slots(core) == 2
    core.lend(0.5 + HOLD_SECS)
    assert free_slots(core) == 3


def test_running_jobs_keep_their_slots(core: SchedulerCore, ours: Ours) -> None:
    """Who came has its slot until its job ends."""
    job = give(core)
    ours.says({job.job_id: STARTED}, 0.1)
    core.lend(1000.0)
    assert (free_slots(core), core.next_to_lend) == (2, None)


def test_an_allocation_keeps_its_slot(published: SchedulerCore) -> None:
    """A slot is not lent while its build server is asked."""
    published.reserve(0.0, client=GREEDY)
    published.lend(1000.0)
    assert free_slots(published) == 2


def test_a_build_server_that_goes(core: SchedulerCore, ours: Ours) -> None:
    """Slots that were lent go with their build server."""
    give(core)
    core.lend(HOLD_SECS)
    ours.beat(ours.report(), HOLD_SECS, nonce=2)
    assert free_slots(core, HOLD_SECS) == 3
    assert core.may_hold_more(GREEDY, HOLD_SECS)


def test_a_published_server_lends_what_it_has(published: SchedulerCore) -> None:
    """It takes every job: while toolchains may be arriving, no more slots are lent of it than it has."""
    for now in (0.0, 1.0, 2.0):
        give(published, now=now, state=PENDING)
        published.lend(now + HOLD_SECS)
    for _ in range(3):
        give(published, None, 3.0, PENDING)
    published.lend(20.0)
    assert free_slots(published, 20.0) == 0
    assert published.next_to_lend == 20.0 + HOLD_SECS


def test_a_published_server_whose_clients_never_come(published: SchedulerCore) -> None:
    """Its slots are lent again and again; of too many jobs whose clients do not come, the oldest is dropped."""
    first = give(published, None, 0.0)
    for number in range(3 * READY_TIMES):
        now = float(number)
        published.heartbeat(A, heartbeat(), now)
        give(published, None, now)
        published.lend(now + HOLD_SECS)
        assert free_slots(published, now + HOLD_SECS) == 3
    assert published.status().in_progress == 3 * READY_TIMES
    with pytest.raises(UnknownJob):
        published.update(first.job_id, A, STARTED, 30.0)


def test_uploads_lend_what_there_is(core: SchedulerCore, ours: Ours) -> None:
    """Jobs whose toolchains come in will all begin at once: no more slots are lent of them, unless it takes long."""
    jobs = []
    for now in (0.0, 1.0):
        jobs += [give(core, None, now, PENDING).job_id for _ in range(3)]
        ours.says(dict.fromkeys(jobs, PENDING), now)
        core.lend(now + HOLD_SECS)
    assert free_slots(core) == 0
    core.lend(1.0 + BRINGS_SECS)
    assert free_slots(core) == 0
    core.lend(1.0 + BRINGS_SECS + HOLD_SECS)
    assert free_slots(core) == 3


def test_one_that_becomes_ours(published: SchedulerCore) -> None:
    """Jobs of a build server that is one of ours now are waited for as those of ours, and the other way round."""
    job = give(published)
    published.expire(1.0)
    ours = Ours(published)
    ours.beat(ours.report(), 5.0)
    assert expired(published, 8.1) == Expired((), (job.job_id,))
    job = give(published, now=11.0)
    published.heartbeat(A, heartbeat(), 12.0)
    assert expired(published, 70.0) == Expired((), ())
    assert expired(published, 71.1) == Expired((), (job.job_id,))


# -- shares --


def test_new_clients_share(published: SchedulerCore) -> None:
    """One of which nothing is known yet leaves slots to others; one that has come for its jobs may hold all."""
    assert published.may_hold_more(GREEDY, 0.0)
    give(published)
    assert not published.may_hold_more(GREEDY, 0.0)
    assert published.may_hold_more(MODEST, 0.0)
    comes(published, MODEST)
    for _ in range(2):
        assert published.may_hold_more(MODEST, 0.0)
        give(published, MODEST)
    assert not published.placement.has_room()


def test_many_new_clients_leave_a_slot(published: SchedulerCore) -> None:
    """However many addresses an attacker has, it does not take every slot."""
    given = 0
    for number in range(20):
        client = Party(str(number))
        if published.may_hold_more(client, 0.0):
            give(published, client)
            given += 1
    assert (given, free_slots(published)) == (2, 1)


def test_coming_makes_room(published: SchedulerCore) -> None:
    """A new client that comes for its first job may have more; so may one whose slot was lent to others."""
    first = give(published)
    published.update(first.job_id, A, STARTED, 0.0)
    assert published.may_hold_more(GREEDY, 0.0)
    give(published, MODEST)
    published.lend(HOLD_SECS)
    assert published.may_hold_more(MODEST, HOLD_SECS)


def test_without_a_queue(published: SchedulerCore) -> None:
    """A client that was given more than its share, because nobody waits, counts as if it had not been."""
    for _ in range(3):
        give(published)
    assert not published.may_hold_more(GREEDY, 0.0)
    published.lend(HOLD_SECS)
    assert published.may_hold_more(GREEDY, HOLD_SECS)


@pytest.mark.parametrize(("begun", "seconds"), [(False, PROBATION_SECS), (True, UPLOAD_PROBATION_SECS)])
def test_one_that_did_not_come_shares_again(core: SchedulerCore, ours: Ours, begun: bool, seconds: float) -> None:
    """One that let a slot be lent shares for a while, though it comes for others; for less where it was uploading."""
    comes(core, GREEDY)
    job = give(core, state=PENDING)
    if begun:
        ours.says({job.job_id: PENDING})
    core.lend(HOLD_SECS)
    comes(core, GREEDY, HOLD_SECS)
    give(core, now=HOLD_SECS)
    assert not core.may_hold_more(GREEDY, HOLD_SECS + seconds - 0.01)
    assert core.may_hold_more(GREEDY, HOLD_SECS + seconds)


def test_all_share_where_much_is_lent(published: SchedulerCore) -> None:
    """A client that has come for its jobs may be one of many that are the same: where half is lent, all share."""
    comes(published, MODEST)
    for now in (0.0, 1.0):
        give(published, now=now)
        published.lend(now + HOLD_SECS)
    give(published, MODEST, 2.0)
    assert not published.may_hold_more(MODEST, 2.0)
    published.heartbeat(A, heartbeat(), 61.0)
    published.expire(61.0)
    assert published.may_hold_more(MODEST, 61.0)


def test_an_absent_one(published: SchedulerCore) -> None:
    """The slots of a client that did not come are lent at once, until that is ten seconds ago."""
    give(published)
    published.lend(HOLD_SECS)
    for later in (0.0, PROBATION_SECS - 0.1):
        give(published, now=HOLD_SECS + later)
        assert published.next_to_lend == HOLD_SECS + later
        published.lend(HOLD_SECS + later)
    give(published, now=HOLD_SECS + PROBATION_SECS)
    assert published.next_to_lend == HOLD_SECS + PROBATION_SECS + HOLD_SECS


def test_an_absent_one_that_comes(core: SchedulerCore, ours: Ours) -> None:
    """Its jobs run and are counted. That it came for one tells nothing of another program with the same token."""
    give(core)
    core.lend(HOLD_SECS)
    late = give(core, now=HOLD_SECS)
    core.lend(HOLD_SECS)
    assert free_slots(core, HOLD_SECS) == 3
    ours.says({late.job_id: STARTED}, HOLD_SECS + 0.1)
    assert free_slots(core, HOLD_SECS + 0.1) == 2
    give(core, now=HOLD_SECS + 0.2)
    assert core.next_to_lend == HOLD_SECS + 0.2


def test_what_was_not_held_is_not_missed() -> None:
    """A slot that is lent at once does not make its client absent for longer."""
    shares = Shares()
    shares.missed(GREEDY, 1.0, is_heard=False)
    assert shares.hold_secs(GREEDY, 1.0 + PROBATION_SECS - 0.1) == 0.0
    assert shares.hold_secs(GREEDY, 1.0 + PROBATION_SECS) == HOLD_SECS
    assert shares.hold_secs(MODEST, 1.0) == shares.hold_secs(None, 1.0) == HOLD_SECS


@pytest.mark.parametrize(("slots", "in_a_second"), [(4, 100), (60, 300)])
def test_the_pace_of_absent_ones(slots: int, in_a_second: int) -> None:
    """All absent clients together get so many slots in a second, and some at once after a rest; others do not wait."""
    shares = Shares()
    shares.resize(slots, 0)
    others = [Party("other absent one"), GREEDY]
    for client in others:
        shares.missed(client, 0.0, is_heard=False)

    def given(began: float) -> list[float]:
        """When slots were given in a second, in which each client asks all the time."""
        found = []
        for step in range(1000):
            now = began + step / 1000
            for client in others:
                if shares.may_hold(client, now):
                    hold = shares.hold(client, now)
                    assert hold is not None
                    hold.close()
                    found.append(now)
        assert shares.may_hold(MODEST, now)
        return found

    first, second = given(1.0), given(2.0)
    at_once = UNHELD_SLOT_SECS * in_a_second
    assert len(second) == pytest.approx(in_a_second, rel=0.02)
    assert len(first) == pytest.approx(in_a_second + at_once, rel=0.02)
    assert len(given(2.5 + PROBATION_SECS)) == 2000


def test_when_an_absent_one_may() -> None:
    """It is known when to look; slots that are given without asking do not put that off."""
    shares = Shares()
    shares.resize(4, 0)
    shares.missed(GREEDY, 0.0, is_heard=False)
    assert shares.next_unheld(1.0) is None
    for _ in range(1000):
        shares.hold(GREEDY, 1.0)
    assert shares.next_unheld(1.0) == pytest.approx(1.0 + UNHELD_SECS)
    assert shares.next_unheld(1.0 + 2 * UNHELD_SECS) is None


def test_one_that_uploads_is_not_absent(core: SchedulerCore, ours: Ours) -> None:
    """Its slots are held as long as others'."""
    job = give(core, state=PENDING)
    ours.says({job.job_id: PENDING}, 0.1)
    core.lend(HOLD_SECS)
    give(core, now=HOLD_SECS)
    assert core.next_to_lend == 2 * HOLD_SECS


def test_memory_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of too many clients those are forgotten that did not come for the longest time."""
    monkeypatch.setattr(shares_module, "MOST_REMEMBERED", 3)
    shares = Shares()
    shares.resize(1, 0)
    for name in "abcad":
        shares.came(Party(name))
    shares.hold(Party("x"), 0.0)
    assert [name for name in "abcd" if shares.may_hold(Party(name), 0.0)] == ["a", "c", "d"]


def test_so_many_at_all(core: SchedulerCore) -> None:
    """However soon its slots are lent, a client has so many jobs that it did not come for, and no more."""
    core.heartbeat(B, heartbeat(cpus=100), 0.0)
    for number in range(5):
        give(core, now=float(number))
        core.lend(number + HOLD_SECS)
    with pytest.raises(LimitExceeded, match="unclaimed_jobs"):
        core.reserve(5.0, client=GREEDY)
    give(core, MODEST, 5.0)


def test_none_has_room(published: SchedulerCore) -> None:
    """A slot that is lent is taken by who is given it."""
    given = [give(published, MODEST) for _ in range(3)]
    published.lend(HOLD_SECS)
    for _ in given:
        give(published, None, HOLD_SECS)
    with pytest.raises(NoCapacity):
        published.reserve(HOLD_SECS)


def test_many_jobs_are_not_all_looked_at() -> None:
    """Alarms of jobs that have ended take no more room than those of jobs that are there."""
    core = SchedulerCore(FIRST_JOB)
    core.heartbeat(A, heartbeat(cpus=100), 0.0)
    for number in range(10_000):
        now = number / 1000
        comes(core, GREEDY, now)
        core.lend(now)
    assert len(core._jobs._expiring._heap) < 100
    assert len(core._jobs._lending._heap) < 1000


def test_very_many_at_once() -> None:
    """Of thousands of clients that do not come some are looked at at a time, and it is said that there are more."""
    core = SchedulerCore(FIRST_JOB)
    core.heartbeat(A, heartbeat(cpus=400), 0.0)
    for _ in range(400):
        give(core, None)
    looks = 0
    while core.expire(HOLD_SECS + 0.1) and core.has_due(HOLD_SECS + 0.1):
        looks += 1
    assert (looks, free_slots(core)) == (400 // MOST_LENT - 1, 451)
    core.heartbeat(A, heartbeat(cpus=400), 61.0)
    dropped = [len(expired(core, 61.0).jobs) for _ in range(400 // MOST_DROPPED + 1)]
    assert dropped == [MOST_DROPPED] * (400 // MOST_DROPPED) + [0]
