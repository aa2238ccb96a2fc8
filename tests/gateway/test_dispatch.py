"""Which worker gets which job, and what becomes of jobs whose workers are lost."""

import attrs
import pytest

from sccachedist.errors import BuildError, DecodeError, LimitExceeded, SessionOver
from sccachedist.gateway.decisions import ClosePlace, Decision, Dismiss, EndTicket, Give, JobKey, SendHome
from sccachedist.gateway.dispatch import (
    ALONE_SECS,
    ANSWER_SECS,
    MOST_BUSY,
    MOST_PLACES,
    MOST_SESSIONS,
    MOST_TRIES,
    Dispatch,
)
from sccachedist.gateway.known import GRACE_SECS, PING_SECS
from sccachedist.outcomes import SentLocal
from sccachedist.wire.gateway import MOST_CANCELLED, WorkerHello, WorkerState

JOB_SECS = 100.0
GCC, CLANG = "a" * 64, "b" * 64
X86, ARM = 62, 183
#: What a worker runs that is said to be of a machine.
RUNS = {0: (), X86: (X86, 3), ARM: (ARM,)}
NO_JOB = JobKey(99)


def hello(nonce: int, machine: int = 0, *held: str) -> WorkerHello:
    return WorkerHello(f"worker {nonce}", nonce, 2, 3, RUNS[machine], (), "1", held)


@pytest.fixture
def dispatch() -> Dispatch:
    return Dispatch(JOB_SECS)


def enter(dispatch: Dispatch, session: str, machine: int = 0, *held: str) -> None:
    assert dispatch.welcome(session, hello(ord(session), machine, *held), 0) == []


def given(decisions: list[Decision]) -> list[tuple[str, int, JobKey]]:
    return [(each.session, each.place, each.job) for each in decisions if isinstance(each, Give)]


def homeward(decisions: list[Decision]) -> tuple[JobKey, type[Exception], SentLocal | None]:
    (home,) = [each for each in decisions if isinstance(each, SendHome)]
    return home.job, type(home.error), home.error.sent_local


def test_late_binding(dispatch: Dispatch) -> None:
    """Jobs wait for places, and places for jobs; the oldest job goes first."""
    enter(dispatch, "a")
    assert dispatch.ask("a", 7, 0) == []
    first, told = dispatch.submit(GCC, 0, 0)
    assert given(told) == [("a", 7, first)]
    second, third = dispatch.submit(GCC, 0, 0)[0], dispatch.submit(GCC, 0, 0)[0]
    assert (dispatch.waiting, dispatch.given) == (2, 1)
    assert given(dispatch.ask("a", 8, 0)) == [("a", 8, second)]
    assert given(dispatch.ask("a", 9, 0)) == [("a", 9, third)]


def test_which_worker(dispatch: Dispatch) -> None:
    """One that has the toolchain, before one that has less to do; and none of another machine."""
    for session, machine, held in (("a", ARM, GCC), ("b", X86, CLANG), ("c", X86, GCC), ("d", 0, CLANG)):
        enter(dispatch, session, machine, held)
        for place in (1, 2):
            dispatch.ask(session, place, 0)
    chosen = [given(dispatch.submit(GCC, X86, 0)[1])[0][:2] for _ in range(6)]
    # A worker that is given a job has the toolchain from then on. Of its places, the one that was opened last gets it.
    assert chosen == [("c", 2), ("c", 1), ("b", 2), ("b", 1), ("d", 2), ("d", 1)]
    assert given(dispatch.submit(GCC, X86, 0)[1]) == []
    assert given(dispatch.submit(GCC, ARM, 0)[1])[0][:2] == ("a", 2)


