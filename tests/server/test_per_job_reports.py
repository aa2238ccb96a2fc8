"""JobReports to a published scheduler that is slow, away, restarted or of another opinion."""

from collections.abc import Iterable

from twisted.internet.defer import Deferred
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from farmkit.fakes import FakeScheduler
from sccachedist.errors import PeerError
from sccachedist.server.job_reports import JobReports
from sccachedist.server.per_job_reports import RETRY_SECS
from sccachedist.wire.messages import JobId, JobState

JOB, OTHER_JOB = JobId(7), JobId(8)
READY, STARTED, COMPLETE = JobState.READY, JobState.STARTED, JobState.COMPLETE
AWAY = PeerError("connection refused")
REFUSED = PeerError("status 500", status=500)


class ReportsTests(SynchronousTestCase):
    """A published scheduler that answers when the test says so."""

    def setUp(self) -> None:
        self.clock, self.troubles = Clock(), 0
        scheduler = FakeScheduler()
        self.sent = scheduler.reports
        self.reports = JobReports(scheduler, self.clock, self.trouble, lambda _: True)

    def trouble(self) -> None:
        self.troubles += 1

    def report(self, job_id: JobId, states: Iterable[JobState]) -> None:
        for state in states:
            self.reports.report(job_id, state)

    def delivered(self) -> Deferred[None]:
        return Deferred.fromCoroutine(self.reports.delivered())

    def all_is_over(self) -> None:
        """Nothing is waited for, and nothing is left that would wake the process."""
        self.successResultOf(self.delivered())
        assert (self.sent.waiting, self.clock.getDelayedCalls()) == ([], [])

    def test_order(self) -> None:
        """The scheduler hears of a job in its order, each time after it has taken what came before."""
        self.report(JOB, [READY, STARTED, COMPLETE])
        for left, state in zip((3, 2, 1), (READY, STARTED, COMPLETE), strict=True):
            assert self.sent.waiting == [(JOB, state)]
            assert self.reports.waiting == left
            self.sent.answer((JOB, state), None)
        self.all_is_over()
        assert (self.troubles, self.reports.waiting) == (0, 0)

    def test_side_by_side(self) -> None:
        """A report that the scheduler is slow to take holds up no other job's."""
        self.report(JOB, [STARTED, COMPLETE])
        self.report(OTHER_JOB, [STARTED, COMPLETE])
        assert self.sent.waiting == [(JOB, STARTED), (OTHER_JOB, STARTED)]
        self.sent.answer((OTHER_JOB, STARTED), None)
        self.sent.answer((OTHER_JOB, COMPLETE), None)
        assert self.sent.waiting == [(JOB, STARTED)]

    def test_later(self) -> None:
        """A job of which all was told can be told of again."""
        for state in (READY, STARTED):
            self.report(JOB, [state])
            self.sent.answer((JOB, state), None)
        self.all_is_over()

    def test_repeated(self) -> None:
        """A report that does not arrive is sent again, ever more seldom; the job's next one waits for it."""
        self.report(JOB, [STARTED, COMPLETE])
        for pause in RETRY_SECS:
            self.sent.answer((JOB, STARTED), AWAY)
            self.clock.advance(pause - 0.25)
            assert self.sent.waiting == []
            self.clock.advance(0.25)
            assert self.sent.waiting == [(JOB, STARTED)]
        self.sent.answer((JOB, STARTED), None)
        self.sent.answer((JOB, COMPLETE), None)
        self.all_is_over()
        assert self.troubles == len(RETRY_SECS)

    def test_given_up(self) -> None:
        """A report that never arrives is given up, and the job's next one is tried with new patience."""
        self.report(JOB, [STARTED, COMPLETE])
        for pause in RETRY_SECS:
            self.sent.answer((JOB, STARTED), AWAY)
            self.clock.advance(pause)
        self.sent.answer((JOB, STARTED), AWAY)
        self.sent.answer((JOB, COMPLETE), AWAY)
        self.clock.advance(RETRY_SECS[0])
        self.sent.answer((JOB, COMPLETE), None)
        self.all_is_over()

    def test_refused(self) -> None:
        """A report that the scheduler refuses is not sent again; that the scheduler has forgotten us is suspected."""
        for status in (200, 401, 500):
            self.report(JOB, [STARTED])
            self.sent.answer((JOB, STARTED), PeerError("refused", status=status))
            self.all_is_over()
        assert self.troubles == 3

    def test_proxy(self) -> None:
        """A proxy that cannot reach the scheduler does not speak for it."""
        self.report(JOB, [STARTED])
        for status, pause in zip((502, 503, 504), RETRY_SECS, strict=False):
            self.sent.answer((JOB, STARTED), PeerError("bad gateway", status=status))
            self.clock.advance(pause)
        self.sent.answer((JOB, STARTED), None)
        self.all_is_over()

    def test_forgotten_while_waiting(self) -> None:
        """A scheduler that comes back and does not know the job is heard, and asked no more."""
        self.report(JOB, [STARTED])
        self.sent.answer((JOB, STARTED), AWAY)
        self.clock.advance(RETRY_SECS[0])
        self.sent.answer((JOB, STARTED), REFUSED)
        self.all_is_over()

    def test_own_mistake(self) -> None:
        """An error of our own is logged; the job can be told of again, and nothing waits for ever."""
        self.report(JOB, [READY])
        delivered = self.delivered()
        self.sent.answer((JOB, READY), ZeroDivisionError())
        assert len(self.flushLoggedErrors(ZeroDivisionError)) == 1
        self.successResultOf(delivered)
        self.report(JOB, [STARTED])
        self.sent.answer((JOB, STARTED), None)
        self.all_is_over()

    def test_delivered(self) -> None:
        """Who wants to leave waits until the last report of all jobs has its end, well or not."""
        self.report(JOB, [COMPLETE])
        self.report(OTHER_JOB, [COMPLETE])
        waiting = [self.delivered() for _ in range(2)]
        self.sent.answer((JOB, COMPLETE), None)
        for each in waiting:
            self.assertNoResult(each)
        self.sent.answer((OTHER_JOB, COMPLETE), REFUSED)
        for each in waiting:
            self.successResultOf(each)

    def test_no_more_patience(self) -> None:
        """Who stops waiting for the last reports does not disturb them."""
        self.report(JOB, [COMPLETE])
        waiting = self.delivered().addTimeout(5.0, self.clock, lambda *_: None)
        self.clock.advance(5.0)
        self.successResultOf(waiting)
        self.sent.answer((JOB, COMPLETE), None)
        self.all_is_over()

    def test_remarks(self) -> None:
        """A published scheduler is told nothing that it has no ear for."""
        self.reports.report_extension(JOB, COMPLETE)
        self.successResultOf(Deferred.fromCoroutine(self.reports.flush()))
        self.all_is_over()

    def test_give_up(self) -> None:
        """A server that ends does not go on trying, and complains of nothing."""
        self.report(JOB, [STARTED, COMPLETE])
        self.report(OTHER_JOB, [STARTED])
        self.sent.answer((OTHER_JOB, STARTED), AWAY)
        delivered = self.delivered()
        self.reports.give_up()
        self.successResultOf(delivered)
        self.all_is_over()
