"""A scheduler among several, on a clock of numbers, with a store in memory."""

from collections.abc import Awaitable, Callable, Iterator
from typing import TypeVar

import attrs
import pytest
from twisted.internet.defer import Deferred, fail
from twisted.internet.task import Clock
from twisted.logger import LogLevel, capturedLogs

from sccachedist.cluster.candidate_service import QUESTIONS, CandidateService
from sccachedist.cluster.leadership import Candidate, Election, Following, Leadership, Leading
from sccachedist.cluster.lock import Holder, Lock
from sccachedist.cluster.store import StoreError
from tests.cluster.stores import MemoryStore

T = TypeVar("T")

TTL = 3.0
UNIX_TIME = 1_800_000_000.0
A, B = (Candidate(f"http://10.0.0.{index}:10500", f"run of {index}") for index in (1, 2))


@attrs.define
class MemoryLock:
    """A lock in a store that may be away, or take its time to answer.

    :param waits: what a question waits for before it reaches the store.
    :param late: the store hangs, and these are the questions that it will hear when it goes on.
    """

    store: MemoryStore
    clock: Clock
    away: str = ""
    waits: Deferred[None] | None = None
    late: list[Callable[[], object]] | None = None
    is_closed: bool = False

    async def take(self, candidate: Candidate, least: int, ttl: float) -> Holder:
        return await self._reach(lambda: self.store.take(candidate, least, ttl, self.clock.seconds()))

    async def offered(self) -> Holder | None:
        return await self.holder()

    async def holder(self) -> Holder | None:
        return await self._reach(lambda: self.store.holder(self.clock.seconds()))

    async def release(self, candidate: Candidate) -> None:
        await self._reach(lambda: self.store.release(candidate))

    def close(self) -> None:
        self.is_closed = True

    async def _reach(self, question: Callable[[], T]) -> T:
        if self.waits is not None:
            await self.waits
        if self.away:
            raise StoreError(self.away)
        if self.late is not None:
            self.late.append(question)
            raise StoreError("no answer in time")
        return question()


@attrs.define
class Cluster:
    """Candidates, each with the changes that it told, and their store."""

    clock: Clock = attrs.field(factory=Clock)
    store: MemoryStore = attrs.field(factory=MemoryStore)
    claims: dict[str, Candidate] = attrs.field(factory=dict)
    told: dict[str, list[Leadership]] = attrs.field(factory=dict)
    running: list[CandidateService] = attrs.field(factory=list)

    def start(self, me: Candidate, away: str = "") -> tuple[CandidateService, MemoryLock]:
        """Have one more."""
        lock = MemoryLock(self.store, self.clock, away)
        schedulers = [me.url, *({A.url, B.url} - {me.url})]
        service = CandidateService(me, schedulers, lock, TTL, self._asks(me), self.clock, self._unix_time)
        service.observe(self.told.setdefault(me.incarnation, []).append)
        service.startService()
        self.running.append(service)
        return service, lock

    def _asks(self, me: Candidate) -> Callable[[], Awaitable[Candidate | None]]:
        async def others() -> Candidate | None:
            return self.claims.get(me.incarnation)

        return others

    def _unix_time(self) -> float:
        return UNIX_TIME + self.clock.seconds()

    def go_on(self, seconds: float) -> None:
        """Let time go by."""
        self.clock.pump([0.25] * int(seconds * 4))


@pytest.fixture
def cluster() -> Iterator[Cluster]:
    """One without candidates; when it ends, no call is left."""
    cluster = Cluster()
    yield cluster
    for service in cluster.running:
        if service.running:
            service.stopService()
    assert cluster.clock.getDelayedCalls() == []


def number_of(service: CandidateService) -> int:
    """The number by which it leads."""
    assert isinstance(service.current, Leading)
    return service.current.number


def test_it_is_what_others_expect(cluster: Cluster) -> None:
    """A scheduler knows it as an election, and it knows stores as locks."""
    service, lock = cluster.start(A)
    elections: list[Election] = [service]
    locks: list[Lock] = [lock]
    assert elections
    assert locks


def test_the_first_one_leads(cluster: Cluster) -> None:
    """It asks at once; who comes later follows it, and observers hear of it once."""
    first, _ = cluster.start(A)
    second, _ = cluster.start(B)
    cluster.go_on(10)
    assert number_of(first) == UNIX_TIME * 1e6
    assert second.current == Following(A)
    assert [len(told) for told in cluster.told.values()] == [1, 1]


def test_a_store_that_hangs(cluster: Cluster) -> None:
    """It does late what it was asked, when the lock has lapsed: the leader has it again, heard first or not."""
    first, lock = cluster.start(A)
    second, other = cluster.start(B)
    cluster.claims[B.incarnation] = A
    lock.late, other.late = [], []
    cluster.go_on(TTL + 0.5)
    for question in (*other.late, *lock.late):
        question()
    lock.late = other.late = None
    cluster.go_on(2)
    assert cluster.told[A.incarnation] == [first.current]
    assert second.current == Following(A)