def test_a_worker_with_an_emulator(dispatch: Dispatch) -> None:
    """A worker gets jobs of all machines that it says it runs."""
    said = WorkerHello("w", 1, 2, 3, (X86, ARM), (), "1")
    dispatch.welcome("a", said, 0)
    dispatch.ask("a", 1, 0)
    assert given(dispatch.submit(GCC, ARM, 0)[1])[0][:2] == ("a", 1)
    dispatch.ask("a", 1, 0)
    assert given(dispatch.submit(GCC, 243, 0)[1]) == []


def test_least_loaded(dispatch: Dispatch) -> None:
    """Among equals, the one with the fewest jobs for its slots."""
    for session in "ab":
        enter(dispatch, session, 0, GCC)
        for place in (1, 2):
            dispatch.ask(session, place, 0)
    assert [given(dispatch.submit(GCC, 0, 0)[1])[0][0] for _ in range(4)] == ["a", "b", "a", "b"]


def test_withdrawn(dispatch: Dispatch) -> None:
    """A place that its worker wants back is closed; after it has a job, that is too late."""
    enter(dispatch, "a")
    dispatch.ask("a", 1, 0)
    dispatch.ask("a", 2, 0)
    assert dispatch.withdraw("a", 1) == [ClosePlace("a", 1)]
    assert dispatch.withdraw("a", 1) == []
    job, told = dispatch.submit(GCC, 0, 0)
    assert given(told) == [("a", 2, job)]
    assert dispatch.withdraw("a", 2) == []
    assert dispatch.withdraw("nobody", 2) == []


def test_answered(dispatch: Dispatch) -> None:
    """The first answer ends the job; another one, or one of another worker, has no effect."""
    for session in "ab":
        enter(dispatch, session)
    dispatch.ask("a", 1, 0)
    job, told = dispatch.submit(GCC, 0, 0)
    assert told == [Give("a", 1, job, 1)]
    assert dispatch.holder("a", 1) == job
    assert dispatch.settle("b", 1) is None
    assert dispatch.settle("a", 1) == job
    assert (dispatch.settle("a", 1), dispatch.given) == (None, 0)
    with pytest.raises(SessionOver):
        dispatch.settle("nobody", 1)


def test_a_lost_worker(dispatch: Dispatch) -> None:
    """Its jobs go to others, before younger ones, and rather not to one that has had them."""
    enter(dispatch, "a")
    dispatch.ask("a", 1, 0)
    old = dispatch.submit(GCC, 0, 0)[0]
    young = dispatch.submit(GCC, 0, 0)[0]
    assert dispatch.lose("a", 1) == [Dismiss("a")]
    assert dispatch.lose("a", 1) == []
    dispatch.welcome("A", hello(ord("a")), 1)
    enter(dispatch, "b")
    assert given(dispatch.ask("b", 1, 1)) == [("b", 1, old)]
    assert given(dispatch.ask("b", 2, 1)) == [("b", 2, young)]
    dispatch.ask("A", 1, 1)
    enter(dispatch, "c")
    dispatch.ask("c", 1, 1)
    assert given(dispatch.lose("b", 1)) == [("c", 1, old), ("A", 1, young)]
    assert dispatch.moved == {"lost": 3, "broken": 0, "busy": 0}


def test_a_job_that_kills_its_workers(dispatch: Dispatch) -> None:
    """After three it goes home, and no fourth is killed."""
    job = dispatch.submit(GCC, 0, 0)[0]
    for session in "abc"[:MOST_TRIES]:
        enter(dispatch, session)
        assert given(dispatch.ask(session, 1, 0)) == [(session, 1, job)]
        told = dispatch.lose(session, 0)
    assert homeward(told) == (job, BuildError, SentLocal.WORKER_LOST)
    assert (dispatch.waiting, dispatch.given) == (0, 0)


def test_busy(dispatch: Dispatch) -> None:
    """A worker that does not begin costs no try, but there is an end to that as well."""
    enter(dispatch, "a")
    job = dispatch.submit(GCC, 0, 0)[0]
    for number in range(1, MOST_BUSY + 1):
        assert given(dispatch.ask("a", 1, 0)) == [("a", 1, job)]
        told = dispatch.refuse("a", number, 0)
        assert dispatch.refuse("a", number, 0) == []
    assert homeward(told) == (job, BuildError, SentLocal.NO_WORKER)
    assert dispatch.moved["busy"] == MOST_BUSY


