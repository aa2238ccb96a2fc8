"""Turns of jobs where CPUs or memory are short."""

from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.task import Clock

from farmkit.deferreds import outcome
from sccachedist.errors import NoPlace
from sccachedist.outcomes import Lack
from sccachedist.server.job_turns import WAIT_SECS, JobTurns
from sccachedist.wire.abilities import Offer

SHORT = Lack.NO_MEMORY.word


class Job:
    """A job that runs until it is told to end."""

    def __init__(self, turns: JobTurns) -> None:
        self.work: Deferred[None] = Deferred()
        self.has_begun = False
        self.done = Deferred.fromCoroutine(self._run(turns))

    async def _run(self, turns: JobTurns) -> None:
        async with turns.turn():
            self.has_begun = True
            await self.work


def begun(*jobs: Job) -> list[bool]:
    return [job.has_begun for job in jobs]


def test_nothing_is_lacking() -> None:
    """Each has its turn at once."""
    turns = JobTurns(Clock())
    assert begun(*(Job(turns) for _ in range(50))) == [True] * 50
    assert turns.running == 50


def test_in_their_order() -> None:
    """Those that are too many wait, and the first that came is the first to run; a failed job gives its turn back."""
    turns = JobTurns(Clock())
    turns.allow(Offer(1, SHORT))
    first, second, third = (Job(turns) for _ in range(3))
    assert begun(first, second, third) == [True, False, False]
    first.work.errback(NoPlace("gone wrong"))
    assert begun(first, second, third) == [True, True, False]
    assert str(outcome(first.done)) == "gone wrong"


def test_more_and_less() -> None:
    """Less has no effect on those that run; when nothing is lacking any more, all run."""
    turns = JobTurns(Clock())
    turns.allow(Offer(2, SHORT))
    jobs = [Job(turns) for _ in range(4)]
    turns.allow(Offer(1, SHORT))
    jobs[0].work.callback(None)
    assert begun(*jobs) == [True, True, False, False]
    turns.allow(Offer(3))
    assert begun(*jobs) == [True] * 4


def test_nothing_is_left() -> None:
    """Those that wait go home, those that come too, and those that run go on."""
    turns = JobTurns(Clock())
    turns.allow(Offer(1, SHORT))
    running, waiting = Job(turns), Job(turns)
    turns.allow(Offer(0, Lack.BUSY.word))
    late = Job(turns)
    for job in (waiting, late):
        refused = outcome(job.done)
        assert isinstance(refused, NoPlace)
        assert "busy with other work" in str(refused)
        assert refused.kind == Lack.BUSY.word
    running.work.callback(None)
    assert (outcome(running.done), turns.running) == (None, 0)


def test_it_takes_too_long() -> None:
    """A job that has waited for a minute goes home."""
    clock = Clock()
    turns = JobTurns(clock)
    turns.allow(Offer(1, SHORT))
    running, waiting = Job(turns), Job(turns)
    clock.advance(WAIT_SECS)
    assert "waited for 60 s: it has no memory" in str(outcome(waiting.done))
    running.work.callback(None)
    assert not clock.getDelayedCalls()


def test_a_client_that_goes_away() -> None:
    """It takes no turn of others."""
    turns = JobTurns(Clock())
    turns.allow(Offer(1, SHORT))
    running, gone, waiting = (Job(turns) for _ in range(3))
    gone.done.cancel()
    assert isinstance(outcome(gone.done), CancelledError)
    running.work.callback(None)
    assert begun(gone, waiting) == [False, True]
    assert turns.running == 1
