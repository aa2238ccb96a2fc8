"""What a build server knows of one job while it lasts, and the summary that is made of it at its end.

Pure: times are arguments, but for a clock that a builder's calls make it look at. When a job begins and ends is not
known here: :mod:`sccachedist.server.job_runner` says so.
"""

import heapq
from collections.abc import Callable

import attrs

from sccachedist.budgets import Hold
from sccachedist.errors import SccachedistError
from sccachedist.outcomes import SERVER_PHASES, Outcome, SentLocal, TimedPhase
from sccachedist.wire.job_summary import JobSummary
from sccachedist.wire.messages import RunJobRequest
from sccachedist.wire.usage import NO_EXIT, NO_USAGE, Usage

#: The places of the phases in :attr:`JobSummary.phases_us`.
_PLACES = {phase: place for place, phase in enumerate(SERVER_PHASES)}
TOOLCHAIN_UPLOAD, TOOLCHAIN_WAIT = _PLACES[TimedPhase.TOOLCHAIN_UPLOAD], _PLACES[TimedPhase.TOOLCHAIN_WAIT]
INPUTS_RECEIVE, WORKER_WAIT, ANSWER = (
    _PLACES[phase] for phase in (TimedPhase.INPUTS_RECEIVE, TimedPhase.WORKER_WAIT, TimedPhase.ANSWER)
)
_TOOLCHAIN_UNPACK, _COMPILE = _PLACES[TimedPhase.TOOLCHAIN_UNPACK], _PLACES[TimedPhase.COMPILE]
_SANDBOX, _OUTPUTS = _PLACES[TimedPhase.SANDBOX], _PLACES[TimedPhase.OUTPUTS]
#: The time with the client between two requests, which is in no phase of a build server.
_ELSEWHERE = len(SERVER_PHASES)


@attrs.frozen
class Ending:
    """What became of a job; the fields are those of a :class:`~sccachedist.wire.job_summary.JobSummary`."""

    outcome: Outcome
    reason: SentLocal | None = None
    kind: str = ""
    detail: str = ""


#: The client has its result. Whether the compiler was content, the job's own exit status says.
ANSWERED = Ending(Outcome.COMPILED)
UNCLAIMED = Ending(Outcome.UNCLAIMED)
CLIENT_GONE = Ending(Outcome.SENT_LOCAL, SentLocal.CLIENT_GONE)
SHUTDOWN = Ending(Outcome.SENT_LOCAL, SentLocal.SHUTDOWN)


def sent_local(error: BaseException) -> Ending:
    """What becomes of a job that ends with an error: the error knows, or was not foreseen.

    The text of one that was not foreseen is left out: it may hold anything.
    """
    if isinstance(error, SccachedistError) and error.sent_local is not None:
        return Ending(Outcome.SENT_LOCAL, error.sent_local, error.kind, str(error))
    return Ending(Outcome.SENT_LOCAL, SentLocal.INCIDENT, "", type(error).__name__)


@attrs.define
class JobCourse:
    """One job, from its client's first request on. A :class:`~sccachedist.builders.interface.BuildWatch`.

    :param client: its address.
    :param slot: the smallest number that no other running job has; None before it is claimed.
    :param holds: what the job's client is charged for, in memory and on the disk.
    :param killed: why it is to end, for a reason that is not its own; ``stop`` ends what is done for it now.
    """

    client: str
    _seconds: Callable[[], float]
    slot: int | None = None
    holds: tuple[Hold, Hold] | None = None
    output: str = ""
    compiler: str = ""
    uploaded_bytes: int = 0
    input_bytes: int = 0
    output_bytes: int = 0
    killed: SccachedistError | None = None
    stop: Callable[[], None] | None = None
    _usage: Usage = NO_USAGE
    _toolchain_us: int = 0
    _phase: int = _ELSEWHERE
    _since: float = 0.0
    _times: list[float] = attrs.field(factory=lambda: [0.0] * (_ELSEWHERE + 1))

    def begin(self, phase: int, now: float) -> None:
        """End the phase so far, and begin another one."""
        self._times[self._phase] += now - self._since
        self._phase, self._since = phase, now

    def pause(self, now: float) -> None:
        """End the phase so far: the job waits for its client."""
        self.begin(_ELSEWHERE, now)

    def kill(self, reason: SccachedistError) -> None:
        """End it, now or as soon as it would run."""
        self.killed = reason
        if self.stop is not None:
            self.stop()

    def know(self, request: RunJobRequest) -> None:
        """Note what is compiled. Only names are kept."""
        self.compiler = request.command.executable.rpartition("/")[2]
        self.output = request.outputs[0] if request.outputs else ""

    def unpacked(self) -> None:
        """The wait for the toolchain is over: the time since the builder has the job was for that."""
        self._phase = _TOOLCHAIN_UNPACK
        self.begin(WORKER_WAIT, self._seconds())

    def begun(self) -> None:
        """A worker has the job."""
        self.begin(_COMPILE, self._seconds())

    def used(self, usage: Usage, toolchain_ns: int = 0) -> None:
        """Note what the job took."""
        self._usage, self._toolchain_us = usage, toolchain_ns // 1000

    def summary(self, ending: Ending, now: float) -> JobSummary:
        """What the scheduler and all observers are told.

        What a worker took beside the phases that it has timed, such as its start, belongs to the wait for it. Of a job
        that was killed no phases are known: then it was compiling.
        """
        self.pause(now)
        usage, times = self._usage, [int(1e6 * part) for part in self._times[:_ELSEWHERE]]
        if usage is not NO_USAGE:
            told = usage.sandbox_ns, usage.unpack_ns, usage.run_ns, usage.collect_ns
            beside = max(0, times[_COMPILE] - sum(told) // 1000)
            toolchain = min(self._toolchain_us, beside)
            times[_TOOLCHAIN_UNPACK] += toolchain
            times[WORKER_WAIT] += beside - toolchain
            times[_SANDBOX : _OUTPUTS + 1] = [part // 1000 for part in told]
        exit_code = None if usage.exit_code == NO_EXIT else usage.exit_code
        return JobSummary(
            Outcome.COMPILE_ERROR if ending is ANSWERED and exit_code else ending.outcome,
            ending.reason,
            ending.kind,
            exit_code,
            self.slot or 0,
            usage.prewarmed,
            tuple(times),
            usage.cpu_user_ns // 1000,
            usage.cpu_system_ns // 1000,
            usage.peak_memory_bytes,
            self.input_bytes,
            self.output_bytes,
            self.uploaded_bytes,
            self.output,
            self.compiler,
            ending.detail,
        )


@attrs.define
class SlotNumbers:
    """Numbers for running jobs."""

    _free: list[int] = attrs.field(factory=list)
    _most: int = 0

    def take(self) -> int:
        """Return the smallest number, from 0, that is not taken."""
        if self._free:
            return heapq.heappop(self._free)
        self._most += 1
        return self._most - 1

    def give_back(self, number: int) -> None:
        """Note that a number is free again."""
        heapq.heappush(self._free, number)
