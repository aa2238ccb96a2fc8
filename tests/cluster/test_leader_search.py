"""The search for the leader when the scheduler that searches comes to its end."""

from twisted.internet.defer import Deferred
from twisted.internet.task import Clock

from sccachedist.cluster.leader_calls import LeaderCalls, PassedRequest
from sccachedist.cluster.leader_search import LeaderSearch
from sccachedist.cluster.leadership import Following
from sccachedist.errors import NoLeader
from tests.cluster.farm import Settled

STATUS = PassedRequest("GET", "/api/v1/scheduler/status", [], b"", may_repeat=True)


def test_the_last_answer_goes_before_the_end() -> None:
    """The process may end as soon as a stop is over: who waited has been told then that there is no leader."""
    clock, told = Clock(), list[bool]()
    search = LeaderSearch(Settled(Following()), LeaderCalls(clock), clock)
    answer = Deferred.fromCoroutine(search.answer(STATUS, may_go_on=True, secs=5.0))
    stopped = Deferred.fromCoroutine(search.stop())
    answer.addErrback(lambda failure: told.append(failure.check(NoLeader) is not None and not stopped.called))
    clock.pump([1.0] * 6)
    assert told == [True]
    clock.advance(0)
    assert stopped.called
