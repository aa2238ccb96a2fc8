"""The search for the leader: when it ends without one."""

from typing import Any

import attrs
from twisted.internet.defer import Deferred
from twisted.internet.task import Clock

from farmkit.deferreds import outcome, pending
from sccachedist.cluster.leader_calls import LeaderCalls, PassedRequest
from sccachedist.cluster.leader_search import LeaderSearch
from sccachedist.cluster.leadership import Candidate, Following
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


PATIENCE = 15.0
LEADER, NEXT = (Candidate(f"http://10.0.0.{index}:1", f"run of {index}") for index in (1, 2))


@attrs.define
class Hanging:
    """Calls to schedulers that take what they are asked and say nothing; ``asked`` has their URLs."""

    asked: list[str] = attrs.field(factory=list)

    async def ask(self, url: str, _passed: PassedRequest) -> Any:
        self.asked.append(url)
        await Deferred()

    async def close(self) -> None:
        """There is nothing to close."""


@attrs.define
class Search:
    """A search, and for how long the leader has been silent."""

    silent: float = 0.0
    clock: Clock = attrs.field(factory=Clock)
    calls: Hanging = attrs.field(factory=Hanging)
    election: Settled = attrs.field(factory=lambda: Settled(Following(LEADER)))
    search: LeaderSearch = attrs.field(init=False)

    def __attrs_post_init__(self) -> None:
        calls: Any = self.calls
        self.search = LeaderSearch(
            self.election, calls, self.clock, lambda url: self.silent if url == LEADER.url else 0.0, PATIENCE
        )

    def ask(self) -> Any:
        """A question that may wait for a minute."""
        return Deferred.fromCoroutine(self.search.answer(STATUS, may_go_on=True, secs=60.0))

    def says(self, following: Following) -> None:
        self.election.say(following)
        self.search.changed()


def ended(question: Any) -> str:
    """Why there is no answer."""
    failure = outcome(question)
    assert isinstance(failure, NoLeader)
    return str(failure)


def test_a_leader_that_has_been_silent_for_long() -> None:
    """Who waits for its answer waits no longer, and who asks next is told at once, until it is heard again."""
    farm = Search()
    waits = farm.ask()
    farm.silent = PATIENCE - 1
    farm.clock.pump([1.0] * 20)
    assert pending(waits)
    farm.silent = PATIENCE
    farm.clock.pump([1.0] * 2)
    assert "http://10.0.0.1:1 has not answered for long" in ended(waits)
    assert "has not answered for long" in ended(farm.ask())
    assert farm.calls.asked == [LEADER.url]
    farm.silent = 0.0
    assert pending(farm.ask())
    assert farm.calls.asked == [LEADER.url] * 2


def test_the_next_leader_is_asked() -> None:
    """What waits for one that is silent is asked of the next one that leads."""
    farm = Search()
    waits = farm.ask()
    farm.silent = PATIENCE - 1
    farm.clock.pump([1.0] * 3)
    farm.says(Following(NEXT))
    farm.silent = PATIENCE * 2
    farm.clock.pump([1.0] * 20)
    assert pending(waits)
    assert farm.calls.asked == [LEADER.url, NEXT.url]


def test_a_scheduler_that_was_silent_and_comes_to_lead() -> None:
    """It lives, though it has not answered yet: its silence counts from then on."""
    farm = Search(silent=PATIENCE * 2)
    farm.clock.advance(100.0)
    farm.says(Following(LEADER))
    waits = farm.ask()
    farm.clock.pump([1.0] * (int(PATIENCE) - 1))
    assert pending(waits)
    farm.clock.pump([1.0] * 2)
    assert "has not answered for long" in ended(waits)


def test_the_same_leader_by_another_witness() -> None:
    """While the store is away, others say who leads, and not which run of it: what it is asked, it is asked once."""
    farm = Search()
    waits = farm.ask()
    for same in (Candidate(LEADER.url, ""), LEADER):
        farm.says(Following(same))
        farm.clock.pump([1.0] * 3)
    assert (pending(waits), farm.calls.asked) == (True, [LEADER.url])
    farm.says(Following(Candidate(LEADER.url, "another run")))
    farm.clock.pump([1.0] * 3)
    assert (pending(waits), farm.calls.asked) == (True, [LEADER.url] * 2)


def test_nobody_is_known_to_lead() -> None:
    """That is waited for as long as an election takes; who asks later is told at once."""
    farm = Search()
    farm.clock.advance(100.0)
    farm.says(Following())
    waits = farm.ask()
    farm.clock.pump([0.5] * 28)
    assert pending(waits)
    farm.clock.pump([0.5] * 4)
    assert ended(waits) == ended(farm.ask()) == "no scheduler is known to lead"
    farm.says(Following(LEADER))
    assert pending(farm.ask())


def test_nothing_is_left() -> None:
    """A search that has stopped looks at no scheduler."""
    farm = Search()
    question = farm.ask()
    stopped = Deferred.fromCoroutine(farm.search.stop())
    farm.clock.pump([1.0] * 11)
    assert stopped.called
    question.addErrback(lambda _: None)
    question.cancel()
    farm.clock.advance(0)
    assert farm.clock.getDelayedCalls() == []