def test_broken(dispatch: Dispatch) -> None:
    """A job that did not get through is given to another worker, and the first has to end it, if it has begun."""
    enter(dispatch, "a")
    enter(dispatch, "b")
    dispatch.ask("a", 1, 0)
    job, _ = dispatch.submit(GCC, 0, 0)
    dispatch.ask("b", 1, 0)
    assert dispatch.fail("a", 1, 0) == [EndTicket("a", 1), Give("b", 1, job, 2)]
    assert dispatch.fail("a", 1, 0) == dispatch.fail("nobody", 1, 0) == []
    assert dispatch.holder("a", 1) is None


def test_dropped(dispatch: Dispatch) -> None:
    """A job that is not wanted any more waits no longer, and its worker ends it."""
    enter(dispatch, "a")
    dispatch.ask("a", 1, 0)
    runs, waits = dispatch.submit(GCC, 0, 0)[0], dispatch.submit(GCC, 0, 0)[0]
    assert dispatch.drop(waits) == []
    assert dispatch.drop(runs) == [EndTicket("a", 1)]
    assert dispatch.drop(runs) == dispatch.drop(NO_JOB) == []
    assert (dispatch.waiting, dispatch.given) == (0, 0)


def test_ended_and_not_ended(dispatch: Dispatch) -> None:
    """A worker has to end a job until it is through with the place where it came, or until many others are to end."""
    enter(dispatch, "a")
    for place in (1, 2):
        dispatch.ask("a", place, 0)
        dispatch.drop(dispatch.submit(GCC, 0, 0)[0])
    assert dispatch.to_end("a") == (1, 2)
    dispatch.listen("a", WorkerState(2, 3, (), (1,), 1), 1)
    assert dispatch.to_end("a") == (1, 2)
    dispatch.listen("a", WorkerState(2, 3, (), (2,), 2), 1)
    assert dispatch.to_end("a") == (2,)
    for place in range(3, MOST_CANCELLED + 3):
        dispatch.ask("a", place, 1)
        dispatch.drop(dispatch.submit(GCC, 0, 1)[0])
    assert dispatch.to_end("a") == tuple(range(3, MOST_CANCELLED + 3))


def test_a_place_that_is_asked_for_again(dispatch: Dispatch) -> None:
    """Its worker has not had the job that was given away there, so that is given away once more."""
    enter(dispatch, "a")
    dispatch.ask("a", 1, 0)
    job, _ = dispatch.submit(GCC, 0, 0)
    assert dispatch.ask("a", 1, 1) == [EndTicket("a", 1), Give("a", 1, job, 2)]
    assert dispatch.moved["broken"] == 1
    dispatch.leave("a")
    assert dispatch.ask("a", 1, 1) == [EndTicket("a", 2), ClosePlace("a", 1)]
    assert dispatch.waiting == 1


def test_silence(dispatch: Dispatch) -> None:
    """A worker is lost if no request for orders is open for some time, or if one is open for too long."""
    for session in "ab":
        enter(dispatch, session)
    dispatch.listen("a", WorkerState(2, 3, (GCC,)), 1)
    assert dispatch.look(GRACE_SECS - 0.1) == []
    assert dispatch.look(GRACE_SECS) == [Dismiss("b")]
    dispatch.told("a", 6)
    dispatch.told("b", 6)
    assert dispatch.look(6 + GRACE_SECS - 0.1) == []
    dispatch.listen("a", WorkerState(2, 3, (GCC,)), 10)
    assert dispatch.look(10 + PING_SECS + GRACE_SECS - 0.1) == []
    assert dispatch.look(10 + PING_SECS + GRACE_SECS) == [Dismiss("a")]


