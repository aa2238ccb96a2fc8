"""What is known of one job, by numbers."""

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sccachedist.errors import (
    BuildError,
    CompileFailed,
    DecodeError,
    DiskError,
    DiskFull,
    LimitExceeded,
    NoPlace,
    StaleToken,
    StaysHome,
    ToolchainError,
    UnknownJob,
)
from sccachedist.outcomes import SERVER_PHASES, Outcome, SentLocal, Suspicion, TimedPhase
from sccachedist.server.job_course import (
    ANSWER,
    ANSWERED,
    INPUTS_RECEIVE,
    TOOLCHAIN_UPLOAD,
    TOOLCHAIN_WAIT,
    UNCLAIMED,
    WORKER_WAIT,
    Ending,
    JobCourse,
    SlotNumbers,
    sent_local,
)
from sccachedist.wire.messages import CompileCommand, RunJobRequest
from sccachedist.wire.usage import Usage

LOCAL = Outcome.SENT_LOCAL
TOOK = Usage(sandbox_ns=1_000_000, unpack_ns=2_000_000, run_ns=3_000_000_000, collect_ns=4_000_000, exit_code=0)


@attrs.define
class Watch:
    """A clock that a test sets."""

    now: float = 0.0

    def seconds(self) -> float:
        return self.now


@pytest.mark.parametrize(
    ("error", "reason", "kind"),
    [
        (CompileFailed(Suspicion.NO_MEMORY, "text"), SentLocal.SUSPICIOUS, "no_memory"),
        (CompileFailed(Suspicion.VERIFY, "text"), SentLocal.SUSPICIOUS, "verify"),
        (StaysHome("text"), SentLocal.OPTIONS, ""),
        (BuildError(SentLocal.SIGNAL, "text"), SentLocal.SIGNAL, ""),
        (BuildError(SentLocal.NO_OUTPUT, "text"), SentLocal.NO_OUTPUT, ""),
        (ToolchainError("text"), SentLocal.TOOLCHAIN, ""),
        (DecodeError("text"), SentLocal.INPUTS, ""),
        (BuildError(SentLocal.SANDBOX, "text"), SentLocal.SANDBOX, ""),
        (DiskError("text"), SentLocal.DISK, ""),
        (DiskFull("text"), SentLocal.DISK, "full"),
        (NoPlace("text"), SentLocal.NO_PLACE, ""),
        (StaleToken("text"), SentLocal.STALE_TOKEN, ""),
        (UnknownJob("text"), SentLocal.UNKNOWN_JOB, ""),
        (BuildError(SentLocal.SHUTDOWN, "text"), SentLocal.SHUTDOWN, ""),
        (BuildError(SentLocal.NOT_EXECUTED, "text"), SentLocal.NOT_EXECUTED, ""),
    ],
)
def test_an_error_says_what_becomes_of_its_job(error: Exception, reason: SentLocal, kind: str) -> None:
    """The reason, a word more, and what the client is told."""
    assert sent_local(error) == Ending(LOCAL, reason, kind, "text")


def test_a_limit_is_named() -> None:
    """By its key, which is what an administrator raises."""
    ending = sent_local(LimitExceeded("job_secs", "too long"))
    assert ending == Ending(LOCAL, SentLocal.LIMIT, "job_secs", "too long (limit: job_secs)")


def test_what_was_not_foreseen() -> None:
    """Its text may hold anything, so it is left out."""
    assert sent_local(KeyError("a secret")) == Ending(LOCAL, SentLocal.INCIDENT, "", "KeyError")


def microseconds(course: JobCourse, now: float) -> dict[TimedPhase, int]:
    told = course.summary(ANSWERED, now).phases_us
    return {phase: us for phase, us in zip(SERVER_PHASES, told, strict=True) if us}


def test_phases_of_a_whole_job() -> None:
    """They follow one another, without the time with the client, and together they are the job's time."""
    watch = Watch()
    course = JobCourse("10.0.0.1", watch.seconds)
    course.begin(TOOLCHAIN_UPLOAD, 100.0)
    course.pause(101.0)
    course.begin(INPUTS_RECEIVE, 200.0)
    course.begin(TOOLCHAIN_WAIT, 200.25)
    course.begin(WORKER_WAIT, 200.5)
    watch.now = 202.5
    course.unpacked()
    watch.now = 203.0
    course.begun()
    course.used(TOOK)
    course.begin(ANSWER, 206.25)
    assert microseconds(course, 206.5) == {
        TimedPhase.TOOLCHAIN_UPLOAD: 1_000_000,
        TimedPhase.TOOLCHAIN_WAIT: 250_000,
        TimedPhase.TOOLCHAIN_UNPACK: 2_000_000,
        TimedPhase.INPUTS_RECEIVE: 250_000,
        TimedPhase.WORKER_WAIT: 500_000 + 250_000 - 7_000,
        TimedPhase.SANDBOX: 1000,
        TimedPhase.INPUTS_UNPACK: 2000,
        TimedPhase.COMPILE: 3_000_000,
        TimedPhase.OUTPUTS: 4000,
        TimedPhase.ANSWER: 250_000,
    }


