"""The lines that a scheduler logs about its build servers and jobs: an observer of its events."""

from collections.abc import Callable

from twisted.logger import LogLevel

from sccachedist.budgets import Party
from sccachedist.daemon.logs import Logger, QuietLog
from sccachedist.scheduler.events import (
    Departure,
    Event,
    Fault,
    JobAllocated,
    JobEnd,
    JobEnded,
    JobStarted,
    ServerAvoided,
    ServerDrained,
    ServerJoined,
    ServerLeft,
    ServerUnfit,
)

log = Logger()


class EventLog:
    """Logs events. What happens to each job is told at ``debug``.

    :param seconds: a monotonic clock.
    :param name_of: a client as records name it: beside the number of a job, no line tells more of it than they do.
    """

    def __init__(self, seconds: Callable[[], float], name_of: Callable[[Party | None], str | None]) -> None:
        self._quiet_log, self._name_of = QuietLog(seconds), name_of

    def __call__(self, event: Event) -> None:
        """Log an event, if there is a line for it."""
        match event:
            case JobAllocated(job_id=job_id, server_id=server_id, client=client):
                form = "job {job_id} of {client} assigned to {server}"
                log.debug(form, job_id=job_id, client=self._name_of(client) or "unknown", server=server_id)
            case JobStarted(job_id=job_id, server_id=server_id):
                log.debug("job {job_id} started on {server}", job_id=job_id, server=server_id)
            case JobEnded(how=JobEnd.EXPIRED, job_id=job_id, server_id=server_id, client=client):
                self._quiet_log.tell(
                    log,
                    LogLevel.warn,
                    "unclaimed",
                    "job {job_id} of {client} on {server} was not claimed",
                    by=str(self._name_of(client)),
                    why=str(server_id),
                    job_id=job_id,
                    client=self._name_of(client) or "unknown",
                    server=server_id,
                )
            case JobEnded(job_id=job_id, server_id=server_id, how=how):
                log.debug("job {job_id} on {server} is over: {how}", job_id=job_id, server=server_id, how=how.value)
            case ServerJoined(server_id=server_id, num_cpus=cpus):
                log.info("build server {server} with {cpus} CPUs", server=server_id, cpus=cpus)
            case ServerLeft(server_id=server_id, why=Departure.SILENT):
                form = "build server {server} is silent and dropped"
                self._quiet_log.tell(log, LogLevel.warn, "silent", form, by=str(server_id), server=server_id)
            case ServerLeft(server_id=server_id, why=Departure.GONE):
                log.info("build server {server} has gone", server=server_id)
            case ServerLeft(server_id=server_id, why=Departure.REVOKED):
                log.warn("build server {server} is revoked and dropped (server_auth.revoked)", server=server_id)
            case ServerAvoided(server_id=server_id, at=at, until=until, why=why):
                level = LogLevel.warn if why is Fault.SENDS_HOME else LogLevel.debug  # the refusal is told elsewhere
                form = "build server {server} is avoided for {secs:.0f} s: {why}"
                log.emit(level, form, server=server_id, secs=until - at, why=why.value)
            case ServerUnfit(server_id=server_id, why=""):
                log.info("build server {server} is fit for jobs again", server=server_id)
            case ServerUnfit(server_id=server_id, why=why):
                log.warn("build server {server} says that it is unfit for jobs: {why}", server=server_id, why=why)
            case ServerDrained(server_id=server_id, drained=False, by=None):
                log.info("the drain of build server {server} is over: it gets jobs again", server=server_id)