def test_a_job_or_its_answer_that_does_not_get_through(dispatch: Dispatch) -> None:
    """A worker that lives and is through with a job's place has lost the job; a later place is not meant."""
    enter(dispatch, "a")
    lost, kept = dispatch.submit(GCC, 0, 0)[0], dispatch.submit(GCC, 0, 0)[0]
    for place in (1, 2, 3):
        dispatch.ask("a", place, 0)
    assert dispatch.listen("a", WorkerState(2, 3, (), (1, 2, 3), 3), 1) == []
    assert given(dispatch.submit(GCC, 0, 1)[1]) == [("a", 3, JobKey(3))]
    dispatch.ask("a", 4, 1)
    told = dispatch.listen("a", WorkerState(2, 3, (), (2, 3), 3), 2)
    assert told == [EndTicket("a", 1), Give("a", 4, lost, 4)]
    assert dispatch.moved["broken"] == 1
    dispatch.ask("a", 5, 2)
    assert dispatch.listen("a", WorkerState(2, 3, (), (2, 3, 4), 5), 3) == [ClosePlace("a", 5)]
    assert dispatch.holder("a", 2) == kept


def test_a_worker_that_hangs(dispatch: Dispatch) -> None:
    """A job ends when its time is over, and its worker is told."""
    enter(dispatch, "a")
    dispatch.ask("a", 1, 0)
    job, _ = dispatch.submit(GCC, 0, 0)
    late = JOB_SECS + ANSWER_SECS
    dispatch.listen("a", WorkerState(2, 3, ()), late - 1)
    assert dispatch.look(late - 0.1) == []
    told = dispatch.look(late)
    assert told[0] == EndTicket("a", 1)
    assert homeward(told) == (job, LimitExceeded, SentLocal.LIMIT)
    assert dispatch.holder("a", 1) is None


def test_alone(dispatch: Dispatch) -> None:
    """A job waits for some seconds for a worker that comes back; without any, it goes home."""
    assert dispatch.complaint(0) == "no worker is connected"
    enter(dispatch, "a", ARM)
    assert dispatch.complaint(0) == ""
    wanted, other = dispatch.submit(GCC, X86, 0)[0], dispatch.submit(GCC, ARM, 0)[0]
    dispatch.listen("a", WorkerState(2, 3, ()), 0)
    assert dispatch.look(1) == []
    dispatch.listen("a", WorkerState(2, 3, ()), 1 + ALONE_SECS)
    assert homeward(dispatch.look(1 + ALONE_SECS)) == (wanted, BuildError, SentLocal.NO_WORKER)
    dispatch.leave("a")
    assert dispatch.complaint(12) == "no worker takes jobs"
    assert dispatch.look(15) == []
    dispatch.welcome("b", hello(ord("b"), ARM), 15)
    assert dispatch.look(16) == []
    dispatch.lose("b", 17)
    dispatch.lose("a", 17)
    assert dispatch.look(17) == []
    assert dispatch.look(17 + ALONE_SECS - 0.1) == []
    assert homeward(dispatch.look(17 + ALONE_SECS)) == (other, BuildError, SentLocal.NO_WORKER)


def test_what_workers_offer(dispatch: Dispatch) -> None:
    """The CPUs of all that take jobs; a worker may say that it takes none for now, or leave."""
    for session in "abc":
        enter(dispatch, session)
    assert (dispatch.workers, dispatch.cpus, dispatch.hello("a")) == (3, 6, hello(ord("a")))
    dispatch.listen("a", WorkerState(5, 6, ()), 0)
    dispatch.listen("b", WorkerState(0, 0, ()), 0)
    dispatch.ask("c", 1, 0)
    assert dispatch.leave("c") == [ClosePlace("c", 1)]
    assert [dispatch.is_leaving(session) for session in "ac"] == [False, True]
    assert dispatch.ask("c", 1, 0) == [ClosePlace("c", 1)]
    assert (dispatch.workers, dispatch.cpus, dispatch.is_resting(0)) == (1, 5, False)
    dispatch.listen("a", WorkerState(0, 0, ()), 0)
    assert (dispatch.is_resting(0), dispatch.complaint(0)) == (True, "no worker takes jobs")
    dispatch.leave("a")
    dispatch.leave("b")
    assert (dispatch.is_resting(0), dispatch.complaint(0)) == (False, "no worker takes jobs")


