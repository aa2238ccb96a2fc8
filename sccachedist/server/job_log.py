"""The line that a build server logs of each job that has ended, in the words of :mod:`sccachedist.outcomes`."""

from sccachedist.daemon.logs import LineLogger
from sccachedist.outcomes import SERVER_PHASES
from sccachedist.wire.job_summary import MOST_TEXT, JobSummary
from sccachedist.wire.messages import JobId

log = LineLogger()

#: The phases that are in the line, in microseconds at least.
_LEAST_US = 1000
_PHASES = tuple(phase.word for phase in SERVER_PHASES)
_MOST_KIND, _MOST_OUTPUT, _MOST_COMPILER, _MOST_DETAIL = MOST_TEXT


def log_job(job_id: JobId | None, client: str, summary: JobSummary, _octets: bytes) -> None:
    """Log what became of a job, at ``info``. Names and the detail are cut and escaped: strangers have written them.

    A :data:`~sccachedist.server.job_courses.JobObserver`.
    """
    ending = (summary.outcome.word, summary.reason.word if summary.reason else "", summary.kind[:_MOST_KIND])
    phases = (f"{word} {us / 1e6:.3f}" for word, us in zip(_PHASES, summary.phases_us, strict=True) if us >= _LEAST_US)
    names = f"{summary.compiler[:_MOST_COMPILER] or '?'} {summary.output[-_MOST_OUTPUT:] or '?'}"
    detail = f": {summary.detail[:_MOST_DETAIL]}" if summary.detail else ""
    cpu_secs = (summary.cpu_user_us + summary.cpu_system_us) / 1e6
    log.line(
        f"job {job_id} of {client}: {'/'.join(filter(None, ending))}, {sum(summary.phases_us) / 1e6:.3f} s "
        f"({', '.join(phases)}), {cpu_secs:.3f} s of CPU, {summary.peak_memory_bytes >> 20} MiB: {names}{detail}",
        job_id=job_id,
        client=client,
        outcome=summary.outcome.word,
    )
