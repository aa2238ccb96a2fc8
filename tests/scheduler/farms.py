"""Build servers and jobs in a scheduler core, for its tests."""

from contextlib import suppress

from sccachedist.scheduler.core import NoCapacity, Reservation, SchedulerCore
from sccachedist.scheduler.jobs import Slot
from sccachedist.wire.addresses import ServerId
from sccachedist.wire.messages import AssignJobResult, Heartbeat, JobId, JobState

A, B, C = SERVERS = tuple(ServerId.parse(f"127.0.0.{host}:10501") for host in (1, 2, 3))
FIRST_JOB = JobId(7)
#: More jobs than any farm of the tests has room for.
MANY = 1000


def heartbeat(
    cpus: int = 2, nonce: int = 1, certificate: bytes = b"certificate", job_key: bytes = b"job key"
) -> Heartbeat:
    return Heartbeat(job_key, cpus, nonce, b"digest of " + certificate, certificate)


def assigned(state: JobState = JobState.READY) -> AssignJobResult:
    return AssignJobResult(state, need_toolchain=state is JobState.PENDING)


def farm(*cpus: int) -> SchedulerCore:
    """A scheduler with as many build servers, from A on, that have these CPUs."""
    core = SchedulerCore(FIRST_JOB)
    for server_id, count in zip(SERVERS, cpus, strict=False):
        core.heartbeat(server_id, heartbeat(count), now=0.0)
    return core


def job_in(slot: Slot, core: SchedulerCore, now: float = 0.0) -> Reservation:
    """Take a job as far as this."""
    reserved = core.reserve(now)
    if slot is not Slot.RESERVED:
        core.confirm(reserved, assigned(JobState.PENDING if slot is Slot.PENDING else JobState.READY), now)
    if slot is Slot.STARTED:
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