def test_a_take_over(cluster: Cluster) -> None:
    """When a leader does not take the lock again, another one leads after a TTL, with a greater number."""
    first, lock = cluster.start(A)
    second, _ = cluster.start(B)
    before = number_of(first)
    lock.waits = Deferred()
    cluster.go_on(TTL + 0.5)
    assert number_of(second) > before
    lock.waits.callback(None)
    lock.waits = None
    cluster.go_on(1)
    assert first.current == Following(B)


def test_a_silent_store(cluster: Cluster) -> None:
    """The leader goes on, a follower follows it as long as it says that it leads, and the log has one line."""
    first, lock = cluster.start(A)
    second, other_lock = cluster.start(B)
    lock.away = other_lock.away = "redis://10.0.0.9: no connection"
    cluster.claims[B.incarnation] = A
    with capturedLogs() as entries:
        cluster.go_on(60)
    assert (first.current, second.current) == (Leading(number_of(first)), Following(A))
    assert (first.silent_secs, second.silent_secs) == (59.5, 59.5)
    assert first.unanswered == second.unanswered == 60 / TTL * QUESTIONS
    assert [entry["error"] for entry in entries if entry["log_level"] is LogLevel.warn] == [lock.away] * 2
    lock.away = other_lock.away = ""
    cluster.store.empty()
    first._loop.interval = TTL / 2  # it is slower to ask
    with capturedLogs() as entries:
        cluster.go_on(2)
    assert isinstance(first.current, Leading)
    assert first.silent_secs is second.silent_secs is None
    assert [entry["log_format"] for entry in entries] == ["the store of the lock answers again"] * 2


def test_a_start_without_a_store(cluster: Cluster) -> None:
    """One leads without the lock, and takes it later with the same number."""
    service, lock = cluster.start(A, "no connection")
    with capturedLogs() as entries:
        cluster.go_on(TTL + 1)
    number = number_of(service)
    assert "without the lock" in entries[-1]["log_format"]
    lock.away = ""
    cluster.go_on(1)
    assert cluster.store.held == Holder(A, number)
    assert cluster.told[A.incarnation] == [Leading(number)]


def test_it_ends_in_order(cluster: Cluster) -> None:
    """It gives the lock up, so that the next one leads at once."""
    first, lock = cluster.start(A)
    second, _ = cluster.start(B)
    first.stopService()
    assert first.current == Following(None)
    assert lock.is_closed
    cluster.go_on(0.5)
    assert isinstance(second.current, Leading)


def test_it_resigns_before_it_ends(cluster: Cluster) -> None:
    """A request that still waits there hears who leads now."""
    first, _ = cluster.start(A)
    cluster.start(B)
    Deferred.fromCoroutine(first.resign())
    cluster.go_on(1)
    assert cluster.told[A.incarnation][1:] == [Following(None), Following(B)]
    cluster.go_on(10)
    assert first.current == Following(B)


def test_a_question_that_is_under_way_when_it_ends(cluster: Cluster) -> None:
    """The lock is given up after the question, which may take it, has been answered."""
    service, lock = cluster.start(A)
    lock.waits = Deferred()
    cluster.go_on(1)
    ended = service.stopService()
    assert not ended.called
    lock.waits.callback(None)
    assert ended.called
    assert cluster.store.held is None
    assert service.current == Following(None)


def test_it_ends_without_a_store(cluster: Cluster) -> None:
    """The lock cannot be given up then, which is no error."""
    service, lock = cluster.start(A)
    lock.away = "no connection"
    with capturedLogs() as entries:
        assert service.stopService().called
    assert [entry["log_format"] for entry in entries if entry["log_level"] is LogLevel.warn] == [
        "the lock cannot be given up, and lapses: {error}"
    ]


def test_observers_that_fail(cluster: Cluster) -> None:
    """They change nothing for others, nor for the election."""
    service, _ = cluster.start(A)

    def break_down(_: Leadership) -> None:
        raise ZeroDivisionError

    heard: list[Leadership] = []
    service.observe(break_down)
    service.observe(heard.append)
    with capturedLogs() as entries:
        Deferred.fromCoroutine(service.resign())
    assert heard == [Following(None)]
    assert [entry["log_failure"].type for entry in entries if "log_failure" in entry] == [ZeroDivisionError]


def test_errors_of_the_election_itself(cluster: Cluster) -> None:
    """A turn that fails is not the last one."""
    _, lock = cluster.start(A)
    lock.waits = fail(ZeroDivisionError())
    with capturedLogs() as entries:
        cluster.go_on(1)
    assert {entry["log_failure"].type for entry in entries} == {ZeroDivisionError}
    lock.waits = None
    cluster.go_on(TTL)
    assert cluster.store.holder(cluster.clock.seconds()) is not None
