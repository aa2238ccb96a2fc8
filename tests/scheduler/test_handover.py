"""What one term hands over to the next by a board, which may be away, hang, be emptied or hold anything."""

import itertools
from typing import Any

import attrs
import pytest
from twisted.internet.defer import Deferred
from twisted.internet.task import Clock
from twisted.logger import capturedLogs, formatEvent

from farmkit.deferreds import outcome, pending
from farmkit.fakes import FakeBuildServers
from sccachedist.auth.servers import Revocable, SharedServerToken
from sccachedist.cluster.board import BoardChanges, Posted
from sccachedist.cluster.store import StoreError
from sccachedist.config import QueueSettings
from sccachedist.scheduler import last_heartbeats
from sccachedist.scheduler.core import SchedulerCore
from sccachedist.scheduler.handover import EARLY_SECS, LAST_SECS, LOOK_SECS, TICK_SECS, Handover
from sccachedist.scheduler.job_tokens import JobTokens
from sccachedist.scheduler.liveness import SERVER_SECS
from sccachedist.scheduler.out_of_service import Drain, OutOfService
from sccachedist.scheduler.term import Term
from sccachedist.web.slices import Slices
from sccachedist.web.turns import unhurried
from sccachedist.wire.addresses import ServerId
from sccachedist.wire.bincode import decode
from sccachedist.wire.extension import Availability, ServerReport
from sccachedist.wire.messages import HEARTBEAT, JobId, JobState
from tests.scheduler.farms import A
from tests.support.exchanges import exchange

#: The build server of that heartbeat.
SERVER = ServerId.parse("127.0.0.1:11502")
HEARTBEAT_16 = decode(HEARTBEAT, exchange(16).body)
BEGAN = 1_800_000_000.0


@attrs.define
class MemoryBoard:
    """A board in memory, whose time a test sets."""

    clock: Clock
    servers: dict[str, bytes] = attrs.field(factory=dict)
    state: bytes | None = None
    away: str = ""
    hangs: "list[Deferred[None]] | None" = None
    writes: list[BoardChanges] = attrs.field(factory=list)
    closed: int = 0

    async def time(self) -> float:
        if self.hangs is not None:
            self.hangs.append(Deferred())
            await self.hangs[-1]
        if self.away:
            raise StoreError(self.away)
        return BEGAN + self.clock.seconds()

    async def read(self) -> Posted:
        return Posted(await self.time(), dict(self.servers), self.state)

    async def write(self, changes: BoardChanges) -> bool:
        await self.time()
        self.writes.append(changes)
        was_there = self.state is not None
        if changes.replaces_all:
            self.servers.clear()
        for address, octets in changes.servers.items():
            self.servers.pop(address, None)
            if octets is not None:
                self.servers[address] = octets
        if changes.state is not None:
            self.state = changes.state
        return was_there

    def close(self) -> None:
        self.closed += 1

    def empty(self) -> None:
        self.servers.clear()
        self.state = None


@attrs.define
class Scheduler:
    """One that hands over by a board; its terms begin and end as a test says."""

    board: MemoryBoard
    auth: Revocable = attrs.field(factory=lambda: Revocable(SharedServerToken("servertok")))
    state: OutOfService = attrs.field(factory=OutOfService)
    handover: Handover = attrs.field(init=False)
    term: Term = attrs.field(init=False)

    def __attrs_post_init__(self) -> None:
        slices = Slices(unhurried(self.clock), lambda: 0.0)
        self.handover = Handover(self.board, self.state, self.auth, slices, self.clock)

    @property
    def clock(self) -> Clock:
        return self.board.clock

    def begin(self) -> list[str]:
        """Begin a term; returns what the log says."""
        core, tokens = SchedulerCore(JobId(1), out_of_service=self.state), JobTokens(self.clock.seconds)
        observers, waiting = [self.handover.heartbeats], QueueSettings(60, 10)
        self.term = Term(core, FakeBuildServers(), waiting, self.clock, tokens, observers, hear=self.handover.hear)
        return logged(lambda: self.handover.begin(self.term))

    def beat(self, report: ServerReport | None = None) -> None:
        self.term.heartbeat(SERVER, HEARTBEAT_16, report)

    def tick(self, secs: float = TICK_SECS) -> list[str]:
        self.clock.advance(secs)
        return logged(self.handover.tick)

    @property
    def servers(self) -> list[ServerId]:
        return self.term.server_ids()


def logged(work: Any) -> list[str]:
    with capturedLogs() as events:
        work()
    return [formatEvent(event) for event in events if "CPUs" not in formatEvent(event)]


@pytest.fixture
def board() -> MemoryBoard:
    return MemoryBoard(Clock())


@pytest.fixture
def first(board: MemoryBoard) -> Scheduler:
    """A scheduler that decides, and has heard of a published build server and of a drain."""
    first = Scheduler(board)
    assert first.begin() == []
    first.beat()
    first.term.interventions.drain(A, Drain("ann", "disk", 5.0, 99.0), 0.0)
    assert first.tick() == []
    assert list(board.servers) == [str(SERVER)]
    return first