def test_what_is_offered_for_a_while(dispatch: Dispatch) -> None:
    """The CPUs of a lost worker count for some seconds, in which it may come back; those of one that leaves do not."""
    enter(dispatch, "a")
    enter(dispatch, "b")
    dispatch.lose("a", 1)
    dispatch.lose("b", 2)
    assert (dispatch.cpus, dispatch.offered(2), dispatch.complaint(2)) == (0, 4, "")
    dispatch.welcome("c", hello(ord("c")), 3)
    assert [dispatch.offered(at) for at in (3, 2 + ALONE_SECS)] == [4, 2]
    dispatch.leave("c")
    dispatch.lose("c", 20)
    assert (dispatch.offered(20), dispatch.complaint(20)) == (0, "no worker is connected")


def test_machines(dispatch: Dispatch) -> None:
    """All that workers run; nothing is known if one of them does not tell."""
    enter(dispatch, "a", X86)
    enter(dispatch, "b", ARM)
    known = list(dispatch.machines)
    enter(dispatch, "c")
    assert (known, list(dispatch.machines)) == ([3, X86, ARM], [])


def test_twice(dispatch: Dispatch) -> None:
    """A worker that comes again has a new session; its jobs come back."""
    enter(dispatch, "a")
    dispatch.ask("a", 1, 0)
    job, _ = dispatch.submit(GCC, 0, 0)
    assert dispatch.welcome("A", hello(ord("a")), 1) == [Dismiss("a")]
    assert given(dispatch.ask("A", 1, 1)) == [("A", 1, job)]
    with pytest.raises(SessionOver):
        dispatch.ask("a", 1, 1)


def test_by_two_ways(dispatch: Dispatch) -> None:
    """A process that dials two addresses of a gateway is let in by one, and by the other when that is lost."""
    there = attrs.evolve(hello(1), way=1)
    dispatch.welcome("a", hello(1), 0)
    with pytest.raises(SessionOver, match="by another address"):
        dispatch.welcome("b", there, 0)
    assert (dispatch.workers, dispatch.cpus) == (1, 2)
    assert dispatch.welcome("c", hello(1), 1) == [Dismiss("a")], "by the same way, it comes again"
    dispatch.lose("c", 2)
    assert dispatch.welcome("b", there, 3) == []


def test_too_many(dispatch: Dispatch) -> None:
    """Sessions and places are bounded; a place that asks again is the same."""
    for number in range(MOST_SESSIONS):
        dispatch.welcome(f"s{number}", hello(number), 0)
    with pytest.raises(DecodeError):
        dispatch.welcome("one more", hello(MOST_SESSIONS), 0)
    for place in range(MOST_PLACES):
        dispatch.ask("s0", place, 0)
    assert dispatch.ask("s0", 0, 0) == []
    with pytest.raises(DecodeError):
        dispatch.ask("s0", MOST_PLACES, 0)


def test_stopped(dispatch: Dispatch) -> None:
    """All jobs and all sessions end."""
    enter(dispatch, "a")
    dispatch.ask("a", 1, 0)
    jobs = [dispatch.submit(GCC, 0, 0)[0] for _ in range(2)]
    told = dispatch.stop()
    assert [each.job for each in told if isinstance(each, SendHome)] == jobs
    assert told[0] == Dismiss("a")
    assert (dispatch.stop(), dispatch.workers, dispatch.waiting, dispatch.given) == ([], 0, 0, 0)
