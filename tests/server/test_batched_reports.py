"""JobReports to a scheduler of ours: few requests, and all ends arrive."""

from twisted.internet.defer import Deferred
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from farmkit.fakes import FakeScheduler
from sccachedist.config import SchedulerLimits
from sccachedist.errors import PeerError
from sccachedist.scheduler.shares import HOLD_SECS
from sccachedist.server.batched_reports import (
    ALONG_SECS,
    FIRST_AGAIN_SECS,
    LATER_SECS,
    MOST_AGAIN_SECS,
    MOST_STATES,
    STARTED_SECS,
)
from sccachedist.server.job_reports import HEARD_SECS, JobReports
from sccachedist.wire.bincode import decode, encode
from sccachedist.wire.extension import JOB_STATES, MOST_JOBS, JobStates
from sccachedist.wire.job_summary import MOST_BYTES
from sccachedist.wire.messages import JobId, JobState

JOB, OTHER_JOB, THIRD_JOB = JobId(7), JobId(8), JobId(9)
READY, STARTED, COMPLETE = JobState.READY, JobState.STARTED, JobState.COMPLETE
AWAY = PeerError("connection refused")
REFUSED = PeerError("status 500", status=500)


class BatchesTests(SynchronousTestCase):
    """A scheduler of ours that answers when the test says so."""

    def setUp(self) -> None:
        self.troubles = self.room = 0
        self.scheduler = scheduler = FakeScheduler(is_ours=True)
        self.sent = scheduler.batches
        self.clock = Clock()
        self.reports = JobReports(scheduler, self.clock, self.trouble, lambda untold: untold <= self.room)

    def trouble(self) -> None:
        self.troubles += 1

    def report(self, job_id: JobId, state: JobState) -> None:
        self.reports.report(job_id, state)
        self.clock.advance(0)

    def test_together(self) -> None:
        """What happens while a request is under way goes with the next one, in the order in which it happened."""
        self.report(JOB, READY)
        self.report(JOB, COMPLETE)
        self.report(OTHER_JOB, READY)
        assert self.sent.waiting == [((JOB, READY),)]
        self.sent.answer(((JOB, READY),), None)
        together = ((JOB, COMPLETE), (OTHER_JOB, READY))
        assert self.sent.waiting == [together]
        self.sent.answer(together, None)
        self.report(OTHER_JOB, COMPLETE)
        assert self.sent.waiting == [((OTHER_JOB, COMPLETE),)]

    def test_very_many(self) -> None:
        """They are told in several requests, each of a size that a scheduler takes."""
        for number in range(MOST_STATES + 5):
            self.reports.report(JobId(number), READY)
        self.clock.advance(0)
        (first,) = self.sent.waiting
        self.sent.answer(first, None)
        (second,) = self.sent.waiting
        self.sent.answer(second, None)
        assert (len(first), len(second)) == (MOST_STATES, 5)

    def test_what_a_scheduler_takes(self) -> None:
        """However many jobs end at a time, however much there is to say, a scheduler takes each request easily."""
        jobs = [JobId(number) for number in range(2 * MOST_JOBS)]
        for summary in (b"", bytes(MOST_BYTES)):
            for job in jobs:
                self.reports.report(job, COMPLETE, summary)
            self.clock.advance(LATER_SECS)
            told: list[JobId] = []
            while self.sent.waiting:
                (states,) = self.sent.waiting
                said = JobStates(1, 1, states, self.scheduler.summaries[-1])
                octets = encode(JOB_STATES, said)
                assert 2 * len(octets) <= SchedulerLimits().heartbeat_bytes
                assert decode(JOB_STATES, octets) == said
                told += [job for job, _ in states]
                self.sent.answer(states, None)
            assert told == jobs

    def test_starts_of_short_jobs_are_not_told(self) -> None:
        """One request a job is enough, where its end comes soon."""
        self.report(JOB, STARTED)
        self.clock.advance(STARTED_SECS - 0.01)
        assert self.sent.waiting == []
        self.report(JOB, COMPLETE)
        assert self.sent.waiting == [((JOB, COMPLETE),)]
        self.clock.advance(1)
        assert self.sent.waiting == [((JOB, COMPLETE),)]
        assert self.clock.getDelayedCalls() == []

    def test_starts_of_long_jobs_are_told(self) -> None:
        """Before the scheduler lends their slots: each in time, and those of about the same time with few looks."""
        for job_id, pause in ((JOB, STARTED_SECS - 0.05), (OTHER_JOB, 0.05)):
            self.report(job_id, STARTED)
            self.clock.advance(pause)
        self.clock.advance(0)
        assert self.sent.waiting == [((JOB, STARTED),)]
        self.sent.answer(((JOB, STARTED),), None)
        self.clock.advance(STARTED_SECS - 0.05)
        self.clock.advance(0)
        assert self.sent.waiting == [((OTHER_JOB, STARTED),)]
        assert STARTED_SECS < HOLD_SECS / 2

    def test_starts_go_along(self) -> None:
        """A request that is made anyway also has the starts of jobs that are not quite short."""
        self.report(JOB, STARTED)
        self.clock.advance(ALONG_SECS)
        for job_id, state in ((OTHER_JOB, STARTED), (OTHER_JOB, COMPLETE), (THIRD_JOB, STARTED)):
            self.report(job_id, state)
        assert self.sent.waiting == [((OTHER_JOB, COMPLETE), (JOB, STARTED))]
        self.sent.answer(self.sent.waiting[0], None)
        self.clock.advance(STARTED_SECS)
        self.clock.advance(0)
        assert self.sent.waiting == [((THIRD_JOB, STARTED),)]

    def test_starts_are_given_up(self) -> None:
        """When the build server ends, nothing is left that would wake it."""
        self.report(JOB, STARTED)
        self.reports.give_up()
        assert self.clock.getDelayedCalls() == []

    def test_later(self) -> None:
        """A report is not sent while the caller that makes it is at work."""
        self.reports.report(JOB, COMPLETE)
        assert self.sent.waiting == []
        self.clock.advance(0)
        assert self.sent.waiting == [((JOB, COMPLETE),)]

    def test_patience(self) -> None:
        """The end of a job waits while there is room, but not for long, and for nothing else that happens."""
        self.room = 2
        self.report(JOB, COMPLETE)
        self.clock.advance(LATER_SECS / 2)
        self.report(OTHER_JOB, COMPLETE)
        assert self.sent.waiting == []
        self.clock.advance(LATER_SECS / 2)
        ends = ((JOB, COMPLETE), (OTHER_JOB, COMPLETE))
        assert self.sent.waiting == [ends]
        self.sent.answer(ends, None)
        for last in ((OTHER_JOB, READY), (OTHER_JOB, COMPLETE)):
            self.report(JOB, COMPLETE)
            assert self.sent.waiting == []
            self.room = 1
            self.report(*last)
            assert self.sent.waiting == [((JOB, COMPLETE), last)]
            self.sent.answer(((JOB, COMPLETE), last), None)
        assert self.clock.getDelayedCalls() == []

    def test_an_upload_that_failed(self) -> None:
        """The scheduler hears of it at once, so that the next client is asked; others' ends wait again after that."""
        self.room = 2
        self.reports.report_extension(JOB, COMPLETE)
        self.clock.advance(0)
        assert self.sent.waiting == [((JOB, COMPLETE),)]
        self.sent.answer(((JOB, COMPLETE),), None)
        self.report(OTHER_JOB, COMPLETE)
        assert self.sent.waiting == []
        self.clock.advance(LATER_SECS)
        assert self.sent.waiting == [((OTHER_JOB, COMPLETE),)]

    def test_no_patience(self) -> None:
        """Who wants to leave, or has its client wait for what the scheduler hears, has it told at once."""
        self.room = 1
        for told in (self.reports.delivered, self.reports.flush):
            self.report(JOB, COMPLETE)
            assert self.sent.waiting == []
            waiting = Deferred.fromCoroutine(told())
            self.sent.answer(((JOB, COMPLETE),), None)
            self.successResultOf(waiting)
        self.report(JOB, COMPLETE)
        self.reports.give_up()
        assert (self.sent.waiting, self.clock.getDelayedCalls()) == ([], [])

    def test_lost(self) -> None:
        """What does not arrive is left to the next heartbeat, which is asked for; what is new is told all the same."""
        self.report(JOB, READY)
        self.report(JOB, COMPLETE)
        self.sent.answer(((JOB, READY),), AWAY)
        assert self.troubles == 1
        assert self.sent.waiting == [((JOB, COMPLETE),)]

    def test_lost_ends(self) -> None:
        """The end of a job is told until the scheduler has heard it: no heartbeat may have named the job yet."""
        self.report(JOB, READY)
        self.reports.report(JOB, COMPLETE)
        self.report(OTHER_JOB, COMPLETE)
        self.sent.answer(((JOB, READY),), None)
        ends = ((JOB, COMPLETE), (OTHER_JOB, COMPLETE))
        for error, pause in ((AWAY, FIRST_AGAIN_SECS), (PeerError("bad gateway", status=502), 2 * FIRST_AGAIN_SECS)):
            self.sent.answer(ends, error)
            assert self.sent.waiting == []
            self.clock.advance(pause)
        for _ in range(10):
            self.sent.answer(ends, AWAY)
            self.clock.advance(MOST_AGAIN_SECS)
        self.report(OTHER_JOB, READY)
        self.sent.answer(ends, AWAY)
        self.clock.advance(MOST_AGAIN_SECS)
        self.sent.answer((*ends, (OTHER_JOB, READY)), None)
        self.report(JOB, COMPLETE)
        self.sent.answer(((JOB, COMPLETE),), AWAY)
        self.clock.advance(FIRST_AGAIN_SECS)
        self.sent.answer(((JOB, COMPLETE),), None)
        assert (self.sent.waiting, self.clock.getDelayedCalls()) == ([], [])

    def test_refused_ends(self) -> None:
        """A scheduler that knows nothing of this server, for it was restarted, has no use for the ends of its jobs."""
        self.report(JOB, COMPLETE)
        self.sent.answer(((JOB, COMPLETE),), REFUSED)
        assert self.troubles == 1
        assert (self.sent.waiting, self.clock.getDelayedCalls()) == ([], [])

    def test_delivered(self) -> None:
        """Who wants to leave waits until the last report has its end, in whatever way."""
        self.successResultOf(Deferred.fromCoroutine(self.reports.delivered()))
        self.report(JOB, COMPLETE)
        waiting = Deferred.fromCoroutine(self.reports.delivered())
        self.assertNoResult(waiting)
        self.sent.answer(((JOB, COMPLETE),), REFUSED)
        self.successResultOf(waiting)

    def test_give_up(self) -> None:
        """A server that ends does not go on trying, and complains of nothing."""
        self.report(JOB, COMPLETE)
        waiting = Deferred.fromCoroutine(self.reports.delivered())
        self.reports.give_up()
        self.successResultOf(waiting)
        assert self.sent.waiting == []

    def test_remarks(self) -> None:
        """What only a scheduler of ours understands goes the same way, and who needs it heard waits for a moment."""
        self.reports.report_extension(JOB, READY)
        heard = [Deferred.fromCoroutine(self.reports.flush()) for _ in range(2)]
        self.clock.advance(0)
        self.assertNoResult(heard[0])
        self.sent.answer(((JOB, READY),), None)
        for each in heard:
            self.successResultOf(each)
        self.reports.report_extension(JOB, COMPLETE)
        waiting = Deferred.fromCoroutine(self.reports.flush())
        self.clock.advance(HEARD_SECS)
        self.successResultOf(waiting)
        self.sent.answer(((JOB, COMPLETE),), None)

    def test_own_mistake(self) -> None:
        """An error of our own is logged, and ends nothing."""
        self.report(JOB, READY)
        self.sent.answer(((JOB, READY),), ZeroDivisionError())
        assert len(self.flushLoggedErrors(ZeroDivisionError)) == 1
        self.report(JOB, COMPLETE)
        assert self.sent.waiting == [((JOB, COMPLETE),)]
