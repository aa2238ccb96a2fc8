"""Sandbox workers as the reactor sees them, without processes and in simulated time."""

from collections.abc import Callable

import attrs
from twisted.internet.defer import CancelledError, Deferred
from twisted.logger import LogLevel, capturedLogs
from twisted.trial.unittest import SynchronousTestCase

from sccachedist.builders.worker_pool import Workers
from sccachedist.builders.worker_protocol import (
    REPLY,
    REQUEST,
    Done,
    RemoveAll,
    RemoveSandbox,
    failed,
    frame,
)
from sccachedist.errors import BuildError, LimitExceeded, ToolchainError
from sccachedist.wire.bincode import encode
from tests.builders.worker_host import PROGRAM, Process, Reactor


class WorkersTests(SynchronousTestCase):
    """Asking, failing, and being told to stop."""

    def setUp(self) -> None:
        self.reactor = Reactor()
        self.asked: list[Deferred[Done]] = []
        self.workers = Workers(self.reactor, PROGRAM, 2)  # type: ignore[arg-type]

    def tearDown(self) -> None:
        stopped = Deferred.fromCoroutine(self.workers.stop())
        for process in self.reactor.processes:
            process.end()
        self.successResultOf(stopped)
        for asked in self.asked:
            asked.addErrback(lambda failure: Done())

    def ask(self, kind: str = "") -> Deferred[Done]:
        asked = Deferred.fromCoroutine(self.workers.ask(RemoveAll(), 10, kind))
        self.asked.append(asked)
        return asked

    def test_a_worker_is_asked_when_it_is_ready(self) -> None:
        """Nothing is written before it says so, nothing is done before it answers, and it is asked again."""
        asked = self.ask()
        process = self.reactor.processes[0]
        assert process.value() == b""
        process.answers(Done())
        assert process.value() == frame(encode(REQUEST, RemoveAll()))
        self.assertNoResult(asked)
        process.answers(Done())
        self.successResultOf(asked)
        self.assertNoResult(self.ask())
        assert len(process.value()) == 2 * len(frame(encode(REQUEST, RemoveAll())))

    def test_who_is_handed_over(self) -> None:
        """One that has run no job, if there is one; it is the other pool's from then on."""
        for kind, idle in (("a job", 0), ("", 1)):
            ours, theirs = (Workers(self.reactor, PROGRAM, 1, ahead=False) for _ in range(2))  # type: ignore[arg-type]
            asked = Deferred.fromCoroutine(ours.ask(RemoveAll(), 10, kind))
            self.reactor.processes[-1].answers(Done(), Done())
            self.successResultOf(asked)
            ours.hand_over(theirs)
            assert (ours.counts, theirs.counts) == ((1 - idle, 0), (idle, 0))
            self.reactor.processes[-1].end()
            assert (ours.counts, theirs.counts) == ((0, 0), (0, 0))
            assert (ours.died, theirs.died) == (1 - idle, idle)

    def test_who_is_not_handed_over(self) -> None:
        """One of another program, and one that would take what its pool has made for what others may still use."""
        naming = attrs.evolve(PROGRAM, names_runs=True)
        for mine, its in ((PROGRAM, attrs.evolve(PROGRAM, arguments=())), (naming, naming)):
            ours, theirs = (Workers(self.reactor, each, 1, ahead=False) for each in (mine, its))  # type: ignore[arg-type]
            asked = Deferred.fromCoroutine(ours.ask(RemoveAll(), 10))
            self.reactor.processes[-1].answers(Done(), Done())
            self.successResultOf(asked)
            ours.hand_over(theirs)
            assert (ours.counts, theirs.counts) == ((1, 0), (0, 0))

    def asked_for(self, kind: str) -> int:
        """Which of the processes is asked for something of a kind, and does it."""
        before = [len(process.value()) for process in self.reactor.processes]
        asked = self.ask(kind)
        (which,) = (
            number
            for number, process in enumerate(self.reactor.processes)
            if number == len(before) or len(process.value()) > before[number]
        )
        self.reactor.processes[which].answers(Done())
        self.successResultOf(asked)
        return which

    def test_who_is_ready_for_it(self) -> None:
        """A worker that is set up, for the same kind if possible; those by turns."""
        first = self.ask("gcc")
        self.reactor.processes[0].answers(Done(), Done())
        self.successResultOf(first)
        assert [self.asked_for("gcc"), self.asked_for("clang")] == [0, 0]  # the other one is not set up yet
        self.reactor.processes[1].answers(Done())
        assert [self.asked_for(kind) for kind in ("gcc", "clang", "gcc", "clang", "", "rustc")] == [1, 0, 1, 0, 1, 0]
        assert [self.asked_for(kind) for kind in ("gcc", "gcc", "rustc")] == [1, 1, 0]

    def test_an_answer_in_pieces(self) -> None:
        """Pipes do not keep frames together."""
        asked = self.ask()
        for byte in frame(encode(REPLY, Done())) * 2:
            self.assertNoResult(asked)
            self.reactor.processes[0].worker.outReceived(bytes([byte]))
        self.successResultOf(asked)

    def test_the_program_of_a_worker(self) -> None:
        """It gets its arguments, and nothing of the daemon's environment."""
        self.assertNoResult(self.ask())
        process = self.reactor.processes[0]
        assert process.arguments[1:] == ["-P", "-m", "a.module", "an argument"]
        assert sorted(process.environment) == ["PATH", "PYTHONPATH"]

    def test_a_pool_with_a_name(self) -> None:
        """All workers of a pool get the same one, those of another pool another one."""
        program = attrs.evolve(PROGRAM, names_runs=True)
        names = set()
        for _ in range(2):
            reactor = Reactor()
            workers = Workers(reactor, program, 2)  # type: ignore[arg-type]
            asked = Deferred.fromCoroutine(workers.ask(RemoveAll(), 10))
            (name,) = {process.arguments[4] for process in reactor.processes}
            assert [process.arguments[5:] for process in reactor.processes] == [["an argument"]] * 2
            names.add(name)
            stopped = Deferred.fromCoroutine(workers.stop())
            for process in reactor.processes:
                process.end()
            self.successResultOf(stopped)
            self.failureResultOf(asked, BuildError)
        assert len(names) == 2

    def test_one_is_started_ahead_and_no_more_than_allowed_work(self) -> None:
        """Two may work, one waits for work; who comes third waits for a turn."""
        first, second, third = self.ask(), self.ask(), self.ask()
        assert len(self.reactor.processes) == 3
        self.reactor.processes[0].answers(Done(), Done())
        self.successResultOf(first)
        self.assertNoResult(second)
        self.assertNoResult(third)

    def test_what_cannot_wait(self) -> None:
        """It is done although as many as may work do."""
        self.assertNoResult(self.ask())
        self.assertNoResult(self.ask())
        urgent = Deferred.fromCoroutine(self.workers.ask_at_once(RemoveSandbox("s"), 10))
        self.reactor.processes[2].answers(Done(), Done())
        self.successResultOf(urgent)

    def fails(self, how: Callable[[Process, Deferred[Done]], object], kind: type[Exception]) -> None:
        asked = self.ask()
        process = self.reactor.processes[0]
        process.answers(Done())
        how(process, asked)
        assert process.killed
        self.assertNoResult(asked)  # it still dies
        process.end()
        self.failureResultOf(asked, kind)

    def ended(self, words: bytes = b"") -> list[LogLevel]:
        """The levels of what is logged when the first process ends by itself."""
        process = self.reactor.processes[0]
        process.worker.errReceived(words)
        with capturedLogs() as events:
            process.end()
        return [event["log_level"] for event in events]

    def test_a_worker_that_ends_with_its_job(self) -> None:
        """That is an error."""
        asked = self.ask()
        assert self.ended() == [LogLevel.error]
        self.failureResultOf(asked, BuildError)

    def test_a_worker_that_another_one_replaces(self) -> None:
        """No job is lost by that, so it is no error; what the worker said may be worth a look."""
        for words, level in ((b"", LogLevel.info), (b"Traceback", LogLevel.warn)):
            self.setUp()
            asked = self.ask()
            self.reactor.processes[0].answers(Done(), Done())
            self.successResultOf(asked)
            assert self.ended(words) == [level]

    def test_cancelling_kills(self) -> None:
        """And is over when the process is gone."""
        self.fails(lambda process, asked: asked.cancel(), CancelledError)

    def test_time_runs_out(self) -> None:
        """A job has only so long."""
        self.fails(lambda process, asked: self.reactor.advance(10), LimitExceeded)

    def test_a_failure_kills(self) -> None:
        """A worker that failed is not used again."""
        self.fails(lambda process, asked: process.answers(failed(ToolchainError("x"))), ToolchainError)

    def test_nonsense_kills(self) -> None:
        """A worker that was taken over by what it unpacked gets no further."""
        self.fails(lambda process, asked: process.worker.outReceived(b"\xff" * 8), BuildError)

    def test_a_worker_that_dies(self) -> None:
        """Its last words are in the error and in the log."""
        asked = self.ask()
        self.reactor.processes[0].worker.errReceived(b"Traceback\nMemoryError: out")
        self.reactor.processes[0].end()
        assert "MemoryError: out" in str(self.failureResultOf(asked, BuildError).value)

    def test_a_worker_that_dies_idle_is_forgotten(self) -> None:
        """Nobody is sent to it."""
        asked = self.ask()
        self.reactor.processes[1].end()
        self.reactor.processes[0].answers(Done(), Done())
        self.successResultOf(asked)
        self.reactor.processes[0].end()
        self.assertNoResult(self.ask())
        assert len(self.reactor.processes) == 4

    def test_stopping(self) -> None:
        """Workers are killed, jobs fail, waiting ones too, and it is over when all are gone."""
        asked, _, waiting = self.ask(), self.ask(), self.ask()
        stopped = Deferred.fromCoroutine(self.workers.stop())
        assert all(process.killed for process in self.reactor.processes)
        for process in self.reactor.processes:
            self.assertNoResult(stopped)
            process.end()
        self.successResultOf(stopped)
        self.failureResultOf(asked, BuildError)
        self.failureResultOf(waiting, BuildError)

    def test_a_worker_that_cannot_be_started(self) -> None:
        """No process, no result; the next one is tried again."""

        def no_process(*args: object) -> None:
            raise BlockingIOError(11, "Resource temporarily unavailable")

        self.reactor.spawnProcess = no_process  # type: ignore[method-assign, assignment]
        self.failureResultOf(self.ask(), BuildError)