def test_a_job_that_was_killed() -> None:
    """Its worker says nothing: since it had the job, it was compiling."""
    watch = Watch(1.0)
    course = JobCourse("10.0.0.1", watch.seconds)
    course.begin(WORKER_WAIT, 0.5)
    course.begun()
    summary = course.summary(sent_local(LimitExceeded("job_secs", "slow")), 4.0)
    told = dict(zip(SERVER_PHASES, summary.phases_us, strict=True))
    assert (told[TimedPhase.WORKER_WAIT], told[TimedPhase.COMPILE]) == (500_000, 3_000_000)
    assert summary.exit_code is None


@pytest.mark.parametrize(
    ("told_ns", "unpacking", "waiting"), [(1_000_000_000, 1_000_000, 493_000), (2**64, 1_493_000, 0)]
)
def test_a_toolchain_that_was_got_ready_elsewhere(told_ns: int, unpacking: int, waiting: int) -> None:
    """A gateway's worker fetches and unpacks it when it has the job; no more of that is believed than there was."""
    watch = Watch(1.0)
    course = JobCourse("10.0.0.1", watch.seconds)
    course.begun()
    course.used(TOOK, told_ns)
    phases = microseconds(course, 1.0 + 4.5)
    assert (phases[TimedPhase.TOOLCHAIN_UNPACK], phases.get(TimedPhase.WORKER_WAIT, 0)) == (unpacking, waiting)


def test_clocks_that_differ() -> None:
    """A worker that has measured more than the daemon makes no phase negative."""
    course = JobCourse("10.0.0.1", Watch().seconds)
    course.begun()
    course.used(TOOK)
    assert microseconds(course, 1.0).get(TimedPhase.WORKER_WAIT, 0) == 0


@pytest.mark.parametrize(("exit_code", "outcome"), [(0, Outcome.COMPILED), (1, Outcome.COMPILE_ERROR)])
def test_whether_the_compiler_was_content(exit_code: int, outcome: Outcome) -> None:
    """Its own exit status says so."""
    course = JobCourse("10.0.0.1", Watch().seconds)
    course.used(attrs.evolve(TOOK, exit_code=exit_code))
    summary = course.summary(ANSWERED, 0.0)
    assert (summary.outcome, summary.reason, summary.exit_code) == (outcome, None, exit_code)


def test_a_client_that_did_not_come() -> None:
    """Nothing is known of its job but what it has uploaded."""
    course = JobCourse("10.0.0.1", Watch().seconds)
    course.uploaded_bytes = 10
    summary = course.summary(UNCLAIMED, 5.0)
    assert (summary.outcome, summary.uploaded_bytes, sum(summary.phases_us)) == (Outcome.UNCLAIMED, 10, 0)


@pytest.mark.parametrize(
    ("executable", "outputs", "compiler", "output"),
    [
        ("/usr/bin/gcc", ("a.o", "a.d"), "gcc", "a.o"),
        ("cc", (), "cc", ""),
        ("/", ("/x/\x1b[2J\u202e.o",), "", "/x/\x1b[2J\u202e.o"),
    ],
)
def test_names(executable: str, outputs: tuple[str, ...], compiler: str, output: str) -> None:
    """The first declared output as the client named it, and the file name of the executable."""
    course = JobCourse("10.0.0.1", Watch().seconds)
    course.know(RunJobRequest(CompileCommand(executable, (), (), "/"), outputs))
    summary = course.summary(ANSWERED, 0.0)
    assert (summary.compiler, summary.output) == (compiler, output)


@given(st.lists(st.booleans()))
def test_slots_have_the_smallest_free_numbers(comes: list[bool]) -> None:
    """So there are no more numbers than jobs that ran at a time."""
    slots, taken = SlotNumbers(), list[int]()
    for one_more in comes:
        if one_more:
            number = slots.take()
            assert number == min(set(range(len(taken) + 1)) - set(taken))
            taken.append(number)
        elif taken:
            slots.give_back(taken.pop(len(taken) // 2))
