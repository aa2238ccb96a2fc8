"""What the scheduler decides: which build server gets a job, and how long anything is believed.

Pure: values in dictionaries, the time as an argument, no I/O and no clock. An allocation is cut in two around
the call to the build server: :meth:`SchedulerCore.reserve` takes the slot, then exactly one of
:meth:`SchedulerCore.confirm` and :meth:`SchedulerCore.release` follows.

The rules and their numbers are those of the published scheduler ("The published scheduler's behaviour" in
``doc/protocol``), but for what their comments say.
"""

import math
from collections.abc import Collection
from enum import Enum, auto

import attrs

from sccachedist.errors import BadTransition, DecodeError, SccachedistError, UnknownJob, UnknownServer
from sccachedist.wire.addresses import ServerId
from sccachedist.wire.messages import (
    AssignJobResult,
    Heartbeat,
    JobId,
    JobState,
    SchedulerStatus,
    ServerCertificate,
    job_capacity,
)

#: Seconds without a heartbeat after which a server and its jobs are dropped.
SERVER_SECS = 90.0
#: Seconds for which a server that failed an ``assign_job`` is used only when no other has room.
PENALTY_SECS = 300.0
#: CPUs that a build server may claim. The wire has room for more than a farm's sum could be told in.
MOST_CPUS = 1 << 16


class Slot(Enum):
    """Where a job stands, seen from the scheduler."""

    RESERVED = auto()
    PENDING = auto()
    READY = auto()
    STARTED = auto()


#: Seconds in a state after which a job that nobody claimed is dropped. The published scheduler counts both from the
#: allocation, and so drops a job whose upload took longer than the first; here each state has its own time. A
#: reservation ends by itself only where its allocation was lost, for each has a shorter time limit of its own.
CLAIM_SECS = {Slot.RESERVED: 300.0, Slot.PENDING: 300.0, Slot.READY: 60.0}

# How a job moves by what its build server reports. A job is Pending while its toolchain is missing, Ready until its
# client sends the inputs, Started while it compiles; Complete frees the slot. Each report may come again when its
# answer was lost, and says nothing new then. What stands in neither table is the server's mistake.
_MOVES = {
    (Slot.PENDING, JobState.READY): Slot.READY,
    (Slot.READY, JobState.STARTED): Slot.STARTED,
    (Slot.STARTED, JobState.COMPLETE): None,
    (Slot.READY, JobState.READY): Slot.READY,
    (Slot.STARTED, JobState.STARTED): Slot.STARTED,
}
_ASSIGNED = {JobState.PENDING: Slot.PENDING, JobState.READY: Slot.READY}


class NoCapacity(SccachedistError):
    """No build server has room for one more job."""


@attrs.frozen
class Reservation:
    """A slot taken for a job that its build server has not heard of yet."""

    job_id: JobId
    server_id: ServerId
    job_key: bytes = attrs.field(repr=False)
    cert_digest: bytes


@attrs.define
class _Job:
    server_id: ServerId
    slot: Slot
    since: float


@attrs.define
class _Server:
    heartbeat: Heartbeat
    seen: float
    failed: float | None = None
    jobs: set[JobId] = attrs.field(factory=set)

    @property
    def has_room(self) -> bool:
        """Whether it takes one more job."""
        return len(self.jobs) < job_capacity(self.heartbeat.num_cpus)

    @property
    def load(self) -> float:
        """Jobs per CPU."""
        return len(self.jobs) / self.heartbeat.num_cpus


@attrs.frozen
class Expired:
    """What was dropped because its time had come."""

    servers: tuple[ServerId, ...]
    jobs: tuple[JobId, ...]


def first_job_id(unix_time: float) -> JobId:
    """The id to count from, so that no restart reuses one: microseconds since 1970, 63 bits until 2112."""
    return JobId(int(unix_time * 1_000_000) << 11)


