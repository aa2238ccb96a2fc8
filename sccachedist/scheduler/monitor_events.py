"""What monitors of Icecream are shown of the scheduler's events: an observer that draws a picture. Pure.

The picture itself is :mod:`sccachedist.monitor.picture`. A build server tells the name of a file with the end of its
job. So a job that is over before its start was reported is shown with that name. Any other is shown from its start, by
its compiler, as far as that is known of earlier jobs with the same toolchain, and by the last digits of its number,
with which ``sccachedist job`` finds it.
"""

from collections.abc import Callable

from sccachedist.auth.clients import address_of
from sccachedist.budgets import Party
from sccachedist.config import RecordSettings
from sccachedist.errors import DecodeError
from sccachedist.job_phases import JobPhase
from sccachedist.monitor.messages import JobDone
from sccachedist.monitor.picture import Picture
from sccachedist.outcomes import SERVER_PHASES, Outcome, TimedPhase
from sccachedist.scheduler.events import (
    Event,
    JobAllocated,
    JobEnded,
    JobStarted,
    RequestRefused,
    ServerJoined,
    ServerLeft,
)
from sccachedist.scheduler.job_records import is_of_a_job, outcome_of
from sccachedist.scheduler.snapshot import JobView, ServerView
from sccachedist.wire.addresses import ServerId
from sccachedist.wire.job_summary import JobSummary, unpacked
from sccachedist.wire.messages import JobId

#: Toolchains whose compilers are remembered.
MOST_COMPILERS = 1000
#: Digits of a job's number that are shown.
_DIGITS = 6
_COMPILE = SERVER_PHASES.index(TimedPhase.COMPILE)
#: What is shown as ended even if its start was not reported: these were compiled, or tried.
_SHOWN = {Outcome.COMPILED, Outcome.COMPILE_ERROR, Outcome.SENT_LOCAL, Outcome.UNTOLD}
_GOOD = {Outcome.COMPILED, Outcome.UNTOLD}


class MonitorEvents:
    """Draws one picture.

    :param settings: returns whether names of files and addresses of clients may be shown.
    :param name_of: a client as records name it.
    :param began: seconds since 1970 when the clock of the events was 0.
    """

    def __init__(
        self, settings: Callable[[], RecordSettings], name_of: Callable[[Party | None], str | None], began: float
    ) -> None:
        self.picture = Picture()
        self._settings, self._name_of, self._began = settings, name_of, began
        self._allocated: dict[JobId, tuple[Party | None, str]] = {}
        self._compilers: dict[str, str] = {}

    def __call__(self, event: Event) -> None:
        """Show what is to be shown of an event."""
        match event:
            case JobAllocated(job_id=job_id, client=client, toolchain=toolchain):
                self._allocated[job_id] = client, toolchain
            case JobStarted(job_id=job_id, server_id=server_id, at=at):
                self._start(job_id, server_id, *self._allocated.get(job_id, (None, "")), at)
            case JobEnded():
                self._end(event)
            case RequestRefused(client=client, refusal=refusal, at=at) if "@" in client:  # else it is a stranger
                self.picture.local_job(*self._host(client), f"refused: {refusal.word}", self._began + at)
            case ServerJoined(server_id=server_id, num_cpus=cpus):
                self.picture.server_is(str(server_id), str(server_id.host), cpus, 0)
            case ServerLeft(server_id=server_id):
                self.picture.server_gone(str(server_id))

    def look_at_server(self, view: ServerView) -> None:
        """Show a build server as it is now."""
        server_id, host = view.server_id, view.host
        load = 1000 * view.taken // max(view.slots, 1)
        name = f"{host.name}:{server_id.port}" if host is not None and host.name else ""
        machine = None if host is None else host.machine_name
        self.picture.server_is(str(server_id), str(server_id.host), view.slots, load, name, machine)

    def look_at_job(self, view: JobView, now: float) -> None:
        """Show a job that began before it was watched.

        :param now: the time, by the clock of the events.
        """
        if view.phase is JobPhase.STARTED:
            at = now - view.began[JobPhase.STARTED]
            self._start(view.job_id, view.server_id, view.client, view.toolchain, at)
        else:
            self._allocated.setdefault(view.job_id, (view.client, view.toolchain))

    def _start(
        self, job_id: JobId, server_id: ServerId, client: Party | None, toolchain: str, at: float, output: str = ""
    ) -> None:
        compiler = self._compilers.get(toolchain, "job")
        name = output or f"{compiler} {str(job_id)[-_DIGITS:]}"
        host = self._host(client)
        self.picture.job_begins(job_id, name, int("++" in compiler), *host, str(server_id), self._began + at)

    def _end(self, event: JobEnded) -> None:
        self._allocated.pop(event.job_id, None)
        if not is_of_a_job(event):
            return
        outcome, _ = outcome_of(event)
        try:
            summary = unpacked(event.summary) if event.summary else None
        except DecodeError:  # perhaps of a later release
            summary = None
        if summary is not None:
            self._learn(event.toolchain, summary.compiler)
        at = event.began.get(JobPhase.STARTED, event.at)
        if outcome in _SHOWN:
            output = summary.output if summary is not None and self._settings().names else ""
            self._start(event.job_id, event.server_id, event.client, event.toolchain, at, output)
        status = int(outcome not in _GOOD)
        if summary is None:
            self.picture.job_ends(event.job_id, lambda job: JobDone(job, status, int(1000 * (event.at - at))))
        else:
            self.picture.job_ends(event.job_id, lambda job: _done(job, status, summary))

    def _learn(self, toolchain: str, compiler: str) -> None:
        if toolchain and compiler and self._compilers.get(toolchain) != compiler:
            self._compilers[toolchain] = compiler
            if len(self._compilers) > MOST_COMPILERS:
                del self._compilers[next(iter(self._compilers))]

    def _host(self, client: Party | None) -> tuple[str, str]:
        """The name of a client, and its address if that may be shown."""
        name = self._name_of(client) or "unknown"
        return name, address_of(client) if client is not None and self._settings().addresses else ""


def _done(job: int, status: int, summary: JobSummary) -> JobDone:
    return JobDone(
        job,
        exit_status=(summary.exit_code or status) if status else 0,
        real_ms=summary.phases_us[_COMPILE] // 1000,
        user_ms=summary.cpu_user_us // 1000,
        system_ms=summary.cpu_system_us // 1000,
        in_packed=summary.input_bytes,
        in_unpacked=summary.input_bytes,
        out_packed=summary.output_bytes,
        out_unpacked=summary.output_bytes,
    )
