"""What happens to build servers and jobs, as values: each call that changes the scheduler's core returns its events.

Pure. What is done about an event is decided by observers (:data:`Observer`), of which the core knows nothing. Times are
seconds by the clock of the core's caller.
"""

from collections.abc import Callable, Mapping
from enum import Enum

import attrs

from sccachedist.budgets import Party
from sccachedist.job_phases import JobPhase
from sccachedist.outcomes import Refusal
from sccachedist.wire.addresses import ServerId
from sccachedist.wire.messages import JobId


class Departure(Enum):
    """Why a build server left."""

    SILENT = "nothing was heard of it for too long"
    GONE = "it said that it ends"
    REPLACED = "another one, or itself after a restart, came to its address"
    REVOKED = "server_auth.revoked has it"
    FORGOTTEN = "it was silent, and an administrator wanted it to be forgotten"


class JobEnd(Enum):
    """Why a job ended, as far as the scheduler knows: a build server reports the end, not the result."""

    COMPLETE = "its build server reported the end"
    NOT_TAKEN = "its build server did not take it"
    LOST = "its build server no longer names it"
    EXPIRED = "its client did not come in time, or its end was not reported"
    SERVER_LEFT = "its build server left"


@attrs.frozen
class ServerJoined:
    """A build server is new, or has been restarted.

    :param ours: whether it adds to the published protocol.
    """

    at: float
    server_id: ServerId
    num_cpus: int
    ours: bool


@attrs.frozen
class ServerLeft:
    """A build server is dropped; :class:`JobEnded` tells of each of its jobs."""

    at: float
    server_id: ServerId
    why: Departure


@attrs.frozen
class ServerDrained:
    """An administrator wants a build server to get no jobs, or jobs again.

    :param is_here: whether one lives at that address.
    :param by: who wants that; None if a drain ends because its time is over. ``reason`` may be empty.
    """

    at: float
    server_id: ServerId
    drained: bool
    is_here: bool
    by: str | None = None
    reason: str = ""


class Fault(Enum):
    """Why a build server is avoided."""

    NOT_TAKEN = "it did not take a job"
    SENDS_HOME = "it sends far more of its jobs home than the others"


@attrs.frozen
class ServerAvoided:
    """A build server gets jobs only if no other has room, until then."""

    at: float
    server_id: ServerId
    until: float
    why: Fault


@attrs.frozen
class ServerUnfit:
    """Our build server says why it gets no jobs until its self-test passes; with an empty text it is fit again."""

    at: float
    server_id: ServerId
    why: str


class Asked(Enum):
    """What came of asking a build server whether it takes a job."""

    TAKEN = "it takes the job"
    REFUSED = "it does not take the job"
    UNREACHED = "it did not answer"


@attrs.frozen
class ServerAsked:
    """A build server was asked whether it takes a job; one that has proven itself is not asked.

    :param secs: how long that took.
    """

    at: float
    server_id: ServerId
    secs: float
    answer: Asked


@attrs.frozen
class JobAllocated:
    """A job has a build server, which has taken it or is presumed to."""

    at: float
    job_id: JobId
    server_id: ServerId
    client: Party | None
    toolchain: str


@attrs.frozen
class JobAdopted:
    """Our build server names a job that this scheduler does not know: from before its start, or taken for lost.

    :param client: whose it is, if the scheduler knew the job once.
    """

    at: float
    job_id: JobId
    server_id: ServerId
    client: Party | None = None


@attrs.frozen
class JobStarted:
    """A job's compile has begun. Of a short job, only the end may be told."""

    at: float
    job_id: JobId
    server_id: ServerId


@attrs.frozen
class SlotLent:
    """A job's client has not come, and others may have its slot meanwhile."""

    at: float
    job_id: JobId
    server_id: ServerId


@attrs.frozen
class JobEnded:
    """A job is forgotten.

    :param client: whose it was; None if it is from before this scheduler. Of an adopted job, ``toolchain`` is empty.
    :param began: when each of its phases began. A phase that was not reported is missing.
    :param asked: when its client asked for a slot; of an adopted job, when it was first heard of.
    :param summary: what its build server tells of it (:mod:`sccachedist.wire.job_summary`); empty if it does not.
    """

    at: float
    job_id: JobId
    server_id: ServerId
    client: Party | None
    toolchain: str
    how: JobEnd
    began: Mapping[JobPhase, float]
    asked: float
    summary: bytes = b""


@attrs.frozen
class LateSummary:
    """A build server tells of a job that is over, or that the scheduler never knew: a heartbeat was quicker."""

    at: float
    job_id: JobId
    server_id: ServerId
    summary: bytes


@attrs.frozen
class RequestRefused:
    """A request for a slot ended without one.

    :param asked: when it came.
    :param client: whose it was; one whose token was not accepted is known by its address alone.
    :param toolchain: the archive id; empty if it is none, or was not read.
    :param detail: what the client is told.
    """

    at: float
    asked: float
    client: Party
    toolchain: str
    refusal: Refusal
    detail: str


Event = (
    ServerJoined
    | ServerLeft
    | ServerDrained
    | ServerAvoided
    | ServerUnfit
    | ServerAsked
    | JobAllocated
    | JobAdopted
    | JobStarted
    | SlotLent
    | JobEnded
    | LateSummary
    | RequestRefused
)
Events = tuple[Event, ...]
#: Called with each event, in order. It must not fail, nor change the core.
Observer = Callable[[Event], None]
