"""What a published build server says once, while two schedulers lead: it reaches the one that it is for."""

from typing import Any

import pytest

from farmkit.memory_http import OCTETS, Answer, bearer, request
from sccachedist.cluster.hop import FOR_INFORMATION, PASSED_ON
from sccachedist.cluster.other_leaders import ANSWER_SECS, AT_ONCE, MOST
from sccachedist.scheduler import service
from sccachedist.wire.bincode import encode
from sccachedist.wire.messages import (
    ALLOC_JOB_RESPONSE,
    JOB_STATE,
    SCHEDULER_STATUS,
    AllocJobSuccess,
    AssignJobResult,
    JobState,
)
from tests.cluster.conftest import ALLOC, HEARTBEAT, STATUS, Pair
from tests.cluster.farm import Scheduler

SERVER = bearer("127.0.0.1:11502 servertok")


async def takes(*_: Any) -> AssignJobResult:
    """A build server that takes each job."""
    return AssignJobResult(JobState.READY, need_toolchain=False)


@pytest.fixture
def leaders(pair: Pair, monkeypatch: pytest.MonkeyPatch) -> Pair:
    """Both lead, and both know the build server."""
    monkeypatch.setattr(service.PinnedBuildServers, "assign", takes)
    pair.follower.leads()
    for each in (pair.leader, pair.follower):
        assert pair.ask(each, HEARTBEAT.asked()).status == 200
    return pair


def given_out(pair: Pair, scheduler: Scheduler) -> int:
    """A job that a scheduler has given out."""
    answer = pair.ask(scheduler, ALLOC.asked()).message(ALLOC_JOB_RESPONSE)
    assert isinstance(answer, AllocJobSuccess)
    return answer.job_alloc.job_id


def said(job_id: int, state: JobState, **headers: str) -> bytes:
    path = f"/api/v1/scheduler/job_state/{job_id}"
    return request("POST", path, encode(JOB_STATE, state), {**OCTETS, **SERVER, **headers})


def report(pair: Pair, scheduler: Scheduler, job_id: int, state: JobState, **headers: str) -> Answer:
    """The build server tells a scheduler where a job stands."""
    return pair.ask(scheduler, said(job_id, state, **headers))


def in_progress(pair: Pair, scheduler: Scheduler) -> int:
    """How many jobs there are, as a scheduler says."""
    return int(pair.ask(scheduler, STATUS).message(SCHEDULER_STATUS).in_progress)


def test_reaches_the_leader_that_it_is_for(leaders: Pair) -> None:
    """A balancer brings a job's reports to the other leader. That one takes them, and the job ends at the first."""
    job_id = given_out(leaders, leaders.follower)
    for state in (JobState.STARTED, JobState.COMPLETE):
        assert in_progress(leaders, leaders.follower) == 1
        assert report(leaders, leaders.leader, job_id, state).status == 200
    assert in_progress(leaders, leaders.follower) == 0


def test_by_way_of_a_follower(leaders: Pair) -> None:
    """So does a report that a third scheduler has passed on to the other leader."""
    job_id = given_out(leaders, leaders.follower)
    assert report(leaders, leaders.leader, job_id, JobState.COMPLETE, **{PASSED_ON: "1"}).status == 200
    assert in_progress(leaders, leaders.follower) == 0


def test_of_a_job_of_its_own(leaders: Pair) -> None:
    """What is said of a job of its own, a leader does not pass on, also if it is said twice."""
    job_id = given_out(leaders, leaders.leader)
    for _ in range(2):
        assert report(leaders, leaders.leader, job_id, JobState.COMPLETE).status == 200
    assert leaders.network.tries == []


def test_goes_no_further(leaders: Pair) -> None:
    """What another scheduler tells is told no further: it has told all."""
    told = report(leaders, leaders.leader, 7, JobState.COMPLETE, **{PASSED_ON: FOR_INFORMATION})
    assert told.status == 200
    assert leaders.network.tries == []


def test_of_a_stranger(leaders: Pair) -> None:
    """What no server may say is not passed on."""
    assert report(leaders, leaders.leader, 7, JobState.COMPLETE, Authorization="Bearer wrong").status == 401
    assert leaders.network.tries == []


@pytest.mark.parametrize("state", [JobState.STARTED, JobState.COMPLETE])
def test_the_other_one_follows(pair: Pair, state: JobState) -> None:
    """The jobs of a leader that has gone have no leader, and their build server hears of no trouble."""
    assert report(pair, pair.leader, 7, state).status == 200
    assert pair.network.tries == [10601]
    pair.network.pump([1.0] * 60)
    assert pair.network.tries == [10601]


def test_one_that_does_not_answer(leaders: Pair) -> None:
    """It costs build servers nothing; when it is back, the reports that wait reach it."""
    leaders.network.silent.add(10601)
    job_id = given_out(leaders, leaders.follower)
    for each in (*[7] * AT_ONCE, job_id):
        assert report(leaders, leaders.leader, each, JobState.COMPLETE).status == 200
    leaders.network.pump([0.1] * 10)
    assert leaders.network.tries == [10601] * AT_ONCE
    leaders.network.silent.clear()
    leaders.network.pump([0.1] * int(ANSWER_SECS * 10))
    assert in_progress(leaders, leaders.follower) == 0


def test_too_many(leaders: Pair) -> None:
    """A bounded number waits for one that hangs. It never hears of further ones."""
    leaders.network.silent.add(10601)
    for _ in range(MOST + 5):
        assert report(leaders, leaders.leader, 7, JobState.COMPLETE).status == 200
    leaders.network.pump([ANSWER_SECS] * (2 * MOST // AT_ONCE))
    assert leaders.network.tries == [10601] * MOST
    assert report(leaders, leaders.leader, 7, JobState.COMPLETE).status == 200
    assert leaders.network.tries == [10601] * (MOST + 1)


def test_stops_while_it_tells(leaders: Pair) -> None:
    """A scheduler that stops waits for none of this."""
    leaders.network.silent.add(10601)
    for _ in range(AT_ONCE + 1):
        report(leaders, leaders.leader, 7, JobState.COMPLETE)
    stopping = [each.service.stopService() for each in (leaders.leader, leaders.follower)]
    leaders.network.turn()
    assert [each.called for each in stopping] == [True, True]
    assert not [call for call in leaders.network.getDelayedCalls() if call.getTime() >= ANSWER_SECS]
