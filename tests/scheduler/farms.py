"""Build servers and jobs in a scheduler core, for its tests."""

from contextlib import suppress

import attrs

from sccachedist.errors import NoCapacity
from sccachedist.job_phases import JobPhase
from sccachedist.scheduler.core import Reservation, SchedulerCore
from sccachedist.scheduler.events import Events, JobEnded, ServerLeft
from sccachedist.wire.addresses import ServerId
from sccachedist.wire.extension import Availability, JobStates, ServerReport, Summaries
from sccachedist.wire.messages import AssignJobResult, Heartbeat, JobId, JobState

A, B, C = SERVERS = tuple(ServerId.parse(f"127.0.0.{host}:10501") for host in (1, 2, 3))
FIRST_JOB = JobId(7)
GCC, CLANG = "0c" * 32, "c1" * 32
#: More jobs than any farm of the tests has room for.
MANY = 1000


def heartbeat(
    cpus: int = 2, nonce: int = 1, certificate: bytes = b"certificate", job_key: bytes = b"job key"
) -> Heartbeat:
    return Heartbeat(job_key, cpus, nonce, b"digest of " + certificate, certificate)


def assigned(state: JobState = JobState.READY) -> AssignJobResult:
    return AssignJobResult(state, need_toolchain=state is JobState.PENDING)


@attrs.frozen
class Expired:
    """The servers and jobs that were dropped because their time was over."""

    servers: tuple[ServerId, ...]
    jobs: tuple[JobId, ...]


def expired(core: SchedulerCore, now: float) -> Expired:
    """Drop what is silent or stale. The jobs of servers that are dropped are not shown."""
    events = core.expire(now)
    servers = tuple(event.server_id for event in events if isinstance(event, ServerLeft))
    ended = (event for event in events if isinstance(event, JobEnded))
    return Expired(servers, tuple(event.job_id for event in ended if event.server_id not in servers))


def farm(*cpus: int) -> SchedulerCore:
    """A scheduler with as many build servers, from A on, that have these CPUs."""
    core = SchedulerCore(FIRST_JOB)
    for server_id, count in zip(SERVERS, cpus, strict=False):
        core.heartbeat(server_id, heartbeat(count), now=0.0)
    return core


def job_in(phase: JobPhase, core: SchedulerCore, now: float = 0.0) -> Reservation:
    """Take a job as far as this."""
    reserved = core.reserve(now)
    if phase is not JobPhase.RESERVED:
        core.confirm(reserved, assigned(JobState.PENDING if phase is JobPhase.PENDING else JobState.READY), now)
    if phase is JobPhase.STARTED:
        core.update(reserved.job_id, reserved.server_id, JobState.STARTED, now)
    return reserved


def free_slots(core: SchedulerCore, now: float = 0.0) -> int:
    """How many jobs more there is room for; nothing is changed."""
    taken: list[Reservation] = []
    with suppress(NoCapacity):
        while len(taken) < MANY:
            taken.append(core.reserve(now))
    for reserved in taken:
        core.release(reserved, now, failed=False)
    return len(taken)


class Ours:
    """A build server of ours with two CPUs, at a scheduler."""

    def __init__(self, core: SchedulerCore, server_id: ServerId = A) -> None:
        self.core, self.server_id, self.number = core, server_id, 0

    def report(
        self, jobs: dict[JobId, JobState] | None = None, *toolchains: str, open_: bool = True, secs: int = 5
    ) -> ServerReport:
        self.number += 1
        availability = Availability.OPEN if open_ else Availability.DRAINING
        return ServerReport(self.number, secs, availability, tuple((jobs or {}).items()), toolchains)

    def beat(self, report: ServerReport, now: float = 0.0, nonce: int = 1) -> Events:
        return self.core.heartbeat(self.server_id, heartbeat(nonce=nonce), now, report)

    def says(
        self,
        states: dict[JobId, JobState],
        now: float = 0.0,
        number: int | None = None,
        nonce: int = 1,
        summaries: Summaries = (),
    ) -> Events:
        if number is None:
            self.number += 1
        said = JobStates(nonce, self.number if number is None else number, tuple(states.items()), summaries)
        return self.core.job_states(self.server_id, said, now)

    def proves_itself(self) -> None:
        """Take a job, and end it."""
        reserved = self.core.reserve(0.0)
        assert reserved.presumed is None
        self.core.confirm(reserved, assigned(), 0.0)
        self.says({reserved.job_id: JobState.COMPLETE})

    def allocate(self, now: float = 0.0, toolchain: str = GCC) -> Reservation:
        """A job that nobody asked it about."""
        reserved = self.core.reserve(now, toolchain=toolchain)
        assert reserved.presumed is not None
        self.core.confirm(reserved, reserved.presumed, now)
        return reserved