class SchedulerCore:
    """The build servers, their jobs, and who gets the next one.

    :param first_job: the id of the first job, see :func:`first_job_id`.
    """

    def __init__(self, first_job: JobId) -> None:
        self._next_job = first_job
        self._servers: dict[ServerId, _Server] = {}
        self._jobs: dict[JobId, _Job] = {}

    # -- build servers --

    def heartbeat(self, server_id: ServerId, heartbeat: Heartbeat, now: float) -> bool:
        """Keep a build server among the living; a new nonce is a new server, without the old one's jobs.

        :returns: whether it is new.
        :raises DecodeError: it says that it has no CPU, or more than :data:`MOST_CPUS`.
        """
        if not 1 <= heartbeat.num_cpus <= MOST_CPUS:
            raise DecodeError(f"a build server has 1 to {MOST_CPUS} CPUs, not {heartbeat.num_cpus}")
        known = self._servers.get(server_id)
        if known is not None and known.heartbeat.server_nonce == heartbeat.server_nonce:
            known.heartbeat, known.seen = heartbeat, now
            return False
        if known is not None:
            self._drop_server(server_id)
        self._servers[server_id] = _Server(heartbeat, now)
        return True

    def certificate(self, server_id: ServerId) -> ServerCertificate:
        """The certificate to trust for a build server.

        :raises UnknownServer: no such server has sent a heartbeat in time.
        """
        server = self._server(server_id)
        return ServerCertificate(server.heartbeat.cert_digest, server.heartbeat.cert_pem)

    def status(self) -> SchedulerStatus:
        """How many servers, CPUs and confirmed jobs there are."""
        return SchedulerStatus(
            num_servers=len(self._servers),
            num_cpus=sum(server.heartbeat.num_cpus for server in self._servers.values()),
            in_progress=sum(job.slot is not Slot.RESERVED for job in self._jobs.values()),
        )

    @property
    def has_servers(self) -> bool:
        """Whether any build server lives."""
        return bool(self._servers)

    @property
    def has_room(self) -> bool:
        """Whether any build server takes one more job."""
        return any(server.has_room for server in self._servers.values())

    # -- allocations --

    def reserve(self, now: float, tried: Collection[ServerId] = ()) -> Reservation:
        """Take a slot of the least loaded server; one that failed lately only where no other has room.

        :param tried: servers that have refused this allocation already.
        :raises NoCapacity: no server has room.
        """
        candidates = {
            server_id: server
            for server_id, server in self._servers.items()
            if server.has_room and server_id not in tried
        }
        if not candidates:
            raise NoCapacity(f"Insufficient capacity across {len(self._servers)} available servers")
        server_id = min(candidates, key=lambda each: _preference(candidates[each], now))
        job_id = self._next_job
        self._next_job = JobId(job_id + 1)
        self._jobs[job_id] = _Job(server_id, Slot.RESERVED, now)
        server = candidates[server_id]
        server.jobs.add(job_id)
        return Reservation(job_id, server_id, server.heartbeat.jwt_key, server.heartbeat.cert_digest)

    def confirm(self, reserved: Reservation, assigned: AssignJobResult, now: float) -> None:
        """The build server has taken the job.

        :raises UnknownServer: it was dropped or replaced meanwhile, and the reservation with it.
        :raises BadTransition: it claims a state that no new job can be in; the slot is free again.
        """
        job = self._jobs.get(reserved.job_id)
        if job is None:
            raise UnknownServer(f"build server {reserved.server_id} went away during an allocation")
        slot = _ASSIGNED.get(assigned.state)
        if slot is None:
            self.release(reserved, now, failed=True)
            raise BadTransition(f"build server {reserved.server_id} says that a new job is {assigned.state.name}")
        job.slot, job.since = slot, now

    def release(self, reserved: Reservation, now: float, *, failed: bool) -> None:
        """The job will not be: give its slot back.

        :param failed: whether the build server is to blame.
        """
        if reserved.job_id in self._jobs:
            self._drop_job(reserved.job_id)
            if failed:
                self._server(reserved.server_id).failed = now

    # -- jobs --

    def update(self, job_id: JobId, server_id: ServerId, state: JobState, now: float) -> None:
        """A build server reports where a job stands, and so that it lives. A late Complete has no effect.

        :raises UnknownJob: there is no such job, or it is another server's.
        :raises BadTransition: the job cannot go there from where it is.
        """
        job = self._jobs.get(job_id)
        if job is None:
            if state is JobState.COMPLETE:
                return
            raise UnknownJob("Unknown job")
        if job.server_id != server_id:
            raise UnknownJob(f"Job {job_id} is not a job of build server {server_id}")
        if (job.slot, state) not in _MOVES:
            raise BadTransition(f"Job {job_id} cannot go from {job.slot.name} to {state.name}")
        self._server(server_id).seen = now
        slot = _MOVES[job.slot, state]
        if slot is None:
            self._drop_job(job_id)
        elif slot is not job.slot:
            job.slot, job.since = slot, now

    def expire(self, now: float) -> Expired:
        """Drop servers that are silent and jobs that nobody claims."""
        silent = tuple(key for key, server in self._servers.items() if now - server.seen > SERVER_SECS)
        for server_id in silent:
            self._drop_server(server_id)
        stale = tuple(
            key for key, job in self._jobs.items() if job.slot in CLAIM_SECS and now - job.since > CLAIM_SECS[job.slot]
        )
        for job_id in stale:
            self._drop_job(job_id)
        return Expired(silent, stale)

    def _server(self, server_id: ServerId) -> _Server:
        server = self._servers.get(server_id)
        if server is None:
            raise UnknownServer(f"Unknown build server {server_id}")
        return server

    def _drop_server(self, server_id: ServerId) -> None:
        for job_id in self._servers.pop(server_id).jobs:
            del self._jobs[job_id]

    def _drop_job(self, job_id: JobId) -> None:
        job = self._jobs.pop(job_id)
        self._server(job.server_id).jobs.remove(job_id)


def _preference(server: _Server, now: float) -> tuple[float, float]:
    """Sorts servers: the least loaded first; then those that failed lately, the longest ago first."""
    if server.failed is not None and now - server.failed <= PENALTY_SECS:
        return (math.inf, server.failed)
    return (server.load, 0.0)
