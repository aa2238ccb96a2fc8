"""Heartbeats to a scheduler that is slow, away or restarted."""

from twisted.internet.defer import Deferred
from twisted.internet.task import Clock
from twisted.logger import capturedLogs, eventAsText
from twisted.trial.unittest import SynchronousTestCase

from farmkit.fakes import FakeScheduler
from sccachedist.errors import PeerError
from sccachedist.server.heartbeat import MOST_RETRY_SECS, MOST_SECS, NEWS_BYTES, HeartbeatService
from sccachedist.toolchains.changes import ToolchainLog
from sccachedist.wire.archive_id import ArchiveId
from sccachedist.wire.extension import Availability, Orders, ServerReport
from sccachedist.wire.machines import UNKNOWN
from sccachedist.wire.messages import Heartbeat, JobId

AWAY = PeerError("connection refused")


class HeartbeatTests(SynchronousTestCase):
    """A scheduler that answers when the test says so; the certificate of each heartbeat is another one."""

    def setUp(self) -> None:
        self.clock, self.made, self.broken = Clock(), 0, False
        scheduler = FakeScheduler()
        self.held: list[ArchiveId] = []
        self.log = ToolchainLog(lambda: self.held, lambda _: 1, lambda _: UNKNOWN)
        self.rooms: list[int] = []
        self.orders: list[Orders] = []
        self.sent = scheduler.heartbeats
        self.scheduler = scheduler
        self.service = HeartbeatService(
            scheduler, self.message, self.log, 5, self.clock, self.orders.append, lambda: 0.0
        )
        self.service.startService()

    def message(self, seconds: int, room: int) -> tuple[Heartbeat, ServerReport]:
        self.made += 1
        self.rooms.append(room)
        if self.broken:
            raise ZeroDivisionError
        return self.heartbeat(self.made), ServerReport(self.made, seconds, Availability.OPEN, (), ())

    def comes(self, *toolchains: str) -> None:
        """Toolchains are here."""
        for toolchain in map(ArchiveId, toolchains):
            self.held.append(toolchain)
            self.log.came(toolchain)

    def heartbeat(self, number: int) -> Heartbeat:
        return Heartbeat(b"job key", 2, 1, b"digest %d" % number, b"certificate %d" % number)

    def answer(self, answer: bool | Exception) -> None:
        """The scheduler answers the heartbeat that was made last."""
        self.sent.answer(self.heartbeat(self.made), answer)

    def nothing_for(self, seconds: float) -> None:
        """No heartbeat is sent for so long, but one is right after."""
        self.clock.advance(seconds - 0.125)
        assert self.sent.waiting == []
        made = self.made
        self.clock.advance(0.125)
        assert self.made == made + 1

    def test_rhythm(self) -> None:
        """The first heartbeat is sent at the start, the next ones 30 s after each answer, made again each time."""
        for is_new in (True, False, False):
            assert self.sent.waiting == [self.heartbeat(self.made)]
            self.answer(is_new)
            self.nothing_for(30.0)
        assert self.made == 4

    def test_one_at_a_time(self) -> None:
        """While the scheduler does not answer, it gets no other heartbeat, no matter who asks for one."""
        self.service.soon()
        self.clock.advance(60.0)
        assert self.made == 1

    def test_rhythm_of_ours(self) -> None:
        """A scheduler of ours hears of us as often as is configured."""
        self.scheduler.is_ours = True
        for is_new in (True, False):
            self.answer(is_new)
            self.nothing_for(5.0)

    def test_a_scheduler_with_many_build_servers(self) -> None:
        """It may ask for longer pauses, up to a minute, and for short ones again; each is announced first."""
        self.scheduler.is_ours = True
        asked, pauses = (12, 2**64 - 1, 12, 0, 0, 0), []
        for seconds in asked:
            self.scheduler.heartbeat_secs = seconds
            pauses.append(self.scheduler.heard[-1].heartbeat_secs)
            self.answer(False)
            self.nothing_for(pauses[-1])
        assert pauses == [5, 12, MOST_SECS, 12, 5, 5]

    def test_away(self) -> None:
        """While the scheduler is away or refuses, it is tried again at ever longer pauses; then all is as before."""
        for pause in (0.2, 0.4, 0.8, MOST_RETRY_SECS, MOST_RETRY_SECS):
            self.answer(AWAY if pause != 0.4 else PeerError("status 500", status=500))
            self.nothing_for(pause)
        self.answer(True)
        self.nothing_for(30.0)
        self.answer(AWAY)
        self.nothing_for(0.2)

    def told(self, *answers: bool | Exception) -> list[str]:
        """What is logged while the next tries get these answers."""
        with capturedLogs() as events:
            for answer in answers:
                self.answer(answer)
                self.clock.advance(MOST_RETRY_SECS)
        return [eventAsText(event).partition("no heartbeat: ")[2] or event["log_format"] for event in events]

    def test_each_new_reason_is_told(self) -> None:
        """Why the scheduler does not hear of us is told at once when it changes, and when it begins again."""
        refused = PeerError("status 401", status=401)
        told = self.told(*[AWAY] * 30, *[refused] * 30, *[AWAY] * 30, True)
        hint = (
            " (it refuses this server's token or address; its log says why, of several schedulers that of the one that "
            "leads)"
        )
        assert told == [str(AWAY), f"status 401{hint}", "registered with the scheduler"]
        self.clock.advance(30.0)
        assert self.told(AWAY) == [str(AWAY)]

    def test_back_in_two_seconds(self) -> None:
        """However long the scheduler was away, and whatever chance says, it is asked again in less than two seconds."""
        for _ in range(100):
            self.answer(AWAY)
            self.nothing_for(self.clock.getDelayedCalls()[0].getTime() - self.clock.seconds())
            assert MOST_RETRY_SECS < 2

    def test_the_scheduler_closes_a_connection(self) -> None:
        """A scheduler of ours that closes a connection may have been restarted: it hears of us in a second."""
        self.answer(True)
        self.service.connection_lost()  # a published one does so after each answer
        self.clock.advance(29.0)
        assert self.made == 1
        self.clock.advance(1.0)
        self.scheduler.is_ours = True
        self.answer(False)
        self.service.connection_lost()
        self.nothing_for(1.0)

    def test_told_now(self) -> None:
        """What cannot wait is told at once, beside the heartbeat under way, and in vain where nobody listens."""
        telling = Deferred.fromCoroutine(self.service.tell())
        assert self.made == 2
        self.answer(AWAY)
        self.successResultOf(telling)

    def test_told_together(self) -> None:
        """One heartbeat is made for all that changed while the last one was under way."""
        self.answer(True)
        first, second, third = (Deferred.fromCoroutine(self.service.told()) for _ in range(3))
        assert self.made == 2
        self.answer(True)
        self.successResultOf(first)
        assert self.made == 3
        self.answer(AWAY)
        self.successResultOf(second)
        self.successResultOf(third)
        self.service.stopService()
        self.successResultOf(Deferred.fromCoroutine(self.service.told()))
        assert self.made == 3

    def test_more_toolchains_than_one_tells(self) -> None:
        """The scheduler hears of the rest in a second, and then as often as ever."""
        self.scheduler.is_ours = True
        self.comes(*"abc")
        self.log.news(1000)
        self.scheduler.told = 4
        self.answer(True)
        self.nothing_for(1.0)
        self.scheduler.told = 6
        self.answer(False)
        self.nothing_for(5.0)

    def test_a_scheduler_that_takes_no_news(self) -> None:
        """It is not asked more often for that."""
        self.scheduler.is_ours = True
        self.comes("a")
        self.answer(True)
        self.nothing_for(5.0)

    def test_a_heartbeat_that_is_too_large(self) -> None:
        """The next one tells less of the toolchains, down to nothing; one that is taken lets it grow again."""
        for pause in (0.2, 0.4, 0.8, *[MOST_RETRY_SECS] * 4):
            self.answer(PeerError("status 500", status=500))
            self.nothing_for(pause)
        assert self.rooms == [NEWS_BYTES // 8**tried for tried in range(8)]
        assert self.rooms[-1] == 0
        self.answer(AWAY)
        self.nothing_for(MOST_RETRY_SECS)
        for _ in range(20):
            self.answer(True)
            self.nothing_for(30.0)
        assert (self.rooms[8:11], self.rooms[-1]) == ([0, 1, 3], NEWS_BYTES)

    def test_soon_while_one_is_under_way(self) -> None:
        """What is new while a heartbeat is under way is in the next one, which comes soon."""
        self.service.soon()
        self.answer(True)
        self.nothing_for(1.0)

    def test_own_mistake(self) -> None:
        """An error of our own, where the answer comes or where the message is made, is logged and ends nothing."""
        self.answer(ZeroDivisionError())
        self.broken = True
        self.nothing_for(0.2)
        self.broken = False
        self.nothing_for(0.4)
        self.answer(True)
        self.nothing_for(30.0)
        assert len(self.flushLoggedErrors(ZeroDivisionError)) == 2

    def test_soon(self) -> None:
        """Where the scheduler may have forgotten us, it hears of us in a second, however often that is suspected."""
        self.answer(True)
        self.clock.advance(12.0)
        self.service.soon()
        self.clock.advance(0.5)
        self.service.soon()
        self.nothing_for(0.5)

    def test_soon_anyway(self) -> None:
        """A heartbeat that is due is not put off."""
        self.answer(True)
        self.clock.advance(29.5)
        self.service.soon()
        self.nothing_for(0.5)

    def test_stopped_between(self) -> None:
        """When it stops between two heartbeats, nothing is left that would wake it."""
        self.answer(True)
        self.service.stopService()
        self.service.soon()
        assert (self.clock.getDelayedCalls(), self.made) == ([], 1)

    def test_stopped_under_way(self) -> None:
        """When it stops while the scheduler does not answer, the call ends, quietly, and nothing is left."""
        self.answer(True)
        self.nothing_for(30.0)
        self.service.stopService()
        assert (self.sent.waiting, self.clock.getDelayedCalls()) == ([], [])

    def test_started_again(self) -> None:
        """It can be started again."""
        self.service.stopService()
        self.service.startService()
        self.answer(True)
        self.nothing_for(30.0)

    def test_orders(self) -> None:
        """What an administrator wants is done each time that it is told."""
        self.scheduler.is_ours, self.scheduler.orders = True, Orders((JobId(7),), ())
        self.answer(True)
        assert self.orders == [Orders((JobId(7),), ())]
        self.scheduler.orders = None
        self.clock.advance(5)
        self.answer(False)
        assert len(self.orders) == 1
