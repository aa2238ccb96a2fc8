"""The pool of sandbox workers: it starts processes, sends each one request at a time, and kills them.

It does not know what a request means: :mod:`sccachedist.builders.worker_builder` does.
"""

from __future__ import annotations

import contextlib
import os
import signal
import sys
import uuid
from collections.abc import Callable, Coroutine, Mapping
from pathlib import Path
from typing import Any

import attrs
from twisted.internet.defer import Deferred, DeferredQueue, DeferredSemaphore
from twisted.internet.defer import TimeoutError as DeferredTimeout
from twisted.internet.error import ProcessExitedAlready
from twisted.internet.interfaces import IProcessTransport, IReactorProcess, IReactorTime
from twisted.internet.protocol import ProcessProtocol
from twisted.logger import LogLevel
from twisted.python.failure import Failure

import sccachedist
from sccachedist.builders.interface import BuildWatch, Unwatched
from sccachedist.builders.worker_protocol import (
    FRAME_LENGTH,
    REPLY,
    Done,
    Failed,
    Growing,
    Grown,
    Reply,
    Request,
    Size,
    Used,
    failed,
    raised,
    request_frame,
    unheard,
)
from sccachedist.daemon.logs import Logger
from sccachedist.errors import BuildError, DecodeError, LimitExceeded, SccachedistError
from sccachedist.outcomes import SentLocal
from sccachedist.waiters import Waiters
from sccachedist.wire.bincode import decode
from sccachedist.wire.usage import NO_USAGE

log = Logger()

_LAST_WORDS = 2000
_STOPPED = "the builder has stopped"
_LONGEST_ANSWER = 64 * 1024


#: Called with a function that writes to a worker, and with None when the worker no longer reads.
Reach = Callable[[Callable[[bytes], None] | None], None]


class IWorkerReactor(IReactorProcess, IReactorTime):
    """The parts of a reactor that the pool uses."""


@attrs.frozen
class Program:
    """The program of a sandbox worker.

    :param module: a module of this package that serves requests when it is run.
    :param environment: all of its environment variables, but for PYTHONPATH.
    :param names_runs: whether its first argument is a name that each pool makes up: what it makes outside of itself
        bears that name, so that what other pools have left is told from it, and is in no way.
    """

    module: str
    arguments: tuple[str, ...]
    environment: Mapping[str, str]
    names_runs: bool = False


