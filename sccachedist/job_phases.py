"""The phases of a job: one vocabulary for the scheduler and for the build server.

Pure. The time limits are in :mod:`sccachedist.scheduler.jobs` and :mod:`sccachedist.server.jobs`.

Theory of operation. A job takes one slot of one build server from the moment it is reserved until it is over. Then the
job is forgotten: no phase stands for that. Two rules hold:

1. A job only moves forward. The scheduler hears of it from its build server, over a network: a report may be lost, come
   late, or come twice. A report may skip phases that were not reported; a late report has no effect.
2. In each phase exactly one party has to act, and each phase but the last has a time limit for it. Reserved: the
   scheduler asks the build server. Pending: the client brings the toolchain. Ready: the client sends the inputs.
   Started: the build server compiles.

``JobState.COMPLETE`` ends a job in every phase. The published scheduler refuses each report that is not the next step.
"""

from enum import Enum, auto

from sccachedist.wire.messages import JobState


class JobPhase(Enum):
    """Where a job stands, in order. A build server does not know of a reserved job."""

    RESERVED = auto()
    PENDING = auto()
    READY = auto()
    STARTED = auto()


#: The phase that a report moves a job to: from the phase it is in, by the state that the build server reports.
AFTER_REPORT = {
    (JobPhase.RESERVED, JobState.PENDING): JobPhase.PENDING,
    (JobPhase.RESERVED, JobState.READY): JobPhase.READY,
    (JobPhase.RESERVED, JobState.STARTED): JobPhase.STARTED,
    (JobPhase.PENDING, JobState.PENDING): JobPhase.PENDING,
    (JobPhase.PENDING, JobState.READY): JobPhase.READY,
    (JobPhase.PENDING, JobState.STARTED): JobPhase.STARTED,
    (JobPhase.READY, JobState.PENDING): JobPhase.READY,  # late
    (JobPhase.READY, JobState.READY): JobPhase.READY,
    (JobPhase.READY, JobState.STARTED): JobPhase.STARTED,
    (JobPhase.STARTED, JobState.PENDING): JobPhase.STARTED,  # late
    (JobPhase.STARTED, JobState.READY): JobPhase.STARTED,  # late
    (JobPhase.STARTED, JobState.STARTED): JobPhase.STARTED,
}