def report(number: int, jobs: dict[JobId, JobState], availability: Availability = Availability.OPEN) -> ServerReport:
    return ServerReport(number, 5, availability, tuple(jobs.items()), ())


def test_the_next_one_knows_it(first: Scheduler) -> None:
    """The build server, as long as it would have been believed, and the drain with its end."""
    first.clock.advance(20)
    second = Scheduler(first.board)
    assert second.begin() == [
        "1 drains are recalled",
        "1 build servers are recalled; 0 have been silent for too long",
    ]
    assert second.servers == [SERVER]
    assert second.state.drains == {A: Drain("ann", "disk", 5.0, 99.0)}
    second.clock.advance(SERVER_SECS - 20 - TICK_SECS)
    second.term.expire()
    assert second.servers == [SERVER]
    second.clock.advance(TICK_SECS + 0.1)
    second.term.expire()
    assert second.servers == []
    second.tick()
    assert first.board.servers == {}


def test_a_server_that_was_silent_for_too_long(first: Scheduler) -> None:
    """It stays away."""
    first.clock.advance(SERVER_SECS)
    second = Scheduler(first.board)
    assert second.begin()[1] == "0 build servers are recalled; 1 have been silent for too long"
    assert second.servers == []


def test_a_drained_server_stays_drained(first: Scheduler) -> None:
    """Also if its heartbeat came to the next term before the board answered."""
    first.term.interventions.drain(SERVER, Drain("ann"), 0.0)
    first.board.hangs = []
    second = Scheduler(first.board)
    second.begin()
    second.beat()
    assert second.term.snapshot().servers[0].drain is None
    (answer,), first.board.hangs = first.board.hangs, None
    answer.callback(None)
    assert second.term.snapshot().servers[0].drain == Drain("ann")


def test_our_servers_jobs(first: Scheduler) -> None:
    """They are not recalled: the build server names those that there still are."""
    first.beat(report(7, {JobId(5): JobState.STARTED}))
    first.tick()
    second = Scheduler(first.board)
    second.begin()
    assert second.term.status().in_progress == 0
    second.beat(report(8, {JobId(6): JobState.STARTED}))
    assert second.term.status().in_progress == 1


def test_our_servers_toolchains(first: Scheduler) -> None:
    """They are not recalled: it tells all again, and is asked whether it has one until then."""
    first.beat(report(7, {}))
    first.tick()
    second = Scheduler(first.board)
    second.begin()
    (view,) = second.term.snapshot().servers
    assert view.ours
    _, answer = second.term.heartbeat(SERVER, HEARTBEAT_16, attrs.evolve(report(8, {}), since=4, until=4))
    assert answer is not None
    assert answer.told == 0


def test_what_came_meanwhile(first: Scheduler) -> None:
    """It is newer than the board, be it a heartbeat or an administrator's word."""
    first.board.hangs = []
    second = Scheduler(first.board)
    second.begin()
    first.clock.advance(10)
    second.beat(report(1, {JobId(5): JobState.STARTED}))
    second.term.interventions.drain(A, None, 0.0)
    second.term.interventions.drain(A, Drain("bob"), 0.0)
    (answer,), first.board.hangs = first.board.hangs, None
    answer.callback(None)
    assert second.term.status().in_progress == 1
    assert second.state.drains == {A: Drain("bob")}
    third = Scheduler(first.board)
    third.begin()
    assert third.state.drains == {A: Drain("bob")}


def test_one_that_goes(first: Scheduler) -> None:
    """Its heartbeat is removed."""
    first.beat(report(1, {}))
    first.beat(report(2, {}, Availability.GONE))
    first.tick()
    assert first.board.servers == {}


def test_an_emptied_board(first: Scheduler) -> None:
    """It is filled again, also if nothing is new."""
    first.board.empty()
    assert first.tick(LOOK_SECS) == []
    assert first.tick() == []
    assert list(first.board.servers) == [str(SERVER)]
    assert b"disk" in (first.board.state or b"")