class SandboxWorker(ProcessProtocol):
    """One worker process.

    :ivar gone: called when it has ended, for any reason.
    :ivar kind: of its last request that had a kind; the worker is ready for another of it. Empty before the first.
    """

    transport: IProcessTransport  # set as soon as the process is spawned

    def __init__(self, gone: Callable[[SandboxWorker], None]) -> None:
        self.gone = gone
        self.kind = ""
        self._answers: DeferredQueue[Done | Failed] = DeferredQueue()
        self._grown: Grown = unheard
        self._set_up = False
        self._received = b""
        self._last_words = b""
        self._end = Waiters()
        self._ended = False
        self._killed = False

    @property
    def is_set_up(self) -> bool:
        """Whether it has reported that it is ready, or that it cannot be."""
        return self._set_up or bool(self._answers.pending)

    async def ask(
        self, request: Request, reach: Reach | None = None, grown: Grown = unheard, used: Used = unheard
    ) -> Done:
        """Send a request as soon as the worker is set up; return its answer.

        :param reach: called with a function that writes to the worker meanwhile, and with None when it no longer reads.
        :param grown: called with the growing size of what the worker unpacks; an error that it raises ends the request.
        :param used: called with what the job took, also if it failed, if the request was to run one.
        :raises SccachedistError: the error that the worker reports, or :class:`BuildError` when it ends.
        """
        if not self._set_up:
            await self._answer()
            self._set_up = True
        self._grown = grown
        self.transport.write(request_frame(request))
        if reach is None:
            return await self._answer(used)
        reach(self.transport.write)
        try:
            return await self._answer(used)
        finally:
            reach(None)

    async def _answer(self, used: Used = unheard) -> Done:
        answer = await self._answers.get()
        if answer.usage != NO_USAGE:
            used(answer.usage)
        if isinstance(answer, Failed):
            raise raised(answer)
        return answer

    def kill(self) -> None:
        """Kill it and every process that it started, at once."""
        if self._ended:
            return
        self._killed = True
        if self._set_up:  # a worker that is set up leads a process group
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self.transport.pid, signal.SIGKILL)
        with contextlib.suppress(ProcessExitedAlready):
            self.transport.signalProcess("KILL")

    @property
    def was_killed(self) -> bool:
        """Whether it did not end by itself."""
        return self._killed

    async def ended(self) -> None:
        """Wait until the process is gone."""
        if not self._ended:
            await self._end.wait()

    def outReceived(self, data: bytes) -> None:
        """Take a piece of an answer, or several answers."""
        self._received += data
        try:
            while (answer := self._whole_answer()) is not None:
                if isinstance(answer, Growing):
                    self._grow(answer.size)
                else:
                    self._answers.put(answer)
        except DecodeError:
            log.error("a sandbox worker spoke out of turn")
            self.kill()

    def _grow(self, size: Size) -> None:
        try:
            self._grown(size)
        except SccachedistError as error:  # ask_at_once() kills the worker then
            self._grown = unheard
            self._answers.put(failed(error))

    def _whole_answer(self) -> Reply | None:
        if len(self._received) < FRAME_LENGTH.size:
            return None
        (size,) = FRAME_LENGTH.unpack_from(self._received)
        if size > _LONGEST_ANSWER:
            raise DecodeError("an answer of a sandbox worker is too long")
        end = FRAME_LENGTH.size + size
        if len(self._received) < end:
            return None
        data, self._received = self._received[FRAME_LENGTH.size : end], self._received[end:]
        return decode(REPLY, data)

    def errReceived(self, data: bytes) -> None:
        """Keep the end of its stderr, for the log."""
        self._last_words = (self._last_words + data)[-_LAST_WORDS:]

    def processEnded(self, reason: Failure) -> None:
        """Fail the request that is running, and wake every :meth:`ended`."""
        self._ended = True
        words = self._last_words.decode(errors="replace").strip()
        if not self._killed:
            log.emit(
                LogLevel.error if self._answers.waiting else LogLevel.warn if words else LogLevel.info,
                "a sandbox worker ended{lost}: {reason} {words}",
                lost=", and its job with it" if self._answers.waiting else "; another one takes its place",
                reason=reason.getErrorMessage(),
                words=words,
            )
        self.gone(self)
        self._answers.put(
            Failed(SentLocal.SANDBOX, f"a sandbox worker ended before its time {words.splitlines()[-1:]}")
        )
        self._end.wake()


_UNWATCHED = Unwatched()


