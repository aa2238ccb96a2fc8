"""A build server's core whose job has come as far as a test wants it."""

from sccachedist.server.jobs import ServerCore
from sccachedist.wire.archive_id import ArchiveId
from sccachedist.wire.messages import AssignJobResult, JobId, JobState

JOB, OTHER_JOB = JobId(7), JobId(8)
GCC, CLANG = ArchiveId("0c" * 32), ArchiveId("c1" * 32)
PENDING, READY = AssignJobResult(JobState.PENDING, True), AssignJobResult(JobState.READY, False)
#: How far a job has come.
STAGES = ("waits", "uploads", "ready", "claimed", "over")


def open_core(slots: int = 100) -> ServerCore:
    """A core that takes jobs."""
    core = ServerCore(slots)
    core.open()
    return core


def with_job(stage: str, now: float = 0.0) -> ServerCore:
    """A core whose job has come as far as this."""
    core = open_core()
    core.assign(JOB, GCC, present=stage not in STAGES[:2], now=now)
    if stage == "uploads":
        core.begin_upload(JOB, now)
    if stage in ("claimed", "over"):
        core.claim(JOB, now)
    if stage == "over":
        core.drop(JOB)
    return core
