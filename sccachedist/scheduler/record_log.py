"""The line that a scheduler logs of each request for a slot that is over, in the words of :mod:`sccachedist.outcomes`.

A build server's line of the same job has the same number (:mod:`sccachedist.server.job_log`).
"""

from sccachedist.daemon.logs import LineLogger
from sccachedist.records.ring import Entry, record_of

log = LineLogger()

#: The phases that are in the line, in seconds at least.
_LEAST_SECS = 0.001


def log_record(entry: Entry) -> None:
    """Log what became of a request, at ``info``. The logger escapes what strangers have written."""
    record = record_of(entry)
    summary, reason = record.summary, record.reason
    ending = (record.outcome.word, reason.word if reason else "", summary.kind if summary else "")
    phases = (f"{phase.word} {secs:.3f}" for phase, secs in record.phases.items() if secs >= _LEAST_SECS)
    detail = summary.detail if summary else record.detail
    request = "request" if record.job_id is None else f"job {record.job_id}"
    client = record.client or "unknown"
    place = f" on {record.server}" if record.server else ""
    names = f": {summary.compiler or '?'} {summary.output or '?'}" if summary else ""
    log.line(
        f"{request} of {client}: {'/'.join(filter(None, ending))}, {record.ended - record.asked:.3f} s "
        f"({', '.join(phases)}){place}{names}{f': {detail}' if detail else ''}",
        job_id=record.job_id,
        client=client,
        outcome=record.outcome.word,
    )