class Workers:
    """A pool of workers: those that work, and at least one idle worker that is ready for the next request.

    :param most: how many may work at a time, those of :meth:`ask_at_once` not counted.
    :param ahead: whether an idle worker is started before there is a request for it.
    """

    def __init__(self, reactor: IWorkerReactor, program: Program, most: int, *, ahead: bool = True) -> None:
        self._reactor = reactor
        self._program = program
        self._ahead = ahead
        self._run = (uuid.uuid4().hex[:12],) if program.names_runs else ()
        self._turns = DeferredSemaphore(most)
        self._idle: list[SandboxWorker] = []
        self._busy: set[SandboxWorker] = set()
        self.stopped = False
        #: Workers that were started, and those that ended by themselves, since the start.
        self.started = self.died = 0

    def allow(self, more: int) -> None:
        """Let more work at a time."""
        for _ in range(more):
            self._turns.limit += 1
            self._turns.release()

    @property
    def counts(self) -> tuple[int, int]:
        """How many workers are idle, and how many are busy."""
        return len(self._idle), len(self._busy)

    async def ask(
        self, request: Request, seconds: float, kind: str = "", grown: Grown = unheard, watch: BuildWatch = _UNWATCHED
    ) -> Done:
        """Wait until fewer than ``most`` workers work, then do as :meth:`ask_at_once`.

        :param watch: is told when it is the request's turn, and what the job took.
        """
        async with self._turns:
            watch.begun()
            return await self.ask_at_once(request, seconds, kind=kind, grown=grown, used=watch.used)

    async def ask_at_once(
        self,
        request: Request,
        seconds: float,
        reach: Reach | None = None,
        *,
        kind: str = "",
        grown: Grown = unheard,
        used: Used = unheard,
    ) -> Done:
        """Have a worker serve a request now, no matter how many work.

        When this raises or was cancelled, the worker and every process that it started are gone.

        :param reach: see :meth:`SandboxWorker.ask`, also for ``grown``, ``used`` and the return value.
        :param kind: a worker whose last request was of this kind is preferred: it is ready for it.
        :raises LimitExceeded: it took longer than ``seconds``.
        :raises SccachedistError: the error that the worker reports.
        """
        if self.stopped:
            raise BuildError(SentLocal.SHUTDOWN, _STOPPED)
        worker = self._take(kind) if self._idle else self._spawn()
        worker.kind = kind or worker.kind
        self._busy.add(worker)
        try:
            if self._ahead and not self._idle:
                self._idle.append(self._spawn())
            done = await self._asked(worker.ask(request, reach, grown, used), seconds)
            self._idle.append(worker)
            return done
        except BaseException as error:
            worker.kill()
            await worker.ended()
            if self.stopped and isinstance(error, BuildError):
                raise BuildError(SentLocal.SHUTDOWN, _STOPPED) from error
            raise
        finally:
            self._busy.discard(worker)

    def hand_over(self, heir: Workers) -> None:
        """Give another pool an idle worker that has run no job, if there is one and that pool would start the same."""
        if (self._program, self._run) != (heir._program, heir._run):
            return
        for worker in self._idle:
            if not worker.kind:
                self._idle.remove(worker)
                worker.gone = heir._gone
                heir._idle.append(worker)
                return

    def _take(self, kind: str) -> SandboxWorker:
        """Prefer a worker that is set up, then one of this kind or of none yet, then the one that was idle longest."""
        best = max(self._idle, key=lambda worker: (worker.is_set_up, worker.kind in ("", kind)))
        self._idle.remove(best)
        return best

    async def _asked(self, asking: Coroutine[Deferred[Any], Any, Done], seconds: float) -> Done:
        try:
            return await Deferred.fromCoroutine(asking).addTimeout(seconds, self._reactor)
        except DeferredTimeout as error:
            raise LimitExceeded("job_secs", f"a job took more than {seconds} seconds") from error

    async def stop(self) -> None:
        """Kill all workers, for good; requests that run fail, and so does every later one."""
        self.stopped = True
        workers = [*self._idle, *self._busy]
        for worker in workers:
            worker.kill()
        for worker in workers:
            await worker.ended()

    def _spawn(self) -> SandboxWorker:
        worker, program = SandboxWorker(self._gone), self._program
        arguments = [sys.executable, "-P", "-m", program.module, *self._run, *program.arguments]
        environment = {**program.environment, "PYTHONPATH": str(Path(sccachedist.__file__).parent.parent)}
        try:
            self._reactor.spawnProcess(worker, sys.executable, arguments, environment)
        except OSError as error:
            raise BuildError(SentLocal.SANDBOX, f"cannot start a sandbox worker: {error.strerror}") from error
        self.started += 1
        return worker

    def _gone(self, worker: SandboxWorker) -> None:
        self.died += not worker.was_killed
        with contextlib.suppress(ValueError):
            self._idle.remove(worker)
