"""What our own daemons tell each other beyond the published protocol.

It stands behind the messages of a heartbeat, where published programs do not look, and in one request of its own, which
a build server makes only of a scheduler that has shown that it is ours. With a published peer nothing of it is there.

The messages of one build server are numbered, so that one which was overtaken is known: what it says is older than what
is known already.
"""

from enum import Enum

import attrs

from sccachedist.wire.bincode import TEXT, U64, enumeration, extended, pair, sequence, struct
from sccachedist.wire.messages import HEARTBEAT, HEARTBEAT_RESULT, JOB_STATE, JobId, JobState

_MARK = b"sccachedist 1\n"


class Availability(Enum):
    """Whether a build server takes jobs."""

    OPEN = "Open"
    DRAINING = "Draining"
    GONE = "Gone"


@attrs.frozen
class ServerReport:
    """What a build server adds to a heartbeat.

    :param number: of this message, among all of this build server since its start.
    :param heartbeat_secs: seconds after which the next heartbeat comes at the latest.
    :param jobs: all that it knows: Pending while the toolchain comes in, Ready when it is there, Started.
    :param toolchains: archive ids that it holds: those that have come since the change of that number. After change 0
        they are all that there were up to ``until``, and a scheduler forgets what it knew before.
    :param gone: archive ids that it has ceased to hold since then.
    :param since: the last change that the scheduler has heard of, as its answer said.
    :param until: the last change that this report tells of.
    """

    number: int
    heartbeat_secs: int
    availability: Availability
    jobs: tuple[tuple[JobId, JobState], ...]
    toolchains: tuple[str, ...]
    gone: tuple[str, ...] = ()
    since: int = 0
    until: int = 0


@attrs.frozen
class SchedulerReport:
    """What a scheduler adds to the answer.

    :param unclaimed: how many jobs it has given to this build server that have not started there.
    :param heartbeat_secs: seconds that shall lie between two heartbeats at least.
    :param told: the last change of the server's toolchains that it has heard of, all earlier ones included.
    :param time: what the clock shows that its job tokens are issued by, in seconds since 1970; 0 where it is not told.
    """

    unclaimed: int
    heartbeat_secs: int
    told: int = 0
    time: int = 0


@attrs.frozen
class JobStates:
    """How several jobs of one build server stand, in one message.

    :param server_nonce: that of its heartbeats.
    :param number: of this message, see :class:`ServerReport`.
    """

    server_nonce: int
    number: int
    states: tuple[tuple[JobId, JobState], ...]


#: Jobs, and toolchains that have come or gone, in one message: more of them would hold up everybody else.
MOST_JOBS, MOST_TOOLCHAINS = 4096, 16_384

_STATES = sequence(pair(U64, JOB_STATE), MOST_JOBS)

EXTENDED_HEARTBEAT = extended(
    HEARTBEAT,
    _MARK,
    struct(
        ServerReport,
        number=U64,
        heartbeat_secs=U64,
        availability=enumeration(Availability),
        jobs=_STATES,
        toolchains=sequence(TEXT, MOST_TOOLCHAINS),
        gone=sequence(TEXT, MOST_TOOLCHAINS),
        since=U64,
        until=U64,
    ),
)
EXTENDED_HEARTBEAT_RESULT = extended(
    HEARTBEAT_RESULT, _MARK, struct(SchedulerReport, unclaimed=U64, heartbeat_secs=U64, told=U64, time=U64)
)
#: What one job, and one toolchain beside its name, take in a report.
JOB_BYTES, TOOLCHAIN_BYTES = 12, 8
JOB_STATES = struct(JobStates, server_nonce=U64, number=U64, states=_STATES)
