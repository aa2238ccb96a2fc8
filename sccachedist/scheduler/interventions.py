"""What administrators change at build servers and jobs, by hand.

Pure: the time is an argument; each call that changes something returns the events that it caused. What the words of an
administrator mean is decided in :mod:`sccachedist.scheduler.farm_actions`. Orders for build servers are not sent from
here: they wait for the next heartbeat, and are repeated with each one until they are carried out.
"""

from collections.abc import Callable, Iterable

from sccachedist.scheduler.build_server import BuildServer
from sccachedist.scheduler.events import Departure, Events, Observer, ServerDrained
from sccachedist.scheduler.fleet import Fleet
from sccachedist.scheduler.jobs import Job, Jobs
from sccachedist.scheduler.out_of_service import Drain, OutOfService, Pause
from sccachedist.scheduler.slots import Slots
from sccachedist.wire.addresses import ServerId
from sccachedist.wire.extension import MOST_FORGOTTEN, MOST_KILLED, Orders
from sccachedist.wire.messages import JobId

#: For how many seconds a build server is told to forget a toolchain: it does so when no job uses it.
FORGET_SECS = 600.0


class Interventions:
    """Reads and changes what the core has.

    :param tell: called with what happens; ``caused`` returns and forgets all that it was called with.
    """

    def __init__(self, fleet: Fleet, jobs: Jobs, slots: Slots, tell: Observer, caused: Callable[[], Events]) -> None:
        self._fleet, self._jobs, self._slots, self._tell, self._caused = fleet, jobs, slots, tell, caused

    @property
    def out_of_service(self) -> OutOfService:
        """What is out of service already."""
        return self._fleet.out_of_service

    def servers(self) -> Iterable[BuildServer]:
        """All build servers that live."""
        return self._fleet.servers()

    def server(self, server_id: ServerId) -> BuildServer | None:
        """The one at an address, if it lives."""
        return self._fleet.get(server_id)

    def jobs(self) -> Iterable[tuple[JobId, Job]]:
        """All jobs that are not over."""
        return self._jobs.items()

    def job(self, job_id: JobId) -> Job:
        """One of them."""
        return self._jobs[job_id]

    def toolchains(self) -> Iterable[str]:
        """The toolchains that are known to be somewhere."""
        return self._fleet.toolchains()

    def drain(self, server_id: ServerId, drain: Drain | None, now: float, by: str | None = None) -> Events:
        """Give the build server at an address no more jobs, also if it comes later; with None, jobs again.

        :param by: who ends a drain; None if its time is over.
        """
        self._fleet.drain(server_id, drain)
        is_here, who = self._fleet.get(server_id) is not None, by if drain is None else drain.by
        reason = "" if drain is None else drain.reason
        self._tell(ServerDrained(now, server_id, drain is not None, is_here, who, reason))
        return self._caused()

    def renew_drains(self) -> None:
        """Let the build servers that live go by the drains that have been recalled."""
        self._fleet.renew_drains()

    def pause(self, pause: Pause | None) -> Events:
        """Give no request a slot; with None, give some again."""
        self.out_of_service.set_pause(pause)
        return self._caused()

    def forgive(self, server_id: ServerId, now: float) -> Events:
        """Let a build server get jobs like any other, if it is avoided."""
        if (server := self._fleet.get(server_id)) is not None:
            self._fleet.forgive(server, now)
        return self._caused()

    def forget_server(self, server_id: ServerId, now: float) -> Events:
        """Drop a build server with its jobs, as if it had been silent for too long."""
        if self._fleet.get(server_id) is not None:
            self._slots.drop_server(server_id, Departure.FORGOTTEN, now)
        return self._caused()

    def revoke(self, is_revoked: Callable[[ServerId], bool], now: float) -> Events:
        """Drop the build servers that are let in no longer, with their jobs."""
        for server_id in [server.server_id for server in self.servers() if is_revoked(server.server_id)]:
            self._slots.drop_server(server_id, Departure.REVOKED, now)
        return self._caused()

    def kill(self, job_id: JobId) -> Events:
        """Tell the build server of a job to end it."""
        if (job := self._jobs.get(job_id)) is not None:
            job.unwanted = True
        return self._caused()

    def forget_toolchain(self, server_id: ServerId, toolchain: str, now: float) -> Events:
        """Tell a build server to remove a toolchain."""
        if (server := self._fleet.get(server_id)) is not None:
            server.unwanted[toolchain] = now + FORGET_SECS
        return self._caused()

    def orders(self, server_id: ServerId, now: float) -> Orders | None:
        """What our build server is told to do; None for nothing."""
        if (server := self._fleet.get(server_id)) is None:
            return None
        kill = [job_id for job_id in server.jobs if self._jobs[job_id].unwanted]
        if server.unwanted:
            wanted = {key: until for key, until in server.unwanted.items() if until > now and key in server.toolchains}
            server.unwanted = wanted
        if not kill and not server.unwanted:
            return None
        return Orders(tuple(kill[:MOST_KILLED]), tuple(server.unwanted)[:MOST_FORGOTTEN])