def test_a_board_that_forgets_all_the_time(first: Scheduler, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is written to at its pace, and not again and again at once."""
    monkeypatch.setattr(last_heartbeats, "MOST_AT_A_TIME", 1)
    write = first.board.write

    async def forgetful(changes: BoardChanges) -> bool:
        await write(changes)
        return False

    monkeypatch.setattr(MemoryBoard, "write", lambda _, changes: forgetful(changes))
    for number in range(10):
        host = ServerId.parse(f"127.0.0.1:{number + 1}")
        first.handover.hear(host, HEARTBEAT_16, None, 0.0)
    writes = len(first.board.writes)
    for _ in range(10):
        first.tick()
    assert 10 <= len(first.board.writes) - writes <= 30


def test_a_board_that_is_away(first: Scheduler) -> None:
    """Nothing stops, one line says so; then all is written, also what was there is known to be gone."""
    first.board.away = "no answer in time"
    first.term.interventions.drain(A, None, 0.0)
    assert first.tick(LOOK_SECS) == []  # it is told by then, by the drain
    first.beat()
    first.board.away = ""
    first.board.servers["junk"] = b"junk"
    assert first.tick() == ["what the next scheduler is to know is kept again"]
    assert list(first.board.servers) == [str(SERVER)]
    assert b"disk" not in (first.board.state or b"")


def test_a_board_that_is_away_at_first(board: MemoryBoard, first: Scheduler) -> None:
    """It is recalled as soon as it answers, and not overwritten before."""
    board.away = "no connection"
    second = Scheduler(board)
    assert second.begin() == ["what the next scheduler is to know is not kept: no connection"]
    assert second.tick() == []
    assert second.servers == []
    board.away = ""
    assert "1 build servers are recalled; 0 have been silent for too long" in second.tick()
    assert second.servers == [SERVER]


def test_what_is_none_of_ours(first: Scheduler) -> None:
    """It is dropped with a line, and goes."""
    board, whole = first.board, first.board.servers[str(SERVER)]
    board.servers |= {"nowhere": whole, str(A): whole, "127.0.0.9:1": b"?"}
    board.state = b"[" * 100_000
    second = Scheduler(board)
    lines = second.begin()
    assert lines[0].startswith("what was out of service is not recalled: ")
    assert lines[2].startswith("3 build servers are not recalled, most because: ")
    assert second.servers == [SERVER]
    assert list(board.servers) == [str(SERVER)]
    assert b'"drains": {}' in (board.state or b"")


def test_other_secrets(first: Scheduler) -> None:
    """After a rotation, what was kept with the secret before is still good; with another secret it is not."""
    rotated = Revocable(SharedServerToken("next"))
    rotated.auth.tokens.previous = "servertok"  # type: ignore[union-attr]
    assert Scheduler(first.board, Revocable(SharedServerToken("wrong"))).begin()[1] == (
        "1 build servers are not recalled, most because: it was not kept with a secret of server_auth"
    )
    first.handover.heartbeats.write_all()
    first.tick()
    second = Scheduler(first.board, rotated)
    second.begin()
    assert second.servers == [SERVER]


def test_a_revoked_server(first: Scheduler) -> None:
    """It is not recalled."""
    revoking = Revocable(SharedServerToken("servertok"), frozenset([SERVER]))
    second = Scheduler(first.board, revoking)
    assert "is revoked" in second.begin()[1]
    assert second.servers == []


@pytest.mark.parametrize(("early", "known"), [(EARLY_SECS - TICK_SECS - 1, 1), (EARLY_SECS + 1, 0)])
def test_a_clock_that_was_set_back(first: Scheduler, early: float, known: int) -> None:
    """A heartbeat of a moment to come is one of now; of one that is far away, it is none."""
    back = MemoryBoard(Clock(), first.board.servers, first.board.state)
    first.clock.advance(early)
    first.beat(report(1, {}))
    first.tick(0)
    second = Scheduler(back)
    second.begin()
    assert len(second.servers) == known


def test_another_one_decides(first: Scheduler) -> None:
    """Nothing is kept or written from then on, until a term begins here again."""
    first.handover.end()
    writes = len(first.board.writes)
    first.beat(report(1, {}))
    first.state.drain(A, None)
    assert first.tick(LOOK_SECS) == []
    assert (len(first.board.writes), first.board.closed) == (writes, 1)
    first.begin()
    assert first.servers == [SERVER]
    assert list(first.state.drains) == [A]


def test_a_term_that_ends_while_the_board_answers(first: Scheduler) -> None:
    """What it was asked for then is not used, and nothing is overwritten."""
    first.board.hangs = []
    second = Scheduler(first.board)
    second.begin()
    earlier = second.term
    second.handover.end()
    second.begin()
    answers, first.board.hangs = first.board.hangs, None
    for answer in answers:
        answer.callback(None)
    assert earlier.server_ids() == []
    assert second.servers == [SERVER]
    assert list(first.board.servers) == [str(SERVER)]


def test_a_term_that_ends_while_it_is_written(board: MemoryBoard) -> None:
    """Long work lets others have their turn; if another one decides by then, nothing is written any more."""
    seconds, ends = itertools.count(), Scheduler(board)
    ends.handover._slices = Slices(unhurried(board.clock), lambda: float(next(seconds)))
    ends.begin()
    board.clock.pump([0.0] * 9)
    assert len(board.writes) == 1
    ends.beat()
    ends.tick()
    ends.handover.end()
    board.clock.pump([0.0] * 9)
    assert len(board.writes) == 1


def test_the_end_of_the_scheduler(first: Scheduler) -> None:
    """The last news are written, unless the board hangs: that is not waited for long."""
    first.clock.advance(4)
    first.beat()
    outcome(Deferred.fromCoroutine(first.handover.stop()))
    first.clock.advance(SERVER_SECS)
    second = Scheduler(first.board)
    second.begin()
    assert second.servers == [SERVER]
    second.beat(report(1, {}))
    first.board.hangs = []
    ending = Deferred.fromCoroutine(second.handover.stop())
    assert pending(ending)
    second.clock.advance(LAST_SECS)
    outcome(ending)
    outcome(Deferred.fromCoroutine(second.handover.stop()))
